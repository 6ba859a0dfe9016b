// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of a machine around a made-up vCPU.

use super::model::{CODE, HALF, Step, exit, hypercall, machine, output};
use super::{Activity, Next, State};
use crate::machine::Backend;
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;
use abi::hypercall::{BAD_TOKEN, CHECKPOINT, CREATED, NO_CHECKPOINT, RESTORE, RESTORED};
use abi::vcpu::{Exit, event, gpr};
use api::vmm::{Reply, Request};

const VMMCALL: &[u8] = &[0x0f, 0x01, 0xd9];

#[test]
fn output_reaches_ring_and_log() {
    let mut machine = machine(&[], "hi\n".bytes().map(output).collect());
    for _ in 0..3 {
        assert_eq!(machine.go(), Next::Step);
    }
    assert_eq!(machine.console.read(0, 10), (0, b"hi\n".to_vec()));
    assert!(machine.backend.lines.contains(&"| hi".to_string()));
}

#[test]
fn an_instruction_that_is_not_known_is_undefined_and_a_machine_check_is_the_end() {
    // FLD, which the monitor does not carry out on device memory.
    let memory: Step = Box::new(|page| exit(page, Exit::Memory, [0xd000_0000, 0, 0, 0]));
    let check: Step = Box::new(|page| exit(page, Exit::Exception, [18, 0, 0, 0]));
    let mut machine = machine(&[0xdd, 0x01], vec![memory, output(b'x'), check]);
    machine.go();
    assert_eq!(machine.processors[0].vcpu.page().inject & 0xff, 6);
    machine.go();
    assert_eq!(machine.state, State::Running);
    machine.go();
    assert_eq!(machine.state, State::Failed("machine check".into()));
}

#[test]
fn a_checkpoint_returns_twice() {
    let mut machine =
        machine(VMMCALL, vec![hypercall(CHECKPOINT, HALF, 0), output(b'x'), hypercall(RESTORE, HALF, 1)]);
    machine.go();
    let page = machine.processors[0].vcpu.page();
    assert_eq!((page.gpr[gpr::RAX], page.gpr[gpr::RBX], page.rip), (CREATED, 1, CODE + 3));
    machine.finish_saving();
    let saved = state::Machine::load(&machine.backend.states[&1]).unwrap();
    assert_eq!((saved.vcpus[0].rax, saved.vcpus[0].rbx, saved.vcpus[0].rip), (RESTORED, 1, CODE + 3));
    machine.go();
    machine.go();
    let now = machine.backend.now();
    let page = machine.processors[0].vcpu.page();
    assert_eq!((page.gpr[gpr::RAX], page.gpr[gpr::RBX], page.rip), (RESTORED, 1, CODE + 3));
    assert!(now.wrapping_add(page.tsc_offset) - saved.vcpus[0].tsc < 5000, "the guest's TSC goes on");
    let line = machine.backend.lines.iter().find(|line| line.starts_with("checkpoint 1 created, pause "));
    assert!(line.is_some(), "{:?}", machine.backend.lines);
}

#[test]
fn the_state_of_a_checkpoint_is_handed_over_when_the_vm_has_run_on() {
    let spins = |page: &mut abi::vcpu::VcpuPage| exit(page, Exit::Deadline, [0; 4]);
    let mut machine =
        machine(VMMCALL, vec![hypercall(CHECKPOINT, HALF, 0), output(b'x'), Box::new(spins), output(b'y')]);
    machine.go();
    let taken = machine.backend.now();
    machine.go();
    assert!(machine.backend.states.is_empty(), "the VM goes on first");
    machine.backend.time.set(taken + 1_000_000);
    machine.go();
    let deadline = machine.processors[0].vcpu.page().deadline;
    assert!(machine.backend.states.contains_key(&1) && deadline > taken + 1_000_000);
    let saved = state::Machine::load(&machine.backend.states[&1]).unwrap();
    assert_eq!((saved.vcpus[0].rax, saved.uarts[0].transmit_pending), (RESTORED, false), "as it was then");
}

#[test]
fn a_vm_that_runs_leaves_the_guest_for_the_state_of_its_checkpoint() {
    let mut machine = machine(VMMCALL, vec![hypercall(CHECKPOINT, HALF, 0), output(b'x')]);
    machine.go();
    let taken = machine.backend.now();
    machine.go();
    assert!(machine.processors[0].vcpu.page().deadline <= taken + 1_000_000);
}

