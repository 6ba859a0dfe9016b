// SPDX-License-Identifier: MIT OR Apache-2.0
//! The multiboot2 header and the way from there to 64-bit code at the image's own address.
//!
//! The boot loader may put the image anywhere between 1 MiB and 4 GiB, aligned to 2 MiB; it enters
//! 32-bit code without paging (multiboot2 specification, 3.3). This code finds out where it is,
//! maps the first 4 GiB one to one and the image at its linked address, and goes there. What it
//! refuses, and any fault until [`crate::trap`] has its own handlers, is told on COM1. The tables
//! of [`super::tables`] take over soon after; other CPUs come through these once more.

use core::arch::global_asm;

// Requests what we read; where the image can go; modules aligned to pages.
global_asm!(
    r#"
    .pushsection .boot, "ax", @progbits
    .balign 8
    .global understudy_image
    understudy_image:
    boot_header:
        .long 0xe85250d6
        .long 0
        .long boot_header_end - boot_header
        .long -(0xe85250d6 + (boot_header_end - boot_header))
        .balign 8
        // Information: command line, modules, memory map; where there is: EFI system table, ACPI root pointer.
        .short 1, 0
        .long 20
        .long 1, 3, 6
        .balign 8
        .short 1, 1
        .long 20
        .long 12, 14, 15
        .balign 8
        // Modules begin at pages.
        .short 6, 0
        .long 8
        .balign 8
        // Load anywhere, low if possible.
        .short 10, 0
        .long 24
        .long 0x100000, 0xffffffff, 0x200000, 1
        .balign 8
        .short 0, 0
        .long 8
    boot_header_end:

    .balign 8
    boot_gdt:
        .quad 0
        .quad 0x00af9b000000ffff
        .quad 0x00cf9b000000ffff
    boot_no_magic: .asciz "core: not entered by the multiboot2 protocol, magic "
    boot_not_aligned: .asciz "core: not loaded at a multiple of 2 MiB, but at "
    boot_no_long_mode: .asciz "core: the processor has no 64-bit mode, features "
    boot_fault: .asciz "core: fault before the handlers are there, at "
    .popsection

    // PML4, PDPT low, PDPT high, four page directories low, one high; and a stack.
    .pushsection .bss.boot, "aw", @nobits
    .balign 4096
    .global understudy_early_tables
    understudy_early_tables:
        .skip 8 * 4096
    // Gates for faults of the entry itself: 32-bit code, then 64-bit code.
    .global understudy_boot_gates
    understudy_boot_gates:
        .skip 32 * 8
        .skip 32 * 16
        .skip 65536
    .global understudy_boot_stack
    understudy_boot_stack:
    .popsection
    "#
);

