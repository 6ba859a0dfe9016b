// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames of root's that change their owner with all that is in them: guest memory, page stores.
//!
//! While another instance has them their capabilities are 0. Where they lie is known before they
//! have come and after they have left.

use alloc::vec::Vec;

use abi::object::ObjectType;
use api::estate;
use root::block::Block;
use rt::Cap;
use rt::cap::Frame;

use crate::estate::Estate;
use crate::failure::{Result, core};

/// Frames, by the address at which they are mapped.
#[derive(Default)]
pub struct Frames {
    list: Vec<(Cap<Frame>, Block)>,
    /// The physical address of each.
    bases: Vec<u64>,
}

impl Frames {
    /// Takes `bytes` of frames, to be mapped from `address` on.
    pub fn new(estate: &mut Estate, bytes: u64, address: u64) -> Result<Self> {
        let mut frames = Self { list: estate.frames(bytes, address)?, bases: Vec::new() };
        for (frame, _) in &frames.list {
            let (base, _) = frame.describe().map_err(core("describe a frame"))?;
            frames.bases.push(base);
        }
        Ok(frames)
    }

    /// Frames that another instance has.
    pub fn elsewhere(blocks: &[estate::Block]) -> Self {
        let frame = |block: &estate::Block| (Cap::new(0), Block { address: block.at, bits: block.bits });
        Self {
            list: blocks.iter().map(frame).collect(),
            bases: blocks.iter().map(|block| block.base).collect(),
        }
    }

    /// Where they lie.
    pub fn blocks(&self) -> Vec<estate::Block> {
        let both = self.list.iter().zip(&self.bases);
        both.map(|((_, block), &base)| estate::Block { base, bits: block.bits, at: block.address }).collect()
    }

    /// Each, and where it is mapped.
    pub fn iter(&self) -> impl Iterator<Item = &(Cap<Frame>, Block)> {
        self.list.iter()
    }

    /// Whether there are none, here or elsewhere.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether all of them are here.
    pub fn are_here(&self) -> bool {
        self.list.iter().all(|(frame, _)| frame.cptr() != 0)
    }

    /// They leave, unchanged. Whoever had them mapped has them no more; where root itself has,
    /// `unmap` undoes that.
    pub fn leave(&mut self, estate: &mut Estate, unmap: impl Fn(Cap<Frame>) -> Result<()>) -> Result<()> {
        for (frame, _) in self.list.iter_mut().filter(|(frame, _)| frame.cptr() != 0) {
            estate.node.revoke(frame.cptr()).map_err(core("take memory from others"))?;
            unmap(*frame)?;
            estate.surrender(*frame)?;
            *frame = Cap::new(0);
        }
        Ok(())
    }

    /// They come (back).
    pub fn come(&mut self, estate: &mut Estate) -> Result<()> {
        let both = self.list.iter_mut().zip(&self.bases);
        for ((frame, block), &base) in both.filter(|((frame, _), _)| frame.cptr() == 0) {
            let block = Block { address: base, bits: block.bits };
            *frame = Cap::new(estate.adopt(block, ObjectType::Frame)?);
        }
        Ok(())
    }
}
