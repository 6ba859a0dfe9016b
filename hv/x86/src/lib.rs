// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine: every instruction, table and register of the processor and its interrupt
//! controllers.
//!
//! Owns the way from the boot loader to the kernel, the entries from user mode and the ways back,
//! the page tables of the core itself, APICs, clocks and the start of the other CPUs. What the
//! bytes of a page *mean* belongs to `store`; what is done with an entry belongs to `kernel`, which
//! says so once with [`trap::install`].
//!
//! Convention of the crate: the kernel runs with interrupts off on one stack per CPU, and never
//! touches a user address. So everything public here is safe to call: a function that could break
//! memory if called with a wrong number takes that number from tables that this crate built itself,
//! or is fenced by SMAP and the window.

#![no_std]

pub mod boot;
pub mod clock;
pub mod context;
pub mod control;
pub mod cpu;
pub mod fpu;
pub mod ioapic;
pub mod lapic;
pub mod leave;
pub(crate) mod mmio;
pub(crate) mod msr;
pub(crate) mod once;
pub mod park;
pub mod percpu;
pub mod port;
pub mod serial;
pub mod smp;
pub mod space;
pub mod svm;
pub mod trap;
pub mod vectors;
pub mod window;

/// The last words of a core that found itself wrong: prints the panic and stops this CPU.
pub fn epitaph(info: &core::panic::PanicInfo) -> ! {
    println!("core: panic on CPU {}: {}", percpu::cpu_index(), info);
    trap::stop()
}

/// Names the function that the boot CPU enters the kernel by, and what becomes of a panic.
#[macro_export]
macro_rules! entry {
    ($start:path) => {
        #[unsafe(export_name = "understudy_kernel_start")]
        extern "C" fn kernel_start() -> ! {
            let start: fn() -> ! = $start;
            start()
        }

        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo) -> ! {
            $crate::epitaph(info)
        }
    };
}
