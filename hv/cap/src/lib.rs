// SPDX-License-Identifier: MIT OR Apache-2.0
//! Capabilities: slots, the tree of derivations, untyped memory.
//!
//! Owns what may be derived from what, and in which order. It knows nothing of the objects
//! themselves: destroying one, unmapping a frame, clearing memory and keeping other CPUs out are
//! the caller's. It has no state; all of it is in the slots, reached through [`slot::Slots`].
//!
//! Invariants, which `check` (a feature for tests) verifies:
//!
//! 1. An empty slot has no links; every link has its counterpart.
//! 2. The capabilities form a forest: each is reached from a root exactly once.
//! 3. The children of untyped memory lie in it, below its watermark; siblings lie in falling order
//!    of address and overlap only where they are capabilities to one object.
//! 4. Every other child refers to its parent's object, or to a part of it (ports), or to a line of
//!    the machine (interrupt).
//! 5. So all capabilities to one object made of memory, or to one line, stand together: one of them
//!    is an ancestor of the others, or they are (descendants of) adjacent siblings.
//! 6. A derived capability has no right that its parent lacks (an interrupt aside), and its
//!    parent's badge if that has one.
//! 7. Untyped memory: watermark ≤ size; pages from the watermark to the clear mark are zero.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "check"))]
pub mod check;
pub mod derive;
pub mod retype;
pub mod slot;
pub mod tree;

#[cfg(any(test, feature = "check"))]
pub use check::{Violation, check};
pub use derive::{Delete, Derive, Move};
pub use retype::{Clearing, Make, Retype, Shape, Step, unused_bytes};
pub use slot::{Cap, Links, Slot, SlotRef, Slots};
pub use tree::{
    children, has_descendants, insert_child, insert_root, is_last, move_slot, revoke_next, unlink,
};
