// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults: what a thread did wrong becomes a call to its handler.

use crate::hold::{Abort, Hold};
use crate::{ipc, state, thread};
use abi::fault::Fault;
use abi::message::Info;
use abi::rights::Rights;
use core::sync::atomic::Ordering;
use store::{Endpoint, Ref, Thread, ThreadSlot, ThreadState, peek};
use x86_machine::println;

const PAGE_FAULT: u8 = 14;

/// An exception of the current thread.
pub fn enter(vector: u8, error: u64, address: u64) {
    if let Some(thread) = state::local().current.get() {
        let (rip, rsp) = (thread.context.rip.get(), thread.context.rsp.get());
        if vector == PAGE_FAULT {
            report(thread, Fault::Page, [address, error, rip, rsp]);
        } else {
            report(thread, Fault::Exception, [u64::from(vector), error, rip, rsp]);
        }
    }
    thread::finish();
}

/// The current thread faulted: its handler is called on its behalf; without one it stops.
fn report(thread: Ref<Thread>, fault: Fault, words: [u64; 4]) {
    let mut hold = Hold::NONE;
    loop {
        // Looked up again after every wait for a hold.
        if state::local().current.get() != Some(thread) {
            return;
        }
        let cap = peek(thread.slots.at(ThreadSlot::Fault as usize));
        let handler = Ref::<Endpoint>::from_cap(&cap).filter(|_| cap.rights().has(Rights::WRITE));
        let Some(handler) = handler else { break };
        match call_handler(thread, handler, (fault, cap.badge), words, &hold) {
            Ok(()) => return,
            Err(Abort::Need(grip)) => {
                drop(core::mem::replace(&mut hold, Hold::NONE));
                hold = Hold::take(grip);
            }
            Err(_) => break,
        }
    }
    println!("thread stopped, without a handler: {fault:?} {words:x?}");
    thread::block_current(state::local());
    thread.state.set(ThreadState::Inactive);
}

/// Call a handler on behalf of the current thread. On success the thread is blocked.
pub fn call_handler(
    thread: Ref<Thread>,
    handler: Ref<Endpoint>,
    (fault, badge): (Fault, u64),
    words: [u64; 4],
    hold: &Hold,
) -> Result<(), Abort> {
    if handler.home.load(Ordering::Relaxed) == 0 {
        hold.need(crate::hold::Grip::World)?;
    }
    for (cell, word) in thread.get().fault_words.iter().zip(words) {
        cell.set(word);
    }
    thread.faulted.set(true);
    let info = Info::new(fault as u32, words.len()).as_fault();
    let done = ipc::begin(thread, handler, info, (badge, false), hold);
    if done.is_err() {
        thread.faulted.set(false);
    }
    done
}
