// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbered errors that a system call returns in RAX.
//!
//! An error says which check failed; nothing has changed, and the call may be repeated.

/// Why a system call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Error {
    /// The system call number does not exist.
    InvalidSyscall = 1,
    /// The slot is out of range, empty, or holds a capability of another type.
    InvalidCapability = 2,
    /// The object does not know this invocation label.
    InvalidInvocation = 3,
    /// An argument has a value outside its domain.
    InvalidArgument = 4,
    /// The capability lacks a right that the operation needs.
    MissingRights = 5,
    /// The destination slot already holds a capability.
    SlotOccupied = 6,
    /// The untyped memory has too little left.
    NotEnoughMemory = 7,
    /// An index, address or length lies outside the object.
    OutOfRange = 8,
    /// An address is not aligned as the operation needs.
    Misaligned = 9,
    /// The frame, or the address, is already mapped.
    AlreadyMapped = 10,
    /// Nothing is mapped there.
    NotMapped = 11,
    /// The space has used up the table pages that it was created with.
    TablesExhausted = 12,
    /// The object is in use (a thread that runs, a vCPU that another thread runs).
    Busy = 13,
    /// The deadline passed first.
    TimedOut = 14,
    /// The receiver went away before it replied.
    ReplyLost = 15,
    /// This machine lacks what the operation needs (SVM, nested paging).
    Unsupported = 16,
    /// The chain of derivations is too deep.
    TooDeep = 17,
    /// The object has not been configured far enough for this operation.
    NotConfigured = 18,
    /// The untyped memory still has objects in it.
    HasChildren = 19,
}

impl Error {
    /// All errors, in the order of their numbers.
    pub const ALL: [Error; 19] = [
        Error::InvalidSyscall,
        Error::InvalidCapability,
        Error::InvalidInvocation,
        Error::InvalidArgument,
        Error::MissingRights,
        Error::SlotOccupied,
        Error::NotEnoughMemory,
        Error::OutOfRange,
        Error::Misaligned,
        Error::AlreadyMapped,
        Error::NotMapped,
        Error::TablesExhausted,
        Error::Busy,
        Error::TimedOut,
        Error::ReplyLost,
        Error::Unsupported,
        Error::TooDeep,
        Error::NotConfigured,
        Error::HasChildren,
    ];

    /// The number as it stands in RAX.
    #[must_use]
    pub const fn number(self) -> u64 {
        self as u64
    }

    /// RAX after a system call, as a result.
    ///
    /// # Errors
    /// The error that the number names; an unknown number reads as [`Error::InvalidSyscall`].
    pub const fn from_status(rax: u64) -> Result<(), Error> {
        if rax == 0 {
            return Ok(());
        }
        let index = rax as usize - 1;
        if index < Self::ALL.len() { Err(Self::ALL[index]) } else { Err(Error::InvalidSyscall) }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn every_error_survives_the_register() {
        for error in Error::ALL {
            assert_eq!(Error::from_status(error.number()), Err(error));
        }
        assert_eq!(Error::from_status(0), Ok(()));
    }
}
