// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop: requests of the operator, rings of the other party, a glance at the ledger from time
//! to time.
//!
//! Owns what there is between two successions, and how one begins: `plan.rs` says whether it can,
//! `launch.rs` fills the carve-out with the staged image (`image.rs`). From there on it is a
//! [`Course`], whose events `perform.rs` feeds to the protocol's machine, and whose actions it
//! performs by asking others (`ask.rs`).

mod ask;
mod bridge;
mod checkpoints;
mod course;
mod fault;
mod image;
mod launch;
mod ledger;
mod perform;
mod plan;
mod pulse;
mod report;
mod switch;

use alloc::string::{String, ToString};
use core::sync::atomic::Ordering;

use abi::syscall::FOREVER;
use api::estate;
use api::root::Root;
use api::succession::{Fault, Phase, Reply, Request, Succession, unpack};
use api::{Badge, CONTROL};
use rt::ipc::{Client, Event, Server};
use rt::{Environment, time};

use course::Course;
use image::Image;

/// How often a party that waits looks at the ledger.
const GLANCE_MS: u64 = 5;

/// Version of this build: what the environment of the build says, or the package's.
pub const VERSION: &str = match option_env!("UNDERSTUDY_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// The service.
pub struct Service {
    environment: &'static Environment,
    root: Client<Root>,
    image: Image,
    course: Option<Course>,
    /// For the next succession.
    fault: Option<Fault>,
    /// What the succession that brought this hypervisor took; see `api::succession::Status`.
    launch_ticks: u64,
    total_ticks: u64,
    switch_extras: [u64; 3],
    /// When the ledger is looked at next.
    next_glance: u64,
    /// What was last done, or went wrong.
    message: String,
}

/// The program.
pub fn main(environment: &'static Environment) {
    let Some(mut server) = Server::<Succession>::from_environment(environment) else {
        panic!("the manifest gives no endpoint to serve at")
    };
    let Some(root) = Client::connect() else { panic!("the manifest does not let this service call root") };
    let (image, message) = (Image::default(), String::from("no succession so far"));
    let mut service = Service {
        environment,
        root,
        image,
        course: None,
        fault: None,
        launch_ticks: 0,
        total_ticks: 0,
        switch_extras: [0; 3],
        next_glance: 0,
        message,
    };
    service.join();
    loop {
        service.pump();
        // Due however often somebody asks.
        if time::now() >= service.next_glance {
            service.glance();
            service.next_glance = time::after_ms(GLANCE_MS);
            continue;
        }
        let deadline = if service.course.is_some() { service.next_glance } else { FOREVER };
        match server.receive(deadline) {
            Event::Request(badge, request) => {
                let reply = service.serve(badge, request);
                server.reply(&reply);
            }
            Event::Fault(_) => server.answer_fault(false),
            Event::Notification(_) | Event::TimedOut => {}
            Event::Failed(error) => panic!("cannot receive: {error:?}"),
        }
    }
}

impl Service {
    /// Takes part in the succession that there is already: this party was started in it, or anew.
    fn join(&mut self) {
        let Ok(estate::Reply::Open { first }) = self.estate(estate::Request::Bridge) else { return };
        match Course::open(self.environment, first) {
            Ok(course) => {
                self.course = Some(course);
                self.message = "joined".to_string();
                log::info!(
                    "{}",
                    if first { "goes on after a restart" } else { "started beside another hypervisor" }
                );
            }
            // What was carved out goes back.
            Err(_) if first && bridge::value(estate::LEDGER_AT) == 0 => {
                let settled = self.estate(estate::Request::Settle);
                self.message = settled.map_or_else(|why| why, |_| "nothing had begun".to_string());
                log::warn!("a succession was to begin before a restart: {}", self.message);
            }
            Err(why) => {
                log::error!("the bridge: {why}");
                self.message = why;
            }
        }
    }

    fn serve(&mut self, badge: Badge, request: Request) -> Reply {
        let reads = matches!(request, Request::Status | Request::Resources(_));
        if !reads && badge & CONTROL == 0 {
            return Reply::Denied;
        }
        let done = match request {
            // It takes memory that the course may need.
            Request::Stage { .. } | Request::Part { .. } if self.course.is_some() => {
                Err("a succession is under way: an image can be sent after it".to_string())
            }
            Request::Stage { bytes } => self.image.begin(bytes).map(|()| Reply::Staged(0)),
            Request::Part { offset, packed } => self.part(offset, &packed).map(Reply::Staged),
            Request::Plan => Ok(Reply::Plan(self.plan())),
            Request::Start => self.start().map(|()| Reply::Done),
            Request::Status => Ok(Reply::Status(self.status())),
            Request::Resources(from) => Ok(Reply::Resources(self.resources(from))),
            Request::Abort => self.command(succession::Event::Abort).map(|()| Reply::Done),
            Request::Retire => self.retire().map(|()| Reply::Done),
            Request::Fault(fault) => fault::accept(fault).map(|fault| {
                self.fault = fault;
                Reply::Done
            }),
        };
        done.unwrap_or_else(Reply::Refused)
    }

    fn part(&mut self, offset: u64, packed: &[u8]) -> Result<u64, String> {
        let bytes = unpack(packed).ok_or("a part of the image is not compressed as it should be")?;
        self.image.append(offset, &bytes)
    }

    fn start(&mut self) -> Result<(), String> {
        if self.course.is_some() {
            return Err("a succession is under way".into());
        }
        let plan = self.plan();
        if !plan.obstacles.is_empty() {
            return Err(plan.obstacles.join("; "));
        }
        let begun = time::now();
        let carved = self.estate(estate::Request::Carve(launch::CARVE_OUT));
        let prepared = carved.and_then(|carved| self.prepare(&carved, begun));
        if prepared.is_err() {
            // Nothing has begun: what was carved out goes back.
            self.course = None;
            self.estate(estate::Request::Settle)?;
        }
        prepared
    }

    fn prepare(&mut self, carved: &estate::Reply, begun: u64) -> Result<(), String> {
        let mut course = Course::create(self.environment)?;
        bridge::word(estate::BEGUN_AT)?.store(begun, Ordering::Relaxed);
        let bundle = self.image.open()?;
        let to = bundle.header().version.to_string();
        course.takes = Some(image::places(&bundle)?);
        course.launch = Some(launch::fill(&bundle, carved, &course.inventory)?);
        if let Some(fault) = self.fault.take() {
            course.inject(fault)?;
        }
        course.event(succession::Event::Start);
        self.course = Some(course);
        self.message = "begun".to_string();
        log::info!("succession begins: from {VERSION} to {to}");
        Ok(())
    }

    /// A command of the operator for the protocol's machine.
    fn command(&mut self, event: succession::Event) -> Result<(), String> {
        let course = self.course.as_mut().ok_or("there is no succession")?;
        course.event(event);
        Ok(())
    }

    /// The point of no return. To the successor it is a request to the incumbent.
    fn retire(&mut self) -> Result<(), String> {
        let phase = self.status().phase;
        let course = self.course.as_mut().ok_or("there is no succession")?;
        if phase != Phase::Ready {
            return Err("the incumbent has more than its home: it cannot leave yet".into());
        }
        course.retire()
    }
}
