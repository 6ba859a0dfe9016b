// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine of the party that is started beside the incumbent.
//!
//! Owns the order of a succession as the successor sees it. It gives up by asking the incumbent; it
//! gives back when the course says so, by the same half that the incumbent gives with.

use crate::give::{home_of, leave};
use crate::take::{resume, take_next};
use crate::{
    Action, Actions, Change, Event, FEATURES, Giver, Message, Party, Phase, Reason, Resource, State, Table,
    Taker, Turn, VERSION, may_seize,
};

/// Where the successor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Successor {
    /// Not started.
    Absent,
    /// Takes its home.
    Booting,
    /// Has greeted.
    Greeting,
    /// Takes.
    Taking(Taker),
    /// Gives back.
    Returning(Giver),
    /// Leaves.
    Leaving,
    /// The incumbent fell: takes what it had.
    Seizing,
    /// The incumbent fell before versions were agreed: VMs stay stopped and the incumbent's.
    Standby,
    /// Restarted; goes through what it owns, by number.
    Resuming(u16),
    /// Owns everything, and is the incumbent from here on.
    Sole,
    /// Has left.
    Gone,
}

const TAKING: Successor = Successor::Taking(Taker::Looking);

impl Successor {
    /// The next state and what to do.
    pub fn step(self, me: Party, table: &impl Table, event: Event) -> (Self, Actions) {
        match (self, event) {
            (Self::Absent | Self::Standby | Self::Sole | Self::Gone, Event::Fell) => (self, Actions::NONE),
            // What it holds comes first; the fall is written down, and found at the end.
            (Self::Resuming(_), Event::Fell) => (self, fell(me, table).1),
            (_, Event::Fell) => fell(me, table),
            // Nothing of the VM is here yet.
            (Self::Taking(_), Event::Failed(Action::Build(vm))) => {
                (self, Actions::one(Action::Send(Message::GiveBack(vm))))
            }
            (Self::Taking(_), Event::Failed(_)) if !is_alone(table) => (self, give_up(Reason::Failed)),
            // Whatever it cannot use it can still give back.
            (Self::Resuming(_), Event::Failed(_)) if !is_alone(table) => (self, Actions::NONE),
            (
                Self::Booting
                | Self::Greeting
                | Self::Taking(_)
                | Self::Returning(_)
                | Self::Leaving
                | Self::Seizing
                | Self::Resuming(_),
                Event::Failed(action),
            ) if !action.is_of_the_ledger() => (Self::Resuming(0), Actions::NONE),
            (Self::Absent, Event::Start) => (Self::Booting, Actions::NONE),
            (Self::Absent, _) => (self, Actions::NONE),
            (Self::Booting, _) => boot(me, table),
            (Self::Greeting, Event::Said(Message::Welcome { .. })) => (TAKING, Actions::NONE),
            (Self::Greeting | Self::Taking(_), Event::Said(Message::Abort(_))) => {
                Self::Returning(Giver::Choosing).step(me, table, Event::Done)
            }
            (Self::Greeting, _) => (self, Actions::NONE),
            (Self::Taking(_), Event::Abort) => (self, give_up(Reason::Operator)),
            (Self::Taking(taker), _) => {
                let (taker, actions) = taker.step(me, table, event);
                taken(Self::Taking(taker), me, table, actions)
            }
            (Self::Returning(giver), _) => {
                // Told again: the incumbent was restarted and may not have heard what was said
                // before.
                let again = matches!(event, Event::Said(Message::Abort(_)));
                let giver = if again { Giver::Choosing } else { giver };
                match giver.step(me, table, event) {
                    (Giver::Empty, actions) if actions.is_empty() => leaving(me, table),
                    (giver, actions) => (Self::Returning(giver), actions),
                }
            }
            (Self::Leaving, _) => leaving(me, table),
            (Self::Seizing, _) => taken(self, me, table, take_next(me, table)),
            (Self::Resuming(from), _) => resumed(from, me, table),
            (Self::Standby | Self::Sole | Self::Gone, _) => (self, Actions::NONE),
        }
    }
}

/// Nobody is left to give anything back to.
fn is_alone(table: &impl Table) -> bool {
    table.course().is_some_and(|course| course.phase == Phase::Retired || course.fallen.is_some())
}

const fn give_up(reason: Reason) -> Actions {
    Actions::one(Action::Send(Message::Abort(reason)))
}

fn fell(me: Party, table: &impl Table) -> (Successor, Actions) {
    let seize = table.course().is_some_and(|course| may_seize(me, course));
    let next = if seize { Successor::Seizing } else { Successor::Standby };
    (next, Actions::two(Action::Fence(me.peer()), Action::Turn(Turn::Fall)))
}

fn boot(me: Party, table: &impl Table) -> (Successor, Actions) {
    let left = |r: &Resource| table.word(*r).is_some_and(|word| word.state == State::Leaving);
    match table.shape().plain().find(|r| home_of(me, table, *r) && left(r)) {
        Some(resource) => {
            let take = Action::Change(resource, Change::Take);
            (Successor::Booting, Actions::two(take, Action::Adopt(resource)))
        }
        None => {
            let greet =
                Message::Greet { oldest: VERSION, newest: VERSION, state: VERSION, features: FEATURES };
            (Successor::Greeting, Actions::one(Action::Send(greet)))
        }
    }
}

fn taken(now: Successor, me: Party, table: &impl Table, actions: Option<Actions>) -> (Successor, Actions) {
    match actions {
        Some(actions) => (now, actions),
        // Once more through everything: it may have failed to use something while the incumbent was
        // leaving.
        None if table.holds_all(me) => (Successor::Resuming(0), Actions::NONE),
        None => (now, Actions::NONE),
    }
}

fn leaving(me: Party, table: &impl Table) -> (Successor, Actions) {
    match leave(me, table) {
        Some(actions) => (Successor::Leaving, actions),
        None => (Successor::Gone, Actions::NONE),
    }
}

fn resumed(from: u16, me: Party, table: &impl Table) -> (Successor, Actions) {
    if let Some((next, actions)) = resume(me, table, from) {
        return (Successor::Resuming(next), actions);
    }
    if is_alone(table) && table.holds_all(me) {
        return (Successor::Sole, Actions::one(Action::Turn(Turn::Settle)));
    }
    // The restarted one had heard of the fall, and wrote it down.
    if table.course().is_some_and(|course| course.fallen == Some(me.peer())) {
        return fell(me, table);
    }
    match table.course().map_or(Phase::Quiet, |course| course.phase) {
        Phase::Carving | Phase::Launched => (Successor::Booting, Actions::NONE),
        Phase::Greeted => (TAKING, give_up(Reason::Restarted)),
        Phase::Cancelled | Phase::Back => (Successor::Returning(Giver::Choosing), Actions::NONE),
        Phase::Retired => (TAKING, Actions::NONE),
        Phase::Quiet if table.course().is_some_and(|course| course.incumbent == me) => {
            (Successor::Sole, Actions::NONE)
        }
        Phase::Quiet => (Successor::Gone, Actions::NONE),
    }
}
