// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two machines that get ready before one VM goes from one to the other.

use super::tests::{Window, hand_over, header, kicked, pair, refusal, status, take_over, write_header};
use crate::machine::model::{TestMachine, output};
use crate::machine::{Next, State};
use crate::vcpu::Vcpu;
use abi::vcpu::gpr;
use api::handover::{BASE_AT, BASE_HEADER_AT, BASE_HEADER_BYTES, BaseHeader, Header, STATE_AT};
use api::vmm::{Reply, Request};

fn prepare(machine: &mut TestMachine) -> Reply {
    machine.request(Request::Prepare, true)
}

fn base(window: &Window) -> Option<BaseHeader> {
    let at = BASE_HEADER_AT as usize;
    BaseHeader::decode(window.borrow()[at..at + BASE_HEADER_BYTES].as_array().unwrap())
}

fn write_base(window: &Window, header: &BaseHeader) {
    let at = BASE_HEADER_AT as usize;
    window.borrow_mut()[at..at + BASE_HEADER_BYTES].copy_from_slice(&header.encode());
}

/// Both are ready, and the VM has run on since.
fn ready_pair() -> (TestMachine, TestMachine, Window) {
    let runs = || vec![output(b'a'), output(b'b'), kicked(4_000), kicked(0)];
    let (mut giver, mut taker, window) = pair(vec![runs()], vec![runs()]);
    giver.go();
    assert_eq!(prepare(&mut giver), Reply::Done);
    assert_eq!(prepare(&mut taker), Reply::Done);
    assert_eq!(status(&mut giver).state, api::vmm::State::Running);
    assert_eq!(status(&mut taker).state, api::vmm::State::Away);
    giver.go();
    giver.go();
    giver.processors[0].vcpu.page().gpr[gpr::R8] = 0x1234;
    (giver, taker, window)
}

#[test]
fn a_vm_goes_on_elsewhere_by_a_short_change_of_what_was_prepared() {
    let (mut giver, mut taker, window) = ready_pair();
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    let (base, written) = (base(&window).unwrap(), header(&window).unwrap());
    assert_eq!(written.base, base.tsc);
    assert!(written.bytes < 100 && base.bytes > 1000, "{written:?} of {base:?}");
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    let mut record = gather(&mut giver, written.tsc);
    (record.console_bytes, record.uptime_ms) = (0, 0);
    assert_eq!(gather(&mut taker, written.tsc), record);
    assert_eq!(status(&mut taker).console_end, 2);
    assert_eq!(taker.processors[0].vcpu.page().gpr[gpr::R8], 0x1234);
    assert_eq!(taker.go(), Next::Step);
    assert_eq!(taker.console.read(2, 9), (2, b"a".to_vec()));
    // And back, where the same machine is prepared as one that gives.
    assert_eq!(prepare(&mut taker), Reply::Done);
    assert_eq!(hand_over(&mut taker, 0), Reply::Done);
    let again = header(&window).unwrap();
    assert!(again.base > written.base && again.bytes < 100, "{again:?}");
}

#[test]
fn a_vm_that_was_prepared_moves_without_an_allocation() {
    let (mut giver, mut taker, _) = ready_pair();
    let stopping = allocation_counter::measure(|| assert_eq!(hand_over(&mut giver, 0), Reply::Done));
    let running = allocation_counter::measure(|| assert_eq!(take_over(&mut taker, 0), Reply::Done));
    assert_eq!((stopping.count_total, running.count_total), (0, 0), "to stop, and to run");
}

#[test]
fn the_taker_that_was_not_prepared_reads_the_base_late() {
    let (mut giver, _, window) = ready_pair();
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    let (_, mut fresh, _) = pair(vec![vec![]], vec![vec![kicked(0)]]);
    fresh.backend.window = Some(std::rc::Rc::clone(&window));
    fresh.backend.time.set(giver.backend.time.get());
    assert_eq!(take_over(&mut fresh, 0), Reply::Done);
    assert_eq!(fresh.processors[0].vcpu.page().gpr[gpr::R8], 0x1234);
    assert_eq!(fresh.go(), Next::Step);
}

