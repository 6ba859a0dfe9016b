// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of a VM: frames and the GuestSpace that they are mapped in.
//!
//! Made once, apart from the VMM's own memory: a VMM that starts anew finds its guest's memory where it was. In a succession
//! the frames change their owner with all that is in them; the GuestSpace does not.

use alloc::vec::Vec;

use abi::object::ObjectType;
use abi::rights::Rights;
use api::estate;
use root::block::{self, Block};
use rt::Cap;
use rt::cap::{Frame, GuestSpace};

use crate::estate::Estate;
use crate::failure::{Result, core};

/// The memory of a VM.
pub struct GuestMemory {
    /// Its nested page table.
    pub space: Cap<GuestSpace>,
    /// Its frames, by guest-physical address.
    pub frames: Vec<(Cap<Frame>, Block)>,
    /// The physical address of each.
    bases: Vec<u64>,
}

impl GuestMemory {
    /// `bytes` of guest memory, from guest-physical 0 on.
    pub fn new(estate: &mut Estate, bytes: u64) -> Result<Self> {
        let space = make_space(estate, bytes)?;
        let frames = estate.frames(bytes, 0)?;
        let mut memory = Self { space, frames, bases: Vec::new() };
        for (frame, _) in &memory.frames {
            let (base, _) = frame.describe().map_err(core("describe guest memory"))?;
            memory.bases.push(base);
        }
        memory.map()?;
        Ok(memory)
    }

    /// Memory that comes from another instance, as it is.
    pub fn arriving(estate: &mut Estate, bytes: u64, blocks: &[estate::Block]) -> Result<Self> {
        let space = make_space(estate, bytes)?;
        let mut memory = Self { space, frames: Vec::new(), bases: Vec::new() };
        for block in blocks {
            memory.frames.push((Cap::new(0), Block { address: block.at, bits: block.bits }));
            memory.bases.push(block.base);
        }
        memory.come(estate)?;
        Ok(memory)
    }

    /// Where it lies.
    pub fn blocks(&self) -> Vec<estate::Block> {
        let both = self.frames.iter().zip(&self.bases);
        both.map(|((_, block), &base)| estate::Block { base, bits: block.bits, at: block.address }).collect()
    }

    /// The memory leaves, unchanged. Whoever had it mapped has it no more.
    pub fn leave(&mut self, estate: &mut Estate) -> Result<()> {
        for (frame, _) in &mut self.frames {
            if frame.cptr() == 0 {
                continue;
            }
            estate.node.revoke(frame.cptr()).map_err(core("take guest memory from others"))?;
            frame.unmap().map_err(core("unmap guest memory"))?;
            frame.surrender().map_err(core("surrender guest memory"))?;
            estate.forget(frame.cptr());
            *frame = Cap::new(0);
        }
        Ok(())
    }

    /// The memory comes (back).
    pub fn come(&mut self, estate: &mut Estate) -> Result<()> {
        for ((frame, block), &base) in self.frames.iter_mut().zip(&self.bases) {
            if frame.cptr() == 0 {
                let block = Block { address: base, bits: block.bits };
                *frame = Cap::new(estate.adopt(block, ObjectType::Frame)?);
            }
        }
        self.map()
    }

    fn map(&self) -> Result<()> {
        for (frame, block) in &self.frames {
            let mapped = frame.map(self.space, block.address, Rights::READ.or(Rights::WRITE));
            mapped.or_else(mapped_already).map_err(core("map guest memory"))?;
        }
        Ok(())
    }
}

fn mapped_already(error: rt::Error) -> core::result::Result<(), rt::Error> {
    if error == rt::Error::AlreadyMapped { Ok(()) } else { Err(error) }
}

fn make_space(estate: &mut Estate, bytes: u64) -> Result<Cap<GuestSpace>> {
    let bits = block::guest_space_bits(bytes);
    let piece = estate.untyped(bits)?;
    estate.make(piece, ObjectType::GuestSpace, bits).map(Cap::new)
}
