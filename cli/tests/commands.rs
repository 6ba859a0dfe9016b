// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every subcommand against a system that is none.

mod common;

use api::checkpoint::{Refusal, Stage};
use api::operator::key;
use api::vmm::State;
use clap::Parser;
use common::Fake;
use serde_json::Value;
use understudy_cli::line::Line;
use understudy_cli::{Arguments, Failure, System, perform};

const SECRET: &str = "secret of the test";

/// Run a command line; what it printed or how it failed, and what became of the system.
fn run(fake: Fake, command: &str) -> (Result<String, Failure>, Fake) {
    let arguments = Arguments::try_parse_from(["understudy"].into_iter().chain(command.split(' '))).unwrap();
    let (tool, thread) = fake.serve(Some(key(SECRET)));
    let mut system = System::new(Line::open(tool, &key(SECRET)).unwrap());
    let mut out = Vec::new();
    let result = perform(&arguments.action, arguments.json, &mut system, &mut out);
    drop(system);
    (result.map(|()| String::from_utf8(out).unwrap()), thread.join().unwrap())
}

fn prints(command: &str) -> String {
    run(Fake::default(), command).0.unwrap()
}

fn json(command: &str) -> Value {
    serde_json::from_str(&prints(&format!("--json {command}"))).unwrap()
}

fn fails(fake: Fake, command: &str) -> Failure {
    let failure = run(fake, command).0.unwrap_err();
    assert_eq!(failure.code(), 1, "{failure}");
    failure
}

fn with_checkpoints(stages: &[Stage]) -> Fake {
    let mut fake = Fake { looks: 1000, ..Fake::default() };
    for &stage in stages {
        fake = run(fake, "checkpoint create linux --no-wait").1;
        fake.checkpoints.last_mut().unwrap().stage = stage;
    }
    fake
}

#[test]
fn ps_lists_vms_and_services() {
    let text = prints("ps");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with(" Name      Kind      State"), "{text}");
    assert_eq!(lines.len(), 6, "{text}");
    assert!(
        lines[3].contains("linux") && lines[3].contains("running") && lines[3].contains("1m 01s"),
        "{text}"
    );
    assert!(lines[4].contains("refused") && lines[5] == "gone: refused (no SVM)", "{text}");
    assert_eq!(prints("ps --vms").lines().count(), 5);
    let value = json("ps");
    assert_eq!(value[1]["name"], "linux");
    assert_eq!(value[1]["vm"]["exits"], 12345);
    assert_eq!(value[2]["reason"], "no SVM");
    assert_eq!(value[0].get("vm"), None);
}

#[test]
fn inventory_says_who_has_what() {
    let text = prints("inventory");
    for part in ["linux", "256 MiB", "(free)", "2.500 ms", "2000.000 MHz", "19.5 MiB of 390.6 MiB"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let value = json("inventory");
    assert_eq!(value["cpus"][1]["partitions"][0], "linux");
    assert_eq!(value["memory"]["free_bytes"], 1u64 << 30);
    assert_eq!(value["boot_us"], 2500);
    assert_eq!(value["page_store"]["used"], 5000);
}

#[test]
fn the_log_cannot_command_the_terminal() {
    assert_eq!(prints("log"), "console: hello\nroot: started ?[2Jlinux\nlinux: up\n");
    assert_eq!(prints("log -n 1"), "linux: up\n");
    assert_eq!(json("log")[2]["text"], "linux: up");
}

#[test]
fn the_end_of_a_long_log_is_fetched_without_the_rest() {
    let log: String = (0..10_000).map(|line| format!("[linux] line {line}\n[root] other\n")).collect();
    let whole = log.len() / 20;
    let long = || Fake { log: log.clone().into_bytes(), ..Fake::default() };
    let (printed, fake) = run(long(), "log -n 2");
    assert_eq!(printed.unwrap(), "[linux] line 9999\n[root] other\n");
    assert!(fake.reads < whole / 10, "{} of {whole} reads", fake.reads);
    let (printed, _) = run(long(), "log -n 2 --from linux");
    assert_eq!(printed.unwrap(), "[linux] line 9998\n[linux] line 9999\n");
    // More than there are: all of them, the first one too.
    let (printed, _) = run(long(), "log -n 99999 --from linux");
    assert_eq!(printed.unwrap().lines().count(), 10_000);
}

#[test]
fn vms_obey() {
    for (command, before, after, says) in [
        ("pause", State::Running, State::Paused, "VM 'linux' paused\n"),
        ("resume", State::Paused, State::Running, "VM 'linux' resumed\n"),
        ("stop", State::Running, State::Stopped, "VM 'linux' stopped\n"),
        ("start", State::Stopped, State::Running, "VM 'linux' started\n"),
        ("destroy", State::Paused, State::Stopped, "VM 'linux' stopped\n"),
    ] {
        let (printed, fake) = run(Fake { state: before, ..Fake::default() }, &format!("{command} linux"));
        assert_eq!((printed.unwrap().as_str(), fake.state), (says, after));
    }
    assert_eq!(json("pause linux")["done"], "paused");
}

#[test]
fn commands_that_make_no_sense_are_refused_with_advice() {
    let failure = fails(Fake::default(), "start linux");
    assert_eq!(failure.what(), "VM 'linux' is already running");
    let failure = fails(Fake { state: State::Stopped, ..Fake::default() }, "resume linux");
    assert!(failure.to_string().contains("understudy start linux"), "{failure}");
    let failure = fails(Fake::default(), "pause nobody");
    assert!(failure.to_string().contains("understudy ps"), "{failure}");
}

#[test]
fn checkpoints_are_created_and_waited_for() {
    let text = prints("checkpoint create linux");
    assert!(
        text.starts_with("Checkpoint 1 of VM 'linux' created (42 new pages, 8.8 KiB of state, "),
        "{text}"
    );
    let value = json("checkpoint create linux");
    assert_eq!((&value["id"], &value["state"]), (&1.into(), &"complete".into()));
    assert_eq!(value["digest"].as_str().unwrap().len(), 64);
    assert!(prints("checkpoint create linux --no-wait").contains("still being copied"));
}

#[test]
fn a_checkpoint_that_fails_says_why() {
    let failed = with_checkpoints(&[Stage::Failed(Refusal::StoreFull)]);
    let (text, failed) = run(failed, "checkpoint ls linux");
    assert!(text.unwrap().contains("failed (the page store is full"));
    let failure = fails(failed, "checkpoint restore linux");
    assert_eq!(failure.what(), "VM 'linux' has no checkpoint that is complete");
}

#[test]
fn checkpoints_are_listed_in_parts() {
    let fake = with_checkpoints(&[Stage::Complete, Stage::Complete, Stage::Copying { done: 3, total: 9 }]);
    let (text, fake) = run(fake, "checkpoint ls");
    let text = text.unwrap();
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.contains("copying (33 %)") && text.contains("168 KiB   abababab"), "{text}");
    assert_eq!(fails(fake, "checkpoint ls nobody").what(), "there is no VM 'nobody'");
}

