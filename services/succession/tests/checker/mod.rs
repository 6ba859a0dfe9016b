// SPDX-License-Identifier: MIT OR Apache-2.0
//! The search: every world that can be reached, each looked at once, and then the ways between
//! them.
//!
//! Owns what must hold. In every world: I7, each VM under one owner, a named owner for what stands.
//! Over all worlds: an end that is clean, a way back before retirement, and the successor alone
//! after it.

mod fate;
pub mod world;

use std::collections::{HashMap, VecDeque};

use fate::{Fate, fate};
use succession::{Incumbent, Party, Resource, State, Successor, Table};
use world::{Kind, Machine, Mistake, SHAPE, World};

/// What was found.
#[derive(Default, Debug)]
pub struct Found {
    pub states: usize,
    pub steps: usize,
    pub ends: [usize; 4],
}

/// How a succession ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Incumbent = 0,
    Successor = 1,
    Standby = 2,
    NobodyLeft = 3,
}

/// Explores everything, or says what does not hold.
pub fn explore(incumbent: Party, faults: u8, mistake: Mistake) -> Result<Found, String> {
    let first = World::new(incumbent, faults);
    let mut numbers = HashMap::from([(first.clone(), 0_usize)]);
    let mut queue = VecDeque::from([first]);
    let mut ways: Vec<Vec<(Kind, usize)>> = Vec::new();
    let mut marks = Vec::new();
    let mut found = Found::default();
    while let Some(world) = queue.pop_front() {
        let say = |what: &str| format!("{what}: {:?} {:?}", world.sides[0].machine, world.sides[1].machine);
        check(&world).and_then(|()| check_starts(&world, faults)).map_err(|what| say(&what))?;
        let next = world.next(mistake);
        let end = end(&world);
        if next.iter().all(|(kind, _)| *kind == Kind::Fault) && end.is_none() {
            return Err(say("no way on"));
        }
        if let Some(end) = end {
            found.ends[end as usize] += 1;
        }
        let mut from = Vec::new();
        for (kind, world) in next {
            let fresh = numbers.len();
            let number = *numbers.entry(world).or_insert_with_key(|world| {
                queue.push_back(world.clone());
                fresh
            });
            from.push((kind, number));
        }
        found.steps += from.len();
        ways.push(from);
        marks.push(Mark::of(&world, end));
    }
    found.states = numbers.len();
    over_all(&ways, &marks)?;
    Ok(found)
}

struct Mark {
    end: Option<End>,
    retired: bool,
    fell: [bool; 2],
    greeted_fall: bool,
    /// Whether a side is on its way out, and may be gone before it hears of the other's fall.
    leaves: [bool; 2],
}

impl Mark {
    fn of(world: &World, end: Option<End>) -> Self {
        let taken = fate(world.party(1), &world.ledger, 0) != Some(Fate::Stopped(world.incumbent));
        let [incumbent, successor] = [world.sides[0].machine, world.sides[1].machine];
        let first = matches!(incumbent, Machine::Incumbent(Incumbent::Retiring | Incumbent::Gone));
        let second = matches!(successor, Machine::Successor(Successor::Leaving | Successor::Gone));
        let retired = world.retired || incumbent == Machine::Incumbent(Incumbent::Retiring);
        Self { end, retired, fell: world.fell, greeted_fall: taken, leaves: [first, second] }
    }
}

/// What holds in every single world.
fn check(world: &World) -> Result<(), String> {
    if world.broken {
        return Err("a change that was its writer's own was refused".into());
    }
    let ledger = &world.ledger;
    for resource in SHAPE.all() {
        let Some(word) = ledger.word(resource) else { continue };
        for side in 0..2 {
            let party = world.party(side);
            if world.uses(party, resource) && !ledger.holds(party, resource) {
                return Err(format!("I7: {party:?} uses {resource:?}, whose word is {word:?}"));
            }
        }
    }
    for vm in 0..SHAPE.vms {
        check_vm(world, vm)?;
    }
    let sole = world.sides[1].machine == Machine::Successor(Successor::Sole);
    let whole = world.sides[0].machine == Machine::Incumbent(Incumbent::Whole);
    let owner = world.incumbent;
    if sole && !ledger.holds_all(owner.peer()) || whole && !ledger.holds_all(owner) {
        return Err("ended without everything".into());
    }
    Ok(())
}

/// CPUs are started in a page that both use. With two faults they may meet there: a service that
/// was restarted goes through what it owns.
fn check_starts(world: &World, faults: u8) -> Result<(), String> {
    match (world.starts(0), world.starts(1)) {
        (Some(one), Some(other)) if faults < 2 => {
            Err(format!("{one:?} and {other:?} are started in the same page"))
        }
        _ => Ok(()),
    }
}