global_asm!(
    r#"
    .pushsection .boot, "ax", @progbits
    .code32
    .global understudy_start
    understudy_start:
        cli
        cld
        mov esi, eax
        // The only memory known to be free is a reserved word of the information: enough for a return address.
        lea esp, [ebx + 8]
        call boot_here
    boot_here:
        pop ebp
        sub ebp, offset boot_here_offset
        mov ecx, esi
        mov esi, offset boot_no_magic_offset
        cmp ecx, 0x36d76289
        jne boot_refuse
        mov ecx, ebp
        mov esi, offset boot_not_aligned_offset
        test ebp, 0x1fffff
        jnz boot_refuse
        lea esp, [ebp + understudy_boot_stack_offset]
        rdtsc
        push edx
        push eax
        mov edi, ebx

        // From here to the handlers of the core, a fault is told by these gates. The loader's GDT may be gone.
        lea eax, [ebp + boot_gdt_offset]
        sub esp, 8
        mov word ptr [esp], 23
        mov [esp + 2], eax
        lgdt [esp]
        xor ecx, ecx
        lea edx, [ebp + understudy_boot_gates_offset]
    boot_gate:
        lea eax, [ebp + boot_fault_32_offset]
        lea esi, [ebp + boot_fault_64_offset]
        mov ebx, {with_error_code}
        bt ebx, ecx
        jnc 2f
        lea eax, [ebp + boot_fault_32_error_offset]
        lea esi, [ebp + boot_fault_64_error_offset]
    2:
        movzx ebx, ax
        or ebx, 0x100000
        mov [edx + ecx * 8], ebx
        mov ax, 0x8e00
        mov [edx + ecx * 8 + 4], eax
        lea eax, [ecx + ecx]
        movzx ebx, si
        or ebx, 0x80000
        mov [edx + eax * 8 + 256], ebx
        mov si, 0x8e00
        mov [edx + eax * 8 + 260], esi
        inc ecx
        cmp ecx, 32
        jb boot_gate
        mov word ptr [esp], 255
        mov [esp + 2], edx
        lidt [esp]
        add esp, 8

        mov eax, 0x80000000
        cpuid
        mov ecx, eax
        mov esi, offset boot_no_long_mode_offset
        cmp eax, 0x80000001
        jb boot_refuse
        mov eax, 0x80000001
        cpuid
        mov ecx, edx
        bt edx, 29
        jnc boot_refuse

        lea eax, [ebp + understudy_early_tables_offset]
        lea ecx, [eax + 0x1003]
        mov [eax], ecx
        lea ecx, [eax + 0x2003]
        mov [eax + 0xff8], ecx
        lea ecx, [eax + 0x3003]
        mov [eax + 0x1000], ecx
        add ecx, 0x1000
        mov [eax + 0x1008], ecx
        add ecx, 0x1000
        mov [eax + 0x1010], ecx
        add ecx, 0x1000
        mov [eax + 0x1018], ecx
        lea ecx, [eax + 0x7003]
        mov [eax + 0x2ff0], ecx
        lea edx, [eax + 0x3000]
        mov ecx, 0x83
    boot_low:
        mov [edx], ecx
        add edx, 8
        add ecx, 0x200000
        jnc boot_low
        lea edx, [eax + 0x7000]
        lea ecx, [ebp + 0x83]
        mov ebx, offset understudy_image_large_pages
    boot_high:
        mov [edx], ecx
        add edx, 8
        add ecx, 0x200000
        dec ebx
        jnz boot_high

        mov cr3, eax
        mov eax, 0x20
        mov cr4, eax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x100
        wrmsr
        mov eax, cr0
        or eax, 0x80010001
        and eax, 0x9fffffff
        mov cr0, eax
        lea eax, [ebp + understudy_boot_gates_offset + 256]
        sub esp, 8
        mov word ptr [esp], 511
        mov [esp + 2], eax
        lidt [esp]
        add esp, 8
        push 8
        lea eax, [ebp + boot_long_offset]
        push eax
        retf

    boot_fault_32_error:
        add esp, 4
    boot_fault_32:
        pop ecx
        mov esi, offset boot_fault_offset
    // ESI: offset of what to say, ECX: a number that ends the line. This code means the same in 32-bit and 64-bit mode,
    // takes one word of stack, and finds the image one to one.
    boot_refuse:
        cli
        add esi, ebp
        // COM1: 115200 baud, 8 data bits. With the divisor's access on, no other register is touched.
        mov edx, 0x3fb
        mov al, 0x80
        out dx, al
        mov edx, 0x3f9
        mov al, 0
        out dx, al
        mov edx, 0x3f8
        mov al, 1
        out dx, al
        mov edx, 0x3fb
        mov al, 3
        out dx, al
    2:
        lodsb
        test al, al
        jz 3f
        call boot_put
        jmp 2b
    3:
        mov bl, 8
    4:
        rol ecx, 4
        mov al, cl
        and al, 15
        add al, 48
        cmp al, 57
        jbe 5f
        add al, 39
    5:
        call boot_put
        dec bl
        jnz 4b
        mov al, 13
        call boot_put
        mov al, 10
        call boot_put
    6:
        hlt
        jmp 6b
    boot_put:
        mov ah, al
        mov edi, 100000
        mov edx, 0x3fd
    7:
        in al, dx
        test al, 0x20
        jnz 8f
        sub edi, 1
        jnz 7b
    8:
        mov al, ah
        mov edx, 0x3f8
        out dx, al
        ret

    .code64
    boot_fault_64_error:
        add rsp, 8
    boot_fault_64:
        pop rcx
        // Wherever it was, the image is where the instruction pointer of this handler says.
        lea rbp, [rip + boot_header]
        mov esi, offset boot_fault_offset
        jmp boot_refuse
    boot_long:
        mov esp, esp
        pop rdx
        xor eax, eax
        mov ss, ax
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        movabs rax, offset boot_at_home
        jmp rax
    boot_at_home:
        lea rsp, [rip + understudy_boot_stack]
        mov edi, edi
        mov esi, ebp
        xor ebp, ebp
        call {boot_main}
        ud2
    .set boot_here_offset, boot_here - boot_header
    .set boot_gdt_offset, boot_gdt - boot_header
    .set boot_no_magic_offset, boot_no_magic - boot_header
    .set boot_not_aligned_offset, boot_not_aligned - boot_header
    .set boot_no_long_mode_offset, boot_no_long_mode - boot_header
    .set boot_fault_offset, boot_fault - boot_header
    .set boot_long_offset, boot_long - boot_header
    .set boot_fault_32_offset, boot_fault_32 - boot_header
    .set boot_fault_32_error_offset, boot_fault_32_error - boot_header
    .set boot_fault_64_offset, boot_fault_64 - boot_header
    .set boot_fault_64_error_offset, boot_fault_64_error - boot_header
    .popsection
    "#,
    boot_main = sym super::boot_main,
    // Exceptions 8, 10 to 14, 17, 21, 29 and 30 (APM vol. 2, 8.2).
    with_error_code = const 0x6022_7d00_u32,
);