#[test]
fn the_newest_complete_checkpoint_is_restored() {
    let fake = with_checkpoints(&[Stage::Complete, Stage::Complete, Stage::Begun]);
    let (text, fake) = run(fake, "checkpoint restore linux");
    assert!(text.unwrap().starts_with("VM 'linux' restored to checkpoint 2 ("));
    let (text, fake) = run(fake, "checkpoint restore linux 1");
    assert!(text.unwrap().starts_with("VM 'linux' restored to checkpoint 1 ("));
    assert_eq!(fails(fake, "checkpoint restore linux 9").what(), "linux has no checkpoint 9");
}

#[test]
fn nothing_is_removed_where_one_number_is_wrong() {
    let fake = with_checkpoints(&[Stage::Complete, Stage::Complete, Stage::Complete]);
    let (result, fake) = run(fake, "checkpoint rm linux 1 7");
    assert_eq!(result.unwrap_err().what(), "linux has no checkpoint 7");
    assert_eq!(fake.checkpoints.len(), 3);
    let (text, fake) = run(fake, "checkpoint rm linux 1 3");
    assert_eq!(text.unwrap().lines().count(), 2);
    assert_eq!(fake.checkpoints.len(), 1);
}

#[test]
fn the_console_is_shown_as_kept() {
    let value = json("console linux");
    assert_eq!((&value["start"], &value["text"]), (&0.into(), &"login: \u{7}\n".into()));
}

#[test]
fn a_wrong_secret_is_explained() {
    let (tool, _) = Fake::default().serve(Some(key(SECRET)));
    let failure = Line::open(tool, &key("another")).map(|_| ()).unwrap_err();
    assert_eq!((failure.code(), failure.what()), (2, "the system does not accept the secret"));
    let (tool, _) = Fake::default().serve(None);
    let failure = Line::open(tool, &key(SECRET)).map(|_| ()).unwrap_err();
    assert_eq!(failure.what(), "the system has no secret, so it lets nobody in");
}

#[test]
fn garbage_instead_of_an_answer_is_a_lost_session() {
    let fake = Fake { garbage: Some(vec![0, 1, 2, 3, 0]), ..Fake::default() };
    let failure = run(fake, "ps").0.unwrap_err();
    assert_eq!(failure.code(), 2);
    assert!(failure.what().starts_with("the session was lost"), "{failure}");
}

#[test]
fn a_closed_line_is_said_to_be_closed() {
    let (tool, peer) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(peer);
    let failure = Line::open(tool, &key(SECRET)).map(|_| ()).unwrap_err();
    assert_eq!((failure.code(), failure.what()), (2, "the connection was closed"));
}
