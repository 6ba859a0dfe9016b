// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest does without asking, and what ends in an exit.
//!
//! Intercepted: whatever reaches the machine (ports, most MSRs, INVD, power states), whatever a VMM
//! has to answer (CPUID, VMMCALL, HLT, XSETBV), and the virtualization extension itself. Not
//! intercepted: what stays within the guest's own state. Reads of control registers are never
//! intercepted: the emulator misreports them, and nested paging needs none. APM vol. 2, 15.9 to
//! 15.11 and appendix B.

/// Intercept vector at offset 0x0c of the control block: INTR, NMI, SMI, INIT, RDPMC, CPUID, RSM,
/// INVD, HLT, INVLPGA, I/O, MSR, task switch, FERR_FREEZE, shutdown. Bit 4 (VINTR) comes and goes
/// with [`WINDOW`].
pub const INTERCEPTS_1: u32 = bits(&[0, 1, 2, 3, 15, 18, 19, 22, 24, 26, 27, 28, 29, 30, 31]);
/// Intercept vector at offset 0x10: VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, WBINVD,
/// MONITOR, MWAIT (both), XSETBV, RDPRU (which reads counters of the machine).
pub const INTERCEPTS_2: u32 = bits(&[0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14]);
/// Exceptions: #DB and #AC, which a guest can make raise themselves for ever (each raises the next
/// while it is delivered, and no interrupt of the machine comes through: XSA-156), so each is
/// injected anew by the core; and #MC.
pub const EXCEPTIONS: u32 = bits(&[1, 17, 18]);
/// In [`INTERCEPTS_1`], while a VMM waits for the guest to become interruptible: VINTR.
pub const WINDOW: u32 = bits(&[4]);

/// Bytes of the permission map for I/O: one bit per port, and a page for accesses past the last.
pub const IO_MAP_BYTES: usize = 3 * 4096;
/// Bytes of the permission map for MSRs: two bits (read, write) per register, 0x800 bytes per
/// range, and one spare range.
pub const MSR_MAP_BYTES: usize = 2 * 4096;

/// MSRs that live in the control block or are switched by VMLOAD and VMSAVE: the guest reads and
/// writes them alone.
///
/// PAT is not among them although nested paging gives the guest its own: the emulator would change
/// the host's.
pub const OWN_MSRS: [u32; 10] = [
    0x174,       // SYSENTER_CS
    0x175,       // SYSENTER_ESP
    0x176,       // SYSENTER_EIP
    0xc000_0081, // STAR
    0xc000_0082, // LSTAR
    0xc000_0083, // CSTAR
    0xc000_0084, // SFMASK
    0xc000_0100, // FS_BASE
    0xc000_0101, // GS_BASE
    0xc000_0102, // KERNEL_GS_BASE
];

/// Byte of the permission map and mask in it that say whether an MSR exits; `None` for an MSR
/// outside the ranges, which always does.
#[must_use]
pub const fn msr_bits(msr: u32) -> Option<(usize, u8)> {
    let (range, index) = match msr {
        0..=0x1fff => (0, msr),
        0xc000_0000..=0xc000_1fff => (0x800, msr - 0xc000_0000),
        0xc001_0000..=0xc001_1fff => (0x1000, msr - 0xc001_0000),
        _ => return None,
    };
    Some((range + index as usize / 4, 3 << (index % 4 * 2)))
}

/// The permission map for MSRs: a set bit makes the access exit.
#[must_use]
pub const fn msr_map() -> [u8; MSR_MAP_BYTES] {
    let mut map = [0xff; MSR_MAP_BYTES];
    let mut next = 0;
    while next < OWN_MSRS.len() {
        if let Some((at, mask)) = msr_bits(OWN_MSRS[next]) {
            map[at] &= !mask;
        }
        next += 1;
    }
    map
}

const fn bits(list: &[u32]) -> u32 {
    let mut value = 0;
    let mut at = 0;
    while at < list.len() {
        value |= 1 << list[at];
        at += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_guests_own_msrs_are_open() {
        let map = msr_map();
        let ranges = [0..=0x1fff, 0xc000_0000..=0xc000_1fff, 0xc001_0000..=0xc001_1fff];
        for msr in ranges.into_iter().flatten() {
            let (byte, mask) = msr_bits(msr).expect("in a range");
            let open = map[byte] & mask == 0;
            let shut = map[byte] & mask == mask;
            assert!(if OWN_MSRS.contains(&msr) { open } else { shut }, "{msr:x}");
        }
        assert_eq!(msr_bits(0x2000), None);
        assert_eq!(msr_bits(0xc001_2000), None);
    }

    #[test]
    fn map_positions_are_those_of_the_manual() {
        assert_eq!(msr_bits(0), Some((0, 3)));
        assert_eq!(msr_bits(0x174), Some((0x5d, 3)));
        assert_eq!(msr_bits(0xc000_0080), Some((0x820, 3)));
        assert_eq!(msr_bits(0xc001_0114), Some((0x1045, 3)));
    }

    #[test]
    fn what_the_core_depends_on_is_intercepted() {
        let vmrun = 1;
        assert_eq!(INTERCEPTS_2 & vmrun, vmrun);
        for bit in [0, 1, 2, 18, 27, 28, 31] {
            assert_ne!(INTERCEPTS_1 >> bit & 1, 0);
        }
        let rdpru = 14;
        assert_ne!(INTERCEPTS_2 >> rdpru & 1, 0);
        assert_eq!(INTERCEPTS_1 & WINDOW, 0);
        for vector in [1, 17, 18] {
            assert_ne!(EXCEPTIONS >> vector & 1, 0);
        }
    }
}
