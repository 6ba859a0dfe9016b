// SPDX-License-Identifier: MIT OR Apache-2.0
//! The succession service of a system that is none: what it tells is a script, a scene per question
//! for the status.

use api::succession::{Holding, MAX_PART, Phase, Plan, Reply, Request, Status, unpack};

/// What is told at one moment.
#[derive(Clone, Default)]
pub struct Scene {
    pub status: Status,
    pub holdings: Vec<Holding>,
    /// The line falls silent here: the question is not answered.
    pub hangs_up: bool,
}

/// The service.
#[derive(Clone, Default)]
pub struct Script {
    pub announced: u64,
    pub staged: Vec<u8>,
    pub plan: Option<Plan>,
    pub orders: Vec<&'static str>,
    /// The first one is now. The next one comes with the next question, but not before what it
    /// waits for was ordered.
    pub scenes: Vec<Scene>,
    pub waits: Vec<(usize, &'static str)>,
    pub at: usize,
    /// Those of the scene that was told last.
    pub holdings: Vec<Holding>,
}

impl Script {
    /// What is answered; `None` for nothing.
    pub fn answer(&mut self, request: Request) -> Option<Reply> {
        Some(match request {
            Request::Stage { bytes } => {
                self.announced = bytes;
                self.staged.clear();
                Reply::Staged(0)
            }
            Request::Part { offset, packed } => {
                assert!(packed.len() <= MAX_PART && offset == self.staged.len() as u64);
                self.staged.extend(unpack(&packed).expect("a part"));
                Reply::Staged(self.staged.len() as u64)
            }
            Request::Plan => match &self.plan {
                Some(plan) => Reply::Plan(plan.clone()),
                None => Reply::Refused("no image was sent".into()),
            },
            Request::Start => self.order("start"),
            Request::Abort if self.scene().status.phase == Phase::Quiet => {
                Reply::Refused("there is no succession".into())
            }
            Request::Abort => self.order("abort"),
            Request::Retire => self.order("retire"),
            Request::Fault(_) => Reply::Denied,
            Request::Status => {
                let scene = self.scene();
                self.holdings.clone_from(&scene.holdings);
                self.advance();
                if scene.hangs_up {
                    return None;
                }
                Reply::Status(scene.status)
            }
            Request::Resources(from) => {
                Reply::Resources(self.holdings.iter().skip(from as usize).take(2).cloned().collect())
            }
        })
    }

    fn order(&mut self, what: &'static str) -> Reply {
        self.orders.push(what);
        Reply::Done
    }

    fn scene(&self) -> Scene {
        self.scenes.get(self.at).cloned().unwrap_or_default()
    }

    fn advance(&mut self) {
        let next = self.at + 1;
        let waits = self.waits.iter().any(|(scene, order)| *scene == next && !self.orders.contains(order));
        if next < self.scenes.len() && !waits {
            self.at = next;
        }
    }
}
