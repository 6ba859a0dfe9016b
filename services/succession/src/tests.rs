// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes: round trips, hostile input, and the golden files of version 1; what the switch path looks
//! at.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::{
    Action, Change, DecodeError, Event, FRAME_BYTES, LEDGER_WORDS, LayoutError, Message, Party, Phase,
    Reason, Refused, Resource, Shape, SharedLedger, State, Successor, Table, Taker, Turn, Word,
};

const MESSAGES_V1: &[u8] = include_bytes!("../golden/messages-v1.bin");
const LEDGER_V1: &[u8] = include_bytes!("../golden/ledger-v1.bin");

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}

/// One message of each kind, with fields that are all different.
fn each() -> Vec<Message> {
    vec![
        Message::Greet { oldest: 1, newest: 0x0203, state: 4, features: 0x0506_0708 },
        Message::Welcome { version: 0x0102, features: 0x0304_0506 },
        Message::Prepare(7),
        Message::Ready(8),
        Message::Commit(13),
        Message::GiveBack(14),
        Message::Offer(Resource::Cpu(15)),
        Message::Offer(Resource::Extent(16)),
        Message::Offer(Resource::Line(17)),
        Message::Taken(Resource::Vm(18)),
        Message::Taken(Resource::Vcpu(19, 20)),
        Message::Abort(Reason::Operator),
        Message::Abort(Reason::Incompatible),
        Message::Abort(Reason::Failed),
        Message::Abort(Reason::Restarted),
        Message::Retire,
    ]
}

fn page() -> Box<[AtomicU64; LEDGER_WORDS]> {
    Box::new([const { AtomicU64::new(0) }; LEDGER_WORDS])
}

fn bytes(words: &[AtomicU64; LEDGER_WORDS]) -> Vec<u8> {
    words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect()
}

/// A machine with a VM of two vCPUs, on its way.
fn sample(words: &[AtomicU64; LEDGER_WORDS]) -> SharedLedger<'_> {
    let shape = Shape { vms: 1, vcpus: 2, lines: 1, cpus: 2, extents: 2 };
    let mut ledger = SharedLedger::create(words, shape, Party::First).expect("fits");
    for resource in shape.all() {
        let home = match resource {
            Resource::Cpu(0) => Some(Party::First),
            Resource::Cpu(1) | Resource::Extent(1) => Some(Party::Second),
            Resource::Vm(_)
            | Resource::Vcpu(..)
            | Resource::Line(_)
            | Resource::Cpu(_)
            | Resource::Extent(_) => None,
        };
        let state = if resource == Resource::Extent(0) { State::Bound(0) } else { State::Held };
        let word = Word { owner: Party::First, state, home, generation: 0 };
        ledger.enter(resource, word).expect("in the shape");
    }
    ledger.turn(Party::First, Turn::Carve).expect("quiet");
    for carved in [Resource::Cpu(1), Resource::Extent(1)] {
        ledger.change(Party::First, carved, Change::Offer).expect("held");
    }
    ledger.change(Party::Second, Resource::Cpu(1), Change::Take).expect("leaving");
    ledger
}

#[test]
fn every_message_decodes_to_itself() {
    for message in each() {
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}

#[test]
fn every_altered_bit_and_every_other_length_is_refused() {
    for message in each() {
        let frame = message.encode();
        for bit in 0..FRAME_BYTES * 8 {
            let mut altered = frame;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(Message::decode(&altered).is_err(), "{message:?} bit {bit}");
        }
        for length in 0..FRAME_BYTES {
            assert_eq!(Message::decode(&frame[..length]), Err(DecodeError::Length));
        }
        assert_eq!(Message::decode(&[frame, frame].concat()), Err(DecodeError::Length));
    }
}

#[test]
fn hostile_bytes_with_a_right_sum_are_refused_or_are_one_message() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for round in 0..200_000_u32 {
        let mut frame = Message::Retire.encode();
        let used = usize::from(random.byte() % 17);
        frame[3] = random.byte() % 16;
        frame[4..4 + used]
            .iter_mut()
            .for_each(|byte| *byte = random.byte() % if round % 2 == 0 { 4 } else { 255 });
        let sum =
            frame[..20].iter().fold(0x811c_9dc5_u32, |s, b| (s ^ u32::from(*b)).wrapping_mul(0x0100_0193));
        frame[20..].copy_from_slice(&sum.to_le_bytes());
        if let Ok(message) = Message::decode(&frame) {
            assert_eq!(message.encode(), frame);
            accepted += 1;
        }
    }
    assert!(accepted > 1000);
}

#[test]
fn every_word_reads_as_itself_or_is_refused() {
    let mut random = Random(42);
    for _ in 0..200_000 {
        let raw = random.next() & 0xffff_ffff_03ff_0703;
        if let Ok(Some(word)) = Word::read(raw) {
            assert_eq!(word.raw(), raw);
        }
        if let Ok(course) = crate::Course::read(raw) {
            assert_eq!(course.raw(), raw);
        }
    }
}

#[test]
fn a_ledger_with_any_foreign_word_is_refused() {
    let words = page();
    sample(&words);
    assert!(SharedLedger::open(&words).is_ok());
    for (at, cell) in words.iter().enumerate() {
        let before = cell.swap(0xff00_0000_00ff_ff07, Ordering::Relaxed);
        assert!(SharedLedger::open(&words).is_err(), "word {at}");
        cell.store(before, Ordering::Relaxed);
    }
    words[1023].store(1, Ordering::Relaxed);
    assert_eq!(SharedLedger::open(&words).err(), Some(LayoutError::Reserved));
}

