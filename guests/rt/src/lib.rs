// SPDX-License-Identifier: MIT OR Apache-2.0
//! The library OS of a small guest: a program that is a whole VM.
//!
//! Owns the entry by the protocol of `abi::guest`, the stack, descriptor tables and exceptions, the
//! console, one timer, and the ways out. A guest names its main function with [`entry!`] and needs
//! nothing else. Single CPU, no heap, no memory management: the loader's identity map stays.
#![no_std]

pub mod boot;
pub mod clock;
pub mod cpu;
pub mod hypercall;
pub mod power;
pub mod serial;
pub mod timer;
pub mod trap;

core::arch::global_asm!(include_str!("start.S"));

/// Names the function `fn(&guest_rt::boot::Boot)` that the guest consists of. When it returns, the
/// guest powers off.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        /// Called by the runtime.
        #[unsafe(no_mangle)]
        fn understudy_guest_main(boot: &$crate::boot::Boot) {
            let main: fn(&$crate::boot::Boot) = $main;
            main(boot);
        }
    };
}

unsafe extern "Rust" {
    safe fn understudy_guest_main(boot: &boot::Boot);
}

/// Called by `start.S` on the boot stack.
#[unsafe(no_mangle)]
extern "C" fn understudy_guest_start(page: *const abi::guest::BootPage) -> ! {
    trap::install();
    serial::set_up();
    // SAFETY: the protocol of `abi::guest` says that RDI holds the address of a boot page, which
    // nobody writes.
    let boot = boot::Boot::new(unsafe { &*page });
    understudy_guest_main(&boot);
    power::off()
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    println!("guest panic: {info}");
    power::off()
}
