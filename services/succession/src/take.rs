// SPDX-License-Identifier: MIT OR Apache-2.0
//! The taking half of both machines, and all that a party does from the ledger alone.
//!
//! Owns the answer to "what can I take next": whatever is leaving, taken by an exchange that only
//! one party wins, and of a fallen party everything. The word is written first, the resource used
//! after. A message only says where to look first, and a VM that has begun to come is finished
//! before anything else is looked for: the switch path does not search, so a blackout does not
//! depend on how many VMs there are.

use crate::{Action, Actions, Change, Event, Message, Party, Resource, State, Table};

/// Where taking is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Taker {
    /// Takes whatever can be taken.
    Looking,
    /// This VM comes: what is left of it is taken first.
    Bringing(u8),
}

impl Taker {
    /// The next state and what to do; `None`: there is nothing to take.
    pub(crate) fn step(self, me: Party, table: &impl Table, event: Event) -> (Self, Option<Actions>) {
        match (self, event) {
            (_, Event::Said(Message::Commit(vm))) => match take_vm(me, table, vm) {
                Some(actions) => (Self::Bringing(vm), Some(actions)),
                None => (Self::Looking, take_next(me, table)),
            },
            (_, Event::Said(message)) => {
                (Self::Looking, take_said(me, table, message).or_else(|| take_next(me, table)))
            }
            (Self::Bringing(vm), Event::Done) => match take_vm(me, table, vm) {
                Some(actions) => (self, Some(actions)),
                None => (Self::Looking, take_next(me, table)),
            },
            (Self::Looking | Self::Bringing(_), _) => (Self::Looking, take_next(me, table)),
        }
    }
}

/// The next thing to take, in the order of the ledger. After a fall memory comes first: nobody has
/// seen to it that there is some to build with.
pub(crate) fn take_next(me: Party, table: &impl Table) -> Option<Actions> {
    let shape = table.shape();
    let extents = if fallen(table).is_some() { shape.extents } else { 0 };
    (0..extents)
        .find_map(|extent| take_plain(me, table, Resource::Extent(extent)))
        .or_else(|| (0..shape.vms).find_map(|vm| take_vm(me, table, vm)))
        .or_else(|| shape.plain().find_map(|resource| take_plain(me, table, resource)))
}

/// What the other party said of anything but a VM that comes: build, or look at one resource.
/// `None`: nothing to take there.
fn take_said(me: Party, table: &impl Table, message: Message) -> Option<Actions> {
    match message {
        Message::Prepare(vm) => Some(Actions::two(Action::Build(vm), Action::Send(Message::Ready(vm)))),
        Message::Offer(resource) => take_plain(me, table, resource),
        Message::Greet { .. }
        | Message::Welcome { .. }
        | Message::Ready(_)
        | Message::Commit(_)
        | Message::GiveBack(_)
        | Message::Taken(_)
        | Message::Abort(_)
        | Message::Retire => None,
    }
}

fn fallen(table: &impl Table) -> Option<Party> {
    table.course().and_then(|course| course.fallen)
}

/// How a word can become the caller's: taken, seized, or not.
fn way(me: Party, table: &impl Table, resource: Resource) -> Option<Change> {
    let word = table.word(resource)?;
    match word.state {
        State::Leaving => Some(Change::Take),
        State::Held if word.owner != me && fallen(table) == Some(word.owner) => Some(Change::Seize),
        State::Held | State::Bound(_) => None,
    }
}

fn take_vm(me: Party, table: &impl Table, vm: u8) -> Option<Actions> {
    let resource = Resource::Vm(vm);
    if table.holds(me, resource) {
        let of = |vcpu: u8| Resource::Vcpu(vm, vcpu);
        let vcpus = 0..table.shape().vcpus;
        let (vcpu, change) = vcpus.clone().find_map(|vcpu| Some((vcpu, way(me, table, of(vcpu))?)))?;
        let left = vcpus.filter(|vcpu| way(me, table, of(*vcpu)).is_some()).count();
        let (change, run) = (Action::Change(of(vcpu), change), Action::Run { vm, vcpu });
        return Some(match left {
            1 => Actions::three(change, run, Action::Send(Message::Taken(resource))),
            _ => Actions::two(change, run),
        });
    }
    way(me, table, resource).map(|change| Actions::two(Action::Build(vm), Action::Change(resource, change)))
}

fn take_plain(me: Party, table: &impl Table, resource: Resource) -> Option<Actions> {
    let change = Action::Change(resource, way(me, table, resource)?);
    Some(Actions::three(change, Action::Adopt(resource), Action::Send(Message::Taken(resource))))
}

/// The next of what a restarted service owns, from the given number on: used again, whatever its
/// predecessor was about to do with it. Returns the number to go on with.
pub(crate) fn resume(me: Party, table: &impl Table, from: u16) -> Option<(u16, Actions)> {
    (0_u16..).zip(table.shape().all()).skip(usize::from(from)).filter(|(_, r)| table.holds(me, *r)).find_map(
        |(number, resource)| {
            let action = match resource {
                Resource::Vm(_) => return None,
                Resource::Vcpu(vm, vcpu) => Action::Run { vm, vcpu },
                Resource::Line(_) | Resource::Cpu(_) | Resource::Extent(_) => Action::Adopt(resource),
            };
            Some((number.saturating_add(1), Actions::one(action)))
        },
    )
}
