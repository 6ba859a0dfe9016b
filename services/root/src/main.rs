// SPDX-License-Identifier: MIT OR Apache-2.0
//! stub
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#[cfg(not(target_os = "none"))]
fn main() {}
