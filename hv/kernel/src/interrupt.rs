// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interrupts: of the timer, of other CPUs, of devices.
//!
//! A device's interrupt becomes a signal to the notification that is bound to its line. A
//! level-triggered line is masked until it is acknowledged; an edge-triggered one is not, since an
//! edge that comes while a line is masked would be lost.

use crate::{hold, inbox, notify, state, thread, time};
use core::sync::atomic::Ordering;
use x86_machine::{ioapic, lapic, park, vectors};

/// An interrupt has arrived, in user mode or in a window that the core opened.
pub fn enter(vector: u8) {
    lapic::eoi();
    let cpu = state::local();
    if matches!(vector, vectors::IPI_RENDEZVOUS | vectors::IPI_WAKE) {
        cpu.disturbances.set(cpu.disturbances.get() + 1);
    }
    match vector {
        vectors::TIMER => time::fired(),
        vectors::IPI_RENDEZVOUS => hold::park(),
        vectors::IPI_WAKE => inbox::drain(),
        vectors::DEVICE_FIRST..=vectors::DEVICE_LAST => device(usize::from(vector - vectors::DEVICE_FIRST)),
        _ => {}
    }
    if !cpu.in_window.get() {
        // What other CPUs sent while this one was in user mode has waited for its interrupt; it may
        // have come with this one.
        thread::finish();
    }
}

/// The vector of a line.
pub fn vector_of(gsi: usize) -> u8 {
    vectors::DEVICE_FIRST + gsi as u8
}

fn device(gsi: usize) {
    let Some(line) = store::line(gsi) else { return };
    if line.level.load(Ordering::Relaxed) {
        ioapic::mask(gsi as u32);
    }
    if let Some(notification) = line.notification.get() {
        notify::raise(notification, line.badge.get());
    }
}

/// A non-maskable interrupt: nothing is known of where it hit, so nothing is touched. It may be
/// what takes this CPU away.
pub fn nmi() {
    park::on_nmi();
}
