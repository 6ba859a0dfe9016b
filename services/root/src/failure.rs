// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why something could not be built, in words for the log.

use alloc::format;
use alloc::string::String;

use rt::Error;

/// Why something could not be built.
#[derive(Clone, Debug)]
pub struct Failure(pub String);

/// What building returns.
pub type Result<T> = core::result::Result<T, Failure>;

impl Failure {
    /// A failure in these words.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// For errors of the core: says what was tried.
pub fn core(what: &'static str) -> impl Fn(Error) -> Failure {
    move |error| Failure(format!("cannot {what}: {error:?}"))
}
