// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way of a VM from one hypervisor to another.
//!
//! Owns the stop of single vCPUs, the packing of the machine's typed state into the handover window
//! with the last of them (as a change of what was written before, in `prepare`), and the way back
//! or on: a vCPU that was stopped here goes on as it stands, one that arrives gets its state from
//! the window. Guest memory is not touched. A window's header is there as long as nobody has run
//! the VM from its state: whoever does so clears it, so that no state is used twice. The window is
//! written by another hypervisor, hence checked as a whole before anything is changed.
//!
//! Nothing is logged between the stop and the entry; [`Machine::step`] says it
//! afterwards. Who may run a VM at all is decided in the ledger of the succession, not here.

use crate::machine::away::Place;
use crate::machine::snapshot::ready;
use crate::machine::{Activity, Backend, Machine, State};
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;
use abi::vcpu::Exit;
use api::handover::{HEADER_BYTES, Header, STATE_AT, STATE_MAX};
use state::Ended;

pub(crate) use refusal::Refusal;

/// Why a VM has failed whose state was with a hypervisor that fell.
const LOST: &str = "its state was lost with the hypervisor that ran it";
/// Most bytes that a console may have written elsewhere: more than any will.
const CONSOLE_MOST: u64 = 1 << 62;

impl<M: GuestMemory, V: Vcpu, O: Backend> Machine<M, V, O> {
    /// Instead of a start: the VM will come from another hypervisor. Its memory is here, and is
    /// left alone.
    pub fn await_arrival(&mut self) {
        self.handover.place = Place::Arriving;
        self.processors.iter_mut().for_each(|processor| processor.away = true);
    }

    /// Stops a vCPU so that another hypervisor may run it; with the last one, the machine's state
    /// goes into the window. One that is stopped already stays so.
    pub(crate) fn hand_over(&mut self, vcpu: u32) -> Result<(), Refusal> {
        let cpu = self.number(vcpu)?;
        if self.handover.place == Place::Arriving {
            // It goes back as it came: the state is still where it was.
            return self.header().map(|_| ()).map_err(|_| Refusal::NotHere);
        }
        if self.processors[cpu].away {
            return Ok(());
        }
        if let Some(id) = self.copying
            && self.backend.is_copying(id)
        {
            return Err(Refusal::Copying(id));
        }
        self.copying = None;
        let now = self.backend.now();
        let exit = self.last_exit(cpu, now);
        if let Some(place) = self.handover.exits.get_mut(cpu) {
            *place = exit;
        }
        if self.processors.iter().filter(|processor| !processor.away).count() == 1 {
            self.pack(now)?;
        }
        let processor = &mut self.processors[cpu];
        processor.away = true;
        processor.since = None;
        Ok(())
    }

    /// Host TSC at which a vCPU has last executed; now, for one that does not execute by itself.
    fn last_exit(&mut self, cpu: usize, now: u64) -> u64 {
        let executes = self.state == State::Running && self.processors[cpu].activity == Activity::Running;
        let page = self.processors[cpu].vcpu.page();
        if executes && Exit::from_number(page.exit) != Exit::None { page.exit_tsc.min(now) } else { now }
    }

    /// Writes the machine's state into the window, as of host TSC `tsc`.
    fn pack(&mut self, tsc: u64) -> Result<(), Refusal> {
        let mut record = self.handover.record.take().unwrap_or_default();
        let taken = self.record(&mut record, tsc);
        let mut base = self.written_base();
        match self.handover.base.get(base) {
            Some(known) => record.save_change_into(known, &mut self.handover.bytes),
            None => {
                base = 0;
                record.save_into(&mut self.handover.bytes);
            }
        }
        self.handover.record = Some(record);
        taken.map_err(Refusal::Gather)?;
        let bytes = self.handover.bytes.len() as u64;
        if bytes > STATE_MAX {
            return Err(Refusal::TooLarge(self.handover.bytes.len()));
        }
        let header = Header { bytes, tsc, base, exits: self.handover.exits };
        let written = self.backend.write_handover(STATE_AT, &self.handover.bytes)
            && self.backend.write_handover(0, &header.encode());
        if !written {
            return Err(Refusal::NoWindow);
        }
        self.handover.place = Place::Packed(header);
        Ok(())
    }

    /// Lets a vCPU run that was stopped here, or comes from another hypervisor; the first one that
    /// comes brings the machine. One that runs already goes on.
    pub(crate) fn take_over(&mut self, vcpu: u32) -> Result<(), Refusal> {
        let cpu = self.number(vcpu)?;
        match self.handover.place {
            Place::Here => {}
            Place::Packed(header) => self.take_back(&header)?,
            Place::Arriving => self.arrive()?,
        }
        let exit = self.handover.exits.get(cpu).copied().unwrap_or(0);
        if !core::mem::replace(&mut self.processors[cpu].away, false) {
            return Ok(());
        }
        self.give_turn(cpu);
        let processor = &mut self.processors[cpu];
        if self.state == State::Running && processor.activity == Activity::Running {
            processor.since = Some(exit);
        } else {
            // It would not execute anyway.
            let now = self.backend.now();
            self.handover.record(cpu, now.wrapping_sub(exit));
        }
        Ok(())
    }

