// SPDX-License-Identifier: MIT OR Apache-2.0
//! The staged image: received in parts, checked before anything of it is used.
//!
//! Owns its bytes and the key that they have to be signed with: nothing comes out of here but a
//! checked bundle, and what is read in one. Whether such an image can follow this hypervisor is for
//! the plan to say (`plan.rs`).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use api::manifest::Manifest;
use api::succession::MAX_IMAGE;
use bundle::{Bundle, PublicKey, key_from_hex};

use super::checkpoints;

/// Public half of the key that images are signed with, as hexadecimal digits; set by the build.
const KEY: Option<&str> = option_env!("UNDERSTUDY_IMAGE_KEY");

/// Memory that an image has to leave, in bytes.
const LEFT: usize = 1 << 20;

/// An image, or the part of it that has arrived.
#[derive(Default)]
pub struct Image {
    bytes: Vec<u8>,
    expected: u64,
}

impl Image {
    /// Begins to receive an image.
    pub fn begin(&mut self, bytes: u64) -> Result<(), String> {
        if bytes == 0 || bytes > MAX_IMAGE {
            return Err(format!("an image has at most {MAX_IMAGE} bytes"));
        }
        self.bytes = Vec::new();
        let room = self.bytes.try_reserve_exact(bytes as usize);
        // Not the last of it: this service goes on to work.
        let room = room.and_then(|()| Vec::<u8>::new().try_reserve_exact(LEFT));
        if room.is_err() {
            self.bytes = Vec::new();
        }
        room.map_err(|_| format!("there is no room for an image of {bytes} bytes in this service's memory"))?;
        self.expected = bytes;
        Ok(())
    }

    /// Takes the next part; says how much is here. A part that was taken before is no error.
    pub fn append(&mut self, offset: u64, part: &[u8]) -> Result<u64, String> {
        let here = self.bytes.len() as u64;
        let end = offset.saturating_add(part.len() as u64);
        if offset < here && end <= here {
            return Ok(here);
        }
        if offset != here || end > self.expected {
            return Err(format!(
                "{here} bytes of {} are here; this part does not follow them",
                self.expected
            ));
        }
        self.bytes.extend_from_slice(part);
        Ok(end)
    }

    /// The image, checked.
    pub fn open(&self) -> Result<Bundle<'_>, String> {
        if self.expected == 0 {
            return Err("no image was sent".into());
        }
        if (self.bytes.len() as u64) < self.expected {
            return Err(format!("only {} bytes of {} have arrived", self.bytes.len(), self.expected));
        }
        let key = key().ok_or("this hypervisor was built without a key for images: none can be accepted")?;
        Bundle::open(&self.bytes, &key).map_err(|refused| refused.to_string())
    }
}

/// The VMs whose checkpoints an image has a place for.
pub fn places(bundle: &Bundle<'_>) -> Result<Vec<String>, String> {
    Ok(checkpoints::places(&manifest_of(bundle)?).to_vec())
}

/// The manifest of an image.
pub fn manifest_of(bundle: &Bundle<'_>) -> Result<Manifest, String> {
    let manifest = Manifest::decode(bundle.entry("manifest").unwrap_or_default());
    manifest.map_err(|flaw| format!("the image's manifest: {}", flaw.text))
}

fn key() -> Option<PublicKey> {
    key_from_hex(KEY?)
}
