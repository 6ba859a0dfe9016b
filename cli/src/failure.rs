// SPDX-License-Identifier: MIT OR Apache-2.0
//! What went wrong, and what to do about it.

use core::fmt;

/// A failure, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    what: String,
    hint: Option<String>,
}

impl Failure {
    /// The system refused, or failed.
    pub fn refused(what: impl Into<String>) -> Self {
        Self { code: 1, what: what.into(), hint: None }
    }

    /// It did not come so far: usage or connection.
    pub fn unreachable(what: impl Into<String>) -> Self {
        Self { code: 2, what: what.into(), hint: None }
    }

    /// With what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Exit status: 1 the system refused or failed, 2 usage or connection.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }

    /// What went wrong.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "error: {}", self.what)?;
        match &self.hint {
            Some(hint) => writeln!(out, "       {hint}"),
            None => Ok(()),
        }
    }
}

impl From<std::io::Error> for Failure {
    /// Of our own output.
    fn from(error: std::io::Error) -> Self {
        Self::refused(format!("cannot write the output: {error}"))
    }
}
