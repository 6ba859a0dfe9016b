// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a service that found itself broken: last words, then a fault that its parent hears
//! of.

/// Stops the service by an invalid instruction; the root service decides what comes next.
pub fn die() -> ! {
    // SAFETY: UD2 has no effect but the fault.
    unsafe { core::arch::asm!("ud2", options(noreturn, nostack)) }
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    crate::log::say(format_args!("{info}"));
    die()
}
