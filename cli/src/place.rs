// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the operator's line and its secret are.

use std::env;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::operator;

use crate::line::Line;
use crate::turn::{Turns, Watching};
use crate::{Arguments, Failure, System};

/// How long a successor may take to answer one handshake. It may not have been there when we began,
/// so it is better to begin again than to wait.
const AGAIN: Duration = Duration::from_secs(2);

/// Opens a session with the system that the command line names. It finds its way back where the
/// session is lost in the middle of something that goes on.
///
/// # Errors
/// Where there is no system, or it does not let us in.
pub fn open(arguments: &Arguments) -> Result<System, Failure> {
    let socket = arguments.connect.clone().unwrap_or_else(default_socket);
    let secret_file = arguments.secret_file.clone().unwrap_or_else(|| socket.with_file_name("secret"));
    let turns = Turns::of(&socket, Watching::default());
    // The socket first: without a system, neither turn nor secret matter.
    if !socket.exists() {
        return Err(no_socket(&socket, &ErrorKind::NotFound.into()));
    }
    let turn = turns.take();
    let stream = connect(&socket)?;
    let secret = std::fs::read_to_string(&secret_file).map_err(|error| {
        Failure::unreachable(format!("cannot read the secret {}: {error}", secret_file.display()))
            .hint("Give the file that holds the system's secret with --secret-file.")
    })?;
    let key = operator::key(&secret);
    let line = Line::open(stream, &key)?.in_turn(turn);
    let place = turns.clone();
    let again = move || {
        let turn = place.take();
        Ok(Line::open_within(connect(&socket)?, &key, AGAIN)?.in_turn(turn))
    };
    Ok(System::new(line).with_way_back(again).with_turns(turns))
}

fn connect(socket: &Path) -> Result<UnixStream, Failure> {
    UnixStream::connect(socket).map_err(|error| no_socket(socket, &error))
}

fn no_socket(socket: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::unreachable(format!("cannot connect to {}: {error}", socket.display()));
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => failure.hint(
            "No system runs there. Start one with `cargo xtask run`, or name its socket with --connect.",
        ),
        ErrorKind::PermissionDenied => failure.hint("Run this as the user who started the system."),
        _ => failure,
    }
}

/// Where `cargo xtask run` puts it, seen from anywhere in the repository.
fn default_socket() -> PathBuf {
    let name = Path::new("run/operator.sock");
    if let Some(target) = env::var_os("CARGO_TARGET_DIR") {
        let path = PathBuf::from(target).join(name);
        if path.exists() {
            return path;
        }
    }
    let here = env::current_dir().unwrap_or_default();
    let found = here.ancestors().map(|folder| folder.join("target").join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| Path::new("target").join(name))
}
