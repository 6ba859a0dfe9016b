// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every port, read and written in each width.

use abi::guest::{RESET_PORT, SERIAL_PORT, SLEEP_CONTROL_PORT};
use core::arch::asm;
use guest_rt::attempt;
use guest_rt::boot::Boot;

/// Reads and writes every port.
pub fn all(_: &Boot, step: u32) -> (u64, &'static str) {
    let mut answered = 0;
    for port in (0..=u32::from(u16::MAX)).step_by(step as usize) {
        let port = port as u16;
        let value =
            if ends_the_try(port) { 0 } else { (u32::from(port) | 1 << 20).wrapping_mul(0x9e37_79b9) };
        answered += u64::from(read(port) != 0xff);
        // SAFETY: no device of this guest writes memory by itself; what a port does to the VM is
        // what is being tried.
        unsafe { asm!("out dx, al", in("dx") port, in("al") value as u8, options(nostack)) };
        if port % 251 == 0 && !(-3..=0).any(|before: i16| ends_the_try(port.wrapping_add_signed(-before))) {
            wide(port, value);
        }
    }
    strings();
    (answered, "ports answered")
}

fn read(port: u16) -> u8 {
    guest_rt::cpu::in8(port)
}

fn wide(port: u16, value: u32) {
    // SAFETY: as above.
    unsafe {
        asm!("in ax, dx", in("dx") port, out("ax") _, options(nostack));
        asm!("in eax, dx", in("dx") port, out("eax") _, options(nostack));
        asm!("out dx, ax", in("dx") port, in("ax") value as u16, options(nostack));
        asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack));
    }
}

/// String I/O, which a VMM may do or refuse, but must survive: within memory, and to an address
/// that is not memory.
fn strings() {
    let mut buffer = [0u8; 64];
    let nowhere = 0xd000_0000u64;
    for address in [buffer.as_mut_ptr() as u64, nowhere] {
        // SAFETY: at most 16 bytes are moved, within the buffer or where nothing of this guest is.
        unsafe {
            let _ =
                attempt!("rep insb", in("dx") 0x80u16, inout("rdi") address => _, inout("rcx") 16u64 => _);
            let _ =
                attempt!("rep outsb", in("dx") 0x80u16, inout("rsi") address => _, inout("rcx") 16u64 => _);
        }
    }
}

/// Ports at which a stray value would end the try: console, power, reset.
fn ends_the_try(port: u16) -> bool {
    (SERIAL_PORT..SERIAL_PORT + 8).contains(&port) || port == SLEEP_CONTROL_PORT || port == RESET_PORT
}
