// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of the estate while nobody has it yet.

use abi::PAGE_BITS;
use abi::boot::MAX_REGIONS;
use x86_machine::boot::Range;

/// Most pieces: the regions of the machine, and what is left of those that something was taken
/// from.
const PIECES: usize = MAX_REGIONS + 64;

/// Free memory, in pieces.
pub struct Memory {
    pieces: [Range; PIECES],
    count: usize,
}

impl Memory {
    /// All that the boot loader says is available.
    pub fn new(available: &[Range]) -> Self {
        let mut memory = Self { pieces: [Range::default(); PIECES], count: 0 };
        for &range in available {
            memory.put(range);
        }
        memory
    }

    fn put(&mut self, range: Range) {
        // What does not fit into the table is lost to this estate, but never wrongly used.
        if range.size > 0 && self.count < PIECES {
            self.pieces[self.count] = range;
            self.count += 1;
        }
    }

    /// Take a naturally aligned, cleared block from the end of the first piece that has one.
    pub fn take(&mut self, bits: u8) -> Option<u64> {
        let size = 1u64 << bits;
        for index in 0..self.count {
            let piece = self.pieces[index];
            let end = piece.base + piece.size;
            let Some(start) = end.checked_sub(size).map(|start| start & !(size - 1)) else { continue };
            if start < piece.base {
                continue;
            }
            self.pieces[index].size = start - piece.base;
            self.put(Range { base: start + size, size: end - (start + size) });
            store::clear(start, size);
            return Some(start);
        }
        None
    }

    /// The pieces that are left.
    pub fn pieces(&self) -> &[Range] {
        &self.pieces[..self.count]
    }
}

/// Cut a range into naturally aligned blocks of powers of two, `largest` bits at most, and show
/// each with its bits.
pub fn blocks(range: Range, largest: u8, mut each: impl FnMut(u64, u8)) {
    let page = 1u64 << PAGE_BITS;
    let mut at = range.base.next_multiple_of(page);
    let end = (range.base + range.size) & !(page - 1);
    while at < end {
        let aligned = at.trailing_zeros().min(63) as u8;
        let fits = 63 - (end - at).leading_zeros() as u8;
        let bits = aligned.min(fits).min(largest);
        each(at, bits);
        at += 1 << bits;
    }
}
