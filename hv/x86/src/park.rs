// SPDX-License-Identifier: MIT OR Apache-2.0
//! The processor that the machine was booted on, out of use.
//!
//! An INIT does not make it wait for a start, as it does any other: it begins at the reset vector,
//! and the firmware resets the machine (SDM vol. 3A, 9.4.2). So it leaves for a loop in the page
//! where CPUs begin, and waits there for the address at which it goes on. Where it is asked to
//! leave by somebody else, it is by an NMI. Owns the mailbox at the end of that page, which is of
//! whoever starts CPUs on the machine.

use crate::leave::{Leave, leave};
use crate::{boot, clock, cpu, lapic, msr, window};
use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};

/// Offset of the mailbox in the page.
pub(crate) const MAILBOX: usize = 0xe00;
/// Offset of the loop.
const LOOP: u64 = 0xe40;
const APIC_BASE_BSP: u64 = 1 << 8;
/// Until here it has left, or will not.
const PATIENCE_MICROSECONDS: u64 = 200_000;

/// Words that CPUs of either image read and write.
#[repr(C)]
struct Mailbox {
    /// APIC id plus one of the boot processor; 0: unknown.
    boot_processor: AtomicU32,
    /// Not 0: it shall leave when it gets an NMI.
    asked: AtomicU32,
    /// Not 0: it is in the loop.
    parked: AtomicU32,
    /// Where it shall go on: 32-bit protected mode without paging, EBX the address of the page.
    go: AtomicU32,
}

// EBX: the page.
global_asm!(
    r#"
    .pushsection .rodata.park, "a", @progbits
    .code32
    understudy_park:
        mov dword ptr [ebx + {parked}], 1
    2:
        pause
        mov eax, [ebx + {go}]
        test eax, eax
        jz 2b
        jmp eax
    .code64
    understudy_park_end:
    .popsection
    "#,
    parked = const MAILBOX + 8,
    go = const MAILBOX + 12,
);

unsafe extern "C" {
    static understudy_park: u8;
    static understudy_park_end: u8;
}

impl Mailbox {
    /// Nobody waits, and nobody is asked to.
    fn clear(&self) {
        for word in [&self.asked, &self.parked, &self.go] {
            word.store(0, Ordering::Relaxed);
        }
    }
}

fn mailbox() -> Option<&'static Mailbox> {
    let page = boot::low_page()?;
    // SAFETY: the page is in the window, and this part of it is used for nothing else, by no image.
    Some(unsafe { &*((window::to_virt(page) + MAILBOX as u64) as *const Mailbox) })
}

fn is_boot_processor() -> bool {
    msr::read(msr::APIC_BASE) & APIC_BASE_BSP != 0
}

/// The mailbox if it is of the processor with this APIC id.
fn of(id: u32) -> Option<&'static Mailbox> {
    mailbox().filter(|mailbox| mailbox.boot_processor.load(Ordering::Acquire) == id.wrapping_add(1))
}

/// Writes down who the boot processor is, if it is this one.
pub(crate) fn remember() {
    if let Some(mailbox) = mailbox()
        && is_boot_processor()
    {
        mailbox.clear();
        mailbox.boot_processor.store(lapic::id() + 1, Ordering::Release);
    }
}

/// Where this CPU has to stand still, if it is the boot processor: the loop, which is written
/// there.
pub(crate) fn place() -> Option<(u32, u32)> {
    let mailbox = mailbox().filter(|_| is_boot_processor())?;
    let page = boot::low_page()?;
    let code = &raw const understudy_park;
    let length = (&raw const understudy_park_end) as usize - code as usize;
    mailbox.clear();
    // SAFETY: the page is in the window and was given to this image for the start of CPUs. LOOP is
    // behind the mailbox, and the code is shorter than what is left from there to the parameters of
    // a start. No CPU executes it: this one alone parks.
    unsafe { core::ptr::copy_nonoverlapping(code, window::to_virt(page + LOOP) as *mut u8, length) };
    Some(((page + LOOP) as u32, page as u32))
}

/// An NMI: leaves if that is what it means.
pub fn on_nmi() {
    if mailbox().is_some_and(|mailbox| mailbox.asked.load(Ordering::Acquire) != 0) && is_boot_processor() {
        leave(Leave::default())
    }
}

/// Lets a CPU that is not of this image stand still until it is started, whatever it does now.
/// False: the boot processor does not leave what it runs.
#[must_use]
pub fn still(id: u32) -> bool {
    let Some(mailbox) = of(id) else {
        lapic::send_init(id);
        return true;
    };
    // It may be on its way, where an NMI would be its end.
    if wait(mailbox) {
        return true;
    }
    mailbox.asked.store(1, Ordering::Release);
    lapic::send_nmi(id);
    wait(mailbox)
}

fn wait(mailbox: &Mailbox) -> bool {
    let end = cpu::rdtsc() + PATIENCE_MICROSECONDS * clock::tsc_khz() / 1000;
    while mailbox.parked.load(Ordering::Acquire) == 0 {
        if cpu::rdtsc() > end {
            return false;
        }
        cpu::pause();
    }
    true
}

/// Sends the boot processor on from the loop. `None`: the CPU is another one. False: it is not in
/// the loop.
pub(crate) fn resume(id: u32, at: u32) -> Option<bool> {
    let mailbox = of(id)?;
    let parked = wait(mailbox);
    if parked {
        mailbox.parked.store(0, Ordering::Relaxed);
        mailbox.go.store(at, Ordering::Release);
    }
    Some(parked)
}
