// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults: what a thread did wrong becomes a call to its handler.

use crate::hold::{Abort, Hold};
use crate::{ipc, state, thread};
use abi::fault::Fault;
use abi::message::Info;
use abi::rights::Rights;
use abi::syscall::FOREVER;
use core::sync::atomic::{AtomicU64, Ordering};
use store::{Endpoint, Ref, Thread, ThreadSlot, ThreadState, peek};
use x86_machine::{clock, cpu, println};

const PAGE_FAULT: u8 = 14;

/// Threads that stopped so far.
static STOPPED: AtomicU64 = AtomicU64::new(0);
/// When the last of them was told of.
static TOLD: AtomicU64 = AtomicU64::new(0);
/// So many are told of in any case.
const FIRST_TOLD: u64 = 16;
/// Between two of the others.
const QUIET_MILLISECONDS: u64 = 1000;

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
    thread::block_current(state::local());
    thread.state.set(ThreadState::Inactive);
    drop(hold);
    tell(fault, words);
}

/// Say that a thread stopped; not each time if it happens all the time, since a line takes the CPU
/// for milliseconds.
fn tell(fault: Fault, words: [u64; 4]) {
    let count = STOPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let now = cpu::rdtsc();
    let last = TOLD.load(Ordering::Relaxed);
    if count > FIRST_TOLD && now.saturating_sub(last) < clock::tsc_khz() * QUIET_MILLISECONDS {
        return;
    }
    if TOLD.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        println!("thread stopped, without a handler: {fault:?} {words:x?} (number {count})");
    }
}

/// Call a handler on behalf of the current thread. On success the thread is blocked.
pub fn call_handler(
    thread: Ref<Thread>,
    handler: Ref<Endpoint>,
    (fault, badge): (Fault, u64),
    words: [u64; 4],
    hold: &Hold,
) -> Result<(), Abort> {
    for (cell, word) in thread.get().fault_words.iter().zip(words) {
        cell.set(word);
    }
    thread.faulted.set(true);
    let info = Info::new(fault as u32, words.len()).as_fault();
    let done = ipc::begin(thread, handler, info, (badge, false), FOREVER, hold);
    if done.is_err() {
        thread.faulted.set(false);
    }
    done
}
