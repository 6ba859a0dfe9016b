// SPDX-License-Identifier: MIT OR Apache-2.0
//! What root has to give: untyped memory and slots.
//!
//! Memory is taken from the piece that is left with the least, and what partitions have had stays
//! theirs.

use alloc::vec::Vec;

use abi::boot::{BootInfo, ROOT_CNODE_RADIX, UntypedInfo, slot};
use abi::object::ObjectType;
use abi::rights::Rights;
use abi::{CPtr, PAGE_SIZE};
use root::block::Block;
use root::ranges;
use root::slots::Slots;
use rt::cap::{CNode, Frame, Machine, Untyped};
use rt::{Cap, scratch};

use crate::failure::{Failure, Result, core};

/// log2 of the bytes of the untyped memory for root's own small objects.
const OWN_BITS: u8 = 20;
/// Smallest frame of guest memory and stores.
const LARGE_BITS: u8 = 21;

struct Piece {
    cap: Cap<Untyped>,
    base: u64,
    size: u64,
    used: u64,
}

impl Piece {
    fn left_after(&self, size: u64) -> Option<u64> {
        let end = self.used.checked_next_multiple_of(size)?.checked_add(size)?;
        self.size.checked_sub(end)
    }
}

/// Memory and slots.
pub struct Estate {
    /// Root's own CNode.
    pub node: Cap<CNode>,
    slots: Slots,
    pieces: Vec<Piece>,
    own: Cap<Untyped>,
    /// Capabilities to frames that root sees for now, to fill them.
    seen: Vec<CPtr>,
}

impl Estate {
    /// What the core left.
    pub fn new(boot: &BootInfo) -> Result<Self> {
        let count = usize::try_from(boot.untyped_count).unwrap_or(0).min(boot.untyped.len());
        let piece = |info: &UntypedInfo| Piece {
            cap: Cap::new(info.slot),
            base: info.base,
            size: 1 << info.size_bits,
            used: 0,
        };
        let pieces = boot.untyped[..count].iter().map(piece).collect();
        let slots = Slots::new(boot.first_free_slot, 1 << ROOT_CNODE_RADIX);
        let mut estate =
            Self { node: Cap::new(slot::CNODE), slots, pieces, own: Cap::new(0), seen: Vec::new() };
        estate.read_books()?;
        estate.own = estate.untyped(OWN_BITS)?;
        Ok(estate)
    }

    /// An empty slot.
    pub fn slot(&mut self) -> Result<CPtr> {
        self.slots.take().ok_or_else(|| Failure::new("root has no slot left"))
    }

    /// Empties a slot and takes it back.
    pub fn discard(&mut self, slot: CPtr) {
        if self.node.delete(slot).is_ok() {
            self.slots.give_back(slot);
        }
    }

