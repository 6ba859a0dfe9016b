// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads and notifications.

use abi::CPtr;
use abi::error::Error;
use abi::invocation::Invocation;

use crate::cap::{CNode, Cap, Cpu, Endpoint, Frame, HostSpace, Notification, Thread};
use crate::{ipc, syscall, time, watch};

/// What a thread starts with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    /// First instruction.
    pub rip: u64,
    /// Stack.
    pub rsp: u64,
    /// First argument.
    pub rdi: u64,
    /// Second argument.
    pub rsi: u64,
    /// Base of FS.
    pub fs_base: u64,
}

/// Where a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadState {
    /// Instruction pointer.
    pub rip: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Flags.
    pub rflags: u64,
    /// 0 stopped, 1 ready or running, 2 waiting.
    pub state: u64,
}

impl Cap<Thread> {
    /// Binds it to its spaces; `faults` is the endpoint that hears of its faults.
    ///
    /// # Errors
    /// See [`Invocation::ThreadConfigure`].
    pub fn configure(
        self,
        node: Cap<CNode>,
        space: Cap<HostSpace>,
        ipc_buffer: Cap<Frame>,
        faults: Option<Cap<Endpoint>>,
    ) -> Result<(), Error> {
        let faults: CPtr = faults.map_or(0, Cap::cptr);
        let words = [node.cptr(), space.cptr(), ipc_buffer.cptr(), faults];
        self.invoke(Invocation::ThreadConfigure, words).map(|_| ())
    }

    /// Sets its registers.
    ///
    /// # Errors
    /// See [`Invocation::ThreadWriteRegisters`].
    pub fn write_registers(self, start: Start) -> Result<(), Error> {
        ipc::write_word(4, start.fs_base);
        let words = [start.rip, start.rsp, start.rdi, start.rsi];
        self.invoke_words(Invocation::ThreadWriteRegisters, 5, words).map(|_| ())
    }

    /// Reads where it is.
    ///
    /// # Errors
    /// See [`Invocation::ThreadReadRegisters`].
    pub fn read_registers(self) -> Result<ThreadState, Error> {
        let [rip, rsp, rflags, state] = self.invoke(Invocation::ThreadReadRegisters, [0; 4])?;
        Ok(ThreadState { rip, rsp, rflags, state })
    }

    /// Lets it run.
    ///
    /// # Errors
    /// See [`Invocation::ThreadStart`].
    pub fn start(self) -> Result<(), Error> {
        self.invoke(Invocation::ThreadStart, [0; 4]).map(|_| ())
    }

    /// Stops it.
    ///
    /// # Errors
    /// See [`Invocation::ThreadSuspend`].
    pub fn suspend(self) -> Result<(), Error> {
        self.invoke(Invocation::ThreadSuspend, [0; 4]).map(|_| ())
    }

    /// Sets priority and time slice (TSC ticks, 0 for the default).
    ///
    /// # Errors
    /// See [`Invocation::ThreadSetSchedule`].
    pub fn set_schedule(self, priority: u8, slice: u64) -> Result<(), Error> {
        self.invoke(Invocation::ThreadSetSchedule, [u64::from(priority), slice, 0, 0]).map(|_| ())
    }

    /// Binds a notification, or unbinds it.
    ///
    /// # Errors
    /// See [`Invocation::ThreadBindNotification`].
    pub fn bind_notification(self, notification: Option<Cap<Notification>>) -> Result<(), Error> {
        let cptr: CPtr = notification.map_or(0, Cap::cptr);
        self.invoke(Invocation::ThreadBindNotification, [cptr, 0, 0, 0]).map(|_| ())
    }

    /// Moves it to a CPU.
    ///
    /// # Errors
    /// See [`Invocation::ThreadSetCpu`].
    pub fn set_cpu(self, cpu: Cap<Cpu>) -> Result<(), Error> {
        self.invoke(Invocation::ThreadSetCpu, [cpu.cptr(), 0, 0, 0]).map(|_| ())
    }
}

impl Cap<Notification> {
    /// Signals it.
    ///
    /// # Errors
    /// As the core says.
    pub fn signal(self) -> Result<(), Error> {
        syscall::signal(self.cptr())
    }

    /// Waits until its word is not zero, and takes it.
    ///
    /// # Errors
    /// As the core says; `TimedOut` after the deadline.
    pub fn wait(self, deadline: u64) -> Result<u64, Error> {
        ipc::count_wait();
        syscall::wait(self.cptr(), deadline).map(watch::answer)
    }

    /// Lets time pass until this TSC, whatever is signalled meanwhile.
    pub fn wait_out(self, until: u64) {
        while time::now() < until {
            let _ = self.wait(until);
        }
    }
}
