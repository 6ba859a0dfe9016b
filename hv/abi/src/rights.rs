// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rights that a capability carries, and what each means per object.
//!
//! | right | Endpoint | Notification | Frame | GuestSpace | others |
//! |---|---|---|---|---|---|
//! | READ | receive | wait, poll | map readable into a host space | read books (harvest) | describe |
//! | WRITE | call | signal | map writable into a host space | write guest memory | change |
//! | EXECUTE | - | - | map executable into a host space | - | run (Vcpu, Cpu) |
//! | GRANT | pass capabilities along | - | - | - | - |
//! | GUEST | - | - | map into a guest space | - | - |
//! | SEAL | - | - | - | seal, unseal, set the pager | - |
//! | MANAGE | - | - | - | map into it | configure, retype, make capabilities |

/// A set of rights. Deriving a capability can only remove members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// No right at all.
    pub const NONE: Self = Self(0);
    /// See the table of the module, as for each of the following.
    pub const READ: Self = Self(1);
    /// Change, call or signal.
    pub const WRITE: Self = Self(2);
    /// Execute or run.
    pub const EXECUTE: Self = Self(4);
    /// Pass capabilities through an endpoint.
    pub const GRANT: Self = Self(8);
    /// Map a frame into a guest space.
    pub const GUEST: Self = Self(16);
    /// Seal a guest space.
    pub const SEAL: Self = Self(32);
    /// Configure an object or make others from it.
    pub const MANAGE: Self = Self(64);
    /// Every right.
    pub const ALL: Self = Self(127);

    /// The set with these bits; unknown bits are dropped.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self((bits & Self::ALL.0 as u64) as u8)
    }

    /// The bits of the set.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The members of both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members of either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every member of `other` is a member.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}
