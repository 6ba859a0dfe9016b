// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose turn it is: several vCPUs share the VMM's one thread.
//!
//! A turn is time, not an exit: a vCPU that prints leaves the guest at every character, and would
//! get next to nothing beside others that spin until it is done. It ends early where the vCPU
//! cannot go on, and where it has called another one: the caller is likely to wait for the answer,
//! which does not come as long as it spins.

use super::{Activity, Backend, Machine, Turn};
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;

/// Longest time in TSC milliseconds that one of several vCPUs runs before the next one's turn.
const TURN_MS: u64 = 2;

impl<M: GuestMemory, V: Vcpu, O: Backend> Machine<M, V, O> {
    /// Returns the vCPU that runs next at this host TSC, if one has something to do.
    pub(super) fn choose(&mut self, host: u64) -> Option<usize> {
        if self.turn.end.is_some_and(|end| host >= end) {
            self.end_turn();
        }
        let count = self.processors.len();
        let first = self.turn.cpu;
        let cpu = (first..first + count).map(|cpu| cpu % count).find(|&cpu| self.is_ready(cpu))?;
        if cpu != first || self.turn.end.is_none() {
            self.turn = Turn { cpu, end: Some(host.saturating_add(TURN_MS * self.config.tsc_khz)) };
        }
        Some(cpu)
    }

    /// Returns whether a vCPU executes; one that waits does if there is an interrupt for it.
    fn is_ready(&mut self, cpu: usize) -> bool {
        let wakes = self.board.pending(cpu).is_some();
        let processor = &mut self.processors[cpu];
        if processor.activity == Activity::Halted && (wakes || processor.nmi) {
            processor.activity = Activity::Running;
        }
        processor.activity == Activity::Running && !processor.away
    }

    /// Ends the turn: the others run first.
    pub(super) fn end_turn(&mut self) {
        self.give_turn((self.turn.cpu + 1) % self.processors.len().max(1));
    }

    /// Makes the next turn that of a vCPU.
    pub(crate) fn give_turn(&mut self, cpu: usize) {
        self.turn = Turn { cpu, end: None };
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{Step, TestMachine, World, exit, output, unstarted};
    use super::*;
    use abi::vcpu::Exit;
    use std::vec;

    const TURN: u64 = TURN_MS * 1_000_000;

    fn spins() -> Vec<Step> {
        (0..8).map(|_| -> Step { Box::new(|page| exit(page, Exit::Deadline, [0; 4])) }).collect()
    }

    fn machine(scripts: Vec<Vec<Step>>) -> TestMachine {
        let mut machine = unstarted(&[], scripts, World::default());
        machine.start();
        for processor in &mut machine.processors {
            processor.activity = Activity::Running;
        }
        machine
    }

    fn runs(machine: &TestMachine) -> Vec<usize> {
        machine.processors.iter().map(|processor| processor.vcpu.injected.len()).collect()
    }

    #[test]
    fn an_exit_does_not_end_a_turn_and_time_does() {
        let mut machine = machine(vec![(0..8).map(|_| output(b'x')).collect(), spins(), spins()]);
        for _ in 0..4 {
            machine.go();
        }
        assert_eq!(runs(&machine), [4, 0, 0]);
        for expected in [[4, 1, 0], [4, 1, 1], [5, 1, 1]] {
            machine.backend.time.set(machine.backend.time.get() + TURN);
            machine.go();
            assert_eq!(runs(&machine), expected);
        }
    }

    #[test]
    fn who_calls_another_lets_the_others_run_first() {
        const COMMAND: u64 = 0xfee0_0300;
        const TO_ITSELF: u64 = 0x4_0040;
        let mut machine = machine(vec![spins(), spins(), spins()]);
        machine.go();
        machine.board.write_memory(0, COMMAND + 0x10, 4, 2 << 24, 0);
        machine.board.write_memory(0, COMMAND, 4, 0x40, 0);
        machine.go();
        assert_eq!(runs(&machine), [2, 0, 0], "the exit at which it called");
        machine.go();
        assert_eq!(runs(&machine), [2, 1, 0]);
        machine.board.write_memory(1, COMMAND, 4, TO_ITSELF, 0);
        machine.go();
        machine.go();
        assert_eq!(runs(&machine), [2, 3, 0], "this is no call");
    }

    #[test]
    fn a_vcpu_that_halts_ends_its_turn() {
        let mut machine = machine(vec![spins(), spins()]);
        machine.go();
        machine.processors[0].activity = Activity::Halted;
        machine.go();
        assert_eq!(runs(&machine), [1, 1]);
    }
}
