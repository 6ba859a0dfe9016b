// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine of the party that has everything at the start.
//!
//! Owns the order of a succession as the incumbent sees it, and the way back: from every state
//! before retirement a fault, the operator's word or the other side's leads to
//! [`Incumbent::Whole`].

use crate::give::{home_of, leave};
use crate::take::{resume, take_next};
use crate::{
    Action, Actions, Change, Event, FEATURES, Giver, Message, Party, Phase, Reason, Table, Taker, Turn,
    VERSION,
};

/// Where the incumbent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Incumbent {
    /// Owns everything; no succession.
    Idle,
    /// Releases the successor's home.
    Carving,
    /// The successor starts.
    Launching,
    /// The successor starts, and will be told to stop.
    Cancelling,
    /// Gives.
    Giving(Giver),
    /// Leaves.
    Retiring,
    /// Takes back what the other has not taken.
    Turning,
    /// Receives what the other gives back.
    Reclaiming(Taker),
    /// The other fell: takes what it had.
    Seizing,
    /// Restarted; goes through what it owns, by number.
    Resuming(u16),
    /// Owns everything again.
    Whole,
    /// Has left.
    Gone,
}

impl Incumbent {
    /// The next state and what to do.
    pub fn step(self, me: Party, table: &impl Table, event: Event) -> (Self, Actions) {
        match (self, event) {
            (Self::Idle | Self::Whole | Self::Gone, Event::Fell) => (self, Actions::NONE),
            // What it holds comes first; the fall is written down, and found at the end.
            (Self::Resuming(_), Event::Fell) => (self, fell(me).1),
            // A restart may have left its home released and still its own.
            (Self::Retiring, Event::Fell) => (Self::Resuming(0), fell(me).1),
            (_, Event::Fell) => fell(me),
            // It has no VM yet: what it has is taken back.
            (Self::Carving | Self::Launching | Self::Cancelling, Event::Failed(_)) => fell(me),
            (
                Self::Giving(_)
                | Self::Turning
                | Self::Reclaiming(_)
                | Self::Seizing
                | Self::Retiring
                | Self::Resuming(_),
                Event::Failed(action),
            ) if !action.is_of_the_ledger() => (Self::Resuming(0), Actions::NONE),
            (Self::Idle, Event::Start) => (Self::Carving, turn(Turn::Carve)),
            (Self::Idle, _) => (self, Actions::NONE),
            (Self::Carving, _) => carve(me, table),
            (Self::Launching, Event::Abort) => (Self::Cancelling, Actions::NONE),
            (Self::Launching, Event::Said(Message::Greet { oldest, newest, state, features })) => {
                welcome((oldest, newest), state, features)
            }
            (Self::Cancelling, Event::Said(Message::Greet { .. })) => back(),
            (Self::Launching | Self::Cancelling, _) => (self, Actions::NONE),
            (Self::Giving(_), Event::Abort | Event::Failed(_)) => back(),
            (Self::Giving(_), Event::Said(Message::Abort(_) | Message::GiveBack(_))) => back(),
            (Self::Giving(Giver::Empty), Event::Retire) => {
                (Self::Retiring, Actions::two(Action::Turn(Turn::Retire), Action::Send(Message::Retire)))
            }
            (Self::Giving(giver), _) => {
                let (giver, actions) = giver.step(me, table, event);
                (Self::Giving(giver), actions)
            }
            (Self::Retiring, _) => match leave(me, table) {
                Some(actions) => (self, actions),
                None => (Self::Gone, Actions::NONE),
            },
            (Self::Turning, _) => match take_next(me, table) {
                Some(actions) => (self, actions),
                None => {
                    let abort = Action::Send(Message::Abort(Reason::Operator));
                    (Self::Reclaiming(Taker::Looking), Actions::one(abort))
                }
            },
            (Self::Reclaiming(taker), _) => {
                let (taker, actions) = taker.step(me, table, event);
                taken(Self::Reclaiming(taker), me, table, actions)
            }
            (Self::Seizing, _) => taken(self, me, table, take_next(me, table)),
            (Self::Resuming(from), _) => resumed(from, me, table),
            (Self::Whole | Self::Gone, _) => (self, Actions::NONE),
        }
    }
}

const fn turn(turn: Turn) -> Actions {
    Actions::one(Action::Turn(turn))
}

const fn back() -> (Incumbent, Actions) {
    (Incumbent::Turning, turn(Turn::Back))
}

const fn fell(me: Party) -> (Incumbent, Actions) {
    (Incumbent::Seizing, Actions::two(Action::Fence(me.peer()), Action::Turn(Turn::Fall)))
}

fn carve(me: Party, table: &impl Table) -> (Incumbent, Actions) {
    let carved = |r: &crate::Resource| home_of(me.peer(), table, *r) && table.holds(me, *r);
    match table.shape().plain().find(carved) {
        Some(resource) => {
            let offer = Action::Change(resource, Change::Offer);
            (Incumbent::Carving, Actions::two(Action::Release(resource), offer))
        }
        None => (Incumbent::Launching, Actions::two(Action::Turn(Turn::Launch), Action::Launch)),
    }
}

fn welcome(versions: (u16, u16), state: u16, features: u32) -> (Incumbent, Actions) {
    let (oldest, newest) = versions;
    if !(oldest..=newest).contains(&VERSION) || state != VERSION {
        return back();
    }
    let welcome = Message::Welcome { version: VERSION, features: features & FEATURES };
    let actions = Actions::two(Action::Turn(Turn::Greet), Action::Send(welcome));
    (Incumbent::Giving(Giver::Choosing), actions)
}

/// Takes what there is to take; with everything in hand, ends.
fn taken(now: Incumbent, me: Party, table: &impl Table, actions: Option<Actions>) -> (Incumbent, Actions) {
    match actions {
        Some(actions) => (now, actions),
        None if table.holds_all(me) => (Incumbent::Whole, turn(Turn::Settle)),
        None => (now, Actions::NONE),
    }
}

fn resumed(from: u16, me: Party, table: &impl Table) -> (Incumbent, Actions) {
    // Had it heard of a fall, it wrote that down.
    let fallen = table.course().is_some_and(|course| course.fallen == Some(me.peer()));
    let phase = table.course().map_or(Phase::Quiet, |course| course.phase);
    match phase {
        // Its leaving goes on; what it released stays so.
        Phase::Retired if !fallen => return (Incumbent::Retiring, Actions::NONE),
        Phase::Quiet if table.course().is_some_and(|course| course.incumbent != me) => {
            return (Incumbent::Gone, Actions::NONE);
        }
        Phase::Quiet => return (Incumbent::Whole, Actions::NONE),
        Phase::Carving
        | Phase::Launched
        | Phase::Cancelled
        | Phase::Greeted
        | Phase::Back
        | Phase::Retired => {}
    }
    if let Some((next, actions)) = resume(me, table, from) {
        return (Incumbent::Resuming(next), actions);
    }
    if fallen {
        return fell(me);
    }
    match phase {
        // Whether the successor was started is known to nobody; it has no VM, so it is stopped.
        Phase::Carving | Phase::Launched => fell(me),
        Phase::Quiet | Phase::Retired | Phase::Cancelled | Phase::Greeted | Phase::Back => back(),
    }
}
