// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking on while a succession goes its way: each phase and each resource as it moves.

use std::time::{Duration, Instant};

use api::succession::{self, Blackout, Phase, Plan, Status};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::super::Output;
use super::picture::{self, Party, Picture, Resource};
use super::view;
use crate::{Failure, System, text};

/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(200);
/// What has begun shows within this time.
const BEGINNING: Duration = Duration::from_secs(5);

/// Column in which it is said what happens.
const SAYS_AT: usize = 39;

/// How it ended, as far as one looked on.
pub enum End {
    /// Only its home is left to the incumbent.
    Ready(Status),
    /// The successor owns everything.
    Done(Status),
    /// The incumbent owns everything, as before.
    Back(Status),
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    Phase { ms: u64, phase: &'static str, version: String, message: String },
    Resource { ms: u64, name: &'a str, party: &'static str, owner: String, state: &'a str, bytes: u64 },
    End { ms: u64, result: &'static str, version: String, generation: u32, blackouts: Vec<view::Blackout> },
}

/// Looks on.
pub struct Follower {
    before: Status,
    begun: Instant,
    /// Something has happened since.
    moved: bool,
    /// Nothing needs to happen.
    waiting: bool,
    picture: Picture,
    phase: Option<Phase>,
    message: String,
    blackouts: Vec<Blackout>,
    khz: Option<u64>,
    bar: ProgressBar,
}

impl Follower {
    /// From a status before it began.
    pub fn new(system: &mut System, before: Status) -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {elapsed}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            moved: before.phase != Phase::Quiet,
            begun: Instant::now(),
            waiting: false,
            picture: Picture::new(),
            phase: None,
            message: before.message.clone(),
            blackouts: Vec::new(),
            khz: view::tsc_khz(system),
            bar,
            before,
        }
    }

    /// Names of the two.
    pub fn with_plan(mut self, plan: &Plan) -> Self {
        self.picture.name(&plan.from, &plan.to);
        self
    }

    /// A succession that somebody else may begin.
    pub fn waiting(mut self) -> Self {
        self.waiting = true;
        self
    }

    /// Looks on until it ends, or, if wanted, until the incumbent can leave.
    pub fn follow(
        &mut self,
        system: &mut System,
        until_ready: bool,
        output: &mut Output<'_>,
    ) -> Result<End, Failure> {
        system.watch(true);
        let end = self.look_on(system, until_ready, output);
        system.watch(false);
        end
    }

    fn look_on(
        &mut self,
        system: &mut System,
        until_ready: bool,
        output: &mut Output<'_>,
    ) -> Result<End, Failure> {
        loop {
            let (status, holdings) = system.picture()?;
            system.release();
            let done = self.is_done(&status);
            let is_successor = done || !status.incumbent;
            self.picture.learn(&status, is_successor);
            if !status.blackouts.is_empty() {
                self.blackouts.clone_from(&status.blackouts);
            }
            self.moved |= status.phase != Phase::Quiet;
            self.show_phase(&status, output)?;
            let resources = self.picture.look(&holdings, is_successor);
            self.show_resources(resources, output)?;
            output.out.flush()?;
            match status.phase {
                Phase::Quiet if done => return Ok(End::Done(status)),
                Phase::Quiet if self.moved || !self.waiting && self.begun.elapsed() > BEGINNING => {
                    return Ok(End::Back(status));
                }
                Phase::Ready if until_ready => return Ok(End::Ready(status)),
                _ => system.rest(GLANCE),
            }
        }
    }

    /// Whether the successor owns everything: the line of hypervisors is one longer. One that does
    /// not count is known by its version.
    fn is_done(&self, status: &Status) -> bool {
        let grown = status.generation > self.before.generation;
        let other = self.before.incumbent && status.version != self.before.version && status.incumbent;
        status.phase == Phase::Quiet && (grown || other)
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn show_phase(&mut self, status: &Status, output: &mut Output<'_>) -> Result<(), Failure> {
        let told = self.phase == Some(status.phase) && self.message == status.message;
        if told || (!self.moved && !self.is_done(status)) {
            return Ok(());
        }
        self.phase = Some(status.phase);
        self.message.clone_from(&status.message);
        let (phase, message) = (view::phase(status.phase), text::plain(&status.message));
        let (ms, version) = (self.ms(), text::plain(&status.version));
        self.bar.set_message(phase);
        if output.json {
            return output.json_line(&Event::Phase { ms, phase, version, message });
        }
        let says = if message.is_empty() { view::meaning(status.phase).to_owned() } else { message };
        self.line(&format!("{:>8}  {phase:<28} {says}", text::span(ms)), output)
    }

    fn show_resources(&mut self, all: Vec<Resource>, output: &mut Output<'_>) -> Result<(), Failure> {
        let first = self.picture.count().0 == 0;
        let changed = self.picture.changes(all);
        let (total, taken) = self.picture.count();
        self.bar.set_length(total as u64);
        self.bar.set_position(taken as u64);
        let ms = self.ms();
        if output.json {
            return changed.iter().try_for_each(|resource| {
                output.json_line(&Event::Resource {
                    ms,
                    name: &resource.name,
                    party: resource.owner.word(),
                    owner: self.picture.called(resource.owner),
                    state: &resource.state,
                    bytes: resource.bytes,
                })
            });
        }
        if first && !changed.is_empty() {
            let bar = self.bar.clone();
            return bar.suspend(|| {
                picture::table(&changed, &self.picture, output)?;
                output.line("")
            });
        }
        changed.iter().try_for_each(|resource| {
            let owner = self.picture.called(resource.owner);
            let says = match resource.state.as_str() {
                "held" => owner,
                state => format!("{owner}, {state}"),
            };
            self.line(&format!("{:>8}  {:<28} {says}", text::span(ms), resource.name), output)
        })
    }

    fn line(&self, text: &str, output: &mut Output<'_>) -> Result<(), Failure> {
        self.bar.suspend(|| output.wrapped(text, SAYS_AT))
    }

    /// Prints how it ended; an error if that is not what a succession is for.
    pub fn conclude(&mut self, end: &End, output: &mut Output<'_>) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        let (incumbent, successor) =
            (self.picture.called(Party::Incumbent), self.picture.called(Party::Successor));
        match end {
            End::Ready(status) => {
                self.say(
                    "ready",
                    status,
                    &format!("{successor} owns all but the home of {incumbent}"),
                    output,
                )?;
                if output.json {
                    return Ok(());
                }
                output
                    .wrapped("`understudy succession retire` lets it leave, `abort` takes everything back", 4)
            }
            End::Done(status) => {
                self.say("done", status, &format!("{successor} has taken over from {incumbent}"), output)
            }
            End::Back(status) => {
                if output.json {
                    self.say("back", status, "", output)?;
                }
                let why = if status.message.is_empty() { "no reason given" } else { &status.message };
                Err(Failure::refused(format!("the succession was given up: {}", text::plain(why)))
                    .hint(format!("Everything is with {incumbent}, as before. See `understudy log`.")))
            }
        }
    }

    /// The same for somebody who only looked on.
    pub fn conclude_watch(&mut self, end: &End, output: &mut Output<'_>) -> Result<(), Failure> {
        match end {
            End::Back(status) => self.say_back(status, output),
            end => self.conclude(end, output),
        }
    }

    /// Prints that everything is back.
    pub fn say_back(&mut self, status: &Status, output: &mut Output<'_>) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        let incumbent = self.picture.called(Party::Incumbent);
        self.say("back", status, &format!("Everything is with {incumbent}, as before"), output)
    }

    fn say(
        &self,
        result: &'static str,
        status: &succession::Status,
        says: &str,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        if output.json {
            let blackouts = self.blackouts.iter().map(|blackout| view::Blackout::of(blackout, self.khz));
            return output.json_line(&Event::End {
                ms: self.ms(),
                result,
                version: text::plain(&status.version),
                generation: status.generation,
                blackouts: blackouts.collect(),
            });
        }
        view::blackouts(&self.blackouts, self.khz, output)?;
        output.wrapped(&format!("{says} ({})", text::span(self.ms())), 4)
    }
}