#[test]
fn a_vm_that_ends_or_is_asked_for_something_hands_the_state_over_before() {
    for ends in [true, false] {
        let mut machine = machine(&[], vec![output(b'a')]);
        assert_eq!(machine.request(Request::CheckpointCreate, true), Reply::Checkpoint { id: 1 });
        assert!(machine.backend.states.is_empty());
        if ends {
            machine.fail("for a test");
            machine.go();
        } else {
            machine.request(Request::Pause, true);
        }
        assert!(machine.backend.states.contains_key(&1));
    }
}

#[test]
fn a_state_that_is_not_taken_is_said_to_be_lost_and_the_vm_goes_on() {
    let mut machine = machine(&[], vec![output(b'a')]);
    machine.backend.full = true;
    assert_eq!(machine.request(Request::CheckpointCreate, true), Reply::Checkpoint { id: 1 });
    machine.finish_saving();
    assert!(machine.backend.lines.iter().any(|line| line.starts_with("checkpoint 1 is lost")));
    assert_eq!(machine.go(), Next::Step);
    assert_eq!(machine.state, State::Running);
}

#[test]
fn refusals_reach_the_caller_and_change_nothing_else() {
    let calls = vec![hypercall(CHECKPOINT, 1, 0), hypercall(RESTORE, HALF, 99)];
    let mut machine = machine(VMMCALL, calls);
    for status in [BAD_TOKEN, NO_CHECKPOINT] {
        machine.go();
        let page = machine.processors[0].vcpu.page();
        assert_eq!((page.gpr[gpr::RAX], page.rip), (status, CODE + 3));
    }
    assert_eq!(machine.backend.begun, 0);
}

#[test]
fn an_operator_checkpoints_pauses_and_restores() {
    let mut machine = machine(&[], vec![output(b'a')]);
    assert_eq!(machine.request(Request::Pause, false), Reply::Denied);
    assert_eq!(machine.request(Request::Pause, true), Reply::Done);
    assert_eq!(machine.go(), Next::Wait(u64::MAX));
    assert_eq!(machine.request(Request::CheckpointCreate, true), Reply::Checkpoint { id: 1 });
    assert_eq!(machine.request(Request::Resume, true), Reply::Done);
    assert_eq!(machine.go(), Next::Step);
    assert_eq!(machine.request(Request::Restore { id: 1 }, true), Reply::Done);
    assert_eq!(machine.state, State::Paused, "as it was then");
    assert!(matches!(machine.request(Request::Restore { id: 5 }, true), Reply::Refused(_)));
}

#[test]
fn a_damaged_state_is_refused_before_anything_changes() {
    let mut machine = machine(&[], vec![output(b'a')]);
    assert_eq!(machine.request(Request::CheckpointCreate, true), Reply::Checkpoint { id: 1 });
    machine.finish_saving();
    let good = machine.backend.states[&1].clone();
    for length in (0..good.len()).step_by(97) {
        machine.backend.states.insert(1, good[..length].to_vec());
        assert!(matches!(machine.request(Request::Restore { id: 1 }, true), Reply::Refused(_)));
        assert_eq!(machine.state, State::Running);
    }
}

#[test]
fn an_event_cut_short_comes_before_an_interrupt() {
    let cut_short = 14 | event::EXCEPTION | event::VALID;
    let mut machine = machine(
        &[],
        vec![
            Box::new(move |page| {
                page.rflags = 0x202;
                page.pending_event = cut_short;
                exit(page, Exit::Kicked, [0; 4]);
            }),
            Box::new(|page| exit(page, Exit::Window, [0; 4])),
            Box::new(|page| exit(page, Exit::Kicked, [0; 4])),
        ],
    );
    machine.board.write_memory(0, 0xfee0_00f0, 4, 0x1ff, 0);
    machine.go();
    machine.board.devices.apics[0].raise(0x30, false);
    machine.go();
    assert_eq!(machine.processors[0].vcpu.page().want_window, 1);
    machine.go();
    assert_eq!(machine.processors[0].vcpu.injected, [0, cut_short, 0x30 | event::VALID]);
    assert_eq!(machine.processors[0].vcpu.page().want_window, 0);
}

