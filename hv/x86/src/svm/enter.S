// SPDX-License-Identifier: MIT OR Apache-2.0
//
// One round of a guest: understudy_svm_enter(vmcb: RDI, gpr: RSI, host: RDX), C calling convention.
//
// In:  RDI  physical address of the guest's control block
//      RSI  its general registers: 16 words in the order of instruction encodings. RAX and RSP (words 0 and 4) are not
//           touched here: VMRUN takes them from the control block
//      RDX  physical address of this CPU's page for VMSAVE
// Interrupts are off at entry and at return.
//
// From CLGI to STGI nothing can interrupt, whatever RFLAGS.IF says. IF is set all the same, because while the
// guest runs (VMRUN sets GIF) the host's IF decides whether a physical interrupt ends the round (V_INTR_MASKING);
// such an interrupt stays pending, and is taken where the kernel next opens its window. An NMI is taken after STGI.
//
// #VMEXIT restores RAX, RSP, RIP, RFLAGS, CR0, CR3, CR4, EFER, IDTR, GDTR, CS, SS, DS, ES, and switches breakpoints off. FS, GS,
// TR, LDTR, KERNEL_GS_BASE, the SYSCALL and SYSENTER registers are put back by VMLOAD, from what VMSAVE stored just before the
// round: so a user thread's FS base is safe too. Everything else in general registers is the guest's until popped.
// APM vol. 2, 15.5 and 15.13.

    .text
    .global understudy_svm_enter
    .type understudy_svm_enter, @function
understudy_svm_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push rdx
    push rsi
    clgi
    sti
    mov rax, rdx
    vmsave rax
    mov rax, rdi
    vmload rax
    mov rcx, [rsi + 1 * 8]
    mov rdx, [rsi + 2 * 8]
    mov rbx, [rsi + 3 * 8]
    mov rbp, [rsi + 5 * 8]
    mov rdi, [rsi + 7 * 8]
    mov r8, [rsi + 8 * 8]
    mov r9, [rsi + 9 * 8]
    mov r10, [rsi + 10 * 8]
    mov r11, [rsi + 11 * 8]
    mov r12, [rsi + 12 * 8]
    mov r13, [rsi + 13 * 8]
    mov r14, [rsi + 14 * 8]
    mov r15, [rsi + 15 * 8]
    mov rsi, [rsi + 6 * 8]
    vmrun rax
    vmsave rax
    mov rax, [rsp + 8]
    vmload rax
    pop rax
    mov [rax + 1 * 8], rcx
    mov [rax + 2 * 8], rdx
    mov [rax + 3 * 8], rbx
    mov [rax + 5 * 8], rbp
    mov [rax + 6 * 8], rsi
    mov [rax + 7 * 8], rdi
    mov [rax + 8 * 8], r8
    mov [rax + 9 * 8], r9
    mov [rax + 10 * 8], r10
    mov [rax + 11 * 8], r11
    mov [rax + 12 * 8], r12
    mov [rax + 13 * 8], r13
    mov [rax + 14 * 8], r14
    mov [rax + 15 * 8], r15
    cli
    stgi
    pop rdx
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
    .size understudy_svm_enter, . - understudy_svm_enter
