// SPDX-License-Identifier: MIT OR Apache-2.0
//! A succession under way, as this party sees it: the machine of the protocol, what it is still to
//! be told, what is known besides.
//!
//! Owns when the machine is told something and in which order: what has just happened first, then
//! events, then what the other party says. Leaves what the machine decides to the protocol (the
//! library beside this service), and the doing of it to `perform.rs`.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use api::estate::{FROM_FIRST_AT, FROM_SECOND_AT, Inventory, WAITED_AT};
use api::succession::Fault;
use api::vmm::Vmm;
use rt::cap::Machine;
use rt::ipc::Client;
use rt::{Cap, Environment, time};
use succession::{
    Action, CHANNEL_WORDS, Channel, Event, Giver, Incumbent, Message, Party, Resource, SharedLedger,
    Successor, Table,
};

use super::bridge::{read_inventory, word, words};
use super::launch::Launch;
use super::pulse::Pulse;
use super::switch::Switch;
use super::{fault, ledger};

/// How long the other party may take from its launch to its greeting.
const GREETING_MS: u64 = 60_000;

/// How long a party rests that has failed at what it cannot do without.
const REST_MS: u64 = 1000;

/// The machine of this party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It had everything at the start.
    Incumbent(Incumbent),
    /// It was started beside the other.
    Successor(Successor),
}

/// A succession under way.
pub struct Course {
    /// Who this is.
    pub me: Party,
    /// What changes owner.
    pub inventory: Inventory,
    /// The VMMs; `None` where the manifest does not let this service command one.
    pub vmms: Vec<Option<Client<Vmm>>>,
    /// Whose it is.
    pub ledger: SharedLedger<'static>,
    /// Where the protocol is.
    pub side: Side,
    /// Where the other party begins, until it is launched.
    pub launch: Option<Launch>,
    /// VMs that are or were this party's, and of which something is left here.
    pub here: Vec<bool>,
    /// VMs that were built here for the other party's to come, and are still there.
    pub built: Vec<bool>,
    /// What is left of the other party's VMs is not asked for again before this TSC.
    pub forgets_at: u64,
    /// The other party was launched at this TSC.
    pub launched: u64,
    /// Since this TSC the incumbent stands ready to leave.
    ready: u64,
    /// Whether the other party is at work.
    pub pulse: Pulse,
    /// What is done on the switch path besides.
    pub switch: Switch,
    /// VMs whose checkpoints the image has a place for, where it was staged here.
    pub takes: Option<Vec<String>>,
    /// What is to stop as by a bug, if anything is, and after how many actions.
    pub fault: Option<Fault>,
    events: VecDeque<Event>,
    /// Nothing is done before this TSC.
    rests_until: u64,
    to: Channel<'static>,
    from: Channel<'static>,
    /// The other party has written nonsense.
    garbled: bool,
    ring: Cap<Machine>,
    peer_cpu: u32,
}

impl Course {
    /// Writes the ledger of a succession that begins here.
    pub fn create(environment: &Environment) -> Result<Self, String> {
        let inventory = read_inventory()?;
        let ledger = ledger::create(&inventory)?;
        Self::new(environment, inventory, ledger, Party::First)
    }

    /// Takes part in one that exists.
    pub fn open(environment: &Environment, first: bool) -> Result<Self, String> {
        let inventory = read_inventory()?;
        let ledger = ledger::open(&inventory)?;
        let me = if first { Party::First } else { Party::Second };
        let mut course = Self::new(environment, inventory, ledger, me)?;
        match (first, environment.restarts) {
            (true, _) => course.side = Side::Incumbent(Incumbent::Resuming(0)),
            (false, 0) => course.side = Side::Successor(Successor::Absent),
            (false, _) => course.side = Side::Successor(Successor::Resuming(0)),
        }
        // Once, whatever becomes of this service.
        if !first {
            course.fault = fault::sent()?;
        }
        course.event(if first || environment.restarts > 0 { Event::Done } else { Event::Start });
        Ok(course)
    }

    fn new(
        environment: &Environment,
        inventory: Inventory,
        ledger: SharedLedger<'static>,
        me: Party,
    ) -> Result<Self, String> {
        let channels = [FROM_FIRST_AT, FROM_SECOND_AT].map(words::<CHANNEL_WORDS>);
        let [first, second] = channels;
        let (first, second) = (Channel::new(first?), Channel::new(second?));
        let (to, from, peer_cpu) = match me {
            Party::First => (first, second, inventory.second_cpu),
            Party::Second => (second, first, inventory.first_cpu),
        };
        let ring = Cap::named(environment, "machine").ok_or("the manifest gives no right to ring")?;
        let vmms = inventory.vms.iter().map(|vm| Client::named(&vm.name)).collect();
        let built = inventory.vms.iter().map(|_| false).collect();
        let here = inventory.vms.iter().map(|_| me == Party::First).collect();
        let (side, events) = (Side::Incumbent(Incumbent::Idle), VecDeque::new());
        let launch = None;
        let launched = time::now();
        let rests_until = 0;
        Ok(Self {
            me,
            inventory,
            vmms,
            ledger,
            side,
            launch,
            here,
            built,
            launched,
            forgets_at: 0,
            garbled: false,
            ready: launched,
            pulse: Pulse::new(me),
            switch: Switch::default(),
            takes: None,
            fault: None,
            events,
            rests_until,
            to,
            from,
            ring,
            peer_cpu,
        })
    }

