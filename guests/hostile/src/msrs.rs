// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every model-specific register, read and written with nonsense.

use guest_rt::attempt;
use guest_rt::boot::Boot;

/// Registers whose nonsense would end the try rather than show anything: APIC base and x2APIC
/// (interrupt storms), EFER.
const SPARED: [core::ops::RangeInclusive<u32>; 3] = [0x1b..=0x1b, 0x800..=0x8ff, 0xc000_0080..=0xc000_0080];
/// Addresses in nonsense lie beyond any memory, so that a VMM that is told to write there has to
/// refuse.
const BEYOND: u64 = 1 << 45;

/// Reads and writes every register.
pub fn all(_: &Boot, step: u32) -> (u64, &'static str) {
    let mut readable = 0;
    let ranges = [
        0..=0x1fff,
        0x4000_0000..=0x4000_00ff,
        0x4b56_4d00..=0x4b56_4dff,
        0xc000_0000..=0xc000_1fff,
        0xc001_0000..=0xc001_1fff,
        0xffff_ff00..=u32::MAX,
    ];
    for msr in ranges.into_iter().flat_map(|range| range.step_by(step as usize)) {
        let before = read(msr);
        readable += u64::from(before.is_some());
        if SPARED.iter().any(|spared| spared.contains(&msr)) {
            continue;
        }
        for value in [u64::MAX, u64::from(msr).wrapping_mul(0x9e37_79b9_7f4a_7c15) | BEYOND] {
            write(msr, value);
        }
        if let Some(before) = before {
            write(msr, before);
        }
    }
    (readable, "registers could be read")
}

fn read(msr: u32) -> Option<u64> {
    let (low, high): (u32, u32);
    // SAFETY: reading changes no memory.
    let fault = unsafe { attempt!("rdmsr", in("ecx") msr, inout("eax") 0 => low, inout("edx") 0 => high) };
    fault.is_none().then_some(u64::from(high) << 32 | u64::from(low))
}

fn write(msr: u32, value: u64) {
    // SAFETY: no register but the spared ones changes how this program runs; it uses no FS, GS or
    // SYSCALL.
    let _ =
        unsafe { attempt!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32) };
}