#[test]
fn only_legal_changes_are_made_and_each_counts() {
    let words = page();
    let mut ledger = sample(&words);
    let (vm, first, second) = (Resource::Vm(0), Resource::Vcpu(0, 0), Resource::Vcpu(0, 1));
    assert_eq!(ledger.change(Party::First, vm, Change::Offer), Err(Refused), "its vCPUs run");
    assert_eq!(ledger.change(Party::Second, first, Change::Offer), Err(Refused), "not its own");
    assert_eq!(ledger.change(Party::Second, vm, Change::Take), Err(Refused), "held");
    assert_eq!(ledger.change(Party::Second, vm, Change::Seize), Err(Refused), "nobody fell");
    for vcpu in [first, second] {
        ledger.change(Party::First, vcpu, Change::Offer).expect("held");
    }
    assert_eq!(ledger.change(Party::Second, first, Change::Take), Err(Refused), "the VM is not its own");
    ledger.change(Party::First, vm, Change::Offer).expect("stopped");
    ledger.change(Party::Second, vm, Change::Take).expect("leaving");
    assert_eq!(ledger.change(Party::First, vm, Change::Take), Err(Refused), "too late");
    assert_eq!(ledger.owner(Resource::Extent(0)), Some(Party::Second), "memory follows its VM");
    assert_eq!(ledger.owner(second), Some(Party::Second), "a stopped vCPU follows its VM");
    assert_eq!(ledger.word(vm).map(|word| word.generation), Some(2));
    assert_eq!(ledger.turn(Party::First, Turn::Retire), Err(Refused), "not agreed");
    assert_eq!(ledger.course().map(|course| course.phase), Some(Phase::Carving));
}

#[test]
fn version_1_is_what_it_was() {
    let messages: Vec<u8> = each().iter().flat_map(Message::encode).collect();
    let words = page();
    sample(&words);
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write("golden/messages-v1.bin", &messages).expect("written");
        std::fs::write("golden/ledger-v1.bin", bytes(&words)).expect("written");
    }
    assert_eq!(messages, MESSAGES_V1);
    assert_eq!(bytes(&words), LEDGER_V1);
}

#[test]
fn golden_bytes_are_read() {
    let read: Result<Vec<Message>, _> = MESSAGES_V1.chunks(FRAME_BYTES).map(Message::decode).collect();
    assert_eq!(read, Ok(each()));
    let words = page();
    for (cell, word) in words.iter().zip(LEDGER_V1.chunks(8)) {
        cell.store(u64::from_le_bytes(word.try_into().expect("8 bytes")), Ordering::Relaxed);
    }
    let ledger = SharedLedger::open(&words).expect("version 1");
    assert!(ledger.holds(Party::Second, Resource::Cpu(1)));
}

/// A ledger that counts how often a word is looked at.
struct Counted<'a> {
    ledger: SharedLedger<'a>,
    looks: core::cell::Cell<u32>,
}

impl Table for Counted<'_> {
    fn shape(&self) -> Shape {
        self.ledger.shape()
    }
    fn word(&self, resource: Resource) -> Option<Word> {
        self.looks.set(self.looks.get() + 1);
        self.ledger.word(resource)
    }
    fn exchange(&mut self, resource: Resource, old: Word, new: Word) -> bool {
        self.ledger.exchange(resource, old, new)
    }
    fn course(&self) -> Option<crate::Course> {
        self.ledger.course()
    }
    fn exchange_course(&mut self, old: crate::Course, new: crate::Course) -> bool {
        self.ledger.exchange_course(old, new)
    }
}

/// How often the taker looks at a word from the commitment of the last of so many VMs until all of
/// it runs.
fn looks_while_a_vm_comes(vms: u8) -> u32 {
    let (me, last) = (Party::Second, vms - 1);
    let words = page();
    let shape = Shape { vms, vcpus: 2, lines: 0, cpus: 0, extents: 0 };
    let mut ledger = SharedLedger::create(&words, shape, Party::First).expect("fits");
    for resource in shape.all() {
        let comes = matches!(resource, Resource::Vm(vm) | Resource::Vcpu(vm, _) if vm == last);
        // The others have come before.
        let (owner, state) = if comes { (Party::First, State::Leaving) } else { (me, State::Held) };
        ledger.enter(resource, Word { owner, state, home: None, generation: 0 }).expect("in the shape");
    }
    let mut table = Counted { ledger, looks: core::cell::Cell::new(0) };
    let mut side = Successor::Taking(Taker::Looking);
    let mut event = Event::Said(Message::Commit(last));
    for _ in 0..10 {
        let (next, actions) = side.step(me, &table, event);
        (side, event) = (next, Event::Done);
        for action in actions.iter() {
            match action {
                Action::Change(resource, change) => table.change(me, resource, change).expect("legal"),
                Action::Send(Message::Taken(Resource::Vm(vm))) if vm == last => return table.looks.get(),
                _ => {}
            }
        }
    }
    panic!("it never came")
}

#[test]
fn what_a_vm_that_comes_costs_does_not_depend_on_how_many_there_are() {
    assert_eq!(looks_while_a_vm_comes(1), looks_while_a_vm_comes(32));
}