#[test]
fn a_halt_waits_for_the_timer_and_one_without_interrupts_ends_the_vm() {
    let halt = |flags| -> Step {
        Box::new(move |page| {
            page.rip = CODE;
            page.rflags = flags;
            exit(page, Exit::Halt, [0; 4]);
        })
    };
    let mut machine = machine(&[0xf4], vec![halt(0x202), halt(2)]);
    machine.board.write_memory(0, 0xfee0_00f0, 4, 0x1ff, 0);
    machine.board.write_memory(0, 0xfee0_0320, 4, 0x30, 0);
    let now = machine.guest_time(machine.backend.time.get());
    machine.board.write_memory(0, 0xfee0_0380, 4, 100_000, now);
    assert_eq!(machine.go(), Next::Step);
    let Next::Wait(deadline) = machine.go() else { panic!("it does not wait") };
    machine.backend.time.set(deadline);
    assert_eq!(machine.go(), Next::Step);
    assert_eq!(machine.processors[0].vcpu.injected, [0, 0x30 | event::VALID]);
    assert_eq!(machine.state, State::Stopped);
}

#[test]
fn a_triple_fault_waits_for_the_operator() {
    let mut machine = machine(&[], vec![Box::new(|page| exit(page, Exit::Shutdown, [0; 4])), output(b'z')]);
    machine.go();
    assert_eq!(machine.state, State::Failed("triple fault".into()));
    assert_eq!(machine.go(), Next::Wait(u64::MAX));
    assert_eq!(machine.request(Request::Start, true), Reply::Done);
    assert_eq!(machine.go(), Next::Step);
    assert_eq!(machine.memory.read_u64(abi::guest::BOOT_PAGE), Ok(abi::guest::MAGIC));
}

#[test]
fn no_exit_makes_the_monitor_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..2_000 {
        let mut code = random().to_le_bytes();
        if random() & 1 == 0 {
            code[..3].copy_from_slice(VMMCALL);
        }
        let (number, info) = (random() % 20, [random(), random(), random(), random()]);
        let registers: [u64; 16] = std::array::from_fn(|_| random() >> (random() & 63));
        let (rip, rflags, efer) = (CODE + random() % 8, random(), random());
        let mut machine = machine(
            &code,
            vec![Box::new(move |page| {
                page.exit = number;
                page.info = info;
                page.gpr = registers;
                page.rip = rip;
                page.rflags = rflags;
                page.efer ^= efer & 0x400;
            })],
        );
        machine.go();
    }
}

/// Made-up exits with made-up registers: a hostile guest, and a core that tells its worst.
#[test]
fn no_exit_harms_the_monitor() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    let mut machine = machine(&[0x0f, 0x01, 0xd9, 0x89, 0x03, 0x6e, 0x0f, 0x30], Vec::new());
    for round in 0..20_000_u64 {
        let mut numbers: Vec<u64> = (0..32).map(|_| random() >> (random() & 63)).collect();
        let number = numbers[0] % (1 + Exit::Unknown as u64);
        if round % 4 == 0 {
            // A port or a page that some device answers at.
            numbers[1] = [0x3f8, 0x70, 0x604, 0xcf9, 0xfee0_0300, 0xfec0_0010][(numbers[1] % 6) as usize];
        }
        let wild = round % 7 == 0;
        machine.processors[0].vcpu.script.push_back(Box::new(move |page| {
            page.gpr.copy_from_slice(&numbers[8..24]);
            page.rip = if wild { numbers[5] } else { CODE + numbers[5] % 8 };
            page.cr0 = if wild { numbers[6] } else { page.cr0 };
            page.cr3 = if wild { numbers[7] } else { page.cr3 };
            page.pending_event = numbers[24];
            page.rflags = numbers[25];
            page.cpl = numbers[26] & 3;
            exit(page, Exit::from_number(number), [numbers[1], numbers[2], numbers[3], numbers[4]]);
        }));
        machine.state = State::Running;
        machine.processors[0].activity = Activity::Running;
        machine.go();
        let page = machine.processors[0].vcpu.page();
        (page.cr0, page.cr3) = (abi::guest::CR0, abi::guest::PAGE_TABLES);
        machine.backend.lines.clear();
    }
    assert_eq!(machine.exits, 20_000, "every one was answered");
}
