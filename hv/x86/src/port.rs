// SPDX-License-Identifier: MIT OR Apache-2.0
//! I/O ports.
//!
//! Safe to call, though a port can do anything to the machine: the callers are the serial line, the clock and the
//! interrupt controllers of this crate, and the kernel on behalf of a holder of a `PortRange` that covers the port.
//! No port of the estate reaches the memory of the core (devices with DMA are not given away without an IOMMU).

/// Reads a byte.
#[must_use]
pub fn in8(port: u16) -> u8 {
    let _ = port;
    todo!()
}
/// Reads 16 bits.
#[must_use]
pub fn in16(port: u16) -> u16 {
    let _ = port;
    todo!()
}
/// Reads 32 bits.
#[must_use]
pub fn in32(port: u16) -> u32 {
    let _ = port;
    todo!()
}
/// Writes a byte.
pub fn out8(port: u16, value: u8) {
    let _ = (port, value);
    todo!()
}
/// Writes 16 bits.
pub fn out16(port: u16, value: u16) {
    let _ = (port, value);
    todo!()
}
/// Writes 32 bits.
pub fn out32(port: u16, value: u32) {
    let _ = (port, value);
    todo!()
}
