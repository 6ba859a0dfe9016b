// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest whose checkpoints are measured: it writes all of its memory, then checkpoints and
//! restores itself.
//!
//! It measures nothing; VMM and checkpoint service say what a checkpoint took. Words of the command
//! line: `fill=N` gives every N-th page contents (1), the others are written with zeros, `rounds=N`
//! (5), `pages=N` pages are written between a checkpoint and the next step (64), `settle_ms=N` is
//! how long it sleeps until a checkpoint is complete (2000).
#![no_std]
#![no_main]

use abi::PAGE_SIZE;
use abi::hypercall::{CHECKPOINT, CREATED, RESTORE, RESTORED, UNAVAILABLE};
use guest_rt::boot::Boot;
use guest_rt::cpu::rdtsc;
use guest_rt::timer::Timer;
use guest_rt::{hypercall, println};

guest_rt::entry!(main);

/// First page that no image of this kind reaches.
const FREE: u64 = 8 << 20;
/// How often a checkpoint is asked for while an earlier one is being made.
const PATIENCE: u32 = 100;

struct Bench<'a> {
    boot: &'a Boot,
    timer: Timer,
    settle: u64,
    pages: u64,
}

fn main(boot: &Boot) {
    let settle = boot.number("settle_ms", 2000).saturating_mul(boot.tsc_khz());
    let bench = Bench { boot, timer: Timer::new(), settle, pages: boot.number("pages", 64) };
    let fill = boot.number("fill", 1).max(1);
    for page in FREE / PAGE_SIZE..boot.memory() / PAGE_SIZE {
        write(page, if page.is_multiple_of(fill) { page } else { 0 });
    }
    println!("bench: {} MiB are written", boot.memory() >> 20);
    for round in 0..=boot.number("rounds", 5) {
        // What is in memory, this count too, is that of the checkpoint when the call returns for
        // the second time.
        if !bench.round(round) {
            return;
        }
    }
    println!("bench: done");
}

impl Bench<'_> {
    /// A checkpoint; a few pages are written; it is restored. Whether that went well.
    fn round(&self, round: u64) -> bool {
        for page in 0..self.pages {
            write(FREE / PAGE_SIZE + page * 3, !round);
        }
        let (status, id) = self.checkpoint();
        match status {
            CREATED => {}
            RESTORED => return true,
            _ => {
                println!("bench: no checkpoint: status {status:#x}");
                return false;
            }
        }
        self.sleep();
        for page in 0..self.pages {
            write(FREE / PAGE_SIZE + page * 5, round + 1);
        }
        let (status, _) = hypercall::call(RESTORE, &self.boot.token(), id);
        println!("bench: checkpoint {id} not restored: status {status:#x}");
        false
    }

    fn checkpoint(&self) -> (u64, u64) {
        for _ in 0..PATIENCE {
            let (status, id) = hypercall::call(CHECKPOINT, &self.boot.token(), 0);
            if status != UNAVAILABLE {
                return (status, id);
            }
            self.sleep();
        }
        (UNAVAILABLE, 0)
    }

    fn sleep(&self) {
        self.timer.wait_until(rdtsc().saturating_add(self.settle));
    }
}

/// Writes the first word of a page that lies beyond the image.
fn write(page: u64, word: u64) {
    // SAFETY: the loader maps all memory one to one, and nothing of this program lies from `FREE`
    // on.
    unsafe { ((page * PAGE_SIZE) as *mut u64).write_volatile(word) };
}
