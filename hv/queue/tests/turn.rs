// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lock for which CPUs take turns, with contenders that run at once.

use queue::TurnLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

/// Between asking and having it, a CPU sees each of the others have it twice at most, and one more
/// that was about to.
#[test]
fn eight_contenders_each_wait_for_a_bounded_number_of_turns() {
    const CPUS: u32 = 8;
    let lock = Arc::new(TurnLock::new(AtomicU32::new(0), AtomicU64::new(0)));
    let (turns, inside) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let contenders: Vec<_> = (0..CPUS)
        .map(|cpu| {
            let (lock, turns, inside) = (lock.clone(), turns.clone(), inside.clone());
            std::thread::spawn(move || {
                let mut longest = 0;
                for _ in 0..500 {
                    lock.ask(cpu);
                    let asked = turns.load(SeqCst);
                    while !lock.has(cpu) {
                        std::thread::yield_now();
                    }
                    longest = longest.max(turns.fetch_add(1, SeqCst) - asked);
                    assert!(!inside.swap(true, SeqCst), "two have it");
                    std::thread::yield_now();
                    inside.store(false, SeqCst);
                    lock.pass(cpu);
                }
                longest
            })
        })
        .collect();
    for contender in contenders {
        let longest = contender.join().unwrap();
        assert!(longest <= 2 * u64::from(CPUS), "waited for {longest} turns of others");
    }
}
