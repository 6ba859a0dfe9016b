// SPDX-License-Identifier: MIT OR Apache-2.0
//! What CPUs share without a lock, and the lock itself, under every order in which their atomics
//! can be seen.
//!
//! The sources of `hv/queue` are compiled here with the atomics of `loom`, which tries all orders
//! that the memory model allows.

mod atomic {
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    pub use loom::thread::yield_now as pause;
}

#[path = "../../../hv/queue/src/home.rs"]
#[allow(dead_code, reason = "the model uses a part of it")]
mod home;
#[path = "../../../hv/queue/src/turn.rs"]
mod turn;

use atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use home::Home;
use loom::sync::Arc;
use loom::thread;
use turn::TurnLock;

/// As a cell is touched: without any order of its own. If two CPUs do so at once, or one does not
/// see what the other wrote, a step is lost.
fn touch(cell: &AtomicU32) {
    cell.store(cell.load(Relaxed) + 1, Relaxed);
}

/// A cell and the lock that guards it.
struct Guarded {
    lock: TurnLock,
    cell: AtomicU32,
}

fn guarded() -> Arc<Guarded> {
    let lock = TurnLock::new(AtomicU32::new(0), AtomicU64::new(0));
    Arc::new(Guarded { lock, cell: AtomicU32::new(0) })
}

fn add_one(guarded: &Guarded, cpu: u32) {
    guarded.lock.ask(cpu);
    while !guarded.lock.has(cpu) {
        atomic::pause();
    }
    touch(&guarded.cell);
    guarded.lock.pass(cpu);
}

#[test]
fn one_cpu_at_a_time_has_the_lock_and_each_has_its_turn() {
    loom::model(|| {
        let guarded = guarded();
        let other = guarded.clone();
        let thread = thread::spawn(move || add_one(&other, 1));
        add_one(&guarded, 0);
        thread.join().unwrap();
        assert_eq!(guarded.cell.load(Relaxed), 2);
    });
}

#[test]
fn a_turn_that_is_withdrawn_goes_to_the_next() {
    loom::model(|| {
        let guarded = guarded();
        let other = guarded.clone();
        let thread = thread::spawn(move || {
            other.lock.ask(1);
            other.lock.withdraw(1);
        });
        add_one(&guarded, 0);
        thread.join().unwrap();
        add_one(&guarded, 2);
    });
}

/// An object with a cell that its home alone touches.
struct Object {
    home: Home,
    cell: AtomicU32,
}

/// What a CPU does that is asked for the object: gives it away if it has it.
fn answer(object: &Object, here: u32) {
    let asker = object.home.post.release();
    if asker != 0 && object.home.cpu() == here {
        object.home.give(asker);
    }
}

#[test]
fn an_object_belongs_to_one_cpu_and_moves_with_what_was_written() {
    loom::model(|| {
        let object = Arc::new(Object { home: Home::default(), cell: AtomicU32::new(0) });
        let other = object.clone();
        // Both find it free; the second asks the first for it.
        let thread = thread::spawn(move || {
            let mine = other.home.take_free(2) == 2;
            if mine {
                touch(&other.cell);
                while other.home.cpu() == 2 {
                    answer(&other, 2);
                    atomic::pause();
                }
            }
        });
        if object.home.take_free(1) != 1 {
            let _ = object.home.post.claim(1);
            while object.home.cpu() != 1 {
                atomic::pause();
            }
            assert_eq!(object.cell.load(Relaxed), 1);
        }
        touch(&object.cell);
        thread.join().unwrap();
    });
}
