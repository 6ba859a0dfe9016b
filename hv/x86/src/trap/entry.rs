// SPDX-License-Identifier: MIT OR Apache-2.0
//! The instructions at which the kernel is entered and left.
//!
//! An entry from user mode uses RSP as the address of the context until every register is saved.
//! That is sound since whatever could interrupt it (NMI, machine check, double fault) has a stack
//! of its own.

use super::tables::{USER_CODE, USER_DATA};
use super::{on_exception, on_fatal, on_interrupt, on_kernel_trap, on_nmi, on_syscall};
use crate::context::UserContext;
use crate::{msr, percpu};
use core::arch::{asm, global_asm};
use core::mem::offset_of;

/// Vectors of the processor.
pub(crate) const VECTORS: usize = 256;
pub(crate) const DEBUG: usize = 1;
pub(crate) const NMI: usize = 2;
pub(crate) const BREAKPOINT: usize = 3;
pub(crate) const DOUBLE_FAULT: usize = 8;
const GENERAL_PROTECTION: usize = 13;
pub(crate) const MACHINE_CHECK: usize = 18;

/// What lies on the stack at an entry with a vector.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Frame {
    pub(crate) vector: u64,
    pub(crate) error: u64,
    pub(crate) rip: u64,
    pub(crate) cs: u64,
    pub(crate) rflags: u64,
    pub(crate) rsp: u64,
    pub(crate) ss: u64,
}

unsafe extern "C" {
    static understudy_stubs: u8;
    fn understudy_nmi();
    fn understudy_double_fault();
    fn understudy_machine_check();
    pub(crate) fn understudy_syscall();
    pub(crate) fn understudy_exit();
}

/// Bytes between two stubs.
const STUB: usize = 16;

/// Where the gate of `vector` leads.
pub(crate) fn address(vector: usize) -> u64 {
    match vector {
        NMI => understudy_nmi as *const () as u64,
        DOUBLE_FAULT => understudy_double_fault as *const () as u64,
        MACHINE_CHECK => understudy_machine_check as *const () as u64,
        _ => (&raw const understudy_stubs) as u64 + (vector * STUB) as u64,
    }
}

/// The address of the last page fault.
pub(crate) fn read_cr2() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

// One stub per vector: makes the frame alike by a zero where the processor pushes no error code.
global_asm!(
    r#"
    .pushsection .text.entry, "ax", @progbits
    .set understudy_vector, 0
    .balign 16
    understudy_stubs:
    .rept 256
    .balign 16
    .if (understudy_vector == 8) || ((understudy_vector >= 10) && (understudy_vector <= 14)) || (understudy_vector == 17) || (understudy_vector == 21) || (understudy_vector == 29) || (understudy_vector == 30)
    .else
    pushq $0
    .endif
    pushq $understudy_vector
    jmp understudy_trap
    .set understudy_vector, understudy_vector + 1
    .endr
    .popsection
    "#,
    options(att_syntax)
);

