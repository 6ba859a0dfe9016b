// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service's end of the line.

use alloc::vec::Vec;

use super::frame::Reader;
use super::packet::{Agreement, Goodbye, Hello, MAGIC, Nonce, Packet, Way, same};
use super::{Key, NEWEST, OLDEST, Reply, Request};

/// How far a peer has come.
#[derive(Debug)]
enum State {
    /// Nobody is there.
    Idle,
    /// It has been challenged.
    Challenged(Agreement),
    /// It is the operator.
    Open { from_tool: Way, to_tool: Way },
}

/// What to do after a byte.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Send these bytes.
    Send(Vec<u8>),
    /// The operator has come; send these bytes.
    Opened(Vec<u8>),
    /// The session has ended for this reason; send these bytes.
    Closed(Goodbye, Vec<u8>),
    /// The operator asks, and waits for [`Session::reply`].
    Request(Request),
}

/// The service's end.
pub struct Session {
    key: Option<Key>,
    reader: Reader,
    state: State,
    nonces: u64,
}

impl Session {
    /// A line on which nobody is; without a key, nobody will be let in.
    #[must_use]
    pub fn new(key: Option<Key>) -> Self {
        Self { key, reader: Reader::default(), state: State::Idle, nonces: 0 }
    }

    /// What a service says when it has just come to the line: whoever believes in a session with
    /// its predecessor hears that it is over.
    #[must_use]
    pub fn announcement() -> Vec<u8> {
        Packet::Goodbye(Goodbye::Garbled).frame()
    }

    /// Whether an operator is there.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Forget the peer: bytes were lost.
    pub fn reset(&mut self) {
        self.state = State::Idle;
        self.reader = Reader::default();
    }

    /// Take the next byte. `moment` is a number that was never given before (a clock), so that no
    /// challenge is ever repeated.
    pub fn push(&mut self, byte: u8, moment: u64) -> Option<Event> {
        match self.reader.push(byte) {
            Ok(None) => None,
            Ok(Some(bytes)) => match Packet::read(&bytes) {
                Some(packet) => self.packet(packet, moment),
                None => self.garbled(),
            },
            Err(_) => self.garbled(),
        }
    }

    /// Answer the request; `None` where the session has ended meanwhile or the reply is too long to
    /// be sent.
    pub fn reply(&mut self, reply: &Reply) -> Option<Vec<u8>> {
        match &mut self.state {
            State::Open { to_tool, .. } => to_tool.seal(reply).ok(),
            _ => None,
        }
    }

    /// What makes no sense ends a session. It is not worth an answer where there is none: that
    /// would make noise out of noise.
    fn garbled(&mut self) -> Option<Event> {
        match self.state {
            State::Idle => None,
            _ => self.close(Goodbye::Garbled),
        }
    }

    fn close(&mut self, reason: Goodbye) -> Option<Event> {
        self.state = State::Idle;
        Some(Event::Closed(reason, Packet::Goodbye(reason).frame()))
    }

    fn packet(&mut self, packet: Packet<'_>, moment: u64) -> Option<Event> {
        match (packet, &mut self.state) {
            (Packet::Hello(hello), _) => self.hello(&hello, moment),
            (Packet::Proof(proof), State::Challenged(agreement)) => {
                let agreement = *agreement;
                let Some(key) = &self.key else { return self.close(Goodbye::NoSecret) };
                if !same(&proof, &agreement.proof(key)) {
                    return self.close(Goodbye::Denied);
                }
                let (from_tool, to_tool) = agreement.ways(key);
                self.state = State::Open { from_tool, to_tool };
                Some(Event::Opened(Packet::Welcome(agreement.welcome(key)).frame()))
            }
            (Packet::Sealed { body, tag }, State::Open { from_tool, .. }) => {
                match from_tool.open(body, &tag) {
                    Some(request) => Some(Event::Request(request)),
                    None => self.garbled(),
                }
            }
            // A tool that still believes in its session has to hear that there is none.
            (Packet::Sealed { .. }, _) => self.close(Goodbye::Garbled),
            _ => self.garbled(),
        }
    }

    fn hello(&mut self, hello: &Hello, moment: u64) -> Option<Event> {
        self.state = State::Idle;
        if hello.magic != MAGIC {
            return None;
        }
        let Some(key) = &self.key else { return self.close(Goodbye::NoSecret) };
        let version = hello.newest.min(NEWEST);
        if version < hello.oldest.max(OLDEST) {
            return self.close(Goodbye::Version { oldest: OLDEST, newest: NEWEST });
        }
        // Nobody who does not know the secret can foretell it.
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(b"nonce").update(&moment.to_le_bytes()).update(&self.nonces.to_le_bytes());
        self.nonces += 1;
        let mut nonce = Nonce::default();
        hasher.finalize_xof().fill(&mut nonce);
        self.state = State::Challenged(Agreement { version, client: hello.nonce, server: nonce });
        Some(Event::Send(Packet::Challenge { version, nonce }.frame()))
    }
}
