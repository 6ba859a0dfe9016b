// SPDX-License-Identifier: MIT OR Apache-2.0
//! The library that every service is linked with.
//!
//! Owns the way into the core (system calls), the types that make capabilities safe to handle,
//! typed messages, and what a program needs before it has anything: start, heap, log, time, panic.
//! It is the one place of the services where `unsafe` is allowed; a service forbids it.
//!
//! A service is `rt::entry!(main)` and `fn main(environment: &'static Environment)`. One thread per
//! service: the IPC buffer, the logger and the windows belong to that thread.
#![no_std]

extern crate alloc;

pub mod cap;
pub mod device;
pub mod heap;
pub mod ipc;
pub mod layout;
pub mod log;
pub mod memory;
mod panic;
pub mod scratch;
pub mod serial;
#[doc(hidden)]
pub mod start;
pub mod syscall;
pub mod thread;
pub mod time;
pub mod vm;
mod watch;
pub mod window;

pub use abi::error::Error;
pub use api::environment::Environment;
pub use cap::Cap;
pub use panic::die;
pub use start::environment;

/// Version of the hypervisor that the service belongs to: that of the package, unless the build was
/// told another one.
pub const VERSION: &str = match option_env!("UNDERSTUDY_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Makes `fn main(environment: &'static Environment)` the entry of a service.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        $crate::entry_symbol!(understudy_service_start);

        extern "C" fn understudy_service_start(environment: u64, ipc_buffer: u64) -> ! {
            let main: fn(&'static $crate::Environment) = $main;
            $crate::start::service(environment, ipc_buffer, main)
        }
    };
}

/// Makes `fn main(boot: &'static abi::boot::BootInfo)` the entry of a root service with a heap of
/// `$heap` bytes in its own image.
#[macro_export]
macro_rules! root_entry {
    ($main:path, $heap:expr) => {
        $crate::entry_symbol!(understudy_root_start);

        extern "C" fn understudy_root_start(boot: u64, ipc_buffer: u64) -> ! {
            static HEAP: $crate::start::RootHeap<{ $heap }> = $crate::start::RootHeap::new();
            let main: fn(&'static abi::boot::BootInfo) = $main;
            $crate::start::root(boot, ipc_buffer, &HEAP, main)
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! entry_symbol {
    ($start:path) => {
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        extern "C" fn _start() -> ! {
            core::arch::naked_asm!("xor ebp, ebp", "and rsp, -16", "call {start}", "ud2", start = sym $start)
        }
    };
}
