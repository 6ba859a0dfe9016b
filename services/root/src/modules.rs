// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot modules: what the boot loader brought besides the core, and what comes from another
//! instance in their place.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::CPtr;
use abi::boot::{BootInfo, ModuleInfo};
use abi::object::ObjectType;
use api::environment::Window;
use api::estate;
use root::block::Block;
use root::ranges;
use rt::cap::Frame;
use rt::{Cap, scratch};

use crate::estate::Estate;
use crate::failure::{Failure, Result, core};

/// A module whose frames can be lent to partitions.
pub struct Module {
    /// Its name.
    pub name: String,
    /// Physical address.
    base: u64,
    /// Bytes.
    bytes: u64,
    /// Its frames: capability (0 while it is away), offset, log2 of the bytes.
    frames: Vec<(CPtr, u64, u8)>,
}

/// A module as others see it: where its frames go.
pub struct Placed {
    /// Address and size of its bytes.
    pub window: Window,
    /// Its frames and where to map each.
    pub frames: Vec<(CPtr, Block)>,
}

impl Module {
    /// A module that the boot loader brought.
    pub fn booted(info: &ModuleInfo) -> Result<Self> {
        let frames = scratch::module_frames(info).map_err(core("describe a boot module"))?;
        Ok(Self { name: scratch::module_name(info).to_string(), base: info.base, bytes: info.size, frames })
    }

    /// A module that another instance has, and that is yet to come.
    pub fn elsewhere(from: &estate::Module) -> Self {
        let blocks = ranges::blocks(core::slice::from_ref(&from.range));
        let frames = blocks.map(|block| (0, block.address - from.range.base, block.bits)).collect();
        Self { name: from.name.clone(), base: from.range.base, bytes: from.bytes, frames }
    }

    /// As the other instance gets to know it.
    pub fn describe(&self) -> estate::Module {
        let range = ranges::pages(self.base, self.bytes);
        estate::Module { name: self.name.clone(), range, bytes: self.bytes }
    }

    /// In window number `window` of a space.
    pub fn place(&self, window: u64) -> Placed {
        let address = scratch::address_of_module(self.base, window);
        let frames = self.frames.iter();
        let placed = frames.map(|&(cap, offset, bits)| (cap, Block { address: address + offset, bits }));
        Placed { window: Window { va: address, size: self.bytes }, frames: placed.collect() }
    }

    /// Its memory leaves; whoever had it mapped has it no more.
    pub fn leave(&mut self, estate: &mut Estate) -> Result<()> {
        for (cap, ..) in self.frames.iter_mut().filter(|(cap, ..)| *cap != 0) {
            estate.node.revoke(*cap).map_err(core("take a module from others"))?;
            estate.surrender(Cap::<Frame>::new(*cap))?;
            *cap = 0;
        }
        Ok(())
    }

    /// Its memory comes (back). Repeated, it goes on where it failed.
    pub fn come(&mut self, estate: &mut Estate) -> Result<()> {
        for (cap, offset, bits) in self.frames.iter_mut().filter(|(cap, ..)| *cap == 0) {
            let block = Block { address: self.base + *offset, bits: *bits };
            *cap = estate.adopt(block, ObjectType::Frame)?;
        }
        Ok(())
    }
}

/// All that the boot loader brought.
pub fn all(boot: &'static BootInfo) -> &'static [ModuleInfo] {
    let count = usize::try_from(boot.module_count).unwrap_or(0).min(boot.modules.len());
    &boot.modules[..count]
}

/// The boot module of this name.
pub fn find(boot: &'static BootInfo, name: &str) -> Result<&'static ModuleInfo> {
    let missing = || Failure::new(alloc::format!("there is no boot module {name:?}"));
    all(boot).iter().find(|module| scratch::module_name(module) == name).ok_or_else(missing)
}

/// The bytes of a boot module, mapped into root's own space in window number `window`.
pub fn map(boot: &'static BootInfo, name: &str, window: u64) -> Result<&'static [u8]> {
    scratch::map_module(find(boot, name)?, window).map_err(core("map a boot module"))
}
