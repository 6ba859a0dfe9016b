// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that tries everything it can reach, and must neither die of it nor harm anyone else.
//!
//! Without a word on its command line it tries ports, MSRs, CPUID, instructions and memory that is
//! not there, and ends with `hostile: done`. `quick` tries a sample. One word selects a single try
//! or a way to end: `ports`, `msrs`, `cpuid`, `instructions`, `memory`, `bad-state`,
//! `triple-fault`, `spin`, `halt`, `flood`, `wild-jump`.
#![no_std]
#![no_main]

mod instructions;
mod memory;
mod msrs;
mod ports;
mod registers;

use guest_rt::boot::Boot;
use guest_rt::{cpu, println, trap};

guest_rt::entry!(main);

/// Name of a try, and the try: called with the step at which to sample; returns a count and what it
/// is a count of.
type Try = (&'static str, fn(&Boot, u32) -> (u64, &'static str));

const TRIES: [Try; 5] = [
    ("cpuid", leaves),
    ("instructions", instructions::all),
    ("memory", memory::beyond),
    ("msrs", msrs::all),
    ("ports", ports::all),
];

fn main(boot: &Boot) {
    end_as_asked(boot);
    let step = if boot.has("quick") { 61 } else { 1 };
    let selected = TRIES.iter().any(|(name, _)| boot.has(name));
    for (name, attempt) in TRIES {
        if !selected || boot.has(name) {
            println!("hostile: {name}");
            let (count, what) = attempt(boot, step);
            println!("hostile: {name}: {count} {what}");
        }
    }
    println!("hostile: done");
}

fn end_as_asked(boot: &Boot) {
    if boot.has("triple-fault") {
        println!("hostile: triple fault");
        trap::triple_fault();
    }
    if boot.has("bad-state") {
        println!("hostile: bad state");
        println!("hostile: bad state: fault {:?}", registers::bad_state());
    }
    if boot.has("halt") {
        println!("hostile: halt");
        cpu::halt_forever();
    }
    if boot.has("spin") {
        println!("hostile: spin");
        loop {
            core::hint::spin_loop();
        }
    }
    if boot.has("wild-jump") {
        println!("hostile: wild jump");
        memory::jump_beyond(boot);
    }
    while boot.has("flood") {
        println!("hostile: flood flood flood flood flood flood at {}", cpu::rdtsc());
    }
}

/// Every CPUID leaf that could mean something.
fn leaves(_: &Boot, step: u32) -> (u64, &'static str) {
    let mut nonzero = 0;
    for base in [0, 0x4000_0000, 0x8000_0000, 0xc000_0000, 0xffff_ff00] {
        for leaf in (base..=base + 0xff).step_by(step as usize) {
            for subleaf in [0, 1, 2, 62, u32::MAX] {
                nonzero += u64::from(cpu::cpuid(leaf, subleaf) != [0; 4]);
            }
        }
    }
    (nonzero, "leaves with a value")
}
