// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two machines with one window between them.

use crate::machine::model::{CODE, HALF, Step, TOKEN, TestMachine, World, exit, hypercall, output};
use crate::machine::model::{unstarted, window};
use crate::machine::{Activity, Backend, Next, State};
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;
use abi::hypercall::{CHECKPOINT, UNAVAILABLE};
use abi::vcpu::{Exit, event, gpr};
use api::handover::{HEADER_BYTES, Header, STATE_AT, STATE_MAX};
use api::vmm::{Reply, Request, Status};
use std::cell::RefCell;
use std::rc::Rc;

pub(super) type Window = Rc<RefCell<Vec<u8>>>;

const VMMCALL: &[u8] = &[0x0f, 0x01, 0xd9];

/// A vCPU that runs until it is interrupted, at this host TSC.
pub(super) fn kicked(exit_tsc: u64) -> Step {
    Box::new(move |page| {
        page.rflags = 0x202;
        page.exit_tsc = exit_tsc;
        exit(page, Exit::Kicked, [0; 4]);
    })
}

/// A started machine that gives, and one that waits for it.
pub(super) fn pair(giver: Vec<Vec<Step>>, taker: Vec<Vec<Step>>) -> (TestMachine, TestMachine, Window) {
    let (window, world) = (window(), World::default());
    let time = Rc::clone(&world.time);
    let outside = World { window: Some(Rc::clone(&window)), ..world };
    let mut giver = unstarted(VMMCALL, giver, outside);
    giver.start();
    let outside = World { window: Some(Rc::clone(&window)), time, ..World::default() };
    let mut taker = unstarted(VMMCALL, taker, outside);
    taker.await_arrival();
    (giver, taker, window)
}

pub(super) fn hand_over(machine: &mut TestMachine, vcpu: u32) -> Reply {
    machine.request(Request::HandOver { vcpu }, true)
}

pub(super) fn take_over(machine: &mut TestMachine, vcpu: u32) -> Reply {
    machine.request(Request::TakeOver { vcpu }, true)
}

