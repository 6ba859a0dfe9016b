// SPDX-License-Identifier: MIT OR Apache-2.0
//! The three kinds of address.
//!
//! A value of each type is in its domain: physical addresses below 2^52, virtual addresses
//! canonical for 48 bits, guest-physical addresses below 2^48 (what nested tables of four levels
//! translate).

use crate::PageSize;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident, $raw:ident => $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Address zero.
            pub const ZERO: Self = Self(0);

            /// The address, if the number is one.
            #[must_use]
            pub const fn new($raw: u64) -> Option<Self> {
                if $valid { Some(Self($raw)) } else { None }
            }

            /// The address of a number that the caller knows to be one. Never for values from
            /// outside.
            ///
            /// # Panics
            /// If it is none.
            #[must_use]
            #[track_caller]
            pub const fn known(raw: u64) -> Self {
                match Self::new(raw) {
                    Some(address) => address,
                    None => panic!("not an address of this kind"),
                }
            }

            /// The number.
            #[must_use]
            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// Whether it is a multiple of `1 << bits`.
            #[must_use]
            pub const fn is_aligned(self, bits: u8) -> bool {
                bits < 64 && self.0 & ((1 << bits) - 1) == 0
            }

            /// The next lower multiple of a page size.
            #[must_use]
            pub const fn align_down(self, size: PageSize) -> Self {
                Self(self.0 & !(size.bytes() - 1))
            }

            /// The next higher multiple of a page size.
            #[must_use]
            pub const fn align_up(self, size: PageSize) -> Option<Self> {
                match self.checked_add(size.bytes() - 1) {
                    Some(sum) => Some(sum.align_down(size)),
                    None => None,
                }
            }

            /// Bytes past the beginning of the page of this size.
            #[must_use]
            pub const fn offset_in(self, size: PageSize) -> u64 {
                self.0 & (size.bytes() - 1)
            }

            /// The address `bytes` further on.
            #[must_use]
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Self::new(sum),
                    None => None,
                }
            }

            /// Bytes from `lower` to here.
            #[must_use]
            pub const fn checked_sub(self, lower: Self) -> Option<u64> {
                self.0.checked_sub(lower.0)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl core::fmt::LowerHex for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

address! {
    /// An address of the machine's memory.
    PhysAddr, raw => raw < 1 << 52
}

address! {
    /// An address that the processor's own page tables translate.
    VirtAddr, raw => raw < 1 << 47 || raw >= !0 << 47
}

address! {
    /// An address of a guest's memory.
    GuestPhysAddr, raw => raw < 1 << 48
}

impl VirtAddr {
    /// First address that is not the user's.
    pub const USER_END: u64 = 1 << 47;

    /// The address, if the number is one of the user half.
    #[must_use]
    pub const fn user(raw: u64) -> Option<Self> {
        if raw < Self::USER_END { Some(Self(raw)) } else { None }
    }

    /// Whether it is in the user half.
    #[must_use]
    pub const fn is_user(self) -> bool {
        self.0 < Self::USER_END
    }
}

#[cfg(test)]
mod tests {
    use super::{GuestPhysAddr, PhysAddr, VirtAddr};
    use crate::PageSize;

    #[test]
    fn numbers_outside_the_domain_are_no_addresses() {
        assert!(PhysAddr::new(1 << 52).is_none());
        assert!(GuestPhysAddr::new(1 << 48).is_none());
        assert!(VirtAddr::new(1 << 47).is_none());
        assert!(VirtAddr::new((!0 << 47) - 1).is_none());
        assert!(VirtAddr::new(!0 << 47).is_some());
    }

    #[test]
    fn the_user_half_ends_at_the_hole() {
        assert!(VirtAddr::user((1 << 47) - 1).is_some_and(VirtAddr::is_user));
        assert!(VirtAddr::user(1 << 47).is_none());
        assert!(!VirtAddr::known(!0 << 47).is_user());
    }

    #[test]
    fn arithmetic_never_leaves_the_domain() {
        assert_eq!(VirtAddr::known((1 << 47) - 1).checked_add(1), None);
        assert_eq!(VirtAddr::known(u64::MAX).checked_add(1), None);
        assert_eq!(PhysAddr::known((1 << 52) - 1).align_up(PageSize::Size4K), None);
        assert_eq!(PhysAddr::known(5).checked_sub(PhysAddr::known(6)), None);
    }

    #[test]
    fn alignment_goes_by_page_size() {
        let address = GuestPhysAddr::known(0x4030_2001);
        assert_eq!(address.align_down(PageSize::Size2M).as_u64(), 0x4020_0000);
        assert_eq!(address.align_up(PageSize::Size4K).map(GuestPhysAddr::as_u64), Some(0x4030_3000));
        assert_eq!(address.offset_in(PageSize::Size1G), 0x30_2001);
        assert!(address.align_down(PageSize::Size1G).is_aligned(30));
        assert!(!address.is_aligned(64));
    }
}