    /// Whether the other party, which has taken part already, does nothing any more.
    pub fn has_fallen_silent(&mut self) -> bool {
        let listens = match self.side {
            Side::Incumbent(side) => {
                matches!(side, Incumbent::Giving(_) | Incumbent::Turning | Incumbent::Reclaiming(_))
            }
            Side::Successor(side) => {
                matches!(side, Successor::Greeting | Successor::Taking(_) | Successor::Returning(_))
            }
        };
        self.pulse.has_stopped(listens)
    }

    /// Something for the machine to be told.
    pub fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Something for the machine to be told before everything else.
    pub fn first(&mut self, event: Event) {
        self.events.push_front(event);
    }

    /// An action has failed to which the machine came from this side. The machine hears of it, and
    /// goes on, but not at once where it would only try the same again.
    pub fn failed(&mut self, action: Action, from: Side) {
        self.first(Event::Done);
        self.first(Event::Failed(action));
        let moves = match from {
            Side::Incumbent(side) => matches!(side, Incumbent::Giving(_)),
            Side::Successor(side) => {
                matches!(side, Successor::Taking(_)) && !matches!(action, Action::Send(_))
            }
        };
        if !moves {
            self.rests_until = time::after_ms(REST_MS);
        }
    }

    fn rests(&self) -> bool {
        time::now() < self.rests_until
    }

    /// The next thing that the machine is to be told.
    pub fn next_event(&mut self) -> Option<Event> {
        if self.rests() {
            return None;
        }
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        match self.from.receive() {
            Ok(message) => message.map(Event::Said),
            // A party that writes nonsense is not listened to; the ledger says what is so.
            Err(error) => {
                if !core::mem::replace(&mut self.garbled, true) {
                    log::error!("the other party's channel: {error:?}");
                }
                None
            }
        }
    }

    /// Says something to the other party; one that has fallen, and reads no more, need not hear it.
    pub fn send(&self, message: &Message) -> Result<(), String> {
        if let Err(error) = self.to.send(message) {
            let fallen = self.ledger.course().is_some_and(|now| now.fallen == Some(self.me.peer()));
            return if fallen { Ok(()) } else { Err(format!("the channel: {error:?}")) };
        }
        self.ring.ring(self.peer_cpu).map_err(|error| format!("ringing: {error:?}"))?;
        // The other party works on a VM that stands still. Where CPUs take turns, its turn comes
        // now.
        if matches!(message, Message::Commit(_)) {
            core::hint::spin_loop();
        }
        Ok(())
    }

    /// Whether the machine waits for what the ledger may say by now.
    pub fn wants_glances(&self) -> bool {
        match self.side {
            _ if self.rests() => false,
            Side::Incumbent(side) => {
                matches!(side, Incumbent::Giving(Giver::Offering(_)) | Incumbent::Reclaiming(_))
            }
            Side::Successor(side) => {
                matches!(side, Successor::Taking(_) | Successor::Returning(Giver::Offering(_)))
            }
        }
    }

    /// Whether the other party was launched and has not greeted in time.
    pub fn is_overdue(&self) -> bool {
        let waits = matches!(self.side, Side::Incumbent(Incumbent::Launching | Incumbent::Cancelling));
        waits
            && self.launch.is_none()
            && time::now().saturating_sub(self.launched) > GREETING_MS * time::tsc_khz()
    }

    /// The incumbent shall leave: its own decision, or a request to it.
    pub fn retire(&mut self) -> Result<(), String> {
        match self.side {
            Side::Incumbent(_) => {
                self.event(Event::Retire);
                Ok(())
            }
            Side::Successor(_) => self.send(&Message::Retire),
        }
    }

    /// The machine takes an event; what is to be done.
    pub fn step(&mut self, event: Event) -> succession::Actions {
        // A request to leave comes from the successor, whose operator decided it.
        let event = match (self.side, event) {
            (Side::Incumbent(_), Event::Said(Message::Retire)) => Event::Retire,
            (_, event) => event,
        };
        match self.side {
            Side::Incumbent(now) => {
                let (next, actions) = now.step(self.me, &self.ledger, event);
                self.side = Side::Incumbent(next);
                self.note_the_wait(now, next);
                actions
            }
            Side::Successor(now) => {
                let (next, actions) = now.step(self.me, &self.ledger, event);
                self.side = Side::Successor(next);
                actions
            }
        }
    }

    /// How long the incumbent stands ready to leave is the operator's affair, and no part of what
    /// the succession takes.
    fn note_the_wait(&mut self, from: Incumbent, to: Incumbent) {
        let ready = Incumbent::Giving(Giver::Empty);
        if to == ready && from != ready {
            self.ready = time::now();
        }
        if from == ready
            && to == Incumbent::Retiring
            && let Ok(word) = word(WAITED_AT)
        {
            word.store(time::now().saturating_sub(self.ready), Ordering::Relaxed);
        }
    }

    /// The owner of a resource is this party.
    pub fn is_mine(&self, resource: Resource) -> bool {
        self.ledger.owner(resource) == Some(self.me)
    }
}
