// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bridge: its words, by their offsets in [`api::estate`], and the inventory in it. The other
//! party writes there too.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use api::estate::{INVENTORY_AT, Inventory, WINDOWS_AT};
use rt::window;

/// Most bytes of the inventory.
const INVENTORY_MAX: u64 = WINDOWS_AT - INVENTORY_AT - 8;

/// So many words of the bridge from an offset on.
pub fn words<const N: usize>(at: u64) -> Result<&'static [AtomicU64; N], String> {
    let bridge = window::bridge();
    let part = bridge.get(at as usize / 8..).and_then(|words| words.first_chunk::<N>());
    part.ok_or_else(|| "the bridge is too short".into())
}

/// A word of the bridge, by its offset.
pub fn word(at: u64) -> Result<&'static AtomicU64, String> {
    let [word]: &[AtomicU64; 1] = words(at)?;
    Ok(word)
}

/// What is in such a word; 0 where there is none.
pub fn value(at: u64) -> u64 {
    word(at).map_or(0, |word| word.load(Ordering::Relaxed))
}

/// What changes owner, as whoever began has written it.
pub fn read_inventory() -> Result<Inventory, String> {
    let words: &[AtomicU64; 1] = words(INVENTORY_AT)?;
    let length = words[0].load(Ordering::Acquire).min(INVENTORY_MAX) as usize;
    let first = INVENTORY_AT as usize / 8 + 1;
    let all = window::bridge().get(first..first + length.div_ceil(8)).unwrap_or_default();
    let bytes: Vec<u8> = all.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
    let bytes = bytes.get(..length).unwrap_or_default();
    let inventory: Inventory =
        postcard::from_bytes(bytes).map_err(|_| "the inventory in the bridge makes no sense".to_string())?;
    let checked = inventory.check();
    checked.map_err(|what| format!("the inventory in the bridge has {what}"))?;
    Ok(inventory)
}
