// SPDX-License-Identifier: MIT OR Apache-2.0
//! The serving side of an interface.
//!
//! A server holds one caller at a time in its Reply object. One that answers later moves the caller
//! aside with [`Server::hold`], as often as the manifest gave it Reply objects.

use core::marker::PhantomData;

use abi::error::Error;
use abi::fault::Fault;
use abi::message::Info;
use abi::syscall::{FOREVER, POLL};
use alloc::vec::Vec;
use api::Badge;
use api::interface::{self, Interface};

use crate::cap::{Cap, Endpoint, Reply};
use crate::syscall::{self, Returned, Words};
use crate::{Environment, log, watch};

/// What the core says of a thread that stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultReport {
    /// Badge of the endpoint that it was sent through.
    pub badge: Badge,
    /// Which; `None` for one that this version does not know.
    pub fault: Option<Fault>,
    /// Its words ([`abi::fault`]).
    pub words: Words,
}

/// Why a receive returned.
#[derive(Debug)]
pub enum Event<R> {
    /// Somebody asks, and waits for [`Server::reply`].
    Request(Badge, R),
    /// A thread stopped, and waits for [`Server::answer_fault`].
    Fault(FaultReport),
    /// The bound notification was signalled.
    Notification(u64),
    /// The deadline passed.
    TimedOut,
    /// The core refused to receive.
    Failed(Error),
}

/// A caller that waits for an answer outside of the order of arrival.
#[derive(Debug)]
pub struct Held(Cap<Reply>);

/// A server of interface `I`.
pub struct Server<I> {
    endpoint: Cap<Endpoint>,
    /// Reply objects that hold nobody. The last one is the one to receive with.
    free: Vec<Cap<Reply>>,
    /// Whether the last one of `free` holds a caller nevertheless: the one being served.
    serving: bool,
    interface: PhantomData<fn() -> I>,
}

impl<I: Interface> Server<I> {
    /// A server at `endpoint` with these Reply objects (at least one).
    #[must_use]
    pub fn new(endpoint: Cap<Endpoint>, replies: Vec<Cap<Reply>>) -> Self {
        assert!(!replies.is_empty(), "a server needs a Reply object");
        Self { endpoint, free: replies, serving: false, interface: PhantomData }
    }

    /// The server that the environment describes: `endpoint`, `reply`, `reply1`, ...
    #[must_use]
    pub fn from_environment(environment: &Environment) -> Option<Self> {
        let endpoint = Cap::named(environment, "endpoint")?;
        let mut replies: Vec<Cap<Reply>> = Vec::new();
        replies.extend(Cap::named(environment, "reply"));
        for number in 1.. {
            let Some(reply) = Cap::named(environment, &alloc::format!("reply{number}")) else { break };
            replies.push(reply);
        }
        (!replies.is_empty()).then(|| Self::new(endpoint, replies))
    }

    /// Waits for the next event. A caller that was not answered is refused first; requests that
    /// cannot be read are refused here.
    pub fn receive(&mut self, deadline: u64) -> Event<I::Request> {
        if self.serving {
            self.refuse();
        }
        if deadline != POLL {
            super::count_wait();
        }
        loop {
            let Some(&reply) = self.free.last() else { return Event::Failed(Error::NotConfigured) };
            match syscall::receive(self.endpoint.cptr(), reply.cptr(), deadline) {
                Ok(out) => {
                    if let Some(event) = self.decode(out) {
                        return event;
                    }
                }
                Err(Error::TimedOut) => return Event::TimedOut,
                Err(error) => return Event::Failed(error),
            }
        }
    }

    /// Answers the caller being served.
    pub fn reply(&mut self, reply: &I::Reply) {
        if let Some(&cap) = self.free.last() {
            self.serving = false;
            send_reply::<I>(cap, reply);
        }
    }

