// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program itself: exit statuses, environment, completions, manual.

mod common;

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::operator::key;
use common::Fake;

fn understudy(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(arguments)
        .env_remove("UNDERSTUDY_CONNECT")
        .env_remove("UNDERSTUDY_SECRET_FILE")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn without_a_system_it_says_how_to_start_one() {
    let output = understudy(&["--connect", "/nonexistent/operator.sock", "ps"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cargo xtask run"), "{output:?}");
    assert!(output.stdout.is_empty());
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [&["frobnicate"][..], &["start"], &["checkpoint", "rm", "linux"], &[]] {
        assert_eq!(understudy(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn completions_and_manual_need_no_system() {
    for shell in ["bash", "zsh", "fish"] {
        let output = understudy(&["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("understudy"));
    }
    let output = understudy(&["man"]);
    assert!(output.status.success() && text(&output.stdout).contains(".TH understudy"), "{output:?}");
}

#[test]
fn pages_are_written_per_subcommand() {
    let folder = std::env::temp_dir().join(format!("understudy-man-{}", std::process::id()));
    let output = understudy(&["man", "--directory", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    for page in ["understudy.1", "understudy-checkpoint-create.1", "understudy-console.1"] {
        assert!(folder.join(page).exists(), "{page}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_console_carries_what_is_typed() {
    let folder = std::env::temp_dir().join(format!("understudy-console-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // The secret is found beside the socket.
    std::fs::write(folder.join("secret"), "abc\n").unwrap();
    let listener = UnixListener::bind(folder.join("operator.sock")).unwrap();
    // The tool gives the line up again and again, for others.
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    let system = std::thread::spawn(move || {
        let mut fake = Fake::default();
        while !ends.load(Ordering::SeqCst) {
            let (line, _) = listener.accept().unwrap();
            fake = fake.attend(line, Some(key("abc")));
        }
        fake
    });
    let mut tool = Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(["console", "linux"])
        .env("UNDERSTUDY_CONNECT", folder.join("operator.sock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(b"root\rls\r").unwrap();
    let output = tool.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"login: \x07\n");
    over.store(true, Ordering::SeqCst);
    drop(UnixStream::connect(folder.join("operator.sock")).unwrap());
    assert_eq!(system.join().unwrap().typed, b"root\rls\r");
    std::fs::remove_dir_all(folder).unwrap();
}
