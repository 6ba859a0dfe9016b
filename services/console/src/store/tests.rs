// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store: order, filters, shares, and reading by place.

use super::Store;
use crate::line;
use api::console::{Line, Query};
use std::format;
use std::string::String;
use std::vec::Vec;

fn store(bytes: usize) -> Store {
    Store::new(bytes, ["root".into(), "vm".into()])
}

fn add(store: &mut Store, source: usize, at_ms: u64, text: &str) {
    let name = ["root", "vm", "stranger"][source];
    store.add(source, at_ms, text, line::format(name, text).len());
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn lines_bear_number_time_and_source() {
    let mut store = store(4096);
    add(&mut store, 0, 5, "one");
    add(&mut store, 1, 7, "two");
    let (lines, next) = store.lines(&Query::default(), 1000);
    let two = Line { number: 1, at_ms: 7, source: "vm".into(), text: "two".into() };
    assert_eq!((lines.len(), lines.last(), next), (2, Some(&two), 2));
}

#[test]
fn the_newest_lines_are_found_without_the_others() {
    let mut store = store(1 << 16);
    for number in 0..100 {
        add(&mut store, number % 2, number as u64, &format!("{number}"));
    }
    let newest = |newest, source: Option<&str>| {
        let query = Query { newest, source: source.map(String::from), ..Query::default() };
        store.lines(&query, 1000).0
    };
    assert_eq!(texts(&newest(1, None)), ["99"]);
    assert_eq!(texts(&newest(3, None)), ["97", "98", "99"]);
    assert_eq!(texts(&newest(2, Some("root"))), ["96", "98"]);
    assert!(newest(2, Some("nobody")).is_empty());
}

#[test]
fn since_leaves_out_what_is_older() {
    let mut store = store(4096);
    (0..10).for_each(|number| add(&mut store, 0, number * 100, "x"));
    let query = Query { since_ms: 750, ..Query::default() };
    assert_eq!(store.lines(&query, 1000).0.len(), 2);
    let query = Query { since_ms: 750, newest: 5, ..Query::default() };
    assert_eq!(store.lines(&query, 1000).0.len(), 2);
}

#[test]
fn a_reply_that_is_full_says_where_to_go_on() {
    let mut store = store(1 << 16);
    (0..50).for_each(|number| add(&mut store, 1, 0, &format!("{number}")));
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let (lines, next) = store.lines(&Query { from, ..Query::default() }, 200);
        if lines.is_empty() {
            break;
        }
        all.extend(lines);
        from = next;
    }
    let numbers: Vec<u64> = all.iter().map(|line| line.number).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<u64>>());
}

#[test]
fn a_source_that_floods_keeps_the_lines_of_others() {
    let mut store = store(4096);
    add(&mut store, 0, 0, "booted");
    (0..10_000).for_each(|number| add(&mut store, 1, number, "chatter chatter chatter"));
    let (lines, _) = store.lines(&Query { newest: 1, source: Some("root".into()), ..Query::default() }, 1000);
    assert_eq!(texts(&lines), ["booted"]);
    let (lines, _) = store.lines(&Query { newest: 1, ..Query::default() }, 1000);
    assert_eq!(lines[0].at_ms, 9_999);
}

#[test]
fn text_is_read_by_its_place_across_what_is_missing() {
    let mut store = store(1024);
    add(&mut store, 0, 0, "first");
    (0..200).for_each(|number| add(&mut store, 1, 0, &format!("line {number}")));
    assert_eq!(store.read(0, 1000), (0, b"[root] first\r\n".to_vec()));
    assert_eq!(store.read(3, 4), (3, b"ot] ".to_vec()));
    let (start, bytes) = store.read(14, 10_000);
    assert!(start > 14 && bytes.starts_with(b"[vm] line") && bytes.ends_with(b"[vm] line 199\r\n"));
    let end = start + bytes.len() as u64;
    assert_eq!(store.read(end, 100), (end, Vec::new()));
    assert_eq!(store.read(u64::MAX, 100), (end, Vec::new()));
}

#[test]
fn strange_sources_and_long_texts_do_no_harm() {
    let mut store = store(1024);
    add(&mut store, 2, 0, "who");
    add(&mut store, 0, 0, &"x".repeat(1024));
    let (lines, next) = store.lines(&Query::default(), 1000);
    assert_eq!((lines.len(), next), (0, 2));
    Store::new(0, ["a".into()]).add(0, 0, "x", 1);
}
