// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which XSAVE areas XRSTOR and FXRSTOR take.
//!
//! Standard format only: the compacted one is refused, so that the area means the same on every
//! processor (APM vol. 2, 11.5.9; vol. 4, XRSTOR).

use crate::InvalidField;
use crate::limits::Limits;

/// Offset of MXCSR and, in the upper half of the same word, its mask.
pub const MXCSR_OFFSET: usize = 24;
/// Offset of the header.
pub const HEADER_OFFSET: usize = 512;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Components that FXSAVE covers: what the header says on a processor without XSAVE.
pub const LEGACY: u64 = 3;

/// What of the area can make a restore fault.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The 8 bytes at [`MXCSR_OFFSET`].
    pub mxcsr: u64,
    /// The header as words: XSTATE_BV, XCOMP_BV, and six that are reserved.
    pub words: [u64; HEADER_BYTES / 8],
}

impl Header {
    /// Check it.
    ///
    /// # Errors
    /// [`InvalidField::Mxcsr`], [`InvalidField::XsaveHeader`].
    pub fn check(&self, limits: &Limits) -> Result<(), InvalidField> {
        if self.mxcsr as u32 & !limits.mxcsr != 0 {
            return Err(InvalidField::Mxcsr);
        }
        let components = if limits.xcr0 == 0 { LEGACY } else { limits.xcr0 };
        if self.words[0] & !components != 0 || self.words[1..].iter().any(|&word| word != 0) {
            return Err(InvalidField::XsaveHeader);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::tests::facts;

    fn header(components: u64) -> Header {
        Header { mxcsr: 0xffff_0000_1f80, words: [components, 0, 0, 0, 0, 0, 0, 0] }
    }

    #[test]
    fn a_standard_area_is_taken() {
        let limits = Limits::new(&facts());
        assert_eq!(header(0).check(&limits), Ok(()));
        assert_eq!(header(0x207).check(&limits), Ok(()));
    }

    #[test]
    fn what_xrstor_faults_on_is_refused() {
        let limits = Limits::new(&facts());
        for bit in (0..64).filter(|bit| 0x207u64 >> bit & 1 == 0) {
            assert_eq!(header(1 << bit).check(&limits), Err(InvalidField::XsaveHeader), "{bit}");
        }
        for word in 1..8 {
            let mut header = header(3);
            header.words[word] = 1;
            assert_eq!(header.check(&limits), Err(InvalidField::XsaveHeader));
        }
        for bit in 16..32 {
            let header = Header { mxcsr: 1 << bit, ..header(3) };
            assert_eq!(header.check(&limits), Err(InvalidField::Mxcsr));
        }
    }

    #[test]
    fn without_xsave_only_the_legacy_components_exist() {
        let limits = Limits::new(&Default::default());
        assert_eq!(header(3).check(&limits), Ok(()));
        assert_eq!(header(4).check(&limits), Err(InvalidField::XsaveHeader));
    }
}
