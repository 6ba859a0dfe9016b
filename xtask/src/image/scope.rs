// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much of the system an image holds.

/// Which programs are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The core and the test suite alone: quick, and independent of the services' state.
    Suite,
    /// The whole system.
    Everything,
    /// The default system alone, to be handed out.
    Release,
}
