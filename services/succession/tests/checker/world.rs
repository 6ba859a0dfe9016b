// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two parties, their ledger, the queues between them, and what each of them really uses.
//!
//! Owns every step that can happen next: an action performed, a message heard, a command of the
//! operator, a glance at the ledger, a fall, a restart. What is used is kept apart from what the
//! words say, so that the two can be compared.

use std::collections::VecDeque;

use succession::{
    Action, Actions, Change, Course, Event, Incumbent, Message, Party, Phase, Resource, Shape, State,
    Successor, Table, Turn, Word,
};

pub const SHAPE: Shape = Shape { vms: 2, vcpus: 2, lines: 1, cpus: 4, extents: 5 };
const WORDS: usize = 16;

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ledger {
    words: [Option<Word>; WORDS],
    course: Course,
}

const fn at(resource: Resource) -> usize {
    match resource {
        Resource::Vm(vm) => vm as usize,
        Resource::Vcpu(vm, vcpu) => 2 + vm as usize * 2 + vcpu as usize,
        Resource::Line(line) => 6 + line as usize,
        Resource::Extent(extent) => 7 + extent as usize,
        Resource::Cpu(cpu) => 12 + cpu as usize,
    }
}

impl Table for Ledger {
    fn shape(&self) -> Shape {
        SHAPE
    }
    fn word(&self, resource: Resource) -> Option<Word> {
        self.words[at(resource)]
    }
    fn exchange(&mut self, resource: Resource, old: Word, new: Word) -> bool {
        let same = self.words[at(resource)] == Some(old);
        if same {
            // Generations are for onlookers, no machine reads them: left out, so that equal states
            // meet.
            self.words[at(resource)] = Some(Word { generation: 0, ..new });
        }
        same
    }
    fn course(&self) -> Option<Course> {
        Some(self.course)
    }
    fn exchange_course(&mut self, old: Course, new: Course) -> bool {
        let same = self.course == old;
        if same {
            self.course = Course { generation: 0, ..new };
        }
        same
    }
}

