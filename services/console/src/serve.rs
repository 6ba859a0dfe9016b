// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests: whoever may call may write; whoever controls may read.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use abi::syscall::FOREVER;
use api::console::{Console, MAX_READ, Reply, Request};
use api::root::{self, Root};
use api::{Badge, CONTROL};
use console::limit::{Bucket, Verdict};
use console::line;
use console::ring::Ring;
use rt::cap::Cap;
use rt::ipc::{Client, Event, Server};
use rt::serial::{COM1, Serial};
use rt::{Environment, time};

/// Bytes of log that are kept in memory.
const KEPT: usize = 1 << 20;

struct Log {
    environment: &'static Environment,
    /// Serial ports, the one to prefer first: which of them are there can change.
    serials: Vec<Serial>,
    ring: Ring,
    buckets: BTreeMap<Badge, Bucket>,
    root: Option<Client<Root>>,
    /// Next line of root's own log.
    root_line: u64,
}

/// The program.
pub fn main(environment: &'static Environment) {
    let Some(mut server) = Server::<Console>::from_environment(environment) else { return };
    let serials = serials(environment);
    serials.iter().for_each(Serial::prepare);
    let mut log = Log {
        environment,
        serials,
        ring: Ring::new(KEPT),
        buckets: BTreeMap::new(),
        root: Client::connect(),
        root_line: 0,
    };
    let mut event = server.receive(FOREVER);
    loop {
        event = match event {
            Event::Request(badge, request) => {
                let reply = log.serve(badge, request);
                server.reply_receive(&reply, FOREVER)
            }
            Event::Notification(_) => {
                log.fetch_from_root();
                server.receive(FOREVER)
            }
            Event::Fault(_) | Event::TimedOut => server.receive(FOREVER),
            Event::Failed(_) => return,
        };
    }
}

/// The serial ports that the manifest gives, the first one of a PC before others.
fn serials(environment: &Environment) -> Vec<Serial> {
    let ports = environment.caps.iter().filter_map(|(name, &cap)| {
        let base = u16::from_str_radix(name.strip_prefix("ports.")?, 16).ok()?;
        Some((base != COM1, Serial::new(Cap::new(cap), base)))
    });
    let mut ports: Vec<(bool, Serial)> = ports.collect();
    ports.sort_by_key(|(second, _)| *second);
    ports.into_iter().map(|(_, serial)| serial).collect()
}

impl Log {
    fn serve(&mut self, badge: Badge, request: Request) -> Reply {
        match request {
            Request::Write(text) => self.write(badge & !CONTROL, &text),
            Request::Read { cursor } if badge & CONTROL != 0 => {
                let (start, bytes) = self.ring.read(cursor, MAX_READ);
                Reply::Log { start, bytes }
            }
            Request::Read { .. } => Reply::Denied,
        }
    }

    fn write(&mut self, client: Badge, text: &str) -> Reply {
        // Only badges that the manifest gave out can arrive, so there are only so many buckets.
        let name = self.environment.clients.get(&client).map_or("?", |name| name);
        let now = time::now_ms();
        let bucket = self.buckets.entry(client).or_insert_with(|| Bucket::new(now));
        match bucket.judge(text.len(), now) {
            Verdict::Suppress => return Reply::Suppressed,
            Verdict::Write { suppressed: 0 } => {}
            Verdict::Write { suppressed } => {
                let notice = line::format(name, &format!("({suppressed} texts suppressed)"));
                self.put(&notice, true);
            }
        }
        let lines = line::format(name, text);
        self.put(&lines, true);
        Reply::Written
    }

    fn put(&mut self, lines: &str, print: bool) {
        self.ring.write(lines.as_bytes());
        let serial = self.serials.iter().find(|serial| serial.is_there());
        if let (true, Some(serial)) = (print, serial) {
            serial.write(lines.as_bytes());
        }
    }

    /// Puts what root has to say into the log. Root calls nobody; it rings the doorbell.
    fn fetch_from_root(&mut self) {
        loop {
            let Some(client) = &self.root else { return };
            let Ok(root::Reply::Log { start, lines }) = client.call(&root::Request::Log(self.root_line))
            else {
                return;
            };
            if lines.is_empty() {
                return;
            }
            for entry in &lines {
                self.put(&line::format("root", &entry.text), !entry.printed);
            }
            self.root_line = start + lines.len() as u64;
        }
    }
}
