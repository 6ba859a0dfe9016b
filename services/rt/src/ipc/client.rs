// SPDX-License-Identifier: MIT OR Apache-2.0
//! The calling side of an interface.

use core::marker::PhantomData;

use abi::error::Error;
use api::interface::{self, Interface};

use crate::cap::{Cap, Endpoint, Notification};
use crate::{start, syscall, time};

/// Longest wait for a reply where the caller does not say another one.
pub const PATIENCE_MS: u64 = 10_000;

/// Why a call brought no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The core refused it, or the server died.
    Core(Error),
    /// The request does not fit into a message.
    TooLong,
    /// The server could not read the request.
    Refused,
    /// The reply makes no sense.
    BadReply,
}

/// A server as one of its callers sees it.
pub struct Client<I> {
    endpoint: Cap<Endpoint>,
    doorbell: Option<Cap<Notification>>,
    interface: PhantomData<fn() -> I>,
}

impl<I: Interface> Client<I> {
    /// The server behind `endpoint`; the doorbell is rung before each call, for a server whose
    /// thread may be inside a vCPU.
    #[must_use]
    pub const fn new(endpoint: Cap<Endpoint>, doorbell: Option<Cap<Notification>>) -> Self {
        Self { endpoint, doorbell, interface: PhantomData }
    }

    /// The server that the environment knows by `name` (and its doorbell, if that is there).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let environment = start::environment()?;
        let doorbell = environment
            .caps
            .iter()
            .find_map(|(key, &cptr)| (key.strip_suffix(".doorbell") == Some(name)).then_some(Cap::new(cptr)));
        Some(Self::new(Cap::named(environment, name)?, doorbell))
    }

    /// The server that has the interface's own name.
    #[must_use]
    pub fn connect() -> Option<Self> {
        Self::named(I::NAME)
    }

    /// Asks, and waits for the reply, but not longer than [`PATIENCE_MS`]: a server that hangs
    /// holds nobody up.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call(&self, request: &I::Request) -> Result<I::Reply, CallError> {
        self.call_until(request, time::after_ms(PATIENCE_MS))
    }

    /// The same, giving up at `deadline` (TSC).
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call_until(&self, request: &I::Request, deadline: u64) -> Result<I::Reply, CallError> {
        let (info, words) = super::write(I::LABEL, request).map_err(|_| CallError::TooLong)?;
        // This changes nothing in the buffer.
        if let Some(doorbell) = self.doorbell {
            doorbell.signal().map_err(CallError::Core)?;
        }
        super::count_wait();
        let out = syscall::call(self.endpoint.cptr(), info, words, deadline).map_err(CallError::Core)?;
        if out.info.label() == interface::LABEL_REFUSED {
            return Err(CallError::Refused);
        }
        if out.info.label() != I::LABEL {
            return Err(CallError::BadReply);
        }
        super::read(out.info, out.words).ok_or(CallError::BadReply)
    }
}
