// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values that a bench measures.

use std::collections::BTreeMap;

/// Values by name.
pub type Values = BTreeMap<String, u64>;

/// The value in the middle.
pub fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}
