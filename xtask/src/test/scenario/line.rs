// SPDX-License-Identifier: MIT OR Apache-2.0
//! A peer that abuses the operator's line loses its connection, and nothing else happens.

use super::{boot, undisturbed};
use crate::live::{Live, PATIENCE};
use crate::operator::Line;
use crate::qemu::Machine;
use anyhow::{Result, bail};
use api::operator::{Reply, Request};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Bytes of a flood: more than any buffer on the way.
const FLOOD: usize = 256 << 10;

/// Bytes without sense, zero bytes among them.
pub fn garbage(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    abuse(machine, iso, log, |stream| {
        let mut state = 0x9e37_79b9_u32;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        })
        .take(16 << 10)
        .collect();
        let _ = stream.write_all(&bytes);
    })
}

/// Packets that end in the middle.
pub fn truncated(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    abuse(machine, iso, log, |stream| {
        let (_, hello) = api::operator::client::Session::new([7; 32], Default::default());
        for length in 0..hello.len() {
            let _ = stream.write_all(hello.get(..length).unwrap_or_default());
        }
    })
}

/// One endless packet.
pub fn flood(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    abuse(machine, iso, log, |stream| {
        let _ = stream.set_write_timeout(Some(Duration::from_secs(60)));
        let _ = stream.write_all(&vec![0xff; FLOOD]);
    })
}

/// A peer with another secret gets no session.
pub fn wrong_secret(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = boot(machine, iso, log)?;
    let before = live.beat_after(0)?;
    let impostor = Line { secret: "0".repeat(64), ..live.line.clone() };
    leave(&mut live)?;
    if impostor.connect(Duration::ZERO).is_ok() {
        bail!("a session was opened with a wrong secret");
    }
    works(&mut live)?;
    undisturbed(&mut live, before)
}

fn abuse(machine: &Machine, iso: &Path, log: &Path, how: fn(&mut UnixStream)) -> Result<()> {
    let mut live = boot(machine, iso, log)?;
    let before = live.beat_after(0)?;
    leave(&mut live)?;
    how(&mut UnixStream::connect(&live.line.socket)?);
    works(&mut live)?;
    undisturbed(&mut live, before)
}

/// The emulator's socket serves one peer at a time: ours makes room.
fn leave(live: &mut Live) -> Result<()> {
    live.operator.close()
}

/// A proper peer is served.
fn works(live: &mut Live) -> Result<()> {
    live.operator = live.line.connect(PATIENCE)?;
    match live.operator.ask(&Request::Ping)? {
        Reply::Pong => Ok(()),
        other => bail!("no pong: {other:?}"),
    }
}
