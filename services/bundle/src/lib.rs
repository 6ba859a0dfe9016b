// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image of a hypervisor: one signed file with its core, its services and its manifest.
//!
//! Owns the format, what is checked before anything in it is looked at ([`Bundle::open`]), and the
//! rule by which two hypervisors are fit to follow each other ([`compatible`]). The feature `host`
//! makes images (module `build`). What it leaves to others: where the key comes from, and what the
//! entries mean.
//!
//! All numbers are little-endian. The parts follow each other without a gap:
//!
//! | bytes | what |
//! |---|---|
//! | 64 | the head: [`MAGIC`]; u16 [`FORMAT`]; u16 number of entries; u32 zero; u64 bytes of the whole file; version as three u16; oldest peer as three u16; u32 contract of the core; oldest and newest u16 of the saved state; the same of the protocol of succession; zeros |
//! | 32 per entry | name, padded with zeros to 16 bytes; u64 offset; u64 size |
//! | | the entries' bytes, in the order of the table |
//! | 32 | BLAKE3 digest of all of that |
//! | 64 | Ed25519 signature over [`DOMAIN`] and the digest |
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "host"))]
extern crate alloc;

#[cfg(any(test, feature = "host"))]
pub mod build;
mod header;
mod key;
mod open;
mod refused;
mod rule;
mod table;
mod version;

#[cfg(test)]
mod tests;

pub use header::{Header, Span};
pub use key::{PublicKey, key_from_hex};
pub use open::Bundle;
pub use refused::Refused;
pub use rule::{Incompatible, compatible};
pub use version::Version;

/// First bytes of an image.
pub const MAGIC: [u8; 8] = *b"USIMAGE\n";
/// Version of the format. Any change of the layout is a new one.
pub const FORMAT: u16 = 1;
/// Most entries.
pub const MAX_ENTRIES: usize = 16;
/// Most bytes of an entry's name.
pub const MAX_NAME: usize = 16;
/// What is signed begins with this, so that a signature for something else is none for an image.
pub const DOMAIN: &[u8] = b"understudy 2026-11 image of a hypervisor\0";

/// Bytes of the head.
const HEAD: usize = 64;
/// Bytes of an entry in the table.
const ROW: usize = 32;
/// Bytes of the digest.
const DIGEST: usize = 32;
/// Bytes of the signature.
const SIGNATURE: usize = 64;
/// Bytes of the digest and the signature.
const SEAL: usize = DIGEST + SIGNATURE;

/// What the signature is made over.
fn signed(digest: &[u8; DIGEST]) -> [u8; DOMAIN.len() + DIGEST] {
    let mut message = [0; DOMAIN.len() + DIGEST];
    let (domain, rest) = message.split_at_mut(DOMAIN.len());
    domain.copy_from_slice(DOMAIN);
    rest.copy_from_slice(digest);
    message
}
