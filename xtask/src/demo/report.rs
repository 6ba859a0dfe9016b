// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a demo found.

use serde_json::Value;

/// What a scenario found.
pub struct Report {
    /// What goes into `report.json`.
    pub values: Value,
    /// What did not hold; empty if all did.
    pub broken: Vec<String>,
}
