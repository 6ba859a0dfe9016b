// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log in memory: the newest lines of each source.
//!
//! Every source has a share of its own, so that one that writes much pushes out its own lines and
//! no others. Lines are numbered in the order in which they came, and bytes of the whole log are
//! counted, so that it can be read by either.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use api::console::{Line, Query};

/// Bytes of a share that an entry of the index counts as.
const ENTRY: usize = size_of::<Entry>();

/// Where a line is.
#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u64,
    at_ms: u64,
    /// Bytes of the log before it, as it is printed.
    start: u64,
    /// Bytes of its text.
    size: usize,
}

/// The lines of one source.
#[derive(Debug)]
struct Source {
    name: String,
    entries: VecDeque<Entry>,
    text: VecDeque<u8>,
}

/// The log.
#[derive(Debug)]
pub struct Store {
    sources: Vec<Source>,
    /// Bytes that each source may use.
    share: usize,
    /// Lines ever written.
    next: u64,
    /// Bytes ever printed.
    end: u64,
}

impl Store {
    /// An empty log that keeps about `bytes`, for these sources. What comes from others is counted
    /// and not kept.
    #[must_use]
    pub fn new(bytes: usize, names: impl IntoIterator<Item = String>) -> Self {
        let mut sources: Vec<Source> = names
            .into_iter()
            .map(|name| Source { name, entries: VecDeque::new(), text: VecDeque::new() })
            .collect();
        let share = bytes / sources.len().max(1);
        // All memory is taken now: half of a share for text, half for the index.
        for source in &mut sources {
            source.text.reserve_exact(share / 2);
            source.entries.reserve_exact(share / 2 / ENTRY);
        }
        Self { sources, share, next: 0, end: 0 }
    }

    /// Adds a line, which has `printed` bytes as it is printed.
    pub fn add(&mut self, source: usize, at_ms: u64, text: &str, printed: usize) {
        let entry = Entry { number: self.next, at_ms, start: self.end, size: text.len() };
        self.next += 1;
        self.end += printed as u64;
        let (texts, entries) = (self.share / 2, self.share / 2 / ENTRY);
        let Some(source) = self.sources.get_mut(source) else { return };
        if text.len() > texts || entries == 0 {
            return;
        }
        while source.entries.len() >= entries || source.text.len() + text.len() > texts {
            let Some(oldest) = source.entries.pop_front() else { break };
            source.text.drain(..oldest.size.min(source.text.len()));
        }
        source.entries.push_back(entry);
        source.text.extend(text.as_bytes());
    }

    /// At most `most` bytes of the log as it is printed, from `cursor` on, and the place of the
    /// first of them.
    #[must_use]
    pub fn read(&self, cursor: u64, most: usize) -> (u64, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut start = self.end;
        // The line before the cursor may reach beyond it.
        let first = self.number_at(cursor);
        let mut walk = Walk::new(self, first, None);
        while let Some((source, entry, text)) = walk.next(self) {
            let printed = crate::line::format(source, &text);
            let end = entry.start + printed.len() as u64;
            if end <= cursor {
                continue;
            }
            if bytes.is_empty() {
                start = cursor.max(entry.start);
            } else if start + bytes.len() as u64 != entry.start {
                // Lines in between are no longer kept.
                break;
            }
            let skip = cursor.saturating_sub(entry.start) as usize;
            let room = most - bytes.len();
            bytes.extend(printed.bytes().skip(skip).take(room));
            if bytes.len() >= most {
                break;
            }
        }
        (start, bytes)
    }

    /// Lines that match, as many as have at most `most` bytes, and the number to go on from.
    #[must_use]
    pub fn lines(&self, query: &Query, most: usize) -> (Vec<Line>, u64) {
        let only = query.source.as_deref();
        let matches = |entry: &Entry| entry.number >= query.from && entry.at_ms >= query.since_ms;
        let mut from = query.from;
        if query.newest > 0 {
            let sources = self.sources.iter().filter(|source| only.is_none_or(|name| name == source.name));
            let mut numbers: Vec<u64> = sources
                .flat_map(|source| {
                    source.entries.iter().rev().filter(|entry| matches(entry)).take(query.newest as usize)
                })
                .map(|entry| entry.number)
                .collect();
            numbers.sort_unstable_by(|a, b| b.cmp(a));
            numbers.truncate(query.newest as usize);
            from = numbers.last().copied().unwrap_or(self.next);
        }
        let (mut lines, mut used, mut next) = (Vec::new(), 0, self.next);
        let mut walk = Walk::new(self, from, only);
        while let Some((source, entry, text)) = walk.next(self) {
            if entry.at_ms < query.since_ms {
                continue;
            }
            // Three numbers, each of ten bytes at most, and the lengths of two texts.
            used += 34 + source.len() + text.len();
            if used > most {
                next = entry.number;
                break;
            }
            lines.push(Line { number: entry.number, at_ms: entry.at_ms, source: source.into(), text });
        }
        (lines, next)
    }

    /// Number of the first line that begins at `cursor` or later, or of one before it.
    fn number_at(&self, cursor: u64) -> u64 {
        let before = self.sources.iter().filter_map(|source| {
            let place = source.entries.partition_point(|entry| entry.start <= cursor);
            place.checked_sub(1).and_then(|place| source.entries.get(place)).map(|entry| entry.number)
        });
        before.max().unwrap_or(0)
    }
}

/// The lines of some sources in the order of their numbers.
struct Walk {
    /// For each source: its place, the next entry, and where the text of that begins.
    heads: Vec<(usize, usize, usize)>,
}

impl Walk {
    fn new(store: &Store, from: u64, only: Option<&str>) -> Self {
        let sources = store.sources.iter().enumerate();
        let wanted = sources.filter(|(_, source)| only.is_none_or(|name| name == source.name));
        let head = |(index, source): (usize, &Source)| {
            let place = source.entries.partition_point(|entry| entry.number < from);
            (index, place, source.entries.range(..place).map(|entry| entry.size).sum())
        };
        Self { heads: wanted.map(head).collect() }
    }

    fn next<'a>(&mut self, store: &'a Store) -> Option<(&'a str, Entry, String)> {
        let entry_of = |&(source, place, _): &(usize, usize, usize)| store.sources[source].entries.get(place);
        let heads = self.heads.iter_mut().filter_map(|head| Some((entry_of(head)?, head)));
        let (entry, head) = heads.min_by_key(|(entry, _)| entry.number)?;
        let source = &store.sources[head.0];
        let end = (head.2 + entry.size).min(source.text.len());
        let bytes: Vec<u8> = source.text.range(head.2.min(end)..end).copied().collect();
        (head.1, head.2) = (head.1 + 1, end);
        Some((&source.name, *entry, String::from_utf8_lossy(&bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests;
