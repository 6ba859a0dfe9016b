// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random operations on the capabilities of the core and on the model, compared step by step.
//!
//! `UNDERSTUDY_MODEL_OPERATIONS` sets how many (1,000,000 otherwise, and a tenth of it in a debug
//! build), `UNDERSTUDY_MODEL_SEED` where to begin. A difference is reported with the shortest
//! sequence of operations found that leads to it.

mod world;

use model::random::Random;
use world::{Operation, World};

/// Operations on one world before the next begins with an empty one.
const LENGTH: u64 = 250;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// Run a sequence; the number of the operation after which the two differ, and how.
fn run(operations: &[Operation]) -> Result<u64, (usize, String)> {
    let mut world = World::new();
    let mut done = 0;
    for (index, operation) in operations.iter().enumerate() {
        done += u64::from(world.apply(operation).map_err(|what| (index, what))?);
        world.compare().map_err(|what| (index, what))?;
    }
    Ok(done)
}

/// Leave out whatever is not needed to see a difference.
fn shrink(mut operations: Vec<Operation>) -> Vec<Operation> {
    let mut piece = operations.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < operations.len() {
            let mut fewer = operations.clone();
            fewer.drain(at..(at + piece).min(operations.len()));
            match run(&fewer) {
                Err((last, _)) => {
                    fewer.truncate(last + 1);
                    operations = fewer;
                }
                Ok(_) => at += piece,
            }
        }
        piece /= 2;
    }
    operations
}

#[test]
fn the_core_agrees_with_the_model() {
    let full = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let count = setting("UNDERSTUDY_MODEL_OPERATIONS", full);
    let seed = setting("UNDERSTUDY_MODEL_SEED", 0x5eed_2026);
    println!("{count} operations, UNDERSTUDY_MODEL_SEED={seed}");
    let mut effective = 0;
    for round in 0..count.div_ceil(LENGTH) {
        let mut random = Random::new(seed.wrapping_add(round));
        let operations: Vec<Operation> = (0..LENGTH).map(|_| Operation::random(&mut random)).collect();
        match run(&operations) {
            Ok(done) => effective += done,
            Err((last, _)) => {
                let short = shrink(operations[..=last].to_vec());
                let what = run(&short).expect_err("a shrunk sequence still fails").1;
                panic!("{what}\nUNDERSTUDY_MODEL_SEED={}\n{short:#?}", seed.wrapping_add(round));
            }
        }
    }
    println!("{effective} of them changed something");
    assert!(effective > count / 5, "the operations are mostly refused: the test shows little");
}
