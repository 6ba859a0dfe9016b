// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases, by object.

mod untyped;

use crate::suite::Case;

/// All cases.
pub fn all() -> impl Iterator<Item = &'static Case> {
    untyped::CASES.iter()
}
