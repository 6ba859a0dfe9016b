// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests: whoever may call may write; whoever controls may read.

use alloc::collections::BTreeMap;
use alloc::format;

use api::console::{Console, MAX_READ, Reply, Request};
use api::{Badge, CONTROL};
use console::limit::{Bucket, Verdict};
use console::line;
use console::ring::Ring;
use rt::{Environment, time};

use crate::uart::Uart;

/// Bytes of log that are kept in memory.
const KEPT: usize = 1 << 20;

struct Log {
    environment: &'static Environment,
    uart: Uart,
    ring: Ring,
    buckets: BTreeMap<Badge, Bucket>,
}

/// The program.
pub fn main(environment: &'static Environment) {
    let uart = Uart::new(environment);
    let mut log = Log { environment, uart, ring: Ring::new(KEPT), buckets: BTreeMap::new() };
    rt::ipc::serve::<Console>(environment, |badge, request| log.serve(badge, request))
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
                self.ring.write(notice.as_bytes());
                self.uart.write(notice.as_bytes());
            }
        }
        let lines = line::format(name, text);
        self.ring.write(lines.as_bytes());
        self.uart.write(lines.as_bytes());
        Reply::Written
    }
}
