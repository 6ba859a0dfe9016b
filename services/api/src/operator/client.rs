// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tool's end of the line.

use alloc::vec::Vec;

use super::frame::{Garbled, Reader};
use super::packet::{Agreement, Goodbye, Hello, MAGIC, Nonce, Packet, Way, same};
use super::{Key, NEWEST, OLDEST, Reply, Request};

#[derive(Debug)]
enum State {
    /// Waits for the challenge.
    Greeted,
    /// Waits for the welcome.
    Proved(Agreement),
    /// Is the operator.
    Open { from_service: Way, to_service: Way },
    /// Was sent away.
    Closed,
}

/// What to do after a byte.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Send these bytes.
    Send(Vec<u8>),
    /// The session is open: requests may be made.
    Opened,
    /// The answer to the request.
    Reply(Reply),
    /// The session has ended.
    Closed(Closed),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The service said so.
    Goodbye(Goodbye),
    /// The service does not know the secret, so it is not the service.
    Impostor,
    /// Something came that makes no sense here.
    Garbled,
}

/// The tool's end.
pub struct Session {
    key: Key,
    nonce: Nonce,
    reader: Reader,
    state: State,
}

impl Session {
    /// A session, and the bytes that begin it. The nonce is random.
    #[must_use]
    pub fn new(key: Key, nonce: Nonce) -> (Self, Vec<u8>) {
        let hello = Packet::Hello(Hello { magic: MAGIC, oldest: OLDEST, newest: NEWEST, nonce });
        (Self { key, nonce, reader: Reader::default(), state: State::Greeted }, hello.frame())
    }

    /// Take the next byte. Until the challenge comes, what makes no sense is skipped: it may be the
    /// rest of an answer to somebody else.
    pub fn push(&mut self, byte: u8) -> Option<Event> {
        let bytes = match self.reader.push(byte) {
            Ok(None) => return None,
            Ok(Some(bytes)) => bytes,
            Err(Garbled) => return self.garbled(),
        };
        match Packet::read(&bytes) {
            Some(packet) => self.packet(packet),
            None => self.garbled(),
        }
    }

    /// The bytes of a request.
    ///
    /// # Errors
    /// `Garbled` where it is too long, or the session is not open.
    pub fn request(&mut self, request: &Request) -> Result<Vec<u8>, Garbled> {
        match &mut self.state {
            State::Open { to_service, .. } => to_service.seal(request),
            _ => Err(Garbled),
        }
    }

    fn garbled(&mut self) -> Option<Event> {
        match self.state {
            State::Greeted | State::Closed => None,
            _ => self.close(Closed::Garbled),
        }
    }

    fn close(&mut self, reason: Closed) -> Option<Event> {
        self.state = State::Closed;
        Some(Event::Closed(reason))
    }

    fn packet(&mut self, packet: Packet<'_>) -> Option<Event> {
        match (packet, &mut self.state) {
            (_, State::Closed) => None,
            // Before the challenge this is the end of somebody else's session.
            (Packet::Goodbye(Goodbye::Garbled), State::Greeted) => None,
            (Packet::Goodbye(reason), _) => self.close(Closed::Goodbye(reason)),
            (Packet::Challenge { version, nonce }, State::Greeted) => {
                if !(OLDEST..=NEWEST).contains(&version) {
                    return self.close(Closed::Garbled);
                }
                let agreement = Agreement { version, client: self.nonce, server: nonce };
                self.state = State::Proved(agreement);
                Some(Event::Send(Packet::Proof(agreement.proof(&self.key)).frame()))
            }
            (Packet::Welcome(tag), State::Proved(agreement)) => {
                if !same(&tag, &agreement.welcome(&self.key)) {
                    return self.close(Closed::Impostor);
                }
                let (to_service, from_service) = agreement.ways(&self.key);
                self.state = State::Open { from_service, to_service };
                Some(Event::Opened)
            }
            (Packet::Sealed { body, tag }, State::Open { from_service, .. }) => {
                match from_service.open(body, &tag) {
                    Some(reply) => Some(Event::Reply(reply)),
                    None => self.garbled(),
                }
            }
            _ => self.garbled(),
        }
    }
}
