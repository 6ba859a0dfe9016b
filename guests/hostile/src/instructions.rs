// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions that no guest is given.

use guest_rt::attempt;
use guest_rt::boot::Boot;
use guest_rt::println;

const UNDEFINED: u64 = 6;

/// Tries each; counts those that the processor should not know but did not refuse.
pub fn all(_: &Boot, _: u32) -> (u64, &'static str) {
    let mut wrong = 0;
    for (name, fault) in virtualization() {
        if fault != Some(UNDEFINED) {
            println!("hostile: {name}: fault {fault:?} instead of {UNDEFINED}");
            wrong += 1;
        }
    }
    for (name, fault) in others() {
        println!("hostile: {name}: fault {fault:?}");
    }
    (wrong, "instructions behaved wrongly")
}

/// The virtualization extension, which the guest has not been told of.
fn virtualization() -> [(&'static str, Option<u64>); 9] {
    // SAFETY: if they are refused they change nothing; if not, the guest finds out what the try is
    // for.
    unsafe {
        [
            ("vmrun", attempt!("vmrun rax", inout("rax") 0x1000u64 => _)),
            ("vmload", attempt!("vmload rax", inout("rax") 0x1000u64 => _)),
            ("vmsave", attempt!("vmsave rax", inout("rax") 0x1000u64 => _)),
            ("stgi", attempt!("stgi")),
            ("clgi", attempt!("clgi")),
            ("skinit", attempt!("skinit eax", inout("eax") 0x10000 => _)),
            ("invlpga", attempt!("invlpga rax, ecx", in("rax") 0, in("ecx") 1)),
            ("vmcall", attempt!("vmcall", inout("rax") 0u64 => _)),
            ("rsm", attempt!("rsm")),
        ]
    }
}

/// Instructions that may fault or be ignored.
fn others() -> [(&'static str, Option<u64>); 8] {
    let scratch = [0u64; 8];
    // SAFETY: none of them changes memory of this program.
    unsafe {
        [
            ("invd", attempt!("invd")),
            ("wbinvd", attempt!("wbinvd")),
            ("monitor", attempt!("monitor", in("rax") scratch.as_ptr(), in("ecx") 0, in("edx") 0)),
            ("rdpmc", attempt!("rdpmc", in("ecx") 0, out("eax") _, out("edx") _)),
            ("xsetbv", attempt!("xsetbv", in("ecx") 0, in("eax") u32::MAX, in("edx") u32::MAX)),
            ("vmmcall", attempt!("vmmcall", inout("rax") u64::MAX => _, out("rcx") _, out("rdx") _)),
            ("int 0x80", attempt!("int 0x80")),
            ("mwait", attempt!("mwait", in("eax") 0, in("ecx") u32::MAX)),
        ]
    }
}
