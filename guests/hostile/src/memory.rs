// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses where there is no memory, met with instructions of many shapes.

use abi::guest::MAPPED_GIB;
use core::arch::asm;
use guest_rt::attempt;
use guest_rt::boot::Boot;

/// Reads and writes beyond the memory and in the holes where devices could be.
pub fn beyond(boot: &Boot, _: u32) -> (u64, &'static str) {
    let end = boot.memory();
    let mapped = MAPPED_GIB << 30;
    let places =
        [end, end + 0xfff, 0xd000_0000, 0xfec0_0000, 0xfed0_0000, 0xfee0_0030, 0xfffc_0000, mapped - 8];
    let mut faults = 0;
    for place in places.into_iter().filter(|&place| place >= end && place <= mapped - 8) {
        faults += touch(place);
    }
    (faults, "faults")
}

/// Fetches instructions where there is no memory.
pub fn jump_beyond(boot: &Boot) -> ! {
    let place = boot.memory().max(0xd000_0000);
    // SAFETY: what happens is up to the VMM; the guest does not go on.
    unsafe { asm!("jmp {}", in(reg) place, options(noreturn)) }
}

fn touch(place: u64) -> u64 {
    // SAFETY: nothing of this program lies beyond its memory.
    let faults = unsafe {
        [
            attempt!("mov al, [rcx]", in("rcx") place, out("al") _),
            attempt!("mov eax, [rcx]", in("rcx") place, out("rax") _),
            attempt!("mov rax, [rcx]", in("rcx") place, out("rax") _),
            attempt!("movzx eax, word ptr [rcx]", in("rcx") place, out("rax") _),
            attempt!("mov [rcx], al", in("rcx") place, in("al") 0u8),
            attempt!("mov [rcx], eax", in("rcx") place, in("eax") 0),
            attempt!("mov qword ptr [rcx], -1", in("rcx") place),
            attempt!("or dword ptr [rcx], 0", in("rcx") place),
            attempt!("lock cmpxchg [rcx], edx", in("rcx") place, in("edx") 0, inout("eax") 0 => _),
            attempt!("xchg [rcx], edx", in("rcx") place, inout("edx") 0 => _),
            attempt!("test dword ptr [rcx], 1", in("rcx") place),
            attempt!("rep stosb", inout("rdi") place => _, inout("rcx") 8u64 => _, in("al") 0u8),
            attempt!("rep movsb", inout("rsi") place => _, inout("rdi") place => _, inout("rcx") 8u64 => _),
            attempt!("fld qword ptr [rcx]", in("rcx") place),
            attempt!("fxsave [rcx]", in("rcx") place & !63),
            attempt!("bt dword ptr [rcx], 1", in("rcx") place),
            attempt!("mov cs:[rcx], ax", in("rcx") place, in("ax") 0u16),
        ]
    };
    faults.iter().filter(|fault| fault.is_some()).count() as u64
}
