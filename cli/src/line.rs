// SPDX-License-Identifier: MIT OR Apache-2.0
//! One session on the operator's line.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use api::operator::client::{Closed, Event, Session};
use api::operator::packet::{Goodbye, Nonce};
use api::operator::{Key, Reply, Request};

use crate::Failure;
use crate::turn::Turn;

/// How long the service may take to answer the handshake: it may just be starting.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long it may take to answer a request: longer than the service waits for others.
const ANSWER: Duration = Duration::from_secs(150);

/// An open session.
pub struct Line {
    stream: UnixStream,
    session: Session,
    /// Bytes that have arrived and were not looked at.
    arrived: Vec<u8>,
    looked_at: usize,
    /// Last, so that the connection is closed when the next tool has the line.
    _turn: Option<Turn>,
}

impl Line {
    /// Shakes hands.
    ///
    /// # Errors
    /// Where nobody answers, or somebody who does not let us in.
    pub fn open(stream: UnixStream, key: &Key) -> Result<Self, Failure> {
        Self::open_within(stream, key, HANDSHAKE)
    }

    /// The same, with another patience.
    ///
    /// # Errors
    /// As [`Line::open`].
    pub fn open_within(stream: UnixStream, key: &Key, limit: Duration) -> Result<Self, Failure> {
        let mut nonce = Nonce::default();
        File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut nonce))
            .map_err(|error| Failure::unreachable(format!("no random numbers from /dev/urandom: {error}")))?;
        let (session, hello) = Session::new(*key, nonce);
        let mut line = Self { stream, session, arrived: Vec::new(), looked_at: 0, _turn: None };
        line.send(&hello)?;
        let deadline = Instant::now() + limit;
        loop {
            match line.event(deadline)? {
                Some(Event::Send(bytes)) => line.send(&bytes)?,
                Some(Event::Opened) => return Ok(line),
                Some(Event::Closed(reason)) => return Err(closed(reason)),
                Some(Event::Reply(_)) => return Err(closed(Closed::Garbled)),
                None => {
                    return Err(Failure::unreachable("the system does not answer").hint(
                        "It may still be booting, or some other program than `understudy` is connected to its line.",
                    ));
                }
            }
        }
    }

    /// Keeps the turn for as long as the session.
    #[must_use]
    pub fn in_turn(self, turn: Turn) -> Self {
        Self { _turn: Some(turn), ..self }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// Where the session has ended, or no answer comes.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, Failure> {
        self.ask_within(request, ANSWER)?.ok_or_else(unanswered)
    }

    /// The same with another patience; `None` if no answer comes in this time. The session is of no
    /// use after that.
    ///
    /// # Errors
    /// Where the session has ended.
    pub fn ask_within(&mut self, request: &Request, limit: Duration) -> Result<Option<Reply>, Failure> {
        let bytes = self
            .session
            .request(request)
            .map_err(|_| Failure::unreachable("the request is too long, or the session has ended"))?;
        self.send(&bytes)?;
        match self.event(Instant::now() + limit)? {
            Some(Event::Reply(reply)) => Ok(Some(reply)),
            Some(Event::Closed(reason)) => Err(closed(reason)),
            Some(Event::Send(_) | Event::Opened) => Err(closed(Closed::Garbled)),
            None => Ok(None),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).map_err(|error| lost(&error))
    }

    /// The next event; `None` if none comes before the deadline.
    fn event(&mut self, deadline: Instant) -> Result<Option<Event>, Failure> {
        loop {
            while let Some(&byte) = self.arrived.get(self.looked_at) {
                self.looked_at += 1;
                if let Some(event) = self.session.push(byte) {
                    return Ok(Some(event));
                }
            }
            self.arrived.resize(4096, 0);
            self.looked_at = 0;
            let got = self.receive(deadline);
            self.arrived.truncate(*got.as_ref().unwrap_or(&0));
            if got? == 0 {
                return Ok(None);
            }
        }
    }

    /// Bytes read into `arrived`; 0 at the deadline.
    fn receive(&mut self, deadline: Instant) -> Result<usize, Failure> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(0);
            }
            self.stream.set_read_timeout(Some(left)).map_err(|error| lost(&error))?;
            match self.stream.read(&mut self.arrived) {
                Ok(0) => return Err(lost(&ErrorKind::UnexpectedEof.into())),
                Ok(count) => return Ok(count),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    _ => return Err(lost(&error)),
                },
            }
        }
    }
}

/// No answer in time.
pub(crate) fn unanswered() -> Failure {
    Failure::refused("the system has not answered in time")
        .hint("Whether it has done it is not known: see `understudy ps` and `understudy log`.")
}

fn lost(error: &std::io::Error) -> Failure {
    let what = match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
            "the connection was closed".to_string()
        }
        _ => format!("the connection broke: {error}"),
    };
    Failure::unreachable(what).hint("The machine may have been switched off.")
}

fn closed(reason: Closed) -> Failure {
    match reason {
        Closed::Goodbye(Goodbye::Denied) => Failure::unreachable("the system does not accept the secret")
            .hint("Give the secret of this very boot with --secret-file: each `cargo xtask run` makes a new one."),
        Closed::Goodbye(Goodbye::NoSecret) => Failure::unreachable("the system has no secret, so it lets nobody in")
            .hint("Boot it with `operator-secret=...` on the core's command line."),
        Closed::Goodbye(Goodbye::Version { oldest, newest }) => Failure::unreachable(format!(
            "the system speaks versions {oldest} to {newest} of the protocol, this tool {} to {}",
            api::operator::OLDEST,
            api::operator::NEWEST
        ))
        .hint("Use the `understudy` that was built together with the system."),
        Closed::Impostor => Failure::unreachable("whoever answers does not know the secret: it is not the system")
            .hint("Check --connect and --secret-file."),
        Closed::Goodbye(Goodbye::Garbled) | Closed::Garbled => {
            Failure::unreachable("the session was lost: something garbled came over the line").hint("Try again.")
        }
    }
}
