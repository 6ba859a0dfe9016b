// SPDX-License-Identifier: MIT OR Apache-2.0
//! The multiboot2 header and the way from there to 64-bit code at the image's own address.
//!
//! The boot loader may put the image anywhere between 1 MiB and 4 GiB, aligned to 2 MiB; it enters 32-bit code
//! without paging (multiboot2 specification, 3.3). This code finds out where it is, maps the first 4 GiB one to one
//! and the image at its linked address, and goes there. The tables of [`super::tables`] take over soon after; other
//! CPUs come through these once more.

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
    .popsection

    // PML4, PDPT low, PDPT high, four page directories low, one high; and a stack.
    .pushsection .bss.boot, "aw", @nobits
    .balign 4096
    .global understudy_early_tables
    understudy_early_tables:
        .skip 8 * 4096
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
        cmp esi, 0x36d76289
        jne boot_refuse
        test ebp, 0x1fffff
        jnz boot_refuse
        lea esp, [ebp + understudy_boot_stack_offset]
        rdtsc
        push edx
        push eax
        mov edi, ebx
        mov eax, 0x80000001
        cpuid
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
        lea eax, [ebp + boot_gdt_offset]
        sub esp, 8
        mov word ptr [esp], 15
        mov [esp + 2], eax
        lgdt [esp]
        add esp, 8
        push 8
        lea eax, [ebp + boot_long_offset]
        push eax
        retf
    boot_refuse:
        cli
        hlt
        jmp boot_refuse

    .code64
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
    .set boot_long_offset, boot_long - boot_header
    .popsection
    "#,
    boot_main = sym super::boot_main,
);
