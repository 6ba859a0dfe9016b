// SPDX-License-Identifier: MIT OR Apache-2.0
//! Leaving a CPU to another image: the way of the entry, backwards.
//!
//! Owns the state in which a CPU is left: that of a multiboot2 entry (specification, 3.3), so that
//! the next image cannot tell this core from a boot loader; or standing still, until somebody sends
//! an INIT. What else the CPU was used for has to be over.

use crate::boot::image;
use crate::{cpu, lapic, msr, park, window};
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

const EFER_SVME: u64 = 1 << 12;

/// How a CPU leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leave {
    /// Where it goes on, below 4 GiB; 0: nowhere.
    pub entry: u32,
    /// Physical address of the multiboot2 information.
    pub information: u32,
    /// Physical address of a word in the window that is written last, or 0; and what is written.
    pub last_word: (u64, u64),
}

// RDI: entry, RSI: information, RDX: root of the tables of the entry, RCX: physical address of
// `understudy_leave_low`, R8: address of the last word, R9: its value.
global_asm!(
    r#"
    .pushsection .boot, "ax", @progbits
    .balign 8
    leave_gdt:
        .quad 0
        .quad 0x00cf9b000000ffff
        .quad 0x00cf93000000ffff
    .code64
    understudy_leave:
        cli
        // The word is written through the window, which is gone with the next instruction but one.
        test r8, r8
        jz 2f
        mov [r8], r9
    2:
        mov cr3, rdx
        mov rax, cr4
        and rax, {no_global}
        mov cr4, rax
        jmp rcx
    .global understudy_leave_low
    understudy_leave_low:
        // One to one from here on: what is found relative to RIP is a physical address.
        lea rax, [rip + leave_gdt]
        lea rsp, [rip + understudy_boot_stack]
        sub rsp, 16
        mov word ptr [rsp], 23
        mov [rsp + 2], rax
        lgdt [rsp]
        push 8
        lea rax, [rip + leave_32]
        push rax
        retfq
    .code32
    leave_32:
        mov eax, 16
        mov ss, ax
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov eax, 0x11
        mov cr0, eax
        xor eax, eax
        mov cr3, eax
        mov cr4, eax
        xor edx, edx
        mov ecx, 0xc0000080
        wrmsr
        mov ebx, esi
        mov eax, 0x36d76289
        jmp edi
    .code64
    .popsection
    "#,
    no_global = const !(1_i32 << 7 | 1 << 17),
);

unsafe extern "C" {
    static understudy_leave_low: u8;
    fn understudy_leave(entry: u64, info: u64, tables: u64, low: u64, word: u64, value: u64) -> !;
}

/// Leaves this CPU. SVM is off afterwards, the local APIC quiet. Nothing of this image runs on it
/// any more, unless it is started anew.
pub fn leave(mut leave: Leave) -> ! {
    lapic::quiet_this_cpu();
    if leave.entry == 0
        && let Some((entry, page)) = park::place()
    {
        (leave.entry, leave.information) = (entry, page);
    }
    if cpu::features().svm {
        // SAFETY: no guest runs on this CPU any more; the kernel has taken vCPUs off it.
        unsafe { msr::write(msr::EFER, msr::read(msr::EFER) & !EFER_SVME) };
    }
    let (word, value) = leave.last_word;
    let word = if word == 0 { 0 } else { window::to_virt(word) };
    if leave.entry == 0 {
        if word != 0 {
            // SAFETY: the kernel has checked that the word lies in a frame, aligned; frames are in
            // the window, and words of them may be shared with anyone.
            unsafe { &*(word as *const AtomicU64) }.store(value, Ordering::Release);
        }
        cpu::halt_forever()
    }
    image::revive_early_tables();
    let low = image::physical((&raw const understudy_leave_low) as u64);
    let (entry, information) = (u64::from(leave.entry), u64::from(leave.information));
    // SAFETY: the tables map the image where it is linked and, one to one, where it lies; the code
    // uses the stack of the entry, which is nobody's after the start. The word is as above.
    unsafe { understudy_leave(entry, information, image::early_root(), low, word, value) }
}
