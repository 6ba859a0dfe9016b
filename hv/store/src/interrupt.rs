// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interrupt lines: one record per global system interrupt, with the slot of the notification that
//! it signals.
//!
//! The machine has a fixed number of lines, so their records are the one kind of object that is not
//! made of untyped memory.

use crate::Notification;
use crate::reference::Ref;
use crate::slot::SlotArray;
use core::cell::Cell;
use core::sync::atomic::AtomicBool;

/// Most lines.
pub const LINES: usize = 160;

/// One line.
#[repr(C, align(64))]
pub struct Line {
    /// Slot of the bound notification.
    pub slot: SlotArray<1>,
    /// The bound notification.
    pub notification: Cell<Option<Ref<Notification>>>,
    /// Badge to signal with.
    pub badge: Cell<u64>,
    /// Whether it is level-triggered.
    pub level: AtomicBool,
    /// Whether a capability to the line exists.
    pub taken: AtomicBool,
}

struct Lines([Line; LINES]);

// SAFETY: a line's cells are changed with every CPU stopped, and read by the CPU that takes the
// interrupt (claim 4).
unsafe impl Sync for Lines {}

static ALL: Lines = Lines(
    [const {
        Line {
            slot: SlotArray::new(),
            notification: Cell::new(None),
            badge: Cell::new(0),
            level: AtomicBool::new(false),
            taken: AtomicBool::new(false),
        }
    }; LINES],
);

/// The record of a line.
#[must_use]
pub fn line(gsi: usize) -> Option<&'static Line> {
    ALL.0.get(gsi)
}

/// Which line this slot (by address) belongs to.
#[must_use]
pub fn line_of_slot(address: u64) -> Option<usize> {
    let first = (&raw const ALL) as u64;
    let index = address.checked_sub(first)? / core::mem::size_of::<Line>() as u64;
    usize::try_from(index).ok().filter(|&index| index < LINES)
}
