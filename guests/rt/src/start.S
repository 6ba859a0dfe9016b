// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Entry of a small guest, and its exception entries.
//
// understudy_guest_entry: in 64-bit mode with RDI = boot page and no stack (abi::guest). Never returns.
//
// Exceptions and interrupts: a stub of 16 bytes per vector pushes an error code where the processor does not, then the vector; the
// common part saves the general registers as a trap::Frame and calls understudy_guest_trap(frame).

    .section .bss.stack, "aw", @nobits
    .balign 16
understudy_guest_stack:
    .skip 65536
understudy_guest_stack_top:

    .text
    .global _start
    .type _start, @function
_start:
    lea rsp, [rip + understudy_guest_stack_top]
    xor ebp, ebp
    call understudy_guest_start
    ud2

    .balign 16
    .global understudy_guest_stubs
understudy_guest_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    push 0
    .endif
    push vector
    jmp understudy_guest_common
    .set vector, vector + 1
    .endr

    .balign 16
understudy_guest_common:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    call understudy_guest_trap
    mov rsp, rbp
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    iretq