/// A deliberate mistake in how lists are performed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    None,
    /// A vCPU runs before its word is written.
    RunBeforeWord,
    /// A resource is offered before it is released.
    OfferBeforeRelease,
    /// A fallen party is not fenced off.
    NoFence,
    /// A vCPU goes on running after it was stopped for the switch.
    StopForgotten,
    /// The VM's word is passed over: the ledger's rules must refuse the rest.
    VmWordForgotten,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Machine {
    Incumbent(Incumbent),
    Successor(Successor),
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Side {
    pub machine: Machine,
    pub alive: bool,
    pub pending: VecDeque<Action>,
    /// The last list is performed and the machine has not been told.
    pub unreported: bool,
    pub heard: VecDeque<Message>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub ledger: Ledger,
    pub incumbent: Party,
    /// The incumbent's side, and the successor's.
    pub sides: [Side; 2],
    /// Who uses what: one bit per party.
    pub uses: [u8; WORDS],
    pub faults_left: u8,
    build_may_fail: bool,
    successor_may_ask: bool,
    /// An action was refused by the ledger, of a change that only its own writer can make.
    pub broken: bool,
    pub retired: bool,
    pub fell: [bool; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Step,
    Fault,
}

impl World {
    pub fn new(incumbent: Party, faults_left: u8) -> Self {
        let mut words = [None; WORDS];
        let mut uses = [0; WORDS];
        for resource in SHAPE.all() {
            let (home, state) = match resource {
                Resource::Vcpu(1, 1) => continue,
                Resource::Extent(vm @ 0..=1) => (None, State::Bound(vm)),
                Resource::Extent(2) | Resource::Cpu(0) => (Some(incumbent), State::Held),
                Resource::Extent(3) | Resource::Cpu(1) => (Some(incumbent.peer()), State::Held),
                _ => (None, State::Held),
            };
            words[at(resource)] = Some(Word { owner: incumbent, state, home, generation: 0 });
            if state == State::Held && !matches!(resource, Resource::Vm(_)) {
                uses[at(resource)] = bit(incumbent);
            }
        }
        let course = Course { incumbent, phase: Phase::Quiet, fallen: None, generation: 0 };
        let side = |machine| Side {
            machine,
            alive: true,
            pending: VecDeque::new(),
            unreported: false,
            heard: VecDeque::new(),
        };
        Self {
            ledger: Ledger { words, course },
            incumbent,
            sides: [side(Machine::Incumbent(Incumbent::Idle)), side(Machine::Successor(Successor::Absent))],
            uses,
            faults_left,
            build_may_fail: faults_left == 0,
            successor_may_ask: faults_left == 0,
            broken: false,
            retired: false,
            fell: [false; 2],
        }
    }

    pub fn party(&self, side: usize) -> Party {
        if side == 0 { self.incumbent } else { self.incumbent.peer() }
    }

    pub fn uses(&self, party: Party, resource: Resource) -> bool {
        self.uses[at(resource)] & bit(party) != 0
    }

    /// Every world that can be next.
    pub fn next(&self, mistake: Mistake) -> Vec<(Kind, World)> {
        let mut next = Vec::new();
        for side in 0..2 {
            if !self.sides[side].alive {
                continue;
            }
            self.steps(side, mistake, &mut next);
            self.faults(side, &mut next);
        }
        next
    }

    /// The CPU that a party is about to start.
    pub fn starts(&self, side: usize) -> Option<Resource> {
        match self.sides[side].pending.front() {
            Some(&Action::Adopt(cpu @ Resource::Cpu(_))) => {
                Some(cpu).filter(|cpu| !self.uses(self.party(side), *cpu))
            }
            _ => None,
        }
    }

    fn steps(&self, side: usize, mistake: Mistake, next: &mut Vec<(Kind, World)>) {
        let me = &self.sides[side];
        if let Some(action) = me.pending.front() {
            let mut world = self.clone();
            world.sides[side].pending.pop_front();
            world.perform(side, *action, mistake);
            next.push((Kind::Step, world));
            if let (Action::Build(_), 1, true) = (action, side, self.build_may_fail) {
                let mut world = self.clone();
                world.build_may_fail = false;
                world.fail(side, *action, mistake);
                next.push((Kind::Step, world));
            }
            return;
        }
        if self.fell[1 - side] && self.ledger.course.fallen.is_none() {
            next.extend(self.told(side, Event::Fell, mistake));
        }
        if me.unreported {
            let mut world = self.clone();
            world.tell(side, Event::Done, mistake);
            next.push((Kind::Step, world));
            return;
        }
        if let Some(message) = me.heard.front() {
            let mut world = self.clone();
            world.sides[side].heard.pop_front();
            world.tell(side, Event::Said(*message), mistake);
            next.push((Kind::Step, world));
        }
        match me.machine {
            Machine::Incumbent(now) => {
                let commands: &[Event] = match now {
                    Incumbent::Idle => &[Event::Start],
                    Incumbent::Launching | Incumbent::Giving(_) => &[Event::Abort, Event::Retire],
                    Incumbent::Reclaiming(_) => &[Event::Done],
                    _ => &[],
                };
                next.extend(commands.iter().filter_map(|command| self.told(side, *command, mistake)));
            }
            Machine::Successor(Successor::Taking(_)) => {
                next.extend(self.told(side, Event::Done, mistake));
                if self.successor_may_ask {
                    let mut world = self.clone();
                    world.successor_may_ask = false;
                    world.tell(side, Event::Abort, mistake);
                    next.push((Kind::Step, world));
                }
            }
            Machine::Successor(_) => {}
        }
    }

    /// The world after an event, if the event changes anything.
    fn told(&self, side: usize, event: Event, mistake: Mistake) -> Option<(Kind, World)> {
        let mut world = self.clone();
        world.tell(side, event, mistake);
        (world != *self).then_some((Kind::Step, world))
    }

    fn faults(&self, side: usize, next: &mut Vec<(Kind, World)>) {
        let ended = match self.sides[side].machine {
            Machine::Incumbent(now) => matches!(now, Incumbent::Idle | Incumbent::Gone | Incumbent::Whole),
            Machine::Successor(now) => matches!(now, Successor::Absent | Successor::Gone | Successor::Sole),
        };
        if self.faults_left == 0 || ended {
            return;
        }
        let mut fallen = self.clone();
        fallen.faults_left -= 1;
        fallen.sides[side].pending.clear();
        fallen.sides[side].unreported = false;
        let mut restarted = fallen.clone();
        fallen.end_of(side);
        next.push((Kind::Fault, fallen));
        restarted.sides[side].machine = match restarted.sides[side].machine {
            Machine::Incumbent(_) => Machine::Incumbent(Incumbent::Resuming(0)),
            Machine::Successor(_) => Machine::Successor(Successor::Resuming(0)),
        };
        restarted.sides[side].unreported = true;
        next.push((Kind::Fault, restarted));
        if let Some(action) = self.sides[side].pending.front().filter(|action| !action.is_of_the_ledger()) {
            let mut failed = self.clone();
            failed.faults_left -= 1;
            failed.fail(side, *action, Mistake::None);
            next.push((Kind::Fault, failed));
        }
    }

    fn tell(&mut self, side: usize, event: Event, mistake: Mistake) {
        let me = self.party(side);
        let (machine, actions) = match self.sides[side].machine {
            Machine::Incumbent(now) => {
                let (now, actions) = now.step(me, &self.ledger, event);
                (Machine::Incumbent(now), actions)
            }
            Machine::Successor(now) => {
                let (now, actions) = now.step(me, &self.ledger, event);
                (Machine::Successor(now), actions)
            }
        };
        let moved = machine != self.sides[side].machine || actions != Actions::NONE;
        let mut list: VecDeque<Action> = actions.iter().collect();
        spoil(&mut list, mistake);
        let mine = &mut self.sides[side];
        mine.machine = machine;
        mine.unreported = moved;
        mine.pending = list;
    }

    fn fail(&mut self, side: usize, action: Action, mistake: Mistake) {
        self.sides[side].pending.clear();
        self.tell(side, Event::Failed(action), mistake);
        self.sides[side].unreported = true;
    }

    /// A party does nothing more, though what it used may go on.
    fn end_of(&mut self, side: usize) {
        let it = &mut self.sides[side];
        it.alive = false;
        it.unreported = false;
        it.pending.clear();
        it.heard.clear();
        it.machine = match it.machine {
            Machine::Incumbent(_) => Machine::Incumbent(Incumbent::Gone),
            Machine::Successor(_) => Machine::Successor(Successor::Gone),
        };
        self.fell[side] = true;
    }

    fn perform(&mut self, side: usize, action: Action, mistake: Mistake) {
        let me = self.party(side);
        match action {
            Action::Send(message) => {
                let other = &mut self.sides[1 - side];
                if other.alive {
                    other.heard.push_back(message);
                }
                assert!(other.heard.len() <= 64, "a queue grows without end");
            }
            Action::Change(resource, change) => {
                if self.ledger.change(me, resource, change).is_err() {
                    self.broken |= change != Change::Take;
                    self.fail(side, action, mistake);
                }
            }
            Action::Turn(turn) => match self.ledger.turn(me, turn) {
                Ok(()) => self.retired |= turn == Turn::Retire,
                Err(_) => self.broken = true,
            },
            Action::Launch => self.tell(1, Event::Start, mistake),
            Action::Build(_) => {}
            Action::Stop { .. } if mistake == Mistake::StopForgotten => {}
            Action::Stop { vm, vcpu } => self.uses[at(Resource::Vcpu(vm, vcpu))] &= !bit(me),
            Action::Run { vm, vcpu } => self.uses[at(Resource::Vcpu(vm, vcpu))] |= bit(me),
            Action::Release(resource) => self.uses[at(resource)] &= !bit(me),
            Action::Adopt(resource) => self.uses[at(resource)] |= bit(me),
            Action::Fence(party) => {
                self.end_of(1 - side);
                self.sides[side].heard.clear();
                self.uses.iter_mut().for_each(|uses| *uses &= !bit(party));
            }
        }
    }
}

fn bit(party: Party) -> u8 {
    if party == Party::First { 1 } else { 2 }
}

fn spoil(list: &mut VecDeque<Action>, mistake: Mistake) {
    match mistake {
        Mistake::None | Mistake::StopForgotten => {}
        Mistake::NoFence => list.retain(|action| !matches!(action, Action::Fence(_))),
        Mistake::VmWordForgotten => {
            list.retain(|action| !matches!(action, Action::Change(Resource::Vm(_), Change::Take)));
        }
        Mistake::RunBeforeWord | Mistake::OfferBeforeRelease => {
            for n in 1..list.len() {
                let wrong = match (list[n - 1], list[n]) {
                    (Action::Change(..), Action::Run { .. }) => mistake == Mistake::RunBeforeWord,
                    (Action::Release(_), Action::Change(..)) => mistake == Mistake::OfferBeforeRelease,
                    _ => false,
                };
                if wrong {
                    list.swap(n - 1, n);
                }
            }
        }
    }
}