    /// Bytes that are not yet used.
    pub fn free_bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.size - piece.used).sum()
    }

    /// Makes one object of a piece of untyped memory.
    pub fn make(&mut self, from: Cap<Untyped>, object: ObjectType, bits: u8) -> Result<CPtr> {
        let slot = self.slot()?;
        let made = from.retype(object, bits, 1, self.node, slot);
        if made.is_err() {
            self.slots.give_back(slot);
        }
        made.map(|()| slot).map_err(core("make an object"))
    }

    /// Makes a small object that stays with root.
    pub fn make_own(&mut self, object: ObjectType, bits: u8) -> Result<CPtr> {
        self.make(self.own, object, bits)
    }

    /// Derives a capability into a slot of root's.
    pub fn derive(&mut self, source: CPtr, rights: Rights, badge: u64) -> Result<CPtr> {
        let slot = self.slot()?;
        let minted = self.node.mint(source, slot, rights, badge);
        if minted.is_err() {
            self.slots.give_back(slot);
        }
        minted.map(|()| slot).map_err(core("derive a capability"))
    }

    /// Lets `work` write the bytes of a frame. Root sees the frame until [`Self::look_away`].
    pub fn fill<T>(&mut self, frame: Cap<Frame>, work: impl FnOnce(&mut [u8]) -> T) -> Result<T> {
        let copy = self.derive(frame.cptr(), Rights::READ.or(Rights::WRITE), 0)?;
        self.seen.push(copy);
        scratch::fill(Cap::new(copy), work).map_err(core("fill a frame"))
    }

    /// Unmaps all frames that were filled: all at once, for it stops every CPU each time.
    pub fn look_away(&mut self) {
        for copy in core::mem::take(&mut self.seen) {
            self.discard(copy);
        }
        scratch::fill_again();
    }

    /// Puts memory that came back, or is new, among the pieces to take from.
    pub fn add(&mut self, cap: Cap<Untyped>, block: Block) {
        self.pieces.push(Piece { cap, base: block.address, size: block.size(), used: 0 });
    }

    /// Whether this is one of the pieces to take from, of which nothing is taken.
    pub fn remove(&mut self, cap: Cap<Untyped>) {
        self.pieces.retain(|piece| piece.cap != cap);
    }

    /// Takes all memory that is not used, but for about `keep` bytes, as blocks. If that fails,
    /// nothing is taken.
    pub fn detach_free(&mut self, keep: u64) -> Result<Vec<(Cap<Untyped>, Block)>> {
        self.cut_rests()?;
        let block = |piece: &Piece| Block { address: piece.base, bits: piece.size.ilog2() as u8 };
        let unused = self.pieces.extract_if(.., |piece| piece.used == 0);
        let mut free: Vec<_> = unused.map(|piece| (piece.cap, block(&piece))).collect();
        // What is kept is kept in small blocks.
        free.sort_by_key(|(_, block)| (core::cmp::Reverse(block.bits), block.address));
        let mut kept = 0;
        while kept < keep {
            let Some((cap, block)) = free.pop() else { break };
            kept += block.size();
            self.add(cap, block);
        }
        Ok(free)
    }

    /// Cuts what is left of each piece, and what is too large to change owner at once, into pieces
    /// of which nothing is used.
    fn cut_rests(&mut self) -> Result<()> {
        for index in 0..self.pieces.len() {
            let Piece { cap, base, size, used } = self.pieces[index];
            if used == 0 && size <= 1 << ranges::LARGEST_BITS {
                continue;
            }
            for block in ranges::rest(base, size.ilog2() as u8, used) {
                let made = self.make(cap, ObjectType::Untyped, block.bits)?;
                self.pieces[index].used = block.address + block.size() - base;
                self.add(Cap::new(made), block);
            }
        }
        Ok(())
    }

    /// Takes memory in that this instance does not have.
    pub fn adopt(&mut self, block: Block, object: ObjectType) -> Result<CPtr> {
        let slot = self.slot()?;
        let machine: Cap<Machine> = Cap::new(abi::boot::slot::MACHINE);
        let adopted = machine.adopt(block.address, (object, block.bits), self.node, slot);
        if adopted.is_err() {
            self.slots.give_back(slot);
        }
        adopted.map(|()| slot).map_err(core("adopt memory"))
    }

    /// Adopts memory to take from: each of these blocks that can be had. What failed first is said
    /// at the end.
    pub fn take_in(&mut self, blocks: impl IntoIterator<Item = Block>) -> Result<()> {
        let mut taken = Ok(());
        for block in blocks {
            match self.adopt(block, ObjectType::Untyped) {
                Ok(cap) => self.add(Cap::new(cap), block),
                Err(failure) => taken = taken.and(Err(failure)),
            }
        }
        taken
    }

    /// Memory of which nothing is used or mapped leaves, unchanged, and its slot is free.
    pub fn surrender<T>(&mut self, memory: Cap<T>) -> Result<()> {
        let machine: Cap<Machine> = Cap::new(abi::boot::slot::MACHINE);
        machine.surrender(memory).map_err(core("surrender memory"))?;
        self.forget(memory.cptr());
        Ok(())
    }

    /// A slot of root's is empty: what was in it has left.
    pub fn forget(&mut self, slot: CPtr) {
        self.slots.give_back(slot);
    }

    /// A naturally aligned piece of untyped memory that ends below `limit`.
    pub fn untyped_below(&mut self, bits: u8, limit: u64) -> Result<Cap<Untyped>> {
        let size = 1u64 << bits;
        let fits = |piece: &Piece| {
            let start = piece.base + piece.used.next_multiple_of(size);
            piece.left_after(size).filter(|_| start + size <= limit)
        };
        let rooms = self.pieces.iter().enumerate();
        let index =
            rooms.filter_map(|(index, piece)| Some((fits(piece)?, index))).min().map(|(_, index)| index);
        let index = index.ok_or_else(|| Failure::new("not enough memory below 4 GiB"))?;
        self.take_from(index, ObjectType::Untyped, bits).map(Cap::new)
    }

    /// Takes untyped memory.
    pub fn untyped(&mut self, bits: u8) -> Result<Cap<Untyped>> {
        self.large(ObjectType::Untyped, bits).map(Cap::new)
    }

    /// Takes `bytes` of frames, largest first, that lie one after the other from `address` on. If
    /// there is not enough, nothing is taken.
    pub fn frames(&mut self, bytes: u64, address: u64) -> Result<Vec<(Cap<Frame>, Block)>> {
        let mut frames = Vec::new();
        let taken = self.take_frames(bytes, address, &mut frames);
        if taken.is_err() {
            for (frame, _) in frames.drain(..) {
                self.discard(frame.cptr());
            }
            self.read_books()?;
        }
        taken.map(|()| frames)
    }

    fn take_frames(&mut self, bytes: u64, address: u64, frames: &mut Vec<(Cap<Frame>, Block)>) -> Result<()> {
        let mut left = bytes;
        let mut bits = 30;
        while left >= PAGE_SIZE {
            bits = bits.min(left.ilog2() as u8);
            if bits < LARGE_BITS || self.roomiest(1 << bits).is_some() {
                let cap = Cap::new(self.large(ObjectType::Frame, bits)?);
                frames.push((cap, Block { address: address + bytes - left, bits }));
                left -= 1 << bits;
            } else {
                bits -= 1;
            }
        }
        Ok(())
    }

    /// Reads from the core how much is used: memory whose objects are gone is free again.
    fn read_books(&mut self) -> Result<()> {
        for piece in &mut self.pieces {
            let state = piece.cap.describe().map_err(core("describe untyped memory"))?;
            piece.used = piece.size - state.free.min(piece.size);
        }
        Ok(())
    }

    /// The piece that has the least left after giving `size` bytes.
    fn roomiest(&self, size: u64) -> Option<usize> {
        let rooms = self.pieces.iter().enumerate();
        rooms
            .filter_map(|(index, piece)| Some((piece.left_after(size)?, index)))
            .min()
            .map(|(_, index)| index)
    }

    fn large(&mut self, object: ObjectType, bits: u8) -> Result<CPtr> {
        let size = 1u64 << bits;
        let index = self.roomiest(size).ok_or_else(|| Failure::new("not enough memory"))?;
        self.take_from(index, object, bits)
    }

    fn take_from(&mut self, index: usize, object: ObjectType, bits: u8) -> Result<CPtr> {
        let size = 1u64 << bits;
        let made = self.make(self.pieces[index].cap, object, bits)?;
        let piece = &mut self.pieces[index];
        piece.used = piece.used.next_multiple_of(size) + size;
        Ok(made)
    }
}
