// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is true of every valid state, as code that is run at every load.

use alloc::format;
use alloc::string::{String, ToString};

/// A rule that a state breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field.
    pub path: String,
    /// What is wrong with it.
    pub rule: &'static str,
}

impl Violation {
    pub(crate) fn item(list: &str, index: usize, rule: &'static str) -> Self {
        Self { path: format!("{list}.{index}"), rule }
    }

    /// The same, as seen from the record around it.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { path: format!("{outer}.{}", self.path), rule: self.rule }
    }
}

impl core::fmt::Display for Violation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.path, self.rule)
    }
}

/// A state with rules.
pub trait Check {
    /// Check them all.
    ///
    /// # Errors
    /// The first that is broken.
    fn check(&self) -> Result<(), Violation>;
}

pub(crate) fn ensure(field: &str, holds: bool, rule: &'static str) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { path: field.to_string(), rule }) }
}
