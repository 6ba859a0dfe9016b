// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptor tables: GDT and TSS of each CPU, one IDT for all.

use super::entry::{self, VECTORS};
use crate::percpu::FAULT_STACKS;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// Kernel code, as SYSCALL loads it; the stack segment follows.
pub(crate) const KERNEL_CODE: u16 = 0x08;
/// Kernel stack segment.
pub(crate) const KERNEL_DATA: u16 = 0x10;
/// What SYSRET counts from: user data and 64-bit user code follow. (32-bit code has no descriptor,
/// so there is none.)
pub(crate) const USER_BASE: u16 = 0x18 | 3;
/// User data.
pub(crate) const USER_DATA: u16 = 0x20 | 3;
/// User code.
pub(crate) const USER_CODE: u16 = 0x28 | 3;
const TASK: u16 = 0x30;

const GDT: [u64; 8] =
    [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0, 0x00cf_f300_0000_ffff, 0x00af_fb00_0000_ffff, 0, 0];

/// Stack numbers in the IDT.
const NMI_STACK: u64 = 1;
const DOUBLE_FAULT_STACK: u64 = 2;
const MACHINE_CHECK_STACK: u64 = 3;

/// Task state segment, in words of 32 bits as 64-bit fields are not aligned.
#[repr(C)]
struct Task {
    words: [u32; 26],
}

/// Tables of one CPU.
#[repr(C, align(16))]
pub(crate) struct Descriptors {
    gdt: [u64; 8],
    task: Task,
}

impl Descriptors {
    pub(crate) const fn new() -> Self {
        Self { gdt: GDT, task: Task { words: [0; 26] } }
    }

    /// Sets the stacks for entries.
    pub(crate) fn fill(&mut self, kernel_stack: u64, fault_stacks: [u64; FAULT_STACKS]) {
        const LIMIT: u64 = size_of::<Task>() as u64 - 1;
        const AVAILABLE_TASK: u64 = 0x89 << 40;
        let base = core::ptr::from_ref(&self.task) as u64;
        self.gdt[6] = LIMIT | (base & 0xff_ffff) << 16 | AVAILABLE_TASK | (base >> 24 & 0xff) << 56;
        self.gdt[7] = base >> 32;
        let mut put = |word: usize, value: u64| {
            self.task.words[word] = value as u32;
            self.task.words[word + 1] = (value >> 32) as u32;
        };
        put(1, kernel_stack);
        for (number, end) in fault_stacks.into_iter().enumerate() {
            put(9 + 2 * number, end);
        }
        // No I/O bitmap: it would begin beyond the limit.
        self.task.words[25] = (size_of::<Task>() as u32) << 16;
    }
}

/// Two words per gate.
static IDT: [[AtomicU64; 2]; VECTORS] = [const { [const { AtomicU64::new(0) }; 2] }; VECTORS];

/// Fills the table in. Called once, by the boot CPU.
pub(crate) fn fill_idt() {
    const INTERRUPT_GATE: u64 = 0x8e << 40;
    const USER: u64 = 3 << 45;
    for (vector, gate) in IDT.iter().enumerate() {
        let (stack, user) = match vector {
            entry::BREAKPOINT => (0, USER),
            entry::DEBUG | entry::DOUBLE_FAULT => (DOUBLE_FAULT_STACK, 0),
            entry::NMI => (NMI_STACK, 0),
            entry::MACHINE_CHECK => (MACHINE_CHECK_STACK, 0),
            _ => (0, 0),
        };
        let target = entry::address(vector);
        let low = target & 0xffff | u64::from(KERNEL_CODE) << 16 | stack << 32 | INTERRUPT_GATE | user;
        gate[0].store(low | (target >> 16 & 0xffff) << 48, Ordering::Relaxed);
        gate[1].store(target >> 32, Ordering::Relaxed);
    }
}

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

/// Loads GDT, segments, TSS and IDT.
pub(crate) fn load(descriptors: &'static Descriptors) {
    let gdt =
        Pointer { limit: size_of_val(&descriptors.gdt) as u16 - 1, base: descriptors.gdt.as_ptr() as u64 };
    let idt = Pointer { limit: size_of_val(&IDT) as u16 - 1, base: IDT.as_ptr() as u64 };
    // SAFETY: the tables are complete and live for ever; the code segment stays what it is, 64-bit
    // code.
    unsafe {
        asm!(
            "lgdt [{gdt}]",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ss, {data:e}",
            "xor {scratch:e}, {scratch:e}",
            "mov ds, {scratch:e}",
            "mov es, {scratch:e}",
            "mov fs, {scratch:e}",
            "mov gs, {scratch:e}",
            "lldt {scratch:x}",
            "ltr {task:x}",
            "lidt [{idt}]",
            gdt = in(reg) &gdt,
            idt = in(reg) &idt,
            code = in(reg) u64::from(KERNEL_CODE),
            data = in(reg) u32::from(KERNEL_DATA),
            task = in(reg) u32::from(TASK),
            scratch = out(reg) _,
        );
    }
}
