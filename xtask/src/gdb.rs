// SPDX-License-Identifier: MIT OR Apache-2.0
//! The emulator's debugger port (GDB's remote serial protocol), as far as it takes to read and
//! change memory as a CPU sees it.
//!
//! The machine stands still from the connection to the end of it.

use crate::qemu::Machine;
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A machine that stands still.
pub struct Debugger {
    stream: BufReader<UnixStream>,
}

/// Gives a machine that is about to be started a debugger port, beside its log; where it will be.
pub fn socket_for(machine: &mut Machine, log: &Path) -> PathBuf {
    let socket = log.with_extension("gdb");
    machine.extra.extend(["-gdb".to_owned(), format!("unix:{},server=on,wait=off", socket.display())]);
    socket
}

impl Debugger {
    /// Stops the machine, to look at memory as this CPU sees it.
    pub fn stop(socket: &Path, cpu: usize) -> Result<Debugger> {
        let stream = UnixStream::connect(socket).context("the emulator's debugger port")?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut debugger = Debugger { stream: BufReader::new(stream) };
        // Threads are CPUs, counted from one.
        debugger.expect_ok(&format!("Hg{:x}", cpu + 1))?;
        Ok(debugger)
    }

    /// Lets the machine go on.
    pub fn go_on(mut self) -> Result<()> {
        self.expect_ok("D")
    }

    /// Memory at a virtual address.
    pub fn read<const N: usize>(&mut self, address: u64) -> Result<[u8; N]> {
        let digits = self.ask(&format!("m{address:x},{N:x}"))?;
        let byte =
            |at: usize| digits.get(2 * at..2 * at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let bytes: Option<Vec<u8>> = (0..N).map(byte).collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.with_context(|| format!("memory at {address:#x}: {digits}"))
    }

    /// Changes memory at a virtual address, whatever may be written there.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        let mut packet = format!("M{address:x},{:x}:", bytes.len());
        bytes.iter().try_for_each(|byte| write!(packet, "{byte:02x}"))?;
        self.expect_ok(&packet).with_context(|| format!("writing at {address:#x}"))
    }

    fn expect_ok(&mut self, packet: &str) -> Result<()> {
        let answer = self.ask(packet)?;
        ensure!(answer == "OK", "the debugger port answers {answer:?} to {packet:?}");
        Ok(())
    }

    /// A packet and its answer, each between `$` and `#` with the sum of its bytes, and
    /// acknowledged by `+`.
    fn ask(&mut self, packet: &str) -> Result<String> {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        write!(self.stream.get_mut(), "${packet}#{sum:02x}")?;
        loop {
            let mut answer = Vec::new();
            if self.stream.read_until(b'#', &mut answer)? == 0 {
                bail!("the debugger port was closed");
            }
            self.stream.read_exact(&mut [0; 2])?;
            self.stream.get_mut().write_all(b"+")?;
            let text = String::from_utf8_lossy(&answer);
            let text = text.trim_start_matches('+').trim_start_matches('$').trim_end_matches('#');
            // That it has stopped, which it says of its own accord.
            if !text.starts_with('T') && !text.starts_with('S') {
                return Ok(text.to_owned());
            }
        }
    }
}