    /// Nobody has the state any more: the machine is here, and has failed.
    pub(crate) fn lose(&mut self, anyway: bool) -> Result<(), Refusal> {
        if self.handover.place == Place::Here {
            return Err(Refusal::Here);
        }
        match self.header() {
            Err(Refusal::NoState) => {}
            Err(error) => return Err(error),
            Ok(_) if anyway => {}
            Ok(_) => return Err(Refusal::Unused),
        }
        self.here()?;
        self.processors.iter_mut().for_each(|processor| processor.away = false);
        self.state = State::Failed(LOST.into());
        Ok(())
    }

    fn number(&self, vcpu: u32) -> Result<usize, Refusal> {
        let cpu = vcpu as usize;
        if cpu < self.processors.len() { Ok(cpu) } else { Err(Refusal::NoVcpu(vcpu)) }
    }

    fn header(&mut self) -> Result<Header, Refusal> {
        let mut bytes = [0; HEADER_BYTES];
        if !self.backend.read_handover(0, &mut bytes) {
            return Err(Refusal::NoWindow);
        }
        Header::decode(&bytes).ok_or(Refusal::NoState)
    }

    /// The state that is still here serves, unless somebody has run the VM meanwhile.
    fn take_back(&mut self, written: &Header) -> Result<(), Refusal> {
        match self.header() {
            Ok(header) if header == *written => {}
            Ok(_) | Err(Refusal::NoState) => return Err(Refusal::Elsewhere),
            Err(error) => return Err(error),
        }
        self.here()
    }

    /// The machine is here from now on: what is in the window has been used.
    fn here(&mut self) -> Result<(), Refusal> {
        if !self.backend.write_handover(0, &[0; 8]) {
            return Err(Refusal::NoWindow);
        }
        self.handover.place = Place::Here;
        Ok(())
    }

    /// Takes the state out of the window.
    fn arrive(&mut self) -> Result<(), Refusal> {
        let header = self.header()?;
        let now = self.backend.now();
        if header.tsc > now || header.exits.iter().any(|&exit| exit > header.tsc) {
            return Err(Refusal::Unfit("it is of a time to come"));
        }
        if header.base != 0 {
            self.find_base(header.base)?;
        }
        // Out of the other side's reach before it is looked at.
        self.handover.bytes.resize(header.bytes as usize, 0);
        if !self.backend.read_handover(STATE_AT, &mut self.handover.bytes) {
            return Err(Refusal::NoWindow);
        }
        // From here on it is no base any more, whatever comes of it.
        let mut machine = self.handover.base.take();
        let decoded = match header.base {
            0 => state::Machine::load(&self.handover.bytes).map(|loaded| *machine = loaded),
            _ => machine.apply_change(&self.handover.bytes),
        };
        let arrived = decoded
            .map_err(Refusal::State)
            .and_then(|()| self.import(&machine, header.tsc, header.base == 0))
            .and_then(|()| self.here());
        if arrived.is_ok() {
            self.adopt(&machine, &header);
        }
        self.handover.base.put_back(machine);
        arrived
    }

    fn check_shape(&self, machine: &state::Machine) -> Result<(), Refusal> {
        let fits = |holds: bool, why| if holds { Ok(()) } else { Err(Refusal::Unfit(why)) };
        fits(machine.name == self.config.name, "it is of another VM")?;
        fits(machine.memory_bytes == self.memory.size(), "it is of a VM with more or less memory")?;
        let vcpus = machine.vcpus.len() == self.processors.len() || machine.ended != Ended::NO;
        fits(vcpus, "it is of a VM with more or fewer vCPUs")?;
        // The TSC is the same one: two measurements of it do not differ by much.
        let khz = self.config.tsc_khz;
        let alike = machine.tsc_khz > khz / 2 && machine.tsc_khz / 2 < khz;
        fits(alike, "its clock runs at another rate")?;
        fits(machine.console_bytes < CONSOLE_MOST, "its console has written more than can be")
    }

    /// The vCPUs' part has been taken by the core: the rest of the machine follows.
    fn adopt(&mut self, machine: &state::Machine, header: &Header) {
        self.load_devices(machine);
        for (saved, processor) in machine.vcpus.iter().zip(&mut self.processors) {
            ready(processor, saved);
        }
        for (apic, processor) in machine.apics.iter().zip(&mut self.processors) {
            processor.nmi = apic.nmi_pending;
        }
        if let Ok(secret) = <[u8; 16]>::try_from(machine.token.secret.0.as_slice()) {
            self.config.token = secret;
        }
        self.config.quota = machine.token.quota;
        self.quota_left = machine.token.quota.saturating_sub(machine.token.used);
        self.console.go_on(machine.console_bytes, &machine.console_line);
        let uptime = machine.uptime_ms.saturating_mul(machine.tsc_khz);
        self.started = header.tsc.saturating_sub(uptime).max(1);
        self.state = match machine.ended {
            Ended::NO if machine.paused => State::Paused,
            Ended::NO => State::Running,
            Ended::FAILED => State::Failed(machine.reason.clone()),
            _ => State::Stopped,
        };
        self.handover.exits = header.exits;
        self.handover.unknown = true;
    }
}

mod prepare;
#[cfg(test)]
mod prepare_tests;
mod refusal;
#[cfg(test)]
mod tests;
