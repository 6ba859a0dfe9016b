// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bootable image: the machine layer's entry, joined to the kernel.
//!
//! The multiboot2 entry is in `x86`; it enters the kernel by the function named here. On the host
//! this package has nothing to do; it exists there so that `cargo build` and the tests of the
//! workspace see one set of packages.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]

#[cfg(target_os = "none")]
x86_machine::entry!(kernel::start);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("understudy is a multiboot2 image: `cargo xtask run` builds and boots it");
    std::process::exit(2);
}
