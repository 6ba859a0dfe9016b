// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is asked of other services: root, the VMMs, the checkpoint service.
//!
//! Owns how long this service waits for an answer, and the words in which there was none. What is
//! asked, and what becomes of an answer, is for the rooms that ask. On the switch path only
//! [`Service::ask_vmm`] is used, which takes a connection that is there already. Before each wait
//! the other party is told that this one is at work: it may be the longest that there is.

use alloc::format;
use alloc::string::String;

use api::root::{self, ProcessState};
use api::vmm::{self, Vmm};
use api::{Interface, estate};
use rt::ipc::Client;
use rt::time;

use super::Service;

/// How long a service may take to answer. What is not answered by then counts as failed, and
/// everything can be asked for twice.
const PATIENCE_MS: u64 = 10_000;
/// The same for the last thing of all, which nobody else waits for.
const SETTLING_MS: u64 = 120_000;
/// A VMM, in a message about a VM.
const ITS_VMM: &str = "its VMM";

impl Service {
    /// Asks a service. A message of failure begins with `who`.
    pub fn ask<I: Interface>(
        &self,
        who: &str,
        client: &Client<I>,
        request: &I::Request,
    ) -> Result<I::Reply, String> {
        self.ask_patiently(who, client, request, PATIENCE_MS)
    }

    fn ask_patiently<I: Interface>(
        &self,
        who: &str,
        client: &Client<I>,
        request: &I::Request,
        patience_ms: u64,
    ) -> Result<I::Reply, String> {
        if let Some(course) = &self.course {
            course.pulse.beat();
        }
        let answer = client.call_until(request, time::after_ms(patience_ms));
        answer.map_err(|error| format!("{who}: {error:?}"))
    }

    /// Asks root for something of the machine.
    pub fn estate(&self, request: estate::Request) -> Result<estate::Reply, String> {
        let patience_ms = if request == estate::Request::Settle { SETTLING_MS } else { PATIENCE_MS };
        match self.ask_patiently("root", &self.root, &root::Request::Estate(request), patience_ms)? {
            root::Reply::Estate(estate::Reply::Refused(why)) => Err(why),
            root::Reply::Estate(reply) => Ok(reply),
            other => Err(format!("root: {other:?}")),
        }
    }

    /// Whether a service is there to answer.
    pub fn runs(&self, name: &str) -> bool {
        let mut from = 0;
        loop {
            let Ok(root::Reply::Ps(processes)) = self.ask("root", &self.root, &root::Request::Ps(from))
            else {
                return false;
            };
            if processes.is_empty() {
                return false;
            }
            if let Some(process) = processes.iter().find(|process| process.name == name) {
                return process.state == ProcessState::Running;
            }
            from += processes.len() as u32;
        }
    }

    /// The status of a VM, by its VMM; in a succession or outside of one.
    pub fn vm_status(&self, name: &str) -> Result<vmm::Status, String> {
        if !self.runs(name) {
            return Err(format!("{name} does not run"));
        }
        let client =
            Client::<Vmm>::named(name).ok_or("the manifest does not let this service call the VM")?;
        match self.ask(ITS_VMM, &client, &vmm::Request::Status)? {
            vmm::Reply::Status(status) => Ok(status),
            other => Err(format!("{ITS_VMM}: {other:?}")),
        }
    }

    /// Asks the VMM of a VM in the succession for something that it does or refuses.
    pub fn ask_vmm(&self, vm: u8, request: &vmm::Request) -> Result<(), String> {
        let course = self.course.as_ref().ok_or("there is no succession")?;
        let client = course.vmms.get(usize::from(vm)).and_then(Option::as_ref);
        let client = client.ok_or("the manifest does not let this service command the VM")?;
        match self.ask(ITS_VMM, client, request)? {
            vmm::Reply::Done => Ok(()),
            vmm::Reply::Refused(why) => Err(why),
            other => Err(format!("{ITS_VMM}: {other:?}")),
        }
    }
}
