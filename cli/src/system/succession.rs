// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions and commands about a succession.
//!
//! The operator's line moves from one hypervisor to the other in the middle, and the session with
//! it is lost. So what is asked to look on is asked patiently: of whoever answers next.

use std::time::{Duration, Instant};

use api::operator::{self, Reply, Request};
use api::succession::{self, Holding, Plan, Status};

use super::{System, denied, failed, nonsense};
use crate::Failure;
use crate::line::unanswered;

/// How long an answer may take before the session is taken for lost.
const ANSWER: Duration = Duration::from_secs(4);
/// Between two attempts.
const BREATH: Duration = Duration::from_millis(200);

impl System {
    /// Asks once, and not for long. A session without an answer is given up, as one that was lost.
    pub(super) fn attempt(&mut self, request: &Request) -> Result<Reply, Failure> {
        let answer = self.line()?.ask_within(request, ANSWER);
        if !matches!(answer, Ok(Some(_))) {
            self.line = None;
        }
        answer?.ok_or_else(unanswered)
    }

    /// Asks until somebody answers. For questions alone: the request may be carried out more than
    /// once.
    fn patiently(&mut self, request: succession::Request) -> Result<succession::Reply, Failure> {
        use operator::Failure::{TimedOut, Unavailable};
        let request = Request::Succession(request);
        let deadline = Instant::now() + self.patience;
        loop {
            let failure = match self.attempt(&request) {
                Ok(Reply::Failed(reason @ (Unavailable(_) | TimedOut(_)))) => failed(reason),
                Ok(reply) => return answer(reply),
                Err(failure) => failure,
            };
            if self.way_back.is_none() || Instant::now() >= deadline {
                return Err(failure);
            }
            std::thread::sleep(BREATH);
        }
    }

    fn succession(&mut self, request: succession::Request) -> Result<succession::Reply, Failure> {
        answer(self.ask(&Request::Succession(request))?)
    }

    /// Asks for something that is done, or begun.
    fn order(&mut self, request: succession::Request) -> Result<(), Failure> {
        match self.succession(request)? {
            succession::Reply::Done => Ok(()),
            _ => Err(nonsense()),
        }
    }

    /// Begins to send an image.
    ///
    /// # Errors
    /// As the system says, here and everywhere below.
    pub fn stage(&mut self, bytes: u64) -> Result<(), Failure> {
        match self.succession(succession::Request::Stage { bytes })? {
            succession::Reply::Done | succession::Reply::Staged(0) => Ok(()),
            _ => Err(nonsense()),
        }
    }

    /// Sends a part of it, one of [`succession::Parts`], with which so many bytes are there.
    ///
    /// # Errors
    /// See [`System::stage`].
    pub fn stage_part(&mut self, part: succession::Request, there: u64) -> Result<(), Failure> {
        match self.succession(part)? {
            succession::Reply::Staged(staged) if staged == there => Ok(()),
            _ => Err(nonsense()),
        }
    }

    /// What a succession with the image that was sent would do.
    ///
    /// # Errors
    /// See [`System::stage`].
    pub fn plan(&mut self) -> Result<Plan, Failure> {
        match self.succession(succession::Request::Plan)? {
            succession::Reply::Plan(plan) => Ok(plan),
            _ => Err(nonsense()),
        }
    }

    /// Begins.
    ///
    /// # Errors
    /// See [`System::stage`].
    pub fn begin(&mut self) -> Result<(), Failure> {
        self.order(succession::Request::Start)
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// See [`System::stage`].
    pub fn abort(&mut self) -> Result<(), Failure> {
        self.order(succession::Request::Abort)
    }

    /// Lets the incumbent leave. Whoever is asked may be gone before he answers; that is no failure
    /// here, and the status tells what became of it.
    ///
    /// # Errors
    /// See [`System::stage`].
    pub fn retire(&mut self) -> Result<(), Failure> {
        use operator::Failure::{TimedOut, Unavailable};
        match self.attempt(&Request::Succession(succession::Request::Retire)) {
            Ok(Reply::Failed(Unavailable(_) | TimedOut(_))) => Ok(()),
            Ok(reply) => match answer(reply)? {
                succession::Reply::Done => Ok(()),
                _ => Err(nonsense()),
            },
            Err(failure) if self.way_back.is_none() => Err(failure),
            Err(_) => Ok(()),
        }
    }

    /// How far it is.
    ///
    /// # Errors
    /// See [`System::stage`].
    pub fn progress(&mut self) -> Result<Status, Failure> {
        match self.patiently(succession::Request::Status)? {
            succession::Reply::Status(status) => Ok(status),
            _ => Err(nonsense()),
        }
    }

    /// How far it is, and all resources, both as one and the same hypervisor sees them.
    ///
    /// # Errors
    /// See [`System::stage`].
    pub fn picture(&mut self) -> Result<(Status, Vec<Holding>), Failure> {
        loop {
            let status = self.progress()?;
            // Within one session the same hypervisor answers: the other one does not have its key.
            let session = self.returns;
            let mut all = Vec::new();
            loop {
                match self.patiently(succession::Request::Resources(all.len() as u32))? {
                    _ if self.returns != session => break,
                    succession::Reply::Resources(part) if part.is_empty() => return Ok((status, all)),
                    succession::Reply::Resources(part) => all.extend(part),
                    _ => return Err(nonsense()),
                }
            }
        }
    }
}

fn answer(reply: Reply) -> Result<succession::Reply, Failure> {
    match reply {
        Reply::Succession(succession::Reply::Refused(why)) => Err(Failure::refused(crate::text::plain(&why))),
        Reply::Succession(succession::Reply::Denied) => Err(denied("the succession service")),
        Reply::Succession(reply) => Ok(reply),
        Reply::Failed(reason) => Err(failed(reason)),
        _ => Err(nonsense()),
    }
}
