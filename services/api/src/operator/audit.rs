// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the log says of the operator's commands: what was asked, and what came of it.
//!
//! Questions are left out: a tool that watches asks several a second. So is what is typed on a VM's
//! console, which may be a password, and the parts of an image.

use alloc::format;
use alloc::string::{String, ToString};

use super::{Failure, Reply, Request};
use crate::{checkpoint, root, succession, vmm};

/// Longest name that is written.
const NAME: usize = 32;

/// A command in words; `None` for a question.
#[must_use]
pub fn command(request: &Request) -> Option<String> {
    match request {
        Request::Ping | Request::Console(_) => None,
        Request::Root(request) => match request {
            root::Request::Restart(name) => Some(format!("restart {}", short(name))),
            root::Request::Kill(name) => Some(format!("kill {}", short(name))),
            root::Request::PowerOff => Some("poweroff".into()),
            root::Request::Estate(_) => Some("estate".into()),
            root::Request::Ps(_)
            | root::Request::Inventory
            | root::Request::Regions(_)
            | root::Request::Faults(_)
            | root::Request::Log(_) => None,
        },
        Request::Vm(name, request) => vm(request).map(|(verb, rest)| format!("{verb} {}{rest}", short(name))),
        Request::Checkpoint(request) => match request {
            checkpoint::Request::Remove { id } => Some(format!("checkpoint rm {id}")),
            _ => None,
        },
        Request::Succession(request) => match request {
            succession::Request::Stage { bytes } => Some(format!("succession stage ({bytes} bytes)")),
            succession::Request::Start => Some("succession start".into()),
            succession::Request::Abort => Some("succession abort".into()),
            succession::Request::Retire => Some("succession retire".into()),
            succession::Request::Fault(_) => Some("succession fault".into()),
            succession::Request::Part { .. }
            | succession::Request::Plan
            | succession::Request::Status
            | succession::Request::Resources(_) => None,
        },
    }
}

fn vm(request: &vmm::Request) -> Option<(&'static str, String)> {
    let verb = match request {
        vmm::Request::Pause => "pause",
        vmm::Request::Resume => "resume",
        vmm::Request::Stop => "stop",
        vmm::Request::Start => "start",
        vmm::Request::CheckpointCreate => "checkpoint create",
        vmm::Request::Restore { id } => return Some(("checkpoint restore", format!(" {id}"))),
        _ => return None,
    };
    Some((verb, String::new()))
}

/// What came of it.
#[must_use]
pub fn outcome(reply: &Reply) -> String {
    let failed = match reply {
        Reply::Vm(vmm::Reply::Refused(why))
        | Reply::Root(root::Reply::Refused(why))
        | Reply::Succession(succession::Reply::Refused(why)) => return format!("refused: {why}"),
        Reply::Checkpoint(checkpoint::Reply::Refused(why)) => return format!("refused: {why:?}"),
        Reply::Vm(vmm::Reply::Checkpoint { id }) => return format!("checkpoint {id}"),
        Reply::Vm(vmm::Reply::Denied)
        | Reply::Root(root::Reply::Denied)
        | Reply::Checkpoint(checkpoint::Reply::Denied)
        | Reply::Succession(succession::Reply::Denied)
        | Reply::Failed(Failure::NotPermitted) => "denied",
        Reply::Failed(Failure::Unknown(_)) => "there is no such VM or service",
        Reply::Failed(Failure::Unavailable(_)) => "no answer",
        Reply::Failed(Failure::TimedOut(_)) => "no answer in time",
        _ => "done",
    };
    failed.to_string()
}

/// The beginning of a name, which the peer may have made up.
fn short(name: &str) -> String {
    name.chars().take(NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::{NAME, command, outcome};
    use crate::operator::{Reply, Request};
    use crate::{root, vmm};
    use alloc::string::ToString;

    #[test]
    fn commands_are_told_and_questions_are_not() {
        let told = |request| command(&Request::Vm("linux".into(), request));
        assert_eq!(told(vmm::Request::Restore { id: 3 }).unwrap(), "checkpoint restore linux 3");
        assert_eq!(told(vmm::Request::Stop).unwrap(), "stop linux");
        assert_eq!(told(vmm::Request::Status), None);
        assert_eq!(told(vmm::Request::ConsoleWrite(b"secret\r".to_vec())), None);
        let refused = Reply::Root(root::Reply::Refused("no".to_string()));
        assert_eq!(outcome(&refused), "refused: no");
    }

    #[test]
    fn a_name_that_was_made_up_is_cut() {
        let told = command(&Request::Root(root::Request::Restart("x".repeat(5000)))).unwrap();
        assert_eq!(told.len(), NAME + "restart ".len());
    }
}
