// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operator's end of a running system, for scripts: the protocol of `api::operator` over the
//! machine's socket.
//!
//! The operator's tool for people is `cli/`; this is the same line without its presentation.

use anyhow::{Context, Result, bail};
use api::operator::client::{Event, Session};
use api::operator::{self, Reply, Request};
use api::{checkpoint, console, root, succession, vmm};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// The socket of a machine, and the secret that goes with it.
#[derive(Clone, Debug)]
pub struct Line {
    /// The socket.
    pub socket: PathBuf,
    /// The file with the secret, readable by this user alone.
    pub secret_file: PathBuf,
    /// The secret as on the core's command line.
    pub secret: String,
}

/// An open session.
pub struct Operator {
    stream: UnixStream,
    session: Session,
}

impl Line {
    /// Makes a new secret in `folder`; the socket is made by the emulator.
    pub fn prepare(folder: &Path) -> Result<Line> {
        std::fs::create_dir_all(folder)?;
        let secret: String = random::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret_file = folder.join("secret");
        let _ = std::fs::remove_file(&secret_file);
        let mut options = std::fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
        writeln!(options.open(&secret_file)?, "{secret}")?;
        Ok(Line { socket: folder.join("operator.sock"), secret_file, secret })
    }

    /// The words for the core's command line.
    pub fn option(&self) -> String {
        format!("operator-secret={}", self.secret)
    }

    /// Opens a session; waits until the operator service is there.
    pub fn connect(&self, limit: Duration) -> Result<Operator> {
        let deadline = Instant::now() + limit;
        loop {
            match self.attempt() {
                Ok(operator) => return Ok(operator),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context("no session with the operator service"));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(300)),
            }
        }
    }

    fn attempt(&self) -> Result<Operator> {
        let stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        let (session, hello) = Session::new(operator::key(&self.secret), random()?);
        let mut operator = Operator { stream, session };
        operator.stream.write_all(&hello)?;
        match operator.next()? {
            Event::Opened => Ok(operator),
            other => bail!("the operator service did not open a session: {other:?}"),
        }
    }
}

/// Bytes from the operating system's source of randomness.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("no /dev/urandom")?;
    Ok(bytes)
}

impl Operator {
    /// One question, one answer.
    pub fn ask(&mut self, request: &Request) -> Result<Reply> {
        self.stream.set_read_timeout(Some(PATIENCE))?;
        let Ok(bytes) = self.session.request(request) else { bail!("the session is not open") };
        self.stream.write_all(&bytes)?;
        match self.next()? {
            Event::Reply(reply) => Ok(reply),
            other => bail!("no answer to {request:?}: {other:?}"),
        }
    }

    /// A question that nobody may be there to answer.
    pub fn tell(&mut self, request: &Request) -> Result<()> {
        let Ok(bytes) = self.session.request(request) else { bail!("the session is not open") };
        Ok(self.stream.write_all(&bytes)?)
    }

    /// A question to a VM.
    pub fn ask_vm(&mut self, vm: &str, request: vmm::Request) -> Result<vmm::Reply> {
        match self.ask(&Request::Vm(vm.to_owned(), request))? {
            Reply::Vm(reply) => Ok(reply),
            other => bail!("{vm}: {other:?}"),
        }
    }

    /// A question to the root service.
    pub fn ask_root(&mut self, request: root::Request) -> Result<root::Reply> {
        match self.ask(&Request::Root(request))? {
            Reply::Root(reply) => Ok(reply),
            other => bail!("root: {other:?}"),
        }
    }

    /// A question to the console service.
    pub fn ask_console(&mut self, request: console::Request) -> Result<console::Reply> {
        match self.ask(&Request::Console(request))? {
            Reply::Console(reply) => Ok(reply),
            other => bail!("console: {other:?}"),
        }
    }

    /// A question to the checkpoint service.
    pub fn ask_checkpoint(&mut self, request: checkpoint::Request) -> Result<checkpoint::Reply> {
        match self.ask(&Request::Checkpoint(request))? {
            Reply::Checkpoint(reply) => Ok(reply),
            other => bail!("checkpoint: {other:?}"),
        }
    }

    /// A question to the succession service.
    pub fn ask_succession(&mut self, request: succession::Request) -> Result<succession::Reply> {
        match self.ask(&Request::Succession(request))? {
            Reply::Succession(reply) => Ok(reply),
            other => bail!("succession: {other:?}"),
        }
    }

    /// Goes away: the emulator's socket serves one peer at a time.
    pub fn close(&mut self) -> Result<()> {
        Ok(self.stream.shutdown(std::net::Shutdown::Both)?)
    }

    /// The next event that is not for the line itself.
    fn next(&mut self) -> Result<Event> {
        let mut bytes = [0; 1];
        loop {
            if self.stream.read(&mut bytes).context("nothing comes from the operator service")? == 0 {
                bail!("the operator's line was closed");
            }
            match self.session.push(bytes[0]) {
                Some(Event::Send(out)) => self.stream.write_all(&out)?,
                Some(event) => return Ok(event),
                None => {}
            }
        }
    }
}

/// A VM's console, line by line.
pub struct VmConsole {
    vm: String,
    cursor: u64,
    /// Bytes that were gone before they could be read.
    lost: u64,
    partial: Vec<u8>,
    lines: VecDeque<String>,
}

impl VmConsole {
    /// From the oldest that is kept on.
    pub fn of(vm: &str) -> VmConsole {
        VmConsole { vm: vm.to_owned(), cursor: 0, lost: 0, partial: Vec::new(), lines: VecDeque::new() }
    }

    /// The next complete line, where there is one.
    pub fn next_line(&mut self, operator: &mut Operator) -> Result<Option<String>> {
        while self.lines.is_empty() {
            let reply = operator.ask_vm(&self.vm, vmm::Request::ConsoleRead { cursor: self.cursor })?;
            let vmm::Reply::Console { start, bytes } = reply else { bail!("{}: {reply:?}", self.vm) };
            if bytes.is_empty() {
                break;
            }
            if start != self.cursor && self.cursor != 0 {
                // The VM keeps the newest of its console only. What is left of a line is no line.
                self.partial.clear();
                self.lost += start.saturating_sub(self.cursor);
            }
            self.cursor = start + bytes.len() as u64;
            for byte in bytes {
                if byte == b'\n' {
                    let line = String::from_utf8_lossy(&self.partial).trim_end_matches('\r').to_owned();
                    self.lines.push_back(line);
                    self.partial.clear();
                } else {
                    self.partial.push(byte);
                }
            }
        }
        Ok(self.lines.pop_front())
    }

    /// Fails if something was said that could not be read: then there is no sequence to judge by.
    pub fn is_whole(&self) -> Result<()> {
        if self.lost == 0 {
            return Ok(());
        }
        bail!("{}: {} bytes of its console were gone before they were read", self.vm, self.lost)
    }

    /// Types text.
    pub fn write(&self, operator: &mut Operator, text: &str) -> Result<()> {
        match operator.ask_vm(&self.vm, vmm::Request::ConsoleWrite(text.as_bytes().to_vec()))? {
            vmm::Reply::Taken(count) if count as usize == text.len() => Ok(()),
            other => bail!("{}: not all was typed: {other:?}", self.vm),
        }
    }
}
