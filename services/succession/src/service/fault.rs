// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fault injection: this service, or all of its hypervisor, stops before an action as by a bug.
//!
//! Owns the word of the bridge that tells the successor where, and the count of actions until then.
//! `cargo xtask test` finds out with it what becomes of a succession wherever a party stops. What
//! the other one makes of that is no affair of this room. Only a build for tests injects faults
//! (feature `fault-injection`). In any other build the compiler leaves this room empty: the
//! operator's request is refused, and what the peer writes into that word is not read.

use alloc::string::String;
use core::sync::atomic::Ordering;

use api::estate::{FAULT_ALL, FAULT_AT, Request};
use api::succession::Fault;

use super::Service;
use super::bridge::word;
use super::course::Course;

/// Whether this build injects faults.
const INJECTS: bool = cfg!(feature = "fault-injection");

/// A fault for the next succession; refused where this build injects none.
pub fn accept(fault: Fault) -> Result<Option<Fault>, String> {
    if INJECTS { Ok(Some(fault)) } else { Err("only a build for tests injects faults".into()) }
}

/// What the incumbent has sent to the successor. Once, whatever becomes of this service.
pub fn sent() -> Result<Option<Fault>, String> {
    if !INJECTS {
        return Ok(None);
    }
    let word = word(FAULT_AT)?.swap(0, Ordering::Relaxed);
    let (action, all) = ((word & !FAULT_ALL).checked_sub(1), word & FAULT_ALL != 0);
    Ok(action.map(|action| Fault { successor: true, action: action as u32, all }))
}

impl Course {
    /// Lets one party stop before an action.
    pub fn inject(&mut self, fault: Fault) -> Result<(), String> {
        if fault.successor {
            let all = if fault.all { FAULT_ALL } else { 0 };
            word(FAULT_AT)?.store((u64::from(fault.action) + 1) | all, Ordering::Relaxed);
        } else {
            self.fault = Some(fault);
        }
        Ok(())
    }

    /// An action is about to be performed; the fault whose turn has come.
    fn count_down(&mut self) -> Option<Fault> {
        let fault = self.fault.as_mut()?;
        match fault.action.checked_sub(1) {
            Some(left) => fault.action = left,
            None => return self.fault.take(),
        }
        None
    }
}

impl Service {
    /// An action is about to be performed: stops where a fault was injected.
    pub fn stop_at_fault(&mut self) -> Result<(), String> {
        if !INJECTS {
            return Ok(());
        }
        let Some(fault) = self.course.as_mut().and_then(Course::count_down) else { return Ok(()) };
        assert!(fault.all, "a fault was injected here");
        self.estate(Request::Stop).map(|_| ())
    }
}