#[test]
fn a_base_that_is_gone_or_another_one_is_not_changed() {
    // The giver: what it wrote is not there any more, so the whole state goes.
    let (mut giver, mut taker, window) = ready_pair();
    write_base(&window, &BaseHeader { bytes: 0, tsc: 1 });
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    let whole = header(&window).unwrap();
    assert!(whole.base == 0 && whole.bytes > 1000, "{whole:?}");
    assert_eq!(take_over(&mut taker, 0), Reply::Done, "though it has a base");
    assert_eq!(taker.processors[0].vcpu.page().gpr[gpr::R8], 0x1234);

    // The taker: a change of something that it has never seen.
    let (mut giver, mut taker, window) = ready_pair();
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    let good = header(&window).unwrap();
    write_header(&window, &Header { base: good.base + 1, ..good });
    assert!(refusal(take_over(&mut taker, 0)).contains("change of something else"));
    write_header(&window, &good);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
}

#[test]
fn a_hostile_base_or_change_is_refused_and_can_be_tried_again() {
    let (mut giver, mut taker, window) = ready_pair();
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    let (good, first, known) = (window.borrow().clone(), header(&window).unwrap(), base(&window).unwrap());
    for at in 0..first.bytes as usize {
        window.borrow_mut()[STATE_AT as usize + at] ^= 0x80;
        // Whatever is refused has used up the base here: it is read from the window again.
        if let Reply::Refused(_) = take_over(&mut taker, 0) {
            assert_eq!(status(&mut taker).state, api::vmm::State::Away);
        } else {
            let (_, again, _) = pair(vec![vec![]], vec![vec![kicked(0)]]);
            taker = again;
            taker.backend.window = Some(std::rc::Rc::clone(&window));
            taker.backend.time.set(giver.backend.time.get());
        }
        window.borrow_mut().copy_from_slice(&good);
    }
    let (_, mut fresh, _) = pair(vec![vec![]], vec![vec![kicked(0)]]);
    fresh.backend.window = Some(std::rc::Rc::clone(&window));
    fresh.backend.time.set(giver.backend.time.get());
    for at in [0, 8, 100, known.bytes as usize - 1] {
        window.borrow_mut()[BASE_AT as usize + at] ^= 0xff;
        let said = [prepare(&mut fresh), take_over(&mut fresh, 0)];
        assert!(said.iter().any(|reply| matches!(reply, Reply::Refused(_))), "{at}: {said:?}");
        window.borrow_mut().copy_from_slice(&good);
    }
    write_base(&window, &BaseHeader { bytes: u64::MAX, ..known });
    assert!(refusal(take_over(&mut fresh, 0)).contains("change of something else"));
    window.borrow_mut().copy_from_slice(&good);
    fresh.processors[0].vcpu.refuses = true;
    assert!(refusal(prepare(&mut fresh)).contains("the core refuses"));
    assert!(refusal(take_over(&mut fresh, 0)).contains("the core refuses"));
    fresh.processors[0].vcpu.refuses = false;
    assert_eq!(take_over(&mut fresh, 0), Reply::Done);
    assert_eq!(fresh.go(), Next::Step);
}

#[test]
fn getting_ready_is_for_those_who_control_and_needs_a_window() {
    let (mut giver, mut taker, window) = pair(vec![vec![kicked(4_000)]], vec![vec![]]);
    assert_eq!(giver.request(Request::Prepare, false), Reply::Denied);
    assert_eq!(prepare(&mut taker), Reply::Done, "nothing is there to be read");
    giver.backend.window = None;
    assert!(refusal(prepare(&mut giver)).contains("no handover window"));
    assert_eq!(giver.go(), Next::Step);
    giver.backend.window = Some(window);
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(prepare(&mut giver), Reply::Done, "it is stopped already");
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
}

#[test]
fn a_vm_that_ends_or_pauses_between_the_two_moves_as_it_is() {
    let (mut giver, mut taker, _) = ready_pair();
    assert_eq!(giver.request(Request::Pause, true), Reply::Done);
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!(taker.state(), &State::Paused);

    let (mut giver, mut taker, _) = ready_pair();
    assert_eq!(giver.request(Request::Stop, true), Reply::Done);
    assert_eq!(hand_over(&mut giver, 0), Reply::Done);
    assert_eq!(take_over(&mut taker, 0), Reply::Done);
    assert_eq!(taker.state(), &State::Stopped);
    assert_eq!(taker.request(Request::Start, true), Reply::Done);
    assert_eq!(taker.go(), Next::Step);
}

/// The state of a machine at this host TSC.
fn gather(machine: &mut TestMachine, host: u64) -> state::Machine {
    let mut record = state::Machine::default();
    machine.gather_into(&mut record, host).unwrap();
    record
}
