// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol's actions, performed.
//!
//! On the way from the stop of a VM's vCPU to its run nothing is allocated here, logged or waited
//! for but the VMM's answer.

use alloc::format;
use alloc::string::{String, ToString};
use core::sync::atomic::Ordering;

use api::estate::{BEGUN_AT, Item, LAUNCHED_AT, LEDGER_AT, Request, WAITED_AT};
use api::vmm;
use rt::cap::{Cap, Notification};
use rt::{Environment, syscall, time};
use succession::{Action, Event, Incumbent, Message, Party, Resource, Successor, Table, Turn, Word};

use super::bridge::{value, word};
use super::course::{Course, Side};
use super::{GLANCE_MS, Service, switch};

/// Several times what a VMM takes from its answer to the entry.
const ENTRY_US: u64 = 20;
/// More messages than either party has to say at once.
const MOST_HEARD: u32 = 128;
/// Before what could not be cleared up is tried again.
const AGAIN_MS: u64 = 1000;

impl Service {
    /// Feeds the protocol's machine until it waits, or the other party has said much at once:
    /// others are served then, before it is heard out.
    pub fn pump(&mut self) {
        let mut heard = 0;
        while let Some(course) = self.course.as_mut().filter(|_| heard < MOST_HEARD) {
            course.pulse.beat();
            let Some(event) = course.next_event() else { break };
            heard += u32::from(matches!(event, Event::Said(_)));
            if matches!(event, Event::Said(Message::Ready(_))) {
                // A VM stops next. Whoever was answered just now and waits for this CPU goes first,
                // and not before the VMM in the middle of it.
                syscall::yield_now();
            }
            let before = course.side;
            let actions = course.step(event);
            let mut failed = None;
            for action in actions.iter() {
                if let Err(why) = self.perform(action) {
                    self.message = format!("{action:?}: {why}");
                    log::warn!("{}", self.message);
                    failed = Some(action);
                    break;
                }
            }
            let Some(course) = self.course.as_mut() else { break };
            if before != course.side {
                log::debug!("{:?}", course.side);
            }
            // The machine goes on until it waits; messages and commands come after that.
            match failed {
                Some(action) => course.failed(action, before),
                None if before != course.side || !actions.is_empty() => course.first(Event::Done),
                None => {
                    self.forget();
                    self.finish();
                }
            }
        }
    }

    /// Looks at what the other party may have done without saying so.
    pub fn glance(&mut self) {
        let Some(course) = self.course.as_mut() else { return };
        if course.is_overdue() {
            log::error!("the successor does not greet: it counts as fallen");
            course.event(Event::Fell);
        } else if course.has_fallen_silent() {
            log::error!("the other hypervisor does nothing any more: it counts as fallen");
            course.first(Event::Fell);
        } else if course.wants_glances() {
            course.event(Event::Done);
        }
    }

    fn perform(&mut self, action: Action) -> Result<(), String> {
        self.stop_at_fault()?;
        let Some(course) = self.course.as_mut() else { return Ok(()) };
        course.switch.begins(action);
        let performed = self.carry_out(action);
        if let Some(course) = self.course.as_mut() {
            course.switch.ends(action);
        }
        performed
    }

    fn carry_out(&mut self, action: Action) -> Result<(), String> {
        let Some(course) = self.course.as_mut() else { return Ok(()) };
        match action {
            Action::Send(message @ Message::Prepare(vm)) => {
                self.estate(Request::Open(vm))?;
                self.ask_vmm(vm, &vmm::Request::Prepare)?;
                // The VM stood still for that.
                enter_first(self.environment);
                self.send(&message)
            }
            Action::Send(message @ Message::Greet { .. }) => {
                self.launch_ticks = since(LAUNCHED_AT);
                course.send(&message)
            }
            Action::Send(message @ Message::Commit(_)) => {
                // It says so itself when it runs the VM; until then it is not to be disturbed by
                // what is cleared up here.
                self.next_glance = time::after_ms(GLANCE_MS);
                course.send(&message)
            }
            Action::Send(message @ Message::Taken(Resource::Vm(vm))) => {
                enter_first(self.environment);
                let sent = course.send(&message);
                self.arrived(vm);
                sent
            }
            Action::Send(message) => course.send(&message),
            Action::Change(resource, change) => {
                let changed = course.ledger.change(course.me, resource, change);
                changed.map_err(|_| "the ledger says otherwise".to_string())
            }
            Action::Turn(turn) => {
                let turned = course.ledger.turn(course.me, turn);
                turned.map_err(|_| "the course has changed otherwise".to_string())?;
                if turn == Turn::Settle { self.settle() } else { Ok(()) }
            }
            Action::Launch => self.launch(),
            // Asked for again on the switch path, where it is known.
            Action::Build(vm) if course.built.get(usize::from(vm)) == Some(&true) => Ok(()),
            Action::Build(vm) => self.build(vm),
            Action::Stop { vm, vcpu } => self.stop(vm, vcpu.into()),
            Action::Run { vm, vcpu } => self.run(vm, vcpu.into()),
            Action::Release(resource) => self.release(resource),
            Action::Adopt(resource) => match item(resource) {
                Some(item) => self.estate(Request::Adopt(item)).and_then(|_| self.go_on(resource)),
                None => Ok(()),
            },
            Action::Fence(_) => self.estate(Request::Fence).map(|_| ()),
        }
    }

