// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose turn it is on the operator's line.
//!
//! The line is a serial port with one peer at a time; several tools share it by locks on two files
//! beside the socket. Who has the first one has the line. Commands that wait for it hold the second
//! one together, and those who only watch leave the line to them. A watcher has the line for one
//! look at a time and never while it prints: a terminal that is stopped keeps nobody waiting. The
//! locks end with their process.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Between two attempts.
const BREATH: Duration = Duration::from_millis(5);
/// Who waits for longer says so.
const NOTICE: Duration = Duration::from_secs(3);

/// Whether this tool watches, rather than commands.
pub type Watching = Rc<Cell<bool>>;

/// The right to use the line, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    /// Held for its lock.
    _line: Option<File>,
}

/// The place where turns are waited for.
#[derive(Clone, Debug)]
pub struct Turns {
    line: PathBuf,
    waiting: PathBuf,
    watching: Watching,
}

impl Turns {
    /// That of a socket.
    #[must_use]
    pub fn of(socket: &Path, watching: Watching) -> Self {
        let beside = |end: &str| {
            let mut name: OsString = socket.into();
            name.push(end);
            PathBuf::from(name)
        };
        Self { line: beside(".lock"), waiting: beside(".wait"), watching }
    }

    /// Waits for the line. Where the folder may not be written to, there is nobody to share it
    /// with.
    #[must_use]
    pub fn take(&self) -> Turn {
        let (Some(line), Some(waiting)) = (open(&self.line), open(&self.waiting)) else {
            return Turn { _line: None };
        };
        let begun = Instant::now();
        let mut told = false;
        loop {
            let first = if self.watching.get() { is_free(&waiting) } else { waiting.lock_shared().is_ok() };
            if first && line.try_lock().is_ok() {
                return Turn { _line: Some(line) };
            }
            if !told && !self.watching.get() && begun.elapsed() > NOTICE {
                told = true;
                eprintln!("Another `understudy` is at work; waiting for it");
            }
            std::thread::sleep(BREATH);
        }
    }

    /// From here on this tool watches, or it commands.
    pub fn watch(&self, watching: bool) {
        self.watching.set(watching);
    }

    /// Whether a command waits for the line.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        open(&self.waiting).is_some_and(|waiting| !is_free(&waiting))
    }
}

fn is_free(waiting: &File) -> bool {
    waiting.try_lock().is_ok() && waiting.unlock().is_ok()
}

fn open(path: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create(true).truncate(false), 0o600);
    options.open(path).ok()
}

#[cfg(test)]
mod tests {
    use super::Turns;
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_command_goes_before_a_watcher() {
        let folder = std::env::temp_dir().join(format!("understudy-turn-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("operator.sock");
        let turns = |watching| Turns::of(&socket, Rc::new(Cell::new(watching)));
        let first = turns(false).take();
        assert!(!turns(false).is_wanted());
        let (tell, order) = mpsc::channel();
        std::thread::scope(|scope| {
            for watching in [true, false] {
                let (tell, socket) = (tell.clone(), &socket);
                scope.spawn(move || {
                    let turn = Turns::of(socket, Rc::new(Cell::new(watching))).take();
                    tell.send(watching).unwrap();
                    drop(turn);
                });
                std::thread::sleep(Duration::from_millis(100));
            }
            assert!(turns(true).is_wanted());
            assert!(order.try_recv().is_err(), "one at a time");
            drop(first);
        });
        assert_eq!(order.iter().take(2).collect::<Vec<_>>(), [false, true]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn where_nothing_can_be_locked_nobody_waits() {
        let turns = Turns::of("/nonexistent/operator.sock".as_ref(), Rc::default());
        let _turn = turns.take();
        assert!(!turns.is_wanted());
    }
}
