// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a case comes to, and short ways to say it.

use alloc::format;
use alloc::string::String;
use core::fmt::Debug;

use rt::Error;

/// Nothing, or what went wrong.
pub type Outcome<T = ()> = Result<T, String>;

/// Fails the case with a formatted reason unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err(alloc::format!($($reason)+));
        }
    };
}

/// For results of the core: what was tried.
pub trait Tried<T> {
    /// The value, or a reason that says what was tried.
    fn tried(self, what: &str) -> Outcome<T>;
}

impl<T> Tried<T> for Result<T, Error> {
    fn tried(self, what: &str) -> Outcome<T> {
        self.map_err(|error| format!("{what}: {error:?}"))
    }
}

/// The core must refuse with exactly this error.
pub fn refuses<T: Debug>(result: Result<T, Error>, error: Error, what: &str) -> Outcome {
    match result {
        Err(other) if other == error => Ok(()),
        Err(other) => Err(format!("{what}: {other:?} instead of {error:?}")),
        Ok(value) => Err(format!("{what}: succeeded with {value:?} instead of {error:?}")),
    }
}

/// Two values must be equal.
pub fn equal<T: PartialEq + Debug>(got: T, wanted: T, what: &str) -> Outcome {
    if got == wanted { Ok(()) } else { Err(format!("{what}: {got:x?} instead of {wanted:x?}")) }
}
