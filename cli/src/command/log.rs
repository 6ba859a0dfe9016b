// SPDX-License-Identifier: MIT OR Apache-2.0
//! `log`: the log of all services.

use std::time::Duration;

use serde::Serialize;

use super::Output;
use crate::{Failure, LogArguments, System, text};

/// How often a growing log is looked at.
const GLANCE: Duration = Duration::from_millis(300);

/// Bytes of the end of the log that are looked through first.
const SPAN: u64 = 8 << 10;

#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
}

/// The command. With `follow` it ends when the output or the system does. JSON is an array of
/// lines, or, with `follow`, a line each.
pub fn log(system: &mut System, wanted: &LogArguments, output: &mut Output<'_>) -> Result<(), Failure> {
    let (follow, from) = (wanted.follow, wanted.from.as_deref());
    if let Some(name) = from {
        // A name that does not exist is a mistake and not an empty log.
        if name != "root" && !system.partitions()?.iter().any(|process| process.name == name) {
            return Err(Failure::refused(format!("there is no service or VM '{}'", text::plain(name)))
                .hint("`understudy ps` lists what there is."));
        }
    }
    system.watch(follow);
    let (cursor, mut kept) = match wanted.lines {
        Some(count) => newest(system, count, from)?,
        None => all_from(system, 0)?,
    };
    system.release();
    // While following, an unfinished line waits for its end.
    let rest = if follow {
        kept.split_off(kept.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1))
    } else {
        Vec::new()
    };
    let text = String::from_utf8_lossy(&kept);
    let all: Vec<String> = text.lines().filter(|line| is_from(line, from)).map(text::plain).collect();
    let first = wanted.lines.map_or(0, |count| all.len().saturating_sub(count));
    let shown = &all[first..];
    if output.json && !follow {
        return output.json(&shown.iter().map(|text| Line { text }).collect::<Vec<_>>());
    }
    shown.iter().try_for_each(|line| print(line, output))?;
    if follow { tail(system, cursor, rest, from, output) } else { Ok(()) }
}

/// Everything from a place on, and the place after it.
fn all_from(system: &mut System, mut cursor: u64) -> Result<(u64, Vec<u8>), Failure> {
    let mut kept = Vec::new();
    while fetch(system, &mut cursor, &mut kept)? {
        system.give_way();
    }
    Ok((cursor, kept))
}

/// The end of the log, with so many lines of whom they are wanted from, if there are; and the place
/// after it. The log may be much longer than what is wanted, and the line is slow.
fn newest(system: &mut System, count: usize, from: Option<&str>) -> Result<(u64, Vec<u8>), Failure> {
    let (end, _) = system.log(u64::MAX)?;
    let mut span = SPAN;
    loop {
        let start = end.saturating_sub(span);
        let (oldest, _) = system.log(start)?;
        let (cursor, mut kept) = all_from(system, start)?;
        if start > 0 && oldest == start {
            // It may begin in the middle of a line.
            kept.drain(..kept.iter().position(|&byte| byte == b'\n').map_or(kept.len(), |at| at + 1));
        }
        let found = String::from_utf8_lossy(&kept).lines().filter(|line| is_from(line, from)).count();
        if found >= count || start == 0 || oldest > start {
            return Ok((cursor, kept));
        }
        span = span.saturating_mul(4);
    }
}

/// Prints what is added, for ever.
fn tail(
    system: &mut System,
    mut cursor: u64,
    mut rest: Vec<u8>,
    from: Option<&str>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    loop {
        output.out.flush()?;
        while !fetch(system, &mut cursor, &mut rest)? {
            system.rest(GLANCE);
        }
        system.release();
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]);
            if is_from(&line, from) {
                print(&text::plain(line.trim_end()), output)?;
            }
        }
    }
}

/// Whether a line is one that this service or VM has written, and is wanted. The console puts the
/// name before each.
fn is_from(line: &str, from: Option<&str>) -> bool {
    let Some(from) = from else { return true };
    line.strip_prefix('[').and_then(|line| line.split_once(']')).is_some_and(|(name, _)| name == from)
}

/// Fetches a part; whether there was any.
fn fetch(system: &mut System, cursor: &mut u64, into: &mut Vec<u8>) -> Result<bool, Failure> {
    let (start, bytes) = system.log(*cursor)?;
    *cursor = start.saturating_add(bytes.len() as u64);
    into.extend_from_slice(&bytes);
    Ok(!bytes.is_empty())
}

fn print(line: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    if !output.json {
        return output.line(line);
    }
    output.json_line(&Line { text: line })
}
