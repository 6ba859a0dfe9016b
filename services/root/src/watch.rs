// SPDX-License-Identifier: MIT OR Apache-2.0
//! Root's watch: services that are alive answer, and those that do not are started again.
//!
//! A fault comes by itself; a service that waits for ever, or never stops computing, has to be
//! looked for. VMMs are not watched: a ring would take the guest its CPU, and one that hangs
//! concerns its own VM only.

use alloc::vec::Vec;

use abi::syscall::POLL;
use api::root::ProcessState;
use rt::cap::Notification;
use rt::{Cap, time};

use crate::partition::Partition;

/// Between two looks, each of which counts as a second.
const LOOK_MS: u64 = 1000;

/// The looks.
pub struct Watch {
    next: u64,
}

impl Watch {
    /// The first look is one period away.
    pub fn new() -> Self {
        Self { next: time::after_ms(LOOK_MS) }
    }

    /// When the next look is due.
    pub fn deadline(&self) -> u64 {
        self.next
    }

    /// Looks, if it is time; returns the places of those that hang.
    pub fn look(&mut self, partitions: &mut [Partition], alive: Cap<Notification>) -> Vec<usize> {
        if time::now() < self.next {
            return Vec::new();
        }
        let mut hung = Vec::new();
        let answers = alive.wait(POLL).unwrap_or(0);
        for (index, partition) in partitions.iter_mut().enumerate() {
            let most = partition.spec.answers_within;
            if most == 0 || partition.state != ProcessState::Running {
                continue;
            }
            if partition.pulse.look(answers & 1 << index != 0, most) {
                let _ = partition.watch.signal();
            } else {
                hung.push(index);
            }
        }
        self.next = time::after_ms(LOOK_MS);
        hung
    }
}
