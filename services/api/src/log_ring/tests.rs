// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rings: order, loss, waking, and sides that write nonsense.

use super::{HEADER, Reader, Written, write};
use crate::console::MAX_TEXT;
use std::format;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::vec::Vec;

fn ring(words: usize) -> Vec<AtomicU64> {
    (0..HEADER + words).map(|_| AtomicU64::new(0)).collect()
}

fn texts(reader: &mut Reader) -> Vec<std::string::String> {
    std::iter::from_fn(|| reader.take()).map(|record| record.text).collect()
}

#[test]
fn lines_come_out_in_order_over_many_turns_of_the_ring() {
    let ring = ring(37);
    let mut reader = Reader::new(&ring).unwrap();
    for turn in 0..500u64 {
        let text = "x".repeat(turn as usize % 60);
        assert_eq!(write(&ring, turn, text.as_bytes()), Written::Kept);
        let record = reader.take().unwrap();
        assert_eq!((record.time, record.text), (turn, text));
        assert_eq!(reader.take(), None);
    }
    assert_eq!(reader.take_lost(), 0);
}

#[test]
fn a_full_ring_drops_lines_with_a_count_and_takes_others_later() {
    let ring = ring(16);
    let mut reader = Reader::new(&ring).unwrap();
    let written: Vec<_> = (0..7).map(|_| write(&ring, 0, b"12345678")).collect();
    assert_eq!(written[..5], [Written::Kept; 5]);
    assert_eq!(written[5..], [Written::Lost; 2]);
    assert_eq!(texts(&mut reader).len(), 5);
    assert_eq!((reader.take_lost(), reader.take_lost()), (2, 0));
    assert_eq!(write(&ring, 0, b"more"), Written::Kept);
    assert_eq!(texts(&mut reader), ["more"]);
}

#[test]
fn only_a_reader_that_sleeps_is_woken_and_only_once() {
    let ring = ring(64);
    let mut reader = Reader::new(&ring).unwrap();
    assert_eq!(write(&ring, 0, b"a"), Written::Kept);
    assert!(!reader.sleep());
    assert_eq!(texts(&mut reader), ["a"]);
    assert!(reader.sleep());
    assert_eq!(write(&ring, 0, b"b"), Written::Wake);
    assert_eq!(write(&ring, 0, b"c"), Written::Kept);
}

#[test]
fn a_new_reader_goes_on_where_the_last_one_stopped() {
    let ring = ring(64);
    let _ = (write(&ring, 0, b"a"), write(&ring, 0, b"b"));
    assert_eq!(Reader::new(&ring).unwrap().take().unwrap().text, "a");
    assert_eq!(texts(&mut Reader::new(&ring).unwrap()), ["b"]);
}

#[test]
fn a_line_is_cut_at_the_longest_text() {
    let ring = ring(512);
    let _ = write(&ring, 0, &[b'x'; 2 * MAX_TEXT]);
    assert_eq!(texts(&mut Reader::new(&ring).unwrap())[0].len(), MAX_TEXT);
}

#[test]
fn too_few_words_are_no_ring() {
    assert!(Reader::new(&ring(0)).is_none());
    assert_eq!(write(&ring(0)[..3], 0, b"x"), Written::Lost);
}

/// Whatever the other side writes into the header or a record, a reader ends, and works again
/// afterwards.
#[test]
fn a_reader_survives_any_words() {
    let odd = [0, 1, 2, 63, 64, 65, MAX_TEXT as u64 + 1, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    for place in 0..HEADER + 8 {
        for value in odd {
            let ring = ring(64);
            let mut reader = Reader::new(&ring).unwrap();
            let _ = write(&ring, 0, b"some words of text");
            ring[place].store(value, Relaxed);
            assert!(texts(&mut reader).len() <= 64);
            let mut later = Reader::new(&ring).unwrap();
            let _ = texts(&mut later);
            let _ = later.take_lost();
        }
    }
}

/// Whatever the reader writes into the header, a writer ends, and stays inside of the ring.
#[test]
fn a_writer_survives_any_words() {
    for place in 0..HEADER {
        for value in [1, 63, 64, 65, u64::MAX / 2, u64::MAX] {
            let ring = ring(64);
            ring[place].store(value, Relaxed);
            for _ in 0..100 {
                let _ = write(&ring, 0, b"some words of text");
            }
        }
    }
}

/// Writer and reader at once: every line that was kept comes out once, in order.
#[test]
fn nothing_is_torn_between_two_threads() {
    let ring = ring(100);
    let kept = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let lines = (0..20_000).map(|number| format!("line {number} {}", "y".repeat(number % 50)));
            lines.filter(|line| write(&ring, 0, line.as_bytes()) != Written::Lost).collect::<Vec<_>>()
        });
        let mut reader = Reader::new(&ring).unwrap();
        let mut seen = Vec::new();
        while !writer.is_finished() {
            seen.extend(texts(&mut reader));
        }
        seen.extend(texts(&mut reader));
        assert_eq!(seen.len() as u64 + reader.take_lost(), 20_000);
        (writer.join().unwrap(), seen)
    });
    assert_eq!(kept.0, kept.1);
}
