// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Linux program that counts, and checkpoints the whole computer it runs on by one instruction.
//!
//! It needs no privilege, only the token, which is the first line of its input (hexadecimal); later
//! lines are commands: `checkpoint`, `restore ID`, `quota`, `quit`. At the count in `CHECKPOINT_AT`
//! (kernel command line) it makes a checkpoint by itself. What it prints is read by the
//! demonstration: README.md of this folder. The calls themselves are in [`hypercall`].

mod hypercall;
mod witness;

use abi::hypercall::{
    BAD_TOKEN, CHECKPOINT, CREATED, NO_CHECKPOINT, QUOTA, QUOTA_EXHAUSTED, RESTORE, RESTORED, UNAVAILABLE,
    UNKNOWN_FUNCTION,
};
use std::io::BufRead;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use witness::Witness;

/// Bytes of memory that change at each count.
const WITNESS_BYTES: usize = 1 << 20;

fn main() -> ExitCode {
    let Some(features) = hypercall::discover() else {
        println!("checkpointer: no Understudy beneath this kernel");
        return ExitCode::FAILURE;
    };
    println!("checkpointer: found version={} functions={:#x}", features.version, features.functions);
    let mut first = String::new();
    let token = std::io::stdin().read_line(&mut first).ok().and_then(|_| parse_token(&first));
    let Some(token) = token else {
        println!("checkpointer: the first line of input is no token");
        return ExitCode::FAILURE;
    };
    show_refusals(token);
    let (sender, commands) = channel();
    std::thread::spawn(move || forward_commands(&sender));
    Program {
        token,
        counter: 0,
        witness: Witness::new(WITNESS_BYTES),
        checkpoint_at: number("CHECKPOINT_AT"),
    }
    .run(&commands, Duration::from_millis(number("TICK_MS").unwrap_or(1000)));
    ExitCode::SUCCESS
}

/// A number in an environment variable.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.trim().parse().ok()
}

/// Sixteen bytes in hexadecimal.
fn parse_token(text: &str) -> Option<[u8; 16]> {
    let text = text.trim();
    let mut token = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in token.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(token)
}

/// Asks in two wrong ways and for the quota, and prints what comes back.
fn show_refusals(token: [u8; 16]) {
    let mut wrong = token;
    wrong[15] ^= 1;
    let (status, _) = hypercall::call(wrong, CHECKPOINT, 0);
    println!("checkpointer: wrong token status={}", name(status));
    let (status, _) = hypercall::call(token, 0xff, 0);
    println!("checkpointer: unknown function status={}", name(status));
    let (status, left) = hypercall::call(token, QUOTA, 0);
    println!("checkpointer: quota status={} left={left}", name(status));
}

/// Passes lines of the input on until it ends.
fn forward_commands(sender: &Sender<String>) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        if sender.send(line).is_err() {
            return;
        }
    }
}

/// Name of a status, as in `abi::hypercall`.
fn name(status: u64) -> String {
    let known = match status {
        0 => "OK",
        BAD_TOKEN => "BAD_TOKEN",
        QUOTA_EXHAUSTED => "QUOTA_EXHAUSTED",
        UNKNOWN_FUNCTION => "UNKNOWN_FUNCTION",
        NO_CHECKPOINT => "NO_CHECKPOINT",
        UNAVAILABLE => "UNAVAILABLE",
        other => return format!("{other:#x}"),
    };
    known.to_owned()
}

struct Program {
    token: [u8; 16],
    counter: u64,
    witness: Witness,
    checkpoint_at: Option<u64>,
}

impl Program {
    fn run(&mut self, commands: &Receiver<String>, tick: Duration) {
        loop {
            self.counter += 1;
            self.witness.mark(self.counter);
            println!("checkpointer: counter {}", self.counter);
            if self.checkpoint_at == Some(self.counter) {
                self.checkpoint();
            }
            let until = Instant::now() + tick;
            loop {
                match commands.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(line) if line.trim() == "quit" => return,
                    Ok(line) => self.obey(line.trim()),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => {
                        std::thread::sleep(until.saturating_duration_since(Instant::now()));
                        break;
                    }
                }
            }
        }
    }

    fn obey(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        match (words.next(), words.next().map(str::parse)) {
            (Some("checkpoint"), None) => self.checkpoint(),
            (Some("restore"), Some(Ok(id))) => {
                println!("checkpointer: restoring id={id} counter={}", self.counter);
                let (status, _) = hypercall::call(self.token, RESTORE, id);
                println!("checkpointer: restore refused status={}", name(status));
            }
            (Some("quota"), None) => {
                let (status, left) = hypercall::call(self.token, QUOTA, 0);
                println!("checkpointer: quota status={} left={left}", name(status));
            }
            (None, _) => {}
            _ => println!("checkpointer: unknown command: {line}"),
        }
    }

    /// The call that returns twice.
    fn checkpoint(&mut self) {
        let before = Instant::now();
        let (status, id) = hypercall::call(self.token, CHECKPOINT, 0);
        let microseconds = before.elapsed().as_micros();
        let what = match status {
            CREATED => "created",
            RESTORED => "restored",
            other => {
                println!("checkpointer: checkpoint refused status={}", name(other));
                return;
            }
        };
        println!(
            "checkpointer: checkpoint {what} id={id} counter={} {} us={microseconds} pid={} boot_id={}",
            self.counter,
            self.witness.report(self.counter),
            std::process::id(),
            witness::boot_id(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::parse_token;

    #[test]
    fn a_token_is_sixteen_bytes_in_hexadecimal() {
        assert_eq!(parse_token("000102030405060708090a0b0c0d0e0f\n").map(|token| token[15]), Some(15));
        for bad in ["", "00", "zz0102030405060708090a0b0c0d0e0f", "000102030405060708090a0b0c0d0e0f0"] {
            assert_eq!(parse_token(bad), None);
        }
    }
}