fn check_vm(world: &World, vm: u8) -> Result<(), String> {
    let ledger = &world.ledger;
    let Some(owner) = ledger.owner(Resource::Vm(vm)) else { return Err(format!("VM {vm} has no owner")) };
    if SHAPE.of(vm).any(|vcpu| world.uses(owner.peer(), vcpu)) {
        return Err(format!("VM {vm} is {owner:?}'s and runs under the other"));
    }
    let bound = SHAPE.plain().filter(|r| ledger.word(*r).is_some_and(|word| word.state == State::Bound(vm)));
    for resource in bound {
        if ledger.owner(resource) != Some(owner) {
            return Err(format!("{resource:?} does not follow VM {vm}"));
        }
    }
    // With one side fallen, what the ledger alone says of the VM must name who runs it or can.
    let [first, second] = [world.incumbent, world.incumbent.peer()];
    for (fallen, survivor) in [(first, second), (second, first)] {
        match fate(survivor, ledger, vm) {
            Some(Fate::Keep) if owner == survivor => {}
            Some(Fate::TakeOver) if owner == fallen => {}
            Some(Fate::Stopped(named))
                if owner == fallen
                    && named == fallen
                    && ledger.course().is_none_or(|course| course.incumbent != survivor) => {}
            other => return Err(format!("VM {vm} of {owner:?}: {other:?} when {fallen:?} falls")),
        }
    }
    Ok(())
}

/// Whether and how this world is at its end, with every VM running there where it should.
fn end(world: &World) -> Option<End> {
    let [incumbent, successor] = &world.sides;
    if incumbent.pending.len() + successor.pending.len() > 0 {
        return None;
    }
    let runs = |party: Party| {
        SHAPE.all().filter(|r| !matches!(r, Resource::Vm(_))).all(|resource| {
            world
                .ledger
                .word(resource)
                .is_none_or(|word| word.state != State::Held || world.uses(party, resource))
        }) && world.ledger.holds_all(party)
    };
    let (first, second) = (world.incumbent, world.incumbent.peer());
    let gone = |side: usize| {
        !world.sides[side].alive
            || matches!(
                world.sides[side].machine,
                Machine::Incumbent(Incumbent::Gone) | Machine::Successor(Successor::Gone | Successor::Absent)
            )
    };
    match (incumbent.machine, successor.machine) {
        _ if gone(0) && gone(1) && (world.fell[0] || world.fell[1]) => Some(End::NobodyLeft),
        (Machine::Incumbent(Incumbent::Whole), _) if runs(first) && gone(1) => Some(End::Incumbent),
        (_, Machine::Successor(Successor::Sole)) if runs(second) && gone(0) => Some(End::Successor),
        (_, Machine::Successor(Successor::Standby)) if !incumbent.alive => Some(End::Standby),
        _ => None,
    }
}

/// What holds over all worlds together.
fn over_all(ways: &[Vec<(Kind, usize)>], marks: &[Mark]) -> Result<(), String> {
    let backwards = reverse(ways);
    let reach = |end: End| reaching(&backwards, marks, end);
    let (incumbent, successor) = (reach(End::Incumbent), reach(End::Successor));
    let (standby, nobody) = (reach(End::Standby), reach(End::NobodyLeft));
    for (number, mark) in marks.iter().enumerate() {
        let (whole, sole) = (incumbent[number], successor[number]);
        let (needed, name) = match mark.fell {
            [false, false] if mark.retired => {
                (sole && !whole, "retired, and the successor is not alone at the end")
            }
            [false, false] => (whole, "no way back"),
            [false, true] => (
                whole || mark.leaves[0] && nobody[number],
                "the successor fell, and the incumbent does not get all",
            ),
            [true, false] if mark.greeted_fall => (
                sole || mark.leaves[1] && nobody[number],
                "the incumbent fell, and the successor does not get all",
            ),
            [true, false] => {
                (standby[number] || nobody[number], "the incumbent fell early, and nobody stands by")
            }
            [true, true] => (true, ""),
        };
        if !needed {
            return Err(format!("{name} (state {number})"));
        }
    }
    Ok(())
}

fn reverse(ways: &[Vec<(Kind, usize)>]) -> Vec<Vec<usize>> {
    let mut backwards = vec![Vec::new(); ways.len()];
    for (from, tos) in ways.iter().enumerate() {
        for (kind, to) in tos {
            // A way back must not need another fault.
            if *kind == Kind::Step {
                backwards[*to].push(from);
            }
        }
    }
    backwards
}

fn reaching(backwards: &[Vec<usize>], marks: &[Mark], end: End) -> Vec<bool> {
    let mut reached: Vec<bool> = marks.iter().map(|mark| mark.end == Some(end)).collect();
    let mut queue: Vec<usize> = (0..reached.len()).filter(|number| reached[*number]).collect();
    while let Some(number) = queue.pop() {
        for from in &backwards[number] {
            if !reached[*from] {
                reached[*from] = true;
                queue.push(*from);
            }
        }
    }
    reached
}
