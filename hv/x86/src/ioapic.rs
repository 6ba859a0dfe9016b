// SPDX-License-Identifier: MIT OR Apache-2.0
//! The I/O APICs: where device interrupts go. The old interrupt controllers are silenced for good.

use crate::mmio;
use crate::once::{Once, SpinLock};
use crate::port::out8;
use firmware::list::List;
use firmware::madt::{ISA_LINES, IoApic, MAX_IO_APICS, Madt};

pub use firmware::madt::Line;

const SELECT: u64 = 0;
const WINDOW: u64 = 0x10;
const VERSION: u32 = 1;
const REDIRECTION: u32 = 0x10;

const LOW_ACTIVE: u32 = 1 << 13;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

/// An I/O APIC with the number of its pins.
#[derive(Clone, Copy)]
struct Controller {
    io_apic: IoApic,
    pins: u32,
}

struct Controllers {
    list: List<Controller, MAX_IO_APICS>,
    isa: [Line; ISA_LINES],
}

static CONTROLLERS: Once<Controllers> = Once::new();
/// A register takes two accesses.
static LOCK: SpinLock = SpinLock::new();

fn read(io_apic: IoApic, register: u32) -> u32 {
    // SAFETY: the page is mapped uncached by the boot code before `init`; an interrupt does nothing
    // to memory.
    unsafe {
        mmio::write(io_apic.address + SELECT, register);
        mmio::read(io_apic.address + WINDOW)
    }
}

fn write(io_apic: IoApic, register: u32, value: u32) {
    // SAFETY: the page is mapped uncached by the boot code before `init`; a line can only be routed
    // to vectors of our IDT.
    unsafe {
        mmio::write(io_apic.address + SELECT, register);
        mmio::write(io_apic.address + WINDOW, value);
    }
}

/// Masks everything, unless it is `shared`: then it is another image's for now, and is left as it
/// is.
pub(crate) fn init(madt: &Madt, shared: bool) {
    if !shared {
        silence_pics();
    }
    let mut list = List::new(Controller { io_apic: IoApic::default(), pins: 0 });
    for &io_apic in madt.io_apics.iter() {
        let pins = (read(io_apic, VERSION) >> 16 & 0xff) + 1;
        for pin in (0..pins).filter(|_| !shared) {
            write(io_apic, REDIRECTION + 2 * pin, MASKED);
        }
        list.push(Controller { io_apic, pins });
    }
    CONTROLLERS.set(Controllers { list, isa: madt.isa });
}

/// Moves the vectors of the two PICs out of the way (they can still make spurious interrupts) and
/// masks them.
fn silence_pics() {
    const COMMAND: [u16; 2] = [0x20, 0xa0];
    for (port, (vector, cascade)) in COMMAND.into_iter().zip([(0xf8, 4), (0xf8, 2)]) {
        for (offset, value) in [(0, 0x11), (1, vector), (1, cascade), (1, 1), (1, 0xff)] {
            out8(port + offset, value);
        }
    }
}

fn controllers() -> &'static [Controller] {
    CONTROLLERS.get().map_or(&[], |controllers| controllers.list.as_slice())
}

fn find(gsi: u32) -> Option<(IoApic, u32)> {
    controllers().iter().find_map(|controller| {
        let pin = gsi.checked_sub(controller.io_apic.gsi_base)?;
        (pin < controller.pins).then_some((controller.io_apic, pin))
    })
}

/// Number of global system interrupts: they are 0 to this, exclusive (with gaps, on some machines).
#[must_use]
pub fn gsi_count() -> u32 {
    let ends =
        controllers().iter().map(|controller| controller.io_apic.gsi_base.saturating_add(controller.pins));
    ends.max().unwrap_or(0)
}

/// Where the firmware wired ISA interrupt `irq` (0 to 15), and how.
#[must_use]
pub fn isa_line(irq: u8) -> Line {
    let line = CONTROLLERS.get().and_then(|controllers| controllers.isa.get(usize::from(irq)));
    line.copied().unwrap_or(Line { gsi: u32::from(irq), level: false, low: false })
}

/// Sends interrupt `gsi` as `vector` to the CPU with this APIC id; leaves it masked. False if there
/// is no such interrupt, or if it cannot reach that CPU (without interrupt remapping, ids above 254
/// are out of reach).
pub fn route(gsi: u32, vector: u8, apic_id: u32, level: bool, low: bool) -> bool {
    let Some((io_apic, pin)) = find(gsi).filter(|_| apic_id < crate::lapic::XAPIC_LIMIT) else {
        return false;
    };
    let trigger = if level { LEVEL } else { 0 } | if low { LOW_ACTIVE } else { 0 };
    let _turn = LOCK.lock();
    write(io_apic, REDIRECTION + 2 * pin, MASKED);
    write(io_apic, REDIRECTION + 2 * pin + 1, apic_id << 24);
    write(io_apic, REDIRECTION + 2 * pin, MASKED | trigger | u32::from(vector));
    true
}

fn set_mask(gsi: u32, mask: bool) {
    if let Some((io_apic, pin)) = find(gsi) {
        let _turn = LOCK.lock();
        let low = read(io_apic, REDIRECTION + 2 * pin) & !MASKED;
        write(io_apic, REDIRECTION + 2 * pin, low | if mask { MASKED } else { 0 });
    }
}

/// Holds interrupt `gsi` back.
pub fn mask(gsi: u32) {
    set_mask(gsi, true);
}

/// Lets interrupt `gsi` through.
pub fn unmask(gsi: u32) {
    set_mask(gsi, false);
}