pub(super) fn status(machine: &mut TestMachine) -> Status {
    match machine.request(Request::Status, false) {
        Reply::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

pub(super) fn refusal(reply: Reply) -> String {
    match reply {
        Reply::Refused(why) => why,
        other => panic!("{other:?}"),
    }
}

pub(super) fn header(window: &Window) -> Option<Header> {
    Header::decode(window.borrow()[..HEADER_BYTES].as_array().unwrap())
}

pub(super) fn write_header(window: &Window, header: &Header) {
    window.borrow_mut()[..HEADER_BYTES].copy_from_slice(&header.encode());
}

#[test]
fn a_vm_goes_on_elsewhere_where_it_stopped() {
    let (mut giver, mut taker, window) =
        pair(vec![vec![output(b'l'), kicked(4_000)]], vec![vec![output(b'x')]]);
    giver.go();
    giver.go();
    giver.processors[0].vcpu.page().gpr[gpr::R8] = 0x1234;
    let rip = giver.processors[0].vcpu.page().rip;
    let offset = giver.processors[0].vcpu.page().tsc_offset;
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(status(&mut giver).state, api::vmm::State::Away);
    assert_eq!(giver.go(), Next::Wait(u64::MAX));
    let written = header(&window).unwrap();
    assert_eq!(written.exits[0], 4_000);

    assert_eq!(taker.go(), Next::Wait(u64::MAX));
    assert_eq!(status(&mut taker).state, api::vmm::State::Away);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!(header(&window), None, "no state is used twice");
    let page = taker.processors[0].vcpu.page();
    assert_eq!((page.gpr[gpr::R8], page.rip), (0x1234, rip));
    assert_eq!(page.tsc_offset, offset, "the guest's TSC has run on");
    assert!(taker.backend.lines.is_empty(), "{:?}", taker.backend.lines);
    assert_eq!(taker.go(), Next::Step);
    let after = status(&mut taker);
    assert_eq!((&after.state, after.console_end), (&api::vmm::State::Running, 2));
    assert_eq!(taker.console.read(0, 10), (1, b"x".to_vec()), "what was written before is not here");
    let entered = after.blackouts[0] + 4_000;
    assert!(entered > written.tsc && entered < taker.backend.now(), "{after:?}");
    let line = format!("vCPU 0 taken over, blackout {} ticks", after.blackouts[0]);
    assert_eq!(taker.backend.lines, [line]);
}

#[test]
fn the_switch_path_logs_nothing() {
    let (mut giver, mut taker, _) = pair(vec![vec![kicked(4_000)]], vec![vec![]]);
    giver.go();
    let lines = [giver.backend.lines.len(), taker.backend.lines.len()];
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!([giver.backend.lines.len(), taker.backend.lines.len()], lines);
}

#[test]
fn clocks_and_timers_go_on() {
    let halt: Step = Box::new(|page| {
        page.rip = CODE;
        page.rflags = 0x202;
        exit(page, Exit::Halt, [0; 4]);
    });
    let (mut giver, mut taker, _) = pair(vec![vec![halt]], vec![vec![kicked(0)]]);
    giver.board.write_clock(0, crate::device::pvclock::SYSTEM_TIME, 0x1001, 0);
    giver.board.write_memory(0, 0xfee0_00f0, 4, 0x1ff, 0);
    giver.board.write_memory(0, 0xfee0_0320, 4, 0x30, 0);
    let now = giver.guest_time(giver.backend.time.get());
    giver.board.write_memory(0, 0xfee0_0380, 4, 100_000, now);
    giver.config.kernel = &[0xf4];
    giver.memory.write(CODE, &[0xf4]).unwrap();
    taker.memory.write(CODE, &[0xf4]).unwrap();
    giver.go();
    assert_eq!(giver.processors[0].activity, Activity::Halted);
    let Next::Wait(deadline) = giver.go() else { panic!("it does not wait") };
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!(taker.board.clock, giver.board.clock);
    assert!(status(&mut taker).blackouts[0] < 10_000, "it would not have executed");
    assert_eq!(taker.go(), Next::Wait(deadline), "the timer is due when it was");
    taker.backend.time.set(deadline);
    assert_eq!(taker.go(), Next::Step);
    assert_eq!(taker.processors[0].vcpu.injected, [0x30 | event::VALID]);
}

#[test]
fn no_event_is_lost_on_the_way() {
    let cut_short = 14 | event::EXCEPTION | event::VALID;
    let fault: Step = Box::new(move |page| {
        page.rflags = 0x202;
        page.pending_event = cut_short;
        exit(page, Exit::Notification, [0; 4]);
    });
    let (mut giver, mut taker, _) = pair(vec![vec![fault]], vec![vec![kicked(0), kicked(0), kicked(0)]]);
    giver.board.write_memory(0, 0xfee0_00f0, 4, 0x1ff, 0);
    assert_eq!(giver.go(), Next::Serve);
    giver.board.devices.apics[0].raise(0x31, false);
    giver.processors[0].nmi = true;
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    (0..3).for_each(|_| assert_eq!(taker.go(), Next::Step));
    let nmi = 2 | event::NMI | event::VALID;
    assert_eq!(taker.processors[0].vcpu.injected, [cut_short, nmi, 0x31 | event::VALID]);
}

#[test]
fn vcpus_stop_one_by_one_and_the_last_one_takes_the_machine_along() {
    let runs = || vec![kicked(5_000), kicked(6_000), kicked(7_000)];
    let (mut giver, mut taker, window) = pair(vec![runs(), runs()], vec![runs(), runs()]);
    giver.processors[1].activity = Activity::Running;
    giver.go();
    giver.backend.time.set(giver.backend.time.get() + 2 * giver.config.tsc_khz);
    giver.go();
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(hand_over(&mut giver, 0), Reply::Done, "it is stopped already");
    assert_eq!(header(&window), None);
    assert_eq!(status(&mut giver).state, api::vmm::State::Running);
    giver.go();
    giver.go();
    assert_eq!([0, 1].map(|cpu: usize| giver.processors[cpu].vcpu.injected.len()), [1, 3]);
    for request in [Request::Pause, Request::Stop, Request::CheckpointCreate, Request::Restore { id: 1 }] {
        refusal(giver.request(request, true));
    }
    assert_eq!(giver.request(Request::ConsoleWrite(b"a".to_vec()), true), Reply::Taken(1));
    assert_eq!(hand_over(&mut giver, 1), Reply::Done);
    assert_eq!(header(&window).unwrap().exits[..3], [5_000, 7_000, 0]);

    assert_eq!(take_over(&mut taker, 1), Reply::Done);
    assert_eq!(status(&mut taker).state, api::vmm::State::Running);
    taker.go();
    assert_eq!([0, 1].map(|cpu: usize| taker.processors[cpu].vcpu.injected.len()), [0, 1]);
    assert!(taker.backend.lines.is_empty(), "it is said when all have come: {:?}", taker.backend.lines);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    taker.go();
    assert_eq!(
        [0, 1].map(|cpu: usize| taker.processors[cpu].vcpu.injected.len()),
        [1, 1],
        "its turn is at once"
    );
    assert_eq!((status(&mut taker).blackouts.len(), taker.backend.lines.len()), (2, 2));
    assert_eq!(take_over(&mut taker, 0), Reply::Done, "it runs already");
}

#[test]
fn what_was_stopped_here_is_taken_back() {
    let (mut giver, mut taker, window) = pair(vec![vec![kicked(5_000), output(b'y')]], vec![vec![]]);
    giver.go();
    let offset = giver.processors[0].vcpu.page().tsc_offset;
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    for request in [Request::Pause, Request::Start, Request::ConsoleWrite(vec![1]), Request::CheckpointCreate]
    {
        refusal(giver.request(request, true));
    }
    assert_eq!(take_over(&mut giver, 0), Reply::Done);
    assert_eq!(giver.processors[0].vcpu.page().tsc_offset, offset);
    assert_eq!(giver.go(), Next::Step);
    assert_eq!(giver.console.read(0, 9), (0, b"y".to_vec()));
    assert_eq!(status(&mut giver).blackouts.len(), 1);
    assert!(refusal(take_over(&mut taker, 0)).contains("no state"));
    assert_eq!(header(&window), None);
}

#[test]
fn a_state_that_was_used_elsewhere_is_not_taken_back() {
    let (mut giver, mut taker, _) = pair(vec![vec![kicked(5_000)]], vec![vec![kicked(0)]]);
    giver.go();
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert!(refusal(take_over(&mut giver, 0)).contains("elsewhere"));
    assert_eq!(hand_over(&mut taker, 0), Reply::Done);
    assert!(refusal(take_over(&mut giver, 0)).contains("elsewhere"));
    assert_eq!(status(&mut giver).state, api::vmm::State::Away);
}

#[test]
fn a_machine_whose_state_was_lost_has_failed_and_can_be_started_anew() {
    let (mut giver, mut taker, _) = pair(vec![vec![kicked(5_000)]], vec![vec![kicked(0)]]);
    assert!(refusal(giver.request(Request::Lose { anyway: false }, true)).contains("is here"));
    assert!(refusal(take_over(&mut taker, 0)).contains("no state"));
    assert_eq!(taker.request(Request::Lose { anyway: false }, false), Reply::Denied);
    assert_eq!(taker.request(Request::Lose { anyway: false }, true), Reply::Done);
    assert!(matches!(taker.state(), State::Failed(why) if why.contains("lost")));
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!(taker.request(Request::Start, true), Reply::Done);
    assert_eq!(taker.go(), Next::Step);
    // The same for one that has gone on elsewhere.
    let (mut giver, mut taker, _) = pair(vec![vec![kicked(5_000)]], vec![vec![kicked(0)]]);
    giver.go();
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!(giver.request(Request::Lose { anyway: false }, true), Reply::Done);
    assert!(matches!(giver.state(), State::Failed(why) if why.contains("lost")));
}

#[test]
fn a_state_that_can_still_be_used_is_not_lost_by_mistake() {
    let (mut giver, mut taker, window) = pair(vec![vec![kicked(5_000)]], vec![vec![kicked(0)]]);
    giver.go();
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    for machine in [&mut giver, &mut taker] {
        assert!(
            refusal(machine.request(Request::Lose { anyway: false }, true))
                .contains("in the handover window")
        );
    }
    assert_eq!(taker.request(Request::Lose { anyway: true }, true), Reply::Done);
    assert_eq!(header(&window), None, "nobody uses it after that");
    assert!(refusal(take_over(&mut giver, 0)).contains("elsewhere"));
}

#[test]
fn paused_ended_and_failed_machines_move_as_they_are() {
    let shutdown: Step = Box::new(|page| exit(page, Exit::Shutdown, [0; 4]));
    let (mut giver, mut taker, _) = pair(vec![vec![shutdown]], vec![vec![kicked(0)]]);
    giver.go();
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!(taker.state(), &State::Failed("triple fault".into()));
    assert_eq!(taker.request(Request::Start, true), Reply::Done);
    assert_eq!(taker.go(), Next::Step);

    let (mut giver, mut taker, _) = pair(vec![vec![]], vec![vec![]]);
    assert_eq!(giver.request(Request::Stop, true), Reply::Done);
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!(taker.state(), &State::Stopped);

    let (mut giver, mut taker, _) = pair(vec![vec![]], vec![vec![kicked(0)]]);
    assert_eq!(giver.request(Request::Pause, true), Reply::Done);
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!(taker.request(Request::Resume, true), Reply::Done);
    assert_eq!(taker.go(), Next::Step);
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let call = hypercall(CHECKPOINT, HALF, 0);
    let runs = || vec![kicked(5_000), kicked(5_000)];
    let (mut giver, mut taker, window) = pair(vec![runs(), vec![call]], vec![vec![], vec![]]);
    assert_eq!(giver.request(Request::HandOver { vcpu: 0 }, false), Reply::Denied);
    assert_eq!(giver.request(Request::TakeOver { vcpu: 0 }, false), Reply::Denied);
    assert!(refusal(hand_over(&mut giver, 2)).contains("no vCPU 2"));
    assert!(refusal(take_over(&mut giver, u32::MAX)).contains("no vCPU"));
    assert!(refusal(hand_over(&mut taker, 0)).contains("not here"));
    assert!(refusal(take_over(&mut taker, 0)).contains("no state"));
    assert_eq!(giver.request(Request::CheckpointCreate, true), Reply::Checkpoint { id: 1 });
    giver.backend.copying = true;
    assert!(refusal(hand_over(&mut giver, 0)).contains("checkpoint 1"));
    assert_eq!(giver.go(), Next::Step);
    giver.backend.copying = false;
    giver.processors[1].activity = Activity::Running;
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    giver.go();
    let page = giver.processors[1].vcpu.page();
    assert_eq!(
        (page.gpr[gpr::RAX], giver.backend.begun),
        (UNAVAILABLE, 1),
        "no checkpoint by the guest either"
    );
    giver.backend.window = None;
    assert!(refusal(hand_over(&mut giver, 1)).contains("no handover window"));
    assert_eq!(status(&mut giver).state, api::vmm::State::Running);
    giver.backend.window = Some(window);
    assert_eq!(hand_over(&mut giver, 1), Reply::Done);
}

#[test]
fn a_hostile_window_is_refused_and_can_be_tried_again() {
    let (mut giver, mut taker, window) = pair(vec![vec![kicked(5_000)]], vec![vec![kicked(0)]]);
    giver.go();
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    let (first, good) = (header(&window).unwrap(), window.borrow().clone());
    let length = first.bytes as usize;
    let mut exits = first.exits;
    exits[15] = u64::MAX;
    for bad in [
        Header { bytes: STATE_MAX + 1, ..first },
        Header { bytes: STATE_MAX, ..first },
        Header { bytes: 0, ..first },
        Header { tsc: u64::MAX, ..first },
        Header { exits, ..first },
    ] {
        write_header(&window, &bad);
        refusal(take_over(&mut taker, 0));
    }
    write_header(&window, &first);
    for cut in (0..length).step_by(37) {
        write_header(&window, &Header { bytes: cut as u64, ..first });
        refusal(take_over(&mut taker, 0));
    }
    let saved = state::Machine::load(&good[STATE_AT as usize..][..length]).unwrap();
    let changes: [&dyn Fn(&mut state::Machine); 7] = [
        &|machine| machine.name = "other".into(),
        &|machine| machine.memory_bytes += 4096,
        &|machine| machine.tsc_khz = u64::MAX,
        &|machine| machine.tsc_khz = 0,
        &|machine| machine.console_bytes = u64::MAX,
        &|machine| (machine.vcpus.clear(), machine.apics.clear()).0,
        &|machine| machine.vcpus[0].efer = u64::MAX,
    ];
    for change in changes {
        let mut machine = saved.clone();
        change(&mut machine);
        let bytes = machine.save();
        window.borrow_mut()[STATE_AT as usize..][..bytes.len()].copy_from_slice(&bytes);
        write_header(&window, &Header { bytes: bytes.len() as u64, ..first });
        refusal(take_over(&mut taker, 0));
        assert_eq!(status(&mut taker).state, api::vmm::State::Away);
    }
    *window.borrow_mut() = good;
    taker.processors[0].vcpu.refuses = true;
    assert!(refusal(take_over(&mut taker, 0)).contains("the core refuses"));
    taker.processors[0].vcpu.refuses = false;
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!(taker.go(), Next::Step);
}

#[test]
fn the_token_goes_along_and_the_checkpoint_service_is_told_late() {
    let (mut giver, mut taker, _) = pair(vec![vec![]], vec![vec![]]);
    taker.config.token = [9; 16];
    assert_eq!(giver.request(Request::CheckpointCreate, true), Reply::Checkpoint { id: 1 });
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!((taker.config.token, status(&mut taker).quota_left), (TOKEN, 7));
    assert_eq!(taker.backend.attached, 0);
    assert_eq!(taker.request(Request::CheckpointCreate, true), Reply::Checkpoint { id: 1 });
    assert_eq!(taker.backend.attached, 1);
}
