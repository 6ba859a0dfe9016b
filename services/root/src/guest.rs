// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of a VM: frames and the GuestSpace that they are mapped in.
//!
//! Made once, apart from the VMM's own memory: a VMM that starts anew finds its guest's memory where it was.

use alloc::vec::Vec;

use abi::object::ObjectType;
use abi::rights::Rights;
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
}

impl GuestMemory {
    /// `bytes` of guest memory, from guest-physical 0 on.
    pub fn new(estate: &mut Estate, bytes: u64) -> Result<Self> {
        let bits = block::guest_space_bits(bytes);
        let piece = estate.untyped(bits)?;
        let frames = estate.frames(bytes, 0)?;
        let space = Cap::new(estate.make(piece, ObjectType::GuestSpace, bits)?);
        for (frame, block) in &frames {
            let rights = Rights::READ.or(Rights::WRITE);
            frame.map(space, block.address, rights).map_err(core("map guest memory"))?;
        }
        Ok(Self { space, frames })
    }
}