// SYSCALL and the way back. RCX is the user's RIP, R11 its RFLAGS; the flags of SFMASK are clear.
global_asm!(
    r#"
    .pushsection .text.entry, "ax", @progbits
    .balign 64
    .global understudy_syscall
    understudy_syscall:
        swapgs
        mov gs:[{user_rsp}], rsp
        mov rsp, gs:[{current}]
        mov [rsp + {rip}], rcx
        mov rcx, gs:[{user_rsp}]
        mov [rsp + {rflags}], r11
        mov [rsp + {rsp}], rcx
        mov [rsp + {rax}], rax
        mov [rsp + {rbx}], rbx
        mov [rsp + {rdx}], rdx
        mov [rsp + {rsi}], rsi
        mov [rsp + {rdi}], rdi
        mov [rsp + {rbp}], rbp
        mov [rsp + {r8}], r8
        mov [rsp + {r9}], r9
        mov [rsp + {r10}], r10
        mov [rsp + {r12}], r12
        mov [rsp + {r13}], r13
        mov [rsp + {r14}], r14
        mov [rsp + {r15}], r15
        mov qword ptr [rsp + {kind}], 0
        mov rsp, gs:[{stack}]
        call {on_syscall}

    .global understudy_exit
    understudy_exit:
        mov rcx, gs:[{current}]
        cmp qword ptr [rcx + {kind}], 0
        jne 3f
        // A RIP that is not canonical would make SYSRET fault in the kernel on some processors.
        mov rdx, [rcx + {rip}]
        shr rdx, 47
        jnz 3f
        mov rax, [rcx + {rax}]
        mov rbx, [rcx + {rbx}]
        mov rdx, [rcx + {rdx}]
        mov rsi, [rcx + {rsi}]
        mov rdi, [rcx + {rdi}]
        mov rbp, [rcx + {rbp}]
        mov r8, [rcx + {r8}]
        mov r9, [rcx + {r9}]
        mov r10, [rcx + {r10}]
        mov r11, [rcx + {rflags}]
        mov r12, [rcx + {r12}]
        mov r13, [rcx + {r13}]
        mov r14, [rcx + {r14}]
        mov r15, [rcx + {r15}]
        mov rsp, [rcx + {rsp}]
        mov rcx, [rcx + {rip}]
        swapgs
        sysretq

    // The full way back. A RIP outside the user half becomes an exception of its thread.
    3:
        mov rsp, gs:[{stack}]
        mov rdx, [rcx + {rip}]
        mov rax, rdx
        shr rax, 47
        jnz 4f
        mov rax, [rcx + {rflags}]
        and eax, {user_flags}
        or eax, {fixed_flags}
        push {user_data}
        push qword ptr [rcx + {rsp}]
        push rax
        push {user_code}
        push rdx
        mov rax, [rcx + {rax}]
        mov rbx, [rcx + {rbx}]
        mov rdx, [rcx + {rdx}]
        mov rsi, [rcx + {rsi}]
        mov rdi, [rcx + {rdi}]
        mov rbp, [rcx + {rbp}]
        mov r8, [rcx + {r8}]
        mov r9, [rcx + {r9}]
        mov r10, [rcx + {r10}]
        mov r11, [rcx + {r11}]
        mov r12, [rcx + {r12}]
        mov r13, [rcx + {r13}]
        mov r14, [rcx + {r14}]
        mov r15, [rcx + {r15}]
        mov rcx, [rcx + {rcx}]
        swapgs
        iretq
    4:
        mov edi, {general_protection}
        xor esi, esi
        xor edx, edx
        call {on_exception}
        jmp understudy_exit
    .popsection
    "#,
    current = const percpu::CURRENT,
    stack = const percpu::KERNEL_STACK,
    user_rsp = const percpu::USER_RSP,
    rax = const offset_of!(UserContext, rax),
    rbx = const offset_of!(UserContext, rbx),
    rcx = const offset_of!(UserContext, rcx),
    rdx = const offset_of!(UserContext, rdx),
    rsi = const offset_of!(UserContext, rsi),
    rdi = const offset_of!(UserContext, rdi),
    rbp = const offset_of!(UserContext, rbp),
    r8 = const offset_of!(UserContext, r8),
    r9 = const offset_of!(UserContext, r9),
    r10 = const offset_of!(UserContext, r10),
    r11 = const offset_of!(UserContext, r11),
    r12 = const offset_of!(UserContext, r12),
    r13 = const offset_of!(UserContext, r13),
    r14 = const offset_of!(UserContext, r14),
    r15 = const offset_of!(UserContext, r15),
    rip = const offset_of!(UserContext, rip),
    rflags = const offset_of!(UserContext, rflags),
    rsp = const offset_of!(UserContext, rsp),
    kind = const offset_of!(UserContext, frame_kind),
    // CF PF AF ZF SF TF DF OF AC ID are the user's own; IF and the bit that is always 1 are fixed.
    user_flags = const 0x24_0dd5,
    fixed_flags = const 0x202,
    user_data = const USER_DATA,
    user_code = const USER_CODE,
    general_protection = const GENERAL_PROTECTION,
    on_syscall = sym on_syscall,
    on_exception = sym on_exception,
);

