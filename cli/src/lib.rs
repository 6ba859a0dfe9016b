// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operator's tool, as a library so that it can be tested against a peer that is no machine.
//!
//! From below: [`mod@line`] (one session on the operator's line), [`system`] (questions and
//! commands, with answers or [`Failure`]s), `command` (what each subcommand does and prints). The
//! words are virsh's where virsh has one.
#![forbid(unsafe_code)]

mod arguments;
mod command;
mod failure;
pub mod interrupt;
pub mod line;
pub mod place;
mod refusal;
pub mod system;
mod table;
mod text;
pub mod turn;
mod wrap;

pub use arguments::{Action, Arguments, CheckpointAction, ConsoleArguments, LogArguments, SuccessionAction};
pub use failure::Failure;
pub use system::System;

use std::io::Write;

/// Does what the command line says, against the system that it names.
///
/// # Errors
/// What went wrong and what to do about it; see [`Failure::code`].
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    match &arguments.action {
        Action::Completions { shell } => command::manual::completions(*shell, out),
        Action::Man { directory } => command::manual::man(directory.as_deref(), out),
        action => {
            let mut system = place::open(arguments)?;
            perform(action, arguments.json, &mut system, out)
        }
    }
}

/// Does what needs a system.
///
/// # Errors
/// As [`run`].
pub fn perform(action: &Action, json: bool, system: &mut System, out: &mut dyn Write) -> Result<(), Failure> {
    let mut output = command::Output { json, out };
    match action {
        Action::Ps { vms } => command::ps::ps(system, *vms, &mut output),
        Action::Inventory => command::inventory::inventory(system, &mut output),
        Action::Log(wanted) => command::log::log(system, wanted, &mut output),
        Action::Console(wanted) => command::console::console(system, wanted, &mut output),
        Action::Start { vm } => command::vm::start(system, vm, &mut output),
        Action::Stop { vm } => command::vm::stop(system, vm, &mut output),
        Action::Pause { vm } => command::vm::pause(system, vm, &mut output),
        Action::Resume { vm } => command::vm::resume(system, vm, &mut output),
        Action::Restart { service } => command::node::restart(system, service, &mut output),
        Action::Poweroff { yes } => command::node::power_off(system, *yes, &mut output),
        Action::Metrics => command::metrics::metrics(system, &mut output),
        Action::Checkpoint { action } => command::checkpoint::checkpoint(system, action, &mut output),
        Action::Succession { action } => command::succession::succession(system, action, &mut output),
        Action::Completions { .. } | Action::Man { .. } => Ok(()),
    }
}
