// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hypercalls: what a program inside a guest can ask of the system, by VMMCALL.
//!
//! Discovery: CPUID leaf [`LEAF_SIGNATURE`] returns the highest leaf in EAX and [`SIGNATURE`] in
//! EBX, ECX, EDX; leaf [`LEAF_FEATURES`] returns [`VERSION`] in EAX and a bit per function (bit n =
//! function n) in EBX. (The leaves from 0x4000_0000 on belong to the KVM-compatible clock.)
//!
//! Call: RAX = [`MAGIC`] | function, RBX, RCX = the two halves of the token (little-endian bytes
//! 0-7 and 8-15), RDX = argument. Return: RAX = status, RBX = result. Any privilege level may call;
//! the token decides.

/// CPUID leaf with the signature.
pub const LEAF_SIGNATURE: u32 = 0x4000_0100;
/// CPUID leaf with version and functions.
pub const LEAF_FEATURES: u32 = 0x4000_0101;
/// Signature in EBX, ECX, EDX.
pub const SIGNATURE: [u8; 12] = *b"Understudy\0\0";
/// Version of this interface.
pub const VERSION: u32 = 1;

/// Upper bits of RAX of every call.
pub const MAGIC: u64 = 0x5553_0000;

/// Checkpoint the whole computer. RBX on return: the checkpoint's id. Returns twice: [`CREATED`] at
/// once, [`RESTORED`] after each restore.
pub const CHECKPOINT: u64 = 1;
/// Restore the checkpoint whose id is in RDX. Does not return where it succeeds.
pub const RESTORE: u64 = 2;
/// How many checkpoints the token may still create; in RBX.
pub const QUOTA: u64 = 3;

/// Status: done.
pub const OK: u64 = 0;
/// Status of [`CHECKPOINT`]: the checkpoint was created.
pub const CREATED: u64 = 0;
/// Status of [`CHECKPOINT`]: this is the restored computer.
pub const RESTORED: u64 = 1;
/// Status: the token is wrong.
pub const BAD_TOKEN: u64 = u64::MAX;
/// Status: the token's quota is used up, or the store is full.
pub const QUOTA_EXHAUSTED: u64 = u64::MAX - 1;
/// Status: no such function.
pub const UNKNOWN_FUNCTION: u64 = u64::MAX - 2;
/// Status: no such checkpoint.
pub const NO_CHECKPOINT: u64 = u64::MAX - 3;
/// Status: the service is not there or failed; try again later.
pub const UNAVAILABLE: u64 = u64::MAX - 4;
