// SPDX-License-Identifier: MIT OR Apache-2.0
//! Filling the carve-out as a boot loader would: core, modules, bridge, multiboot2 information.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use api::estate::{BRIDGE_MODULE, Inventory, Range, Reply};
use api::handover::WINDOW_BYTES;
use bundle::Bundle;
use rt::window::{self, Owned};
use succession::multiboot::{Core, Information, Placer};

/// Bytes of the carve-out.
pub const CARVE_OUT: u64 = 32 << 20;
/// Most bytes of the multiboot2 information.
const INFORMATION: u64 = 8192;

/// Where the successor begins: physical addresses.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// Entry of its core.
    pub entry: u64,
    /// Its multiboot2 information.
    pub information: u64,
}

/// A carve-out being filled.
struct Filler {
    window: Owned,
    base: u64,
    placer: Placer,
}

impl Filler {
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), String> {
        if self.window.write(at - self.base, bytes) { Ok(()) } else { Err(full()) }
    }

    /// Puts a module; where it begins and ends.
    fn module(&mut self, bytes: &[u8]) -> Result<(u64, u64), String> {
        let size = bytes.len() as u64;
        let at = self.placer.place_module(size).ok_or_else(full)?;
        self.write(at, bytes)?;
        Ok((at, at + size))
    }

    fn core(&mut self, file: &[u8]) -> Result<u64, String> {
        let core = Core::read(file).map_err(|bad| String::from(bad.0))?;
        let at = self.placer.place_core(&core).ok_or_else(full)?;
        for segment in core.segments() {
            let bytes = file.get(segment.offset..segment.offset + segment.bytes).unwrap_or_default();
            self.write(at + segment.to, bytes)?;
        }
        Ok(at + core.entry)
    }
}

fn full() -> String {
    format!("the image does not fit into a carve-out of {} MiB", CARVE_OUT >> 20)
}

/// Fills the carve-out that root has made with the image.
pub fn fill(bundle: &Bundle<'_>, carved: &Reply, inventory: &Inventory) -> Result<Launch, String> {
    let Reply::Carved { range, bridge, start_page, rsdp, console, command_line } = carved else {
        return Err(format!("root: {carved:?}"));
    };
    let mut filler = Filler {
        window: window::carve_out(range.bytes),
        base: range.base,
        placer: Placer::new(range.base, range.end()),
    };
    let entry = filler.core(bundle.entry("core").unwrap_or_default())?;
    let mut room = vec![0; INFORMATION as usize];
    let mut information = Information::new(&mut room);
    let words = format!("{command_line} alone serial={console:x} rsdp={rsdp:x}");
    information.command_line(&words);
    for name in ["root", "manifest", "services"] {
        let (from, to) = filler.module(bundle.entry(name).unwrap_or_default())?;
        information.module(from, to, name);
    }
    for number in 0..=inventory.vms.len() as u64 {
        let from = bridge.base + number * WINDOW_BYTES;
        let name = if number == 0 { BRIDGE_MODULE.into() } else { format!("{BRIDGE_MODULE}.{number}") };
        information.module(from, from + WINDOW_BYTES, &name);
    }
    let at = filler.placer.place_module(INFORMATION).ok_or_else(full)?;
    let pages = [*start_page, *range].into_iter().filter(|range| range.bytes > 0);
    let map: vec::Vec<(u64, u64)> = pages.map(|Range { base, bytes }| (base, bytes)).collect();
    information.memory(&map);
    let length = information.finish().ok_or("the boot information is too long")?;
    filler.write(at, room.get(..length).unwrap_or_default())?;
    Ok(Launch { entry, information: at })
}