    fn send(&self, message: &Message) -> Result<(), String> {
        self.course.as_ref().map_or(Ok(()), |course| course.send(message))
    }

    fn launch(&mut self) -> Result<(), String> {
        let course = self.course.as_mut().ok_or("there is no succession")?;
        let launch = course.launch.take().ok_or("the carve-out is not filled")?;
        course.launched = time::now();
        word(LAUNCHED_AT)?.store(course.launched, Ordering::Relaxed);
        self.estate(Request::Launch { entry: launch.entry, information: launch.information })?;
        self.message = "launched".to_string();
        Ok(())
    }

    /// The VMM is there, and has done what it can before the VM comes.
    fn build(&mut self, vm: u8) -> Result<(), String> {
        self.estate(Request::Build(vm))?;
        self.ask_vmm(vm, &vmm::Request::Prepare)?;
        if let Some(built) = self.course.as_mut().and_then(|course| course.built.get_mut(usize::from(vm))) {
            *built = true;
        }
        Ok(())
    }

    fn stop(&mut self, vm: u8, vcpu: u32) -> Result<(), String> {
        let request = vmm::Request::HandOver { vcpu };
        self.vcpu(vm, &request).or_else(|why| {
            self.lose(vm).map_err(|_| why)?;
            self.vcpu(vm, &request)
        })
    }

    fn run(&mut self, vm: u8, vcpu: u32) -> Result<(), String> {
        let ran = self.vcpu(vm, &vmm::Request::TakeOver { vcpu });
        ran.or_else(|why| self.lose(vm).map_err(|_| why))?;
        // On the switch path it is said when all of the VM has come.
        if !self.course.as_ref().is_some_and(|course| course.switch.is_under_way()) {
            self.arrived(vm);
        }
        Ok(())
    }

    /// Asks for something of a vCPU. A VMM that was started anew since it was built has no handover
    /// window: it gets one, and is asked once more.
    fn vcpu(&mut self, vm: u8, request: &vmm::Request) -> Result<(), String> {
        if let Some(course) = &mut self.course {
            course.switch.asks();
        }
        if self.ask_vmm(vm, request).is_ok() {
            return Ok(());
        }
        self.build(vm)?;
        self.ask_vmm(vm, request)
    }

    /// Whether the other party has fallen.
    fn is_alone(&self) -> bool {
        let fallen = |course: &Course| course.ledger.course().is_some_and(|now| now.fallen.is_some());
        self.course.as_ref().is_some_and(fallen)
    }

    /// The state of a VM was with the party that fell, or with a VMM that ended. The others shall
    /// not wait for it.
    fn lose(&mut self, vm: u8) -> Result<(), String> {
        self.vcpu(vm, &vmm::Request::Lose { anyway: self.is_alone() })?;
        log::error!("the state of VM {vm} was lost with whoever ran it");
        self.arrived(vm);
        Ok(())
    }

    /// All of a VM has come.
    fn arrived(&self, vm: u8) {
        if let Err(why) = self.estate(Request::Arrived(vm)) {
            log::warn!("VM {vm} has come, and root does not know: {why}");
        }
    }

