// SPDX-License-Identifier: MIT OR Apache-2.0
//! System calls: dispatch, and what becomes of the outcome.

use crate::hold::{Abort, Hold, Outcome};
use crate::{fast, ipc, notify, state, thread, vcpu_run};
use abi::error::Error;
use abi::syscall::Syscall;
use store::{Ref, Thread};

/// The current thread has executed SYSCALL.
pub fn enter() {
    let cpu = state::local();
    let Some(thread) = cpu.current.get() else { return thread::finish() };
    let number = thread.context.rax.get();
    if number == Syscall::Call as u64 && fast::call(cpu, thread) {
        return;
    }
    if number == Syscall::ReplyReceive as u64 && fast::reply_receive(cpu, thread) {
        return;
    }
    match dispatch(thread, &Hold::NONE) {
        Ok(()) => {}
        Err(abort) => settle(abort),
    }
    thread::finish();
}

/// An outcome other than success: take hold and decode again, tell the caller, or let it execute
/// the call again.
fn settle(first: Abort) {
    let mut abort = first;
    loop {
        match abort {
            Abort::Need(grip) => {
                let Some(thread) = state::local().current.get() else { return };
                // Whoever stops this CPU while it waits may suspend the thread, or move it: then it
                // makes the call anew.
                thread::rewind(thread);
                let hold = Hold::take(grip);
                if state::local().current.get() != Some(thread) {
                    return;
                }
                thread::advance(thread);
                match dispatch(thread, &hold) {
                    Ok(()) => return,
                    Err(again) => abort = again,
                }
            }
            Abort::Error(error) => {
                if let Some(thread) = state::local().current.get() {
                    thread.context.rax.set(error.number());
                }
                return;
            }
            Abort::Again => {
                if let Some(thread) = state::local().current.get() {
                    thread::rewind(thread);
                }
                return;
            }
        }
    }
}

fn dispatch(thread: Ref<Thread>, hold: &Hold) -> Outcome {
    match Syscall::from_number(thread.context.rax.get()) {
        Some(Syscall::Call) => ipc::call(thread, hold),
        Some(Syscall::ReplyReceive) => ipc::reply_receive(thread, hold),
        Some(Syscall::Receive) => ipc::receive(thread, hold),
        Some(Syscall::Reply) => ipc::reply(thread, hold),
        Some(Syscall::Signal) => notify::signal(thread),
        Some(Syscall::Wait) => notify::wait(thread, hold),
        Some(Syscall::VcpuRun) => vcpu_run::run(thread, hold),
        Some(Syscall::Yield) => {
            thread.context.rax.set(0);
            let cpu = state::local();
            thread::rotate(cpu);
            Ok(())
        }
        None => Err(Abort::Error(Error::InvalidSyscall)),
    }
}
