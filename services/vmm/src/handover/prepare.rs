// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done for a handover while the VM still runs.
//!
//! Owns the base: the machine's state as it was a little before. The side that has the VM writes
//! it; the other one checks it, has the core take the vCPUs' part, and sets up the devices. What is
//! left for the switch is the change from there, which is short. A base is known by its host TSC:
//! whoever lost it, or never saw it, reads it from the window when the change comes.

use super::refusal::Refusal;
use crate::console::LINE;
use crate::device::board::Board;
use crate::machine::away::{Base, Place};
use crate::machine::{Backend, Machine, settings};
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;
use abi::vcpu::group;
use alloc::boxed::Box;
use api::handover::{BASE_AT, BASE_HEADER_AT, BASE_HEADER_BYTES, BASE_MAX, BaseHeader};

impl<M: GuestMemory, V: Vcpu, O: Backend> Machine<M, V, O> {
    /// Gets ready for a handover, at whichever end this is.
    pub(crate) fn prepare_handover(&mut self) -> Result<(), Refusal> {
        match self.handover.place {
            Place::Here => self.write_base(),
            Place::Packed(_) => Ok(()),
            Place::Arriving => match self.base_header()? {
                Some(header) => self.read_base(&header),
                None => Ok(()),
            },
        }
    }

    /// Writes the base; the VM stands still meanwhile, but not for longer than it takes. One that
    /// is too large is left out.
    fn write_base(&mut self) -> Result<(), Refusal> {
        let mut record = self.handover.base.take();
        let tsc = self.backend.now();
        let taken = self.record(&mut record, tsc);
        record.save_into(&mut self.handover.bytes);
        // The later state needs as much room, and another line may have begun.
        let later = self.handover.record.get_or_insert_with(|| record.clone());
        later.console_line.reserve(LINE);
        self.handover.base.put_back(record);
        taken.map_err(Refusal::Gather)?;
        let bytes = self.handover.bytes.len() as u64;
        if bytes > BASE_MAX {
            return Ok(());
        }
        let header = BaseHeader { bytes, tsc };
        let written = self.backend.write_handover(BASE_AT, &self.handover.bytes)
            && self.backend.write_handover(BASE_HEADER_AT, &header.encode());
        if !written {
            return Err(Refusal::NoWindow);
        }
        self.handover.base.tsc = tsc;
        Ok(())
    }

    /// Host TSC of the base that was written here and still lies in the window; else 0.
    pub(super) fn written_base(&mut self) -> u64 {
        let tsc = self.handover.base.tsc;
        let is_there = matches!(self.base_header(), Ok(Some(header)) if header.tsc == tsc);
        if is_there { tsc } else { 0 }
    }

    /// Sees to it that the base of this host TSC is here.
    pub(super) fn find_base(&mut self, tsc: u64) -> Result<(), Refusal> {
        if self.handover.base.tsc == tsc {
            return Ok(());
        }
        match self.base_header()? {
            Some(header) if header.tsc == tsc => self.read_base(&header),
            _ => Err(Refusal::NoBase),
        }
    }

    fn base_header(&mut self) -> Result<Option<BaseHeader>, Refusal> {
        let mut bytes = [0; BASE_HEADER_BYTES];
        if !self.backend.read_handover(BASE_HEADER_AT, &mut bytes) {
            return Err(Refusal::NoWindow);
        }
        Ok(BaseHeader::decode(&bytes))
    }

    fn read_base(&mut self, header: &BaseHeader) -> Result<(), Refusal> {
        self.handover.base.tsc = 0;
        self.handover.bytes.resize(header.bytes as usize, 0);
        if !self.backend.read_handover(BASE_AT, &mut self.handover.bytes) {
            return Err(Refusal::NoWindow);
        }
        let mut machine = state::Machine::load(&self.handover.bytes).map_err(Refusal::State)?;
        machine.console_line.reserve(LINE);
        self.import(&machine, header.tsc, true)?;
        self.load_devices(&machine);
        self.handover.base = Base { tsc: header.tsc, record: Some(Box::new(machine)) };
        Ok(())
    }

    /// Has the core take the vCPUs' part of a state as of a host TSC: all of it, or what is not
    /// there yet.
    pub(super) fn import(&mut self, machine: &state::Machine, tsc: u64, all: bool) -> Result<(), Refusal> {
        self.check_shape(machine)?;
        for (cpu, (saved, processor)) in machine.vcpus.iter().zip(&mut self.processors).enumerate() {
            let changed = saved.to_page(processor.vcpu.page(), tsc);
            let groups = if all { group::ALL } else { changed };
            processor.vcpu.import(groups).map_err(|error| Refusal::Core(cpu, error))?;
        }
        Ok(())
    }

    /// Sets up the devices. What the guest knows of its clocks stays true: same TSC, same rate,
    /// same line through it.
    pub(super) fn load_devices(&mut self, machine: &state::Machine) {
        if self.config.tsc_khz != machine.tsc_khz {
            self.config.tsc_khz = machine.tsc_khz;
            self.board = Board::new(settings(&self.config, machine.memory_bytes));
        }
        self.board.load(machine);
    }
}