    fn release(&mut self, resource: Resource) -> Result<(), String> {
        let Some(item) = item(resource) else { return Ok(()) };
        let Some(course) = &self.course else { return Ok(()) };
        let last_word = leaving_word(course, resource);
        if last_word.is_some() {
            log::info!("this hypervisor leaves");
        }
        self.rest(resource)?;
        self.estate(Request::Release { item, last_word }).map(|_| ())
    }

    /// A VM that was here and is the other party's is not kept here any longer.
    fn forget(&mut self) {
        let Some(course) = self.course.as_mut() else { return };
        let (me, ledger) = (course.me, &course.ledger);
        for (vm, here) in (0..).zip(&mut course.here) {
            *here |= ledger.holds(me, Resource::Vm(vm));
        }
        let is_gone = |(vm, here): &(u8, &bool)| **here && ledger.holds(me.peer(), Resource::Vm(*vm));
        let gone = (0..).zip(&course.here).find(is_gone).filter(|_| time::now() >= course.forgets_at);
        let Some((vm, _)) = gone else { return };
        if let Some(built) = course.built.get_mut(usize::from(vm)) {
            *built = false;
        }
        let forgotten = self.estate(Request::Forget(vm));
        let Some(course) = self.course.as_mut() else { return };
        match forgotten {
            Ok(_) => {
                if let Some(here) = course.here.get_mut(usize::from(vm)) {
                    *here = false;
                }
            }
            Err(why) => {
                course.forgets_at = time::after_ms(AGAIN_MS);
                log::warn!("VM {vm} is the other party's, and not gone here: {why}");
            }
        }
    }

    /// This party owns everything: what was needed for the succession alone is given back, the
    /// bridge included.
    fn settle(&mut self) -> Result<(), String> {
        let Some(course) = self.course.take() else { return Ok(()) };
        let back = course.me == Party::First;
        let waited = value(WAITED_AT);
        let total = since(BEGUN_AT).saturating_sub(waited);
        let extras = switch::extras();
        drop(course);
        self.estate(Request::Settle)?;
        if !back {
            self.total_ticks = total;
            self.switch_extras = extras;
        }
        self.message = String::from(if back { "everything is back" } else { "succeeded" });
        log::info!("{}: this hypervisor, {}, owns the machine", self.message, super::VERSION);
        Ok(())
    }

    /// A party that has left does nothing any more. One that found everything its own after a
    /// restart has still to clear up.
    fn finish(&mut self) {
        let Some(course) = &self.course else { return };
        match course.side {
            Side::Incumbent(Incumbent::Gone) | Side::Successor(Successor::Gone) => self.course = None,
            Side::Incumbent(Incumbent::Whole) | Side::Successor(Successor::Sole) => {
                if let Err(why) = self.settle() {
                    log::error!("{why}");
                }
            }
            _ => {}
        }
    }
}

/// Lets a VMM on this CPU, which has a lower priority, enter its guest before the other party hears
/// of it: what that does next keeps this CPU busy, or where CPUs take turns the other one, for a
/// million instructions.
fn enter_first(environment: &Environment) {
    if let Some(doorbell) = Cap::<Notification>::named(environment, "doorbell") {
        // Who rings meanwhile is heard at the next look.
        doorbell.wait_out(time::now().saturating_add(time::tsc_khz() * ENTRY_US / 1000));
    }
}

/// Ticks since the TSC in a word of the bridge.
fn since(at: u64) -> u64 {
    word(at).map_or(0, |word| time::now().saturating_sub(word.load(Ordering::Relaxed)))
}

const fn item(resource: Resource) -> Option<Item> {
    match resource {
        Resource::Cpu(number) => Some(Item::Cpu(number)),
        Resource::Extent(number) => Some(Item::Extent(number)),
        Resource::Line(number) => Some(Item::Line(number)),
        Resource::Vm(_) | Resource::Vcpu(..) => None,
    }
}

/// For the last CPU of a party that leaves: where its word lies and what it is to be. The CPU
/// writes it itself, as the last thing it does.
fn leaving_word(course: &Course, resource: Resource) -> Option<(u64, u64)> {
    let word = course.ledger.word(resource)?;
    if !matches!(resource, Resource::Cpu(_)) || word.home != Some(course.me) {
        return None;
    }
    let leaving =
        Word { state: succession::State::Leaving, generation: word.generation.wrapping_add(1), ..word };
    Some((LEDGER_AT + course.ledger.offset(resource)?, leaving.raw()))
}
