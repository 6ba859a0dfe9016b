// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptor tables, exceptions, and instructions that are allowed to fault.
//!
//! [`attempt!`](crate::attempt) runs one instruction and says whether it faulted; any other
//! exception is reported and ends the guest. Interrupts are acknowledged and otherwise only end a
//! HLT.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Registers at an exception, as `start.S` pushes them.
#[repr(C)]
pub struct Frame {
    general: [u64; 15],
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// Where to go on after a fault of the instruction being attempted; 0 when none is.
pub static RESUME_AT: AtomicU64 = AtomicU64::new(0);
/// Vector of the last fault that was attempted, plus one; 0 for none.
pub static FAULTED: AtomicU64 = AtomicU64::new(0);

#[repr(C, align(16))]
struct Gate([u64; 2]);

struct Table(UnsafeCell<[Gate; 256]>);

// SAFETY: written once at the start, by the only CPU, before interrupts.
unsafe impl Sync for Table {}

static IDT: Table = Table(UnsafeCell::new([const { Gate([0; 2]) }; 256]));
static GDT: [u64; 3] = [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    base: u64,
}

unsafe extern "C" {
    static understudy_guest_stubs: [u8; 256 * 16];
}

const CODE_SELECTOR: u64 = 8;
const INTERRUPT_GATE: u64 = 0x8e00;

/// Loads the guest's own descriptor tables. Selectors of the entry state fit them.
pub(crate) fn install() {
    let stubs = (&raw const understudy_guest_stubs) as u64;
    let table = IDT.0.get();
    for vector in 0..256 {
        let target = stubs + vector as u64 * 16;
        let low =
            target & 0xffff | CODE_SELECTOR << 16 | INTERRUPT_GATE << 32 | (target >> 16 & 0xffff) << 48;
        // SAFETY: the index is within the table, and nobody else uses it yet.
        unsafe { (*table)[vector] = Gate([low, target >> 32]) };
    }
    let idt = TablePointer { limit: 4095, base: table as u64 };
    let gdt = TablePointer { limit: 23, base: (&raw const GDT) as u64 };
    // SAFETY: both tables are static; the selectors in use mean the same in the new GDT.
    unsafe {
        asm!("lgdt [{}]", "lidt [{}]", in(reg) &raw const gdt, in(reg) &raw const idt, options(nostack));
    }
}

/// Makes the next exception a triple fault.
pub fn triple_fault() -> ! {
    let none = TablePointer { limit: 0, base: 0 };
    // SAFETY: ends the guest, as asked.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &raw const none, options(noreturn)) }
}

/// Ends an attempt: the vector that its instruction faulted with, if it did.
#[must_use]
pub fn end_attempt() -> Option<u64> {
    RESUME_AT.store(0, Relaxed);
    FAULTED.swap(0, Relaxed).checked_sub(1)
}

/// Runs one instruction (or a sequence without use of the stack) that may fault, with the operands
/// of `asm!`. Evaluates to the vector of the fault, if there was one. Has to stand in an `unsafe`
/// block.
#[macro_export]
macro_rules! attempt {
    ($instruction:literal $(, $($operand:tt)*)?) => {{
        core::arch::asm!(
            "lea {resume_}, [rip + 2f]",
            "mov [rip + {resume_at_}], {resume_}",
            $instruction,
            "2:",
            resume_ = out(reg) _,
            resume_at_ = sym $crate::trap::RESUME_AT,
            $($($operand)*)?
        );
        $crate::trap::end_attempt()
    }};
}

#[unsafe(no_mangle)]
extern "C" fn understudy_guest_trap(frame: &mut Frame) {
    const FIRST_INTERRUPT: u64 = 32;
    if frame.vector >= FIRST_INTERRUPT {
        super::timer::acknowledge(frame.vector);
        return;
    }
    let resume = RESUME_AT.swap(0, Relaxed);
    if resume == 0 {
        let cr2: u64;
        // SAFETY: reads a register.
        unsafe { asm!("mov {}, cr2", out(reg) cr2, options(nomem, nostack)) };
        panic!(
            "exception {} error {:#x} rip {:#x} rsp {:#x} cr2 {cr2:#x}",
            frame.vector, frame.error, frame.rip, frame.rsp
        );
    }
    FAULTED.store(frame.vector + 1, Relaxed);
    frame.rip = resume;
}
