// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of a VM: frames and the GuestSpace that they are mapped in.
//!
//! Made once, apart from the VMM's own memory: a VMM that starts anew finds its guest's memory
//! where it was. In a succession the frames change their owner with all that is in them; the
//! GuestSpace does not.

use abi::object::ObjectType;
use abi::rights::Rights;
use api::estate;
use root::block;
use rt::Cap;
use rt::cap::GuestSpace;

use crate::estate::Estate;
use crate::failure::{Result, core};
use crate::frames::Frames;

/// The memory of a VM.
pub struct GuestMemory {
    /// Its nested page table.
    pub space: Cap<GuestSpace>,
    /// Its frames, by guest-physical address.
    pub frames: Frames,
}

impl GuestMemory {
    /// `bytes` of guest memory, from guest-physical 0 on.
    pub fn new(estate: &mut Estate, bytes: u64) -> Result<Self> {
        let space = make_space(estate, bytes)?;
        let memory = Self { space, frames: Frames::new(estate, bytes, 0)? };
        memory.map()?;
        Ok(memory)
    }

    /// Memory that another instance has, and that is yet to come.
    pub fn elsewhere(estate: &mut Estate, bytes: u64, blocks: &[estate::Block]) -> Result<Self> {
        Ok(Self { space: make_space(estate, bytes)?, frames: Frames::elsewhere(blocks) })
    }

    /// The memory leaves, unchanged. Whoever had it mapped has it no more. Repeated, it goes on
    /// where it failed.
    pub fn leave(&mut self, estate: &mut Estate) -> Result<()> {
        self.frames.leave(estate, |frame| {
            frame.unmap().or_else(unless(rt::Error::NotMapped)).map_err(core("unmap guest memory"))
        })
    }

    /// The memory comes (back). Repeated, it goes on where it failed.
    pub fn come(&mut self, estate: &mut Estate) -> Result<()> {
        self.frames.come(estate)?;
        self.map()
    }

    fn map(&self) -> Result<()> {
        for (frame, block) in self.frames.iter() {
            let mapped = frame.map(self.space, block.address, Rights::READ.or(Rights::WRITE));
            mapped.or_else(unless(rt::Error::AlreadyMapped)).map_err(core("map guest memory"))?;
        }
        Ok(())
    }
}

/// Lets the error pass by which the core says that an earlier request has done it.
fn unless(done: rt::Error) -> impl Fn(rt::Error) -> core::result::Result<(), rt::Error> {
    move |error| if error == done { Ok(()) } else { Err(error) }
}

fn make_space(estate: &mut Estate, bytes: u64) -> Result<Cap<GuestSpace>> {
    let bits = block::guest_space_bits(bytes);
    let piece = estate.untyped(bits)?;
    estate.make(piece, ObjectType::GuestSpace, bits).map(Cap::new)
}
