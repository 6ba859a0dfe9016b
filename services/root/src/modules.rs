// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot modules: what the boot loader brought besides the core.

use abi::CPtr;
use abi::boot::{BootInfo, ModuleInfo};
use api::environment::Window;
use root::block::Block;
use rt::scratch;

use crate::failure::{Failure, Result, core};

/// A module as others see it: where its frames go.
pub struct Placed {
    /// Address and size of its bytes.
    pub window: Window,
    /// Its frames and where to map each.
    pub frames: alloc::vec::Vec<(CPtr, Block)>,
}

/// All modules.
pub fn all(boot: &'static BootInfo) -> &'static [ModuleInfo] {
    let count = usize::try_from(boot.module_count).unwrap_or(0).min(boot.modules.len());
    &boot.modules[..count]
}

fn find(boot: &'static BootInfo, name: &str) -> Result<&'static ModuleInfo> {
    let missing = || Failure::new(alloc::format!("there is no boot module {name:?}"));
    all(boot).iter().find(|module| scratch::module_name(module) == name).ok_or_else(missing)
}

/// The bytes of a module, mapped into root's own space in window number `window`.
pub fn map(boot: &'static BootInfo, name: &str, window: u64) -> Result<&'static [u8]> {
    scratch::map_module(find(boot, name)?, window).map_err(core("map a boot module"))
}

/// A module in window number `window` of another space.
pub fn place(boot: &'static BootInfo, name: &str, window: u64) -> Result<Placed> {
    let module = find(boot, name)?;
    let address = scratch::module_address(module, window);
    let frames = scratch::module_frames(module).map_err(core("describe a boot module"))?;
    let placed =
        frames.into_iter().map(|(cap, offset, bits)| (cap, Block { address: address + offset, bits }));
    Ok(Placed { window: Window { va: address, size: module.size }, frames: placed.collect() })
}
