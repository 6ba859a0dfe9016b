// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the rings of all partitions to the serial port and the store; requests in between.
//!
//! Nobody waits for this service: whoever writes more than the serial port takes loses its own
//! lines. Each round takes a few lines of every writer, so that one that floods does not delay the
//! others.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::syscall::{FOREVER, POLL};
use api::console::{Console, MAX_READ, Reply, Request};
use api::log_ring::{BELL, Reader, Record};
use api::root::{self, Root};
use api::{Badge, CONTROL};
use console::line;
use console::store::Store;
use rt::cap::Cap;
use rt::ipc::{Client, Event, Server};
use rt::serial::{COM1, Serial};
use rt::{Environment, time, window};

/// Bytes of log that are kept in memory.
const KEPT: usize = 1 << 20;
/// Most lines of one writer in one round.
const ROUND: usize = 16;
/// Shortest time between two reports of one writer's lost lines while it floods.
const REPORT_MS: u64 = 1000;
/// Longest wait for root.
const PATIENCE_MS: u64 = 2000;
/// Root's place among the sources of the store.
const ROOT: usize = 0;

/// A partition that writes.
struct Writer {
    name: &'static str,
    ring: Reader<'static>,
    /// When its lost lines were reported last.
    reported_ms: u64,
}

/// A line on its way.
struct Line {
    time: u64,
    source: usize,
    print: bool,
    text: String,
}

struct Log {
    /// Serial ports, the one to prefer first: which of them are there can change.
    serials: Vec<Serial>,
    store: Store,
    writers: Vec<Writer>,
    root: Option<Client<Root>>,
    /// Whether root may have lines that were not fetched.
    root_rang: bool,
    /// Next line of root's own log.
    root_line: u64,
}

/// The program.
pub fn main(environment: &'static Environment) {
    let Some(mut server) = Server::<Console>::from_environment(environment) else { return };
    let serials = serials(environment);
    serials.iter().for_each(Serial::prepare);
    let writers: Vec<Writer> = window::logs()
        .filter_map(|(name, ring)| Some(Writer { name, ring: Reader::new(ring)?, reported_ms: 0 }))
        .collect();
    let names = core::iter::once("root").chain(writers.iter().map(|writer| writer.name));
    let store = Store::new(KEPT, names.map(ToString::to_string));
    let root = Client::connect();
    let mut log = Log { serials, store, writers, root, root_rang: true, root_line: 0 };
    loop {
        let busy = log.round();
        let deadline = if busy || !log.sleep() { POLL } else { FOREVER };
        match server.receive(deadline) {
            Event::Request(badge, request) => {
                let reply = log.serve(badge, request);
                server.reply(&reply);
            }
            Event::Notification(bits) => log.root_rang |= bits & !BELL != 0,
            Event::Fault(_) => server.answer_fault(false),
            Event::TimedOut => {}
            Event::Failed(_) => return,
        }
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
    fn serve(&self, badge: Badge, request: Request) -> Reply {
        if badge & CONTROL == 0 {
            return Reply::Denied;
        }
        match request {
            Request::Read { cursor } => {
                let (start, bytes) = self.store.read(cursor, MAX_READ);
                Reply::Log { start, bytes }
            }
            Request::Lines(query) => {
                let (lines, next) = self.store.lines(&query, MAX_READ);
                Reply::Lines { lines, next, now_ms: time::now_ms() }
            }
        }
    }

    /// Takes a few lines of everybody, in the order in which they were written; whether there were
    /// any.
    fn round(&mut self) -> bool {
        let now = time::now();
        let mut lines = self.fetch_from_root();
        for (index, writer) in self.writers.iter_mut().enumerate() {
            // A writer that says that it writes later than now gets no other place for it.
            let line = |Record { time, text }| Line {
                time: time.min(now),
                source: ROOT + 1 + index,
                print: true,
                text,
            };
            let before = lines.len();
            lines.extend(core::iter::from_fn(|| writer.ring.take()).take(ROUND).map(line));
            let is_empty = lines.len() < before + ROUND;
            let now_ms = now / time::tsc_khz();
            if (is_empty || now_ms.saturating_sub(writer.reported_ms) >= REPORT_MS)
                && let lost @ 1.. = writer.ring.take_lost()
            {
                writer.reported_ms = now_ms;
                lines.push(line(Record { time: now, text: format!("({lost} lines lost)") }));
            }
        }
        lines.sort_by_key(|line| line.time);
        lines.iter().for_each(|line| self.put(line));
        !lines.is_empty()
    }

    /// Asks to be woken; false where somebody has written meanwhile.
    fn sleep(&self) -> bool {
        !self.root_rang && self.writers.iter().all(|writer| writer.ring.sleep())
    }

    fn put(&mut self, line: &Line) {
        let name = match line.source.checked_sub(ROOT + 1) {
            Some(index) => self.writers.get(index).map_or("?", |writer| writer.name),
            None => "root",
        };
        let at_ms = line.time / time::tsc_khz();
        let serial = self.serials.iter().find(|serial| serial.is_there()).filter(|_| line.print);
        for text in line.text.trim_end_matches(['\n', '\r']).split('\n') {
            let printed = line::format(name, text);
            if let Some(serial) = serial {
                serial.write(printed.as_bytes());
            }
            self.store.add(line.source, at_ms, text, printed.len());
        }
    }

    /// Some of what root has to say. Root calls nobody; it rings the doorbell.
    fn fetch_from_root(&mut self) -> Vec<Line> {
        if !self.root_rang {
            return Vec::new();
        }
        let deadline = time::after_ms(PATIENCE_MS);
        let asked =
            self.root.as_ref().map(|root| root.call_until(&root::Request::Log(self.root_line), deadline));
        // What could not be fetched is when root rings the next time.
        let Some(Ok(root::Reply::Log { start, lines })) = asked else {
            self.root_rang = false;
            return Vec::new();
        };
        self.root_rang = !lines.is_empty();
        self.root_line = start + lines.len() as u64;
        let line =
            |line: root::LogLine| Line { time: line.at, source: ROOT, print: !line.printed, text: line.text };
        lines.into_iter().map(line).collect()
    }
}
