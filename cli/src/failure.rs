// SPDX-License-Identifier: MIT OR Apache-2.0
//! What went wrong, and what to do about it.

use core::fmt;

use crate::wrap::wrap;

/// Columns before the second line.
const INDENT: usize = "error: ".len();

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

    /// The reader of our output has gone: there is nobody to tell, and nothing wrong.
    fn unread() -> Self {
        Self { code: 0, what: String::new(), hint: None }
    }

    /// With what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Exit status: 0 nothing to complain about, 1 the system refused or failed, 2 usage or
    /// connection.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }

    /// As JSON, on one line.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::json!({"error": {"code": self.code, "message": self.what, "hint": self.hint}}).to_string()
    }

    /// What went wrong.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", wrap(&format!("error: {}", self.what), INDENT))?;
        match &self.hint {
            Some(hint) => writeln!(out, "{}", wrap(&format!("{:INDENT$}{hint}", ""), INDENT)),
            None => Ok(()),
        }
    }
}

impl From<std::io::Error> for Failure {
    /// Of our own output.
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::unread(),
            _ => Self::refused(format!("cannot write the output: {error}")),
        }
    }
}
