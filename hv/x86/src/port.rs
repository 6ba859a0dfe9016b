// SPDX-License-Identifier: MIT OR Apache-2.0
//! I/O ports.
//!
//! Safe to call, though a port can do anything to the machine: the callers are the serial line, the
//! clock and the interrupt controllers of this crate, and the kernel on behalf of a holder of a
//! `PortRange` that covers the port. No port of the estate reaches the memory of the core (devices
//! with DMA are not given away without an IOMMU).

use core::arch::asm;

macro_rules! port {
    ($read:ident, $write:ident, $word:ty, $register:tt, $bits:literal) => {
        #[doc = concat!("Reads ", $bits, " bits.")]
        #[must_use]
        pub fn $read(port: u16) -> $word {
            let value: $word;
            // SAFETY: reads a register of a device. By the header the port is one of this crate's
            // devices or was given away by a capability, and no port of the estate reaches the
            // memory of the core.
            unsafe {
                asm!(concat!("in ", $register, ", dx"), out($register) value, in("dx") port,
                     options(nomem, nostack, preserves_flags));
            }
            value
        }

        #[doc = concat!("Writes ", $bits, " bits.")]
        pub fn $write(port: u16, value: $word) {
            // SAFETY: writes a register of a device. By the header the port is one of this crate's
            // devices or was given away by a capability, and no port of the estate reaches the
            // memory of the core.
            unsafe {
                asm!(concat!("out dx, ", $register), in($register) value, in("dx") port,
                     options(nomem, nostack, preserves_flags));
            }
        }
    };
}

port!(in8, out8, u8, "al", 8);
port!(in16, out16, u16, "ax", 16);
port!(in32, out32, u32, "eax", 32);
