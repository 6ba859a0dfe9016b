// SPDX-License-Identifier: MIT OR Apache-2.0
//! A service that answers nobody: it waits for ever at its first start and computes for ever at its
//! second, and so on in turns.
//!
//! For tests of root's watch; only manifests of `tests/` name it.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
rt::entry!(hang);

#[cfg(target_os = "none")]
fn hang(environment: &'static rt::Environment) {
    let doorbell = environment.cap("doorbell").unwrap_or(0);
    loop {
        if environment.restarts.is_multiple_of(2) {
            // By the system call alone, so that the library does not answer the watch.
            let _ = rt::syscall::wait(doorbell, abi::syscall::FOREVER);
        } else {
            core::hint::spin_loop();
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
