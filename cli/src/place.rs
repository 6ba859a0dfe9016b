// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the operator's line and its secret are.

use std::env;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use api::operator;

use crate::line::Line;
use crate::{Arguments, Failure};

/// Opens a session with the system that the command line names.
///
/// # Errors
/// Where there is no system, or it does not let us in.
pub fn open(arguments: &Arguments) -> Result<Line, Failure> {
    let socket = arguments.connect.clone().unwrap_or_else(default_socket);
    let secret_file = arguments.secret_file.clone().unwrap_or_else(|| socket.with_file_name("secret"));
    // The socket first: without a system, the secret does not matter.
    let stream = UnixStream::connect(&socket).map_err(|error| no_socket(&socket, &error))?;
    let secret = std::fs::read_to_string(&secret_file).map_err(|error| {
        Failure::unreachable(format!("cannot read the secret {}: {error}", secret_file.display()))
            .hint("Give the file that holds the system's secret with --secret-file.")
    })?;
    Line::open(stream, &operator::key(&secret))
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
