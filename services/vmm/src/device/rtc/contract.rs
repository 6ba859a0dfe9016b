// SPDX-License-Identifier: MIT OR Apache-2.0
//! The time of day as a device: its ports, its saved form and its part of the ACPI tables.

use super::Rtc;
use crate::aml;
use crate::device::contract::{Access, Device, Ports, Settings};
use crate::device::time::{Clock, SECOND};
use alloc::vec::Vec;
use state::Unknown;

/// Port of the index; that of the data follows.
const INDEX_PORT: u16 = 0x70;
const DATA_PORT: u16 = INDEX_PORT + 1;
const COUNT: u16 = 2;

impl Device for Rtc {
    const PORTS: &'static [Ports] = &[Ports { first: INDEX_PORT, count: COUNT }];

    fn new(_: &Settings) -> Self {
        Self::default()
    }

    fn read_port(&mut self, port: u16, access: &mut Access) -> Option<u8> {
        // The index cannot be read.
        (port == DATA_PORT).then(|| self.read_data(access.clock.wall(access.now)))
    }

    fn write_port(&mut self, port: u16, value: u8, access: &mut Access) -> bool {
        match port {
            DATA_PORT => self.write_data(value, access.clock.wall(access.now)),
            _ => self.select(value),
        }
        true
    }

    fn save(&self, machine: &mut state::Machine, now: u64, clock: &Clock) {
        let Self { index, offset, memory } = self;
        let mut saved = core::mem::take(&mut machine.rtc.memory);
        saved.0.clear();
        saved.0.extend_from_slice(memory);
        machine.rtc = state::Rtc {
            index: *index,
            memory: saved,
            seconds: (clock.wall(now) / SECOND).wrapping_add_signed(*offset),
            tsc: now,
            unknown: Unknown::default(),
        };
    }

    fn load(&mut self, machine: &state::Machine, clock: &Clock) {
        let state::Rtc { index, memory, seconds, tsc, unknown: _ } = &machine.rtc;
        self.index = index & 0x7f;
        for (place, &byte) in self.memory.iter_mut().zip(&memory.0) {
            *place = byte;
        }
        self.offset = seconds.wrapping_sub(clock.wall(*tsc) / SECOND) as i64;
    }

    fn describe() -> Vec<Vec<u8>> {
        let resources = aml::resources(&[aml::io(INDEX_PORT, COUNT as u8)]);
        Vec::from([aml::device(
            *b"RTC_",
            &[aml::name(*b"_HID", &aml::eisa_id(*b"PNP", 0x0b00)), aml::name(*b"_CRS", &resources)],
        )])
    }
}