// Exceptions and interrupts.
global_asm!(
    r#"
    .pushsection .text.entry, "ax", @progbits
    .balign 64
    understudy_trap:
        test byte ptr [rsp + {frame_cs}], 3
        jz 5f
        swapgs
        push rcx
        mov rcx, gs:[{current}]
        mov [rcx + {rax}], rax
        pop rax
        mov [rcx + {rcx}], rax
        mov [rcx + {rbx}], rbx
        mov [rcx + {rdx}], rdx
        mov [rcx + {rsi}], rsi
        mov [rcx + {rdi}], rdi
        mov [rcx + {rbp}], rbp
        mov [rcx + {r8}], r8
        mov [rcx + {r9}], r9
        mov [rcx + {r10}], r10
        mov [rcx + {r11}], r11
        mov [rcx + {r12}], r12
        mov [rcx + {r13}], r13
        mov [rcx + {r14}], r14
        mov [rcx + {r15}], r15
        mov qword ptr [rcx + {kind}], 1
        pop rdi
        pop rsi
        pop qword ptr [rcx + {rip}]
        pop rax
        pop qword ptr [rcx + {rflags}]
        pop qword ptr [rcx + {rsp}]
        mov rsp, gs:[{stack}]
        // Gates leave AC and DF as the user had them.
        push 2
        popfq
        cmp edi, 32
        jae 6f
        mov rdx, cr2
        call {on_exception}
        jmp understudy_exit
    6:
        call {on_interrupt}
        jmp understudy_exit

    // In the kernel: nine registers keep the stack aligned.
    5:
        push rax
        push rcx
        push rdx
        push rsi
        push rdi
        push r8
        push r9
        push r10
        push r11
        cld
        lea rdi, [rsp + 72]
        call {on_kernel_trap}
        pop r11
        pop r10
        pop r9
        pop r8
        pop rdi
        pop rsi
        pop rdx
        pop rcx
        pop rax
        add rsp, 16
        iretq

    // An NMI can come between an entry and its SWAPGS: only the base itself tells whose GS it is.
    .balign 16
    understudy_nmi:
        push rax
        push rcx
        push rdx
        push rbx
        push rsi
        push rdi
        push r8
        push r9
        push r10
        push r11
        push rbp
        cld
        mov ecx, {gs_base}
        rdmsr
        mov ebx, edx
        test edx, edx
        js 7f
        swapgs
    7:
        call {on_nmi}
        test ebx, ebx
        js 8f
        swapgs
    8:
        pop rbp
        pop r11
        pop r10
        pop r9
        pop r8
        pop rdi
        pop rsi
        pop rbx
        pop rdx
        pop rcx
        pop rax
        iretq

    understudy_double_fault:
        push 8
        jmp 9f
    understudy_machine_check:
        push 0
        push 18
    9:
        cld
        mov ecx, {gs_base}
        rdmsr
        test edx, edx
        js 2f
        swapgs
    2:
        mov rdi, rsp
        and rsp, -16
        call {on_fatal}
        ud2
    .popsection
    "#,
    frame_cs = const offset_of!(Frame, cs),
    current = const percpu::CURRENT,
    stack = const percpu::KERNEL_STACK,
    rax = const offset_of!(UserContext, rax),
    rbx = const offset_of!(UserContext, rbx),
    rcx = const offset_of!(UserContext, rcx),
    rdx = const offset_of!(UserContext, rdx),
    rsi = const offset_of!(UserContext, rsi),
    rdi = const offset_of!(UserContext, rdi),
    rbp = const offset_of!(UserContext, rbp),
    r8 = const offset_of!(UserContext, r8),
    r9 = const offset_of!(UserContext, r9),
    r10 = const offset_of!(UserContext, r10),
    r11 = const offset_of!(UserContext, r11),
    r12 = const offset_of!(UserContext, r12),
    r13 = const offset_of!(UserContext, r13),
    r14 = const offset_of!(UserContext, r14),
    r15 = const offset_of!(UserContext, r15),
    rip = const offset_of!(UserContext, rip),
    rflags = const offset_of!(UserContext, rflags),
    rsp = const offset_of!(UserContext, rsp),
    kind = const offset_of!(UserContext, frame_kind),
    gs_base = const msr::GS_BASE,
    on_exception = sym on_exception,
    on_interrupt = sym on_interrupt,
    on_kernel_trap = sym on_kernel_trap,
    on_nmi = sym on_nmi,
    on_fatal = sym on_fatal,
);
