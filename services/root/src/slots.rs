// SPDX-License-Identifier: MIT OR Apache-2.0
//! Free slots of the root service's CSpace.

use alloc::vec::Vec;

use abi::CPtr;

/// The free slots.
#[derive(Debug)]
pub struct Slots {
    next: CPtr,
    end: CPtr,
    returned: Vec<CPtr>,
}

impl Slots {
    /// The slots from `first` to before `end`.
    #[must_use]
    pub const fn new(first: CPtr, end: CPtr) -> Self {
        Self { next: first, end, returned: Vec::new() }
    }

    /// Takes one.
    pub fn take(&mut self) -> Option<CPtr> {
        if let Some(slot) = self.returned.pop() {
            return Some(slot);
        }
        if self.next >= self.end {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// Gives one back. It has to be empty.
    pub fn give_back(&mut self, slot: CPtr) {
        self.returned.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    #[test]
    fn slots_are_given_out_once_until_they_come_back() {
        let mut slots = Slots::new(10, 12);
        assert_eq!((slots.take(), slots.take(), slots.take()), (Some(10), Some(11), None));
        slots.give_back(10);
        assert_eq!((slots.take(), slots.take()), (Some(10), None));
    }
}
