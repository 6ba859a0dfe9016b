// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each subcommand does and prints.

pub mod checkpoint;
pub mod console;
pub mod inventory;
pub mod log;
pub mod manual;
pub mod metrics;
pub mod node;
pub mod ps;
pub mod succession;
pub mod vm;

use std::io::Write;

use serde::Serialize;

use crate::{Failure, table};

/// Where the output goes, and in which form.
pub struct Output<'a> {
    /// JSON rather than text for people.
    pub json: bool,
    /// Where to.
    pub out: &'a mut dyn Write,
}

impl Output<'_> {
    /// Prints a value as JSON.
    fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::refused(format!("cannot print JSON: {error}")))?;
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Prints a value as JSON on a line of its own: one of a stream.
    fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|error| Failure::refused(format!("cannot print JSON: {error}")))?;
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Prints a line of text.
    fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Prints a line of text, broken where it does not fit a terminal; what follows is indented.
    fn wrapped(&mut self, text: &str, indent: usize) -> Result<(), Failure> {
        self.line(&crate::wrap::wrap(text, indent))
    }

    /// Prints a table.
    fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        Ok(table::print(self.out, header, rows)?)
    }
}