    /// Answers the caller being served and waits for the next event: one system call less.
    pub fn reply_receive(&mut self, reply: &I::Reply, deadline: u64) -> Event<I::Request> {
        let Some(&cap) = self.free.last() else { return Event::Failed(Error::NotConfigured) };
        let Ok((info, words)) = super::write(I::LABEL, reply) else { return self.receive(deadline) };
        self.serving = false;
        super::count_wait();
        match syscall::reply_receive(self.endpoint.cptr(), info, words, cap.cptr(), deadline) {
            Ok(out) => match self.decode(out) {
                Some(event) => event,
                None => self.receive(deadline),
            },
            Err(Error::TimedOut) => Event::TimedOut,
            // The caller may be gone; that is no reason not to serve the next.
            Err(_) => self.receive(deadline),
        }
    }

    /// Answers the thread whose fault is being served: `go_on`, or stay stopped.
    pub fn answer_fault(&mut self, go_on: bool) {
        if let Some(&cap) = self.free.last() {
            self.serving = false;
            let _ = syscall::reply(cap.cptr(), Info::new(u32::from(!go_on), 0), [0; 4]);
        }
    }

    /// Puts the caller being served aside; `None` (and it goes on being served) where there is no
    /// Reply object left to serve others with.
    pub fn hold(&mut self) -> Option<Held> {
        if !self.serving || self.free.len() < 2 {
            return None;
        }
        self.serving = false;
        self.free.pop().map(Held)
    }

    /// Answers a caller that was put aside.
    pub fn reply_held(&mut self, held: Held, reply: &I::Reply) {
        send_reply::<I>(held.0, reply);
        self.free.insert(0, held.0);
    }

    /// Answers a fault that was put aside.
    pub fn answer_held_fault(&mut self, held: Held, go_on: bool) {
        let _ = syscall::reply(held.0.cptr(), Info::new(u32::from(!go_on), 0), [0; 4]);
        self.free.insert(0, held.0);
    }

    fn refuse(&mut self) {
        self.serving = false;
        if let Some(&cap) = self.free.last() {
            let _ = syscall::reply(cap.cptr(), Info::new(interface::LABEL_REFUSED, 0), [0; 4]);
        }
    }

    /// What has arrived; `None` for what was refused.
    fn decode(&mut self, out: Returned) -> Option<Event<I::Request>> {
        if out.info.is_notification() {
            // Where root alone has asked, there is no event.
            let bits = watch::answer(out.badge);
            return (bits != 0).then_some(Event::Notification(bits));
        }
        self.serving = true;
        if out.info.is_fault() {
            let fault = Fault::from_label(out.info.label());
            return Some(Event::Fault(FaultReport { badge: out.badge, fault, words: out.words }));
        }
        let is_ours = out.info.label() == I::LABEL;
        let request = if is_ours { super::read(out.info, out.words) } else { None };
        if request.is_none() {
            self.refuse();
        }
        request.map(|request| Event::Request(out.badge, request))
    }
}

fn send_reply<I: Interface>(cap: Cap<Reply>, reply: &I::Reply) {
    let refused = (Info::new(interface::LABEL_REFUSED, 0), [0; 4]);
    let (info, words) = super::write(I::LABEL, reply).unwrap_or(refused);
    // A caller that is gone needs no answer.
    let _ = syscall::reply(cap.cptr(), info, words);
}

/// Serves an interface for ever, one request after the other.
pub fn serve<I: Interface>(
    environment: &Environment,
    mut handler: impl FnMut(Badge, I::Request) -> I::Reply,
) -> ! {
    let Some(mut server) = Server::<I>::from_environment(environment) else {
        panic!("the manifest gives no endpoint to serve {} at", I::NAME)
    };
    let mut event = server.receive(FOREVER);
    loop {
        event = match event {
            Event::Request(badge, request) => {
                let reply = handler(badge, request);
                server.reply_receive(&reply, FOREVER)
            }
            Event::Fault(_) => {
                server.answer_fault(false);
                server.receive(FOREVER)
            }
            Event::Notification(_) | Event::TimedOut => server.receive(FOREVER),
            Event::Failed(error) => {
                log::say(format_args!("receive failed: {error:?}"));
                panic!("cannot receive")
            }
        };
    }
}
