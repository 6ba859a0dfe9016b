// SPDX-License-Identifier: MIT OR Apache-2.0
//! The giving half of both machines: one resource after the other, until only the giver's home is
//! left.
//!
//! It waits by looking at the ledger: a resource is given when its word names the other party,
//! whatever was said or not heard. A CPU is given when the other party says that it runs there:
//! CPUs are started in a page that both use, one at a time. Had that been said before a restart,
//! the restart brings everything back, or giving begins anew. A VM's vCPUs stop one by one, its own
//! word follows, and by that one exchange all of it has changed owner. Used by the incumbent in a
//! succession, and by the successor when things go back.

use crate::{Action, Actions, Change, Event, Message, Party, Resource, State, Table};

/// Where giving is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Giver {
    /// To choose what comes next.
    Choosing,
    /// The other party builds this VM, which runs on here.
    Preparing(u8),
    /// The vCPUs of this VM are being stopped.
    Parking(u8),
    /// This is offered.
    Offering(Resource),
    /// Only the home is left.
    Empty,
}

impl Giver {
    /// The next state and what to do.
    pub fn step(self, me: Party, table: &impl Table, event: Event) -> (Self, Actions) {
        match (self, event) {
            (Self::Choosing, _) => Self::choose(me, table),
            (Self::Preparing(vm), Event::Said(Message::Ready(ready))) if ready == vm => Self::park(vm, table),
            (Self::Preparing(_), _) => (self, Actions::NONE),
            (Self::Parking(vm), _) => Self::park(vm, table),
            (Self::Offering(resource), event) if is_given(resource, me, table, event) => {
                Self::choose(me, table)
            }
            (Self::Offering(_) | Self::Empty, _) => (self, Actions::NONE),
        }
    }

    fn choose(me: Party, table: &impl Table) -> (Self, Actions) {
        let mine = |r: &Resource| table.word(*r).filter(|word| word.owner == me && word.home != Some(me));
        for resource in order(me, table) {
            let state = mine(&resource).map(|word| word.state);
            let next = Self::Offering(resource);
            return match (resource, state) {
                (_, Some(State::Bound(_)) | None) => continue,
                (Resource::Vm(vm), Some(State::Held)) => {
                    (Self::Preparing(vm), Actions::one(Action::Send(Message::Prepare(vm))))
                }
                (Resource::Vm(vm), Some(State::Leaving)) => (next, Actions::one(commit(vm))),
                (_, Some(State::Held)) => (next, give(resource)),
                (_, Some(State::Leaving)) => (next, Actions::one(Action::Send(Message::Offer(resource)))),
            };
        }
        (Self::Empty, Actions::NONE)
    }

    fn park(vm: u8, table: &impl Table) -> (Self, Actions) {
        let of = |vcpu: u8| Resource::Vcpu(vm, vcpu);
        let running = |vcpu: &u8| table.word(of(*vcpu)).is_some_and(|word| word.state == State::Held);
        let Some(vcpu) = (0..table.shape().vcpus).find(running) else {
            let offer = Action::Change(Resource::Vm(vm), Change::Offer);
            return (Self::Offering(Resource::Vm(vm)), Actions::two(offer, commit(vm)));
        };
        // The state lies in the bridge before the word says so.
        (Self::Parking(vm), Actions::two(Action::Stop { vm, vcpu }, Action::Change(of(vcpu), Change::Offer)))
    }
}

fn is_given(resource: Resource, me: Party, table: &impl Table, event: Event) -> bool {
    let runs = event == Event::Said(Message::Taken(resource));
    table.owner(resource) != Some(me) && (runs || !matches!(resource, Resource::Cpu(_)))
}

/// The order in which things are given. Forwards: memory, so that the other party has something to
/// build with; VMs, a CPU after each, so that there is one to run it; lines; the other CPUs.
/// Backwards it is the other way round, since what was built in memory has to end before.
fn order(me: Party, table: &impl Table) -> impl Iterator<Item = Resource> {
    let shape = table.shape();
    let forwards = table.course().is_none_or(|course| course.incumbent == me);
    let memory = move || (0..shape.extents).map(Resource::Extent);
    let vms = (0..shape.vms.max(shape.cpus)).flat_map(move |number| {
        let vm = (number < shape.vms).then_some(Resource::Vm(number));
        let cpu = (number < shape.cpus && (number < shape.vms || !forwards)).then_some(Resource::Cpu(number));
        vm.into_iter().chain(cpu)
    });
    let lines = (0..shape.lines).map(Resource::Line);
    let others = (0..shape.cpus).map(Resource::Cpu);
    memory().filter(move |_| forwards).chain(vms).chain(lines).chain(others).chain(memory())
}

const fn commit(vm: u8) -> Action {
    Action::Send(Message::Commit(vm))
}

/// Stop using a resource, then say so in its word, then aloud.
const fn give(resource: Resource) -> Actions {
    let offer = Action::Change(resource, Change::Offer);
    Actions::three(Action::Release(resource), offer, Action::Send(Message::Offer(resource)))
}

/// The next piece of the leaver's home to give. Its last CPU comes last, and writes its word as the
/// last thing it does, so nothing is said after it. Nothing: it has left.
pub(crate) fn leave(me: Party, table: &impl Table) -> Option<Actions> {
    table
        .shape()
        .plain()
        .find(|r| home_of(me, table, *r) && table.holds(me, *r))
        .map(|resource| Actions::two(Action::Release(resource), Action::Change(resource, Change::Offer)))
}

/// Whether a resource is a party's home.
pub(crate) fn home_of(who: Party, table: &impl Table, resource: Resource) -> bool {
    table.word(resource).is_some_and(|word| word.home == Some(who))
}
