// SPDX-License-Identifier: MIT OR Apache-2.0
//! `understudy succession` against systems that are none, one after the other where the line moves.

mod common;

use std::path::PathBuf;
use std::time::Duration;

use api::operator::key;
use api::succession::{Blackout, Holding, Phase, Plan, Status};
use clap::Parser;
use common::Fake;
use common::succession::{Scene, Script};
use serde_json::Value;
use understudy_cli::line::Line;
use understudy_cli::{Arguments, Failure, System, perform};

const SECRET: &str = "secret of the test";

/// Runs a command line against the first script, and against the next one whenever the session is
/// lost.
fn run(scripts: Vec<Script>, command: &str) -> (Result<String, Failure>, String, Vec<Script>) {
    let arguments = Arguments::try_parse_from(["understudy"].into_iter().chain(command.split(' '))).unwrap();
    let threads = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let mut lines = Vec::new();
    for script in scripts {
        let (tool, thread) = Fake { succession: Some(script), ..Fake::default() }.serve(Some(key(SECRET)));
        lines.push(tool);
        threads.borrow_mut().push(thread);
    }
    let mut lines = lines.into_iter();
    let mut next = move || {
        let line = lines.next().ok_or_else(|| Failure::unreachable("nobody is there any more"))?;
        Line::open_within(line, &key(SECRET), Duration::from_secs(5))
    };
    let first = next().unwrap();
    let mut system = System::new(first).with_way_back(next).with_patience(Duration::from_millis(600));
    let mut out = Vec::new();
    let result = perform(&arguments.action, arguments.json, &mut system, &mut out);
    drop(system);
    let threads: Vec<_> = threads.borrow_mut().drain(..).collect();
    let scripts = threads.into_iter().map(|thread| thread.join().unwrap().succession.unwrap()).collect();
    let text = String::from_utf8(out).unwrap();
    (result.map(|()| text.clone()), text, scripts)
}

fn plan() -> Plan {
    Plan {
        from: "0.1.0".into(),
        to: "0.2.0".into(),
        cpu: 3,
        memory_bytes: 256 << 20,
        console: 0x2f8,
        vms: vec!["linux".into(), "heart\x1bbeat".into()],
        obstacles: Vec::new(),
    }
}

/// A scene of the incumbent, or of the successor: how many of four resources it owns.
fn scene(successor: bool, phase: Phase, owned: usize) -> Scene {
    let names = ["cpu 3", "extent 100000-8000000", "line com2", "vm linux"];
    let holding = |(index, name): (usize, &&str)| Holding {
        name: (*name).into(),
        // The successor gets them from the first on.
        mine: if successor { index < owned } else { index >= names.len() - owned },
        state: "held".into(),
        bytes: if index == 1 { 127 << 20 } else { 0 },
    };
    Scene {
        status: Status {
            version: if successor { "0.2.0" } else { "0.1.0" }.into(),
            incumbent: !successor,
            phase,
            resources: names.len() as u32,
            owned: owned as u32,
            ..Status::default()
        },
        holdings: names.iter().enumerate().map(holding).collect(),
        hangs_up: false,
    }
}

/// The successor alone.
fn alone() -> Scene {
    let mut scene = scene(true, Phase::Quiet, 4);
    scene.status.incumbent = true;
    scene.status.generation = 1;
    scene.status.blackouts = vec![Blackout { vm: "linux".into(), vcpu: 0, ticks: 24_690_000 }];
    scene
}

fn hangs_up() -> Scene {
    Scene { hangs_up: true, ..Scene::default() }
}

fn script(scenes: Vec<Scene>, waits: &[(usize, &'static str)]) -> Script {
    Script { plan: Some(plan()), scenes, waits: waits.to_vec(), ..Script::default() }
}

/// A way from the first to the second: the line moves in the middle, and the incumbent leaves when
/// it is told to.
fn both() -> Vec<Script> {
    let first = vec![
        scene(false, Phase::Quiet, 4),
        scene(false, Phase::Carving, 4),
        scene(false, Phase::Launched, 3),
        scene(false, Phase::Moving, 2),
        hangs_up(),
    ];
    let second = vec![
        scene(true, Phase::Moving, 3),
        scene(true, Phase::Ready, 3),
        scene(true, Phase::Retiring, 3),
        alone(),
    ];
    vec![script(first, &[(1, "start")]), script(second, &[(2, "retire")])]
}

struct Image(PathBuf);

impl Image {
    fn new(name: &str, bytes: usize) -> Self {
        let path = std::env::temp_dir().join(format!("understudy-{name}-{}.usimage", std::process::id()));
        std::fs::write(&path, (0..bytes).map(|byte| byte as u8).collect::<Vec<u8>>()).unwrap();
        Self(path)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_plan_sends_the_image_and_says_what_would_happen() {
    let image = Image::new("plan", 10_000);
    let (text, _, scripts) =
        run(vec![script(Vec::new(), &[])], &format!("succession plan {}", image.0.display()));
    let text = text.unwrap();
    for part in ["0.1.0", "0.2.0", "APIC id 3", "256 MiB", "0x2f8", "linux, heart?beat"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("Obstacle"), "{text}");
    assert_eq!(scripts[0].announced, 10_000);
    assert_eq!(scripts[0].staged, std::fs::read(&image.0).unwrap());
    assert!(scripts[0].orders.is_empty());
}

#[test]
fn obstacles_are_shown_and_are_a_failure() {
    let image = Image::new("obstacle", 5);
    for command in ["succession plan", "succession start", "--json succession plan"] {
        let mut script = script(vec![scene(false, Phase::Quiet, 4)], &[]);
        script.plan = Some(Plan { obstacles: vec!["not signed".into(), "too old".into()], ..plan() });
        let (result, printed, scripts) = run(vec![script], &format!("{command} {}", image.0.display()));
        let failure = result.unwrap_err();
        assert_eq!(failure.code(), 1);
        assert_eq!(failure.what(), "the succession cannot begin: not signed; too old");
        assert!(scripts[0].orders.is_empty());
        assert_eq!(printed.contains("too old"), command.ends_with("plan"), "{printed}");
    }
}

#[test]
fn an_image_that_cannot_be_sent_is_explained() {
    let (result, ..) = run(vec![script(Vec::new(), &[])], "succession plan /nonexistent/image");
    let failure = result.unwrap_err();
    assert_eq!(failure.code(), 2);
    assert!(failure.to_string().contains("cargo xtask successor"), "{failure}");
    let (result, ..) = run(
        vec![Script { scenes: vec![scene(false, Phase::Quiet, 4)], ..Script::default() }],
        "succession start",
    );
    assert_eq!(result.unwrap_err().what(), "no image was sent");
}

#[test]
fn a_start_is_followed_until_the_incumbent_can_leave() {
    let (text, printed, scripts) = run(both(), "succession start");
    let text = text.unwrap_or_else(|failure| panic!("{failure}{printed}"));
    for part in ["carving", "launched", "moving", "ready", "127 MiB"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // What has moved is told once, with its new owner.
    let moved: Vec<&str> =
        text.lines().filter(|line| line.starts_with("    ") && line.ends_with("  0.2.0")).collect();
    assert_eq!(moved.len(), 3, "{text}");
    assert!(moved[0].contains("cpu 3") && moved[1].contains("extent") && moved[2].contains("com2"), "{text}");
    assert!(text.contains("0.2.0 owns all but the home of 0.1.0 ("), "{text}");
    assert!(text.contains("understudy succession retire"), "{text}");
    assert_eq!((&scripts[0].orders, &scripts[1].orders), (&vec!["start"], &vec![]));
}

#[test]
fn with_retire_it_goes_to_the_end_and_tells_the_blackouts() {
    let (text, printed, scripts) = run(both(), "succession start --retire");
    let text = text.unwrap_or_else(|failure| panic!("{failure}{printed}"));
    assert!(text.contains("retiring") && text.contains("0.2.0 has taken over from 0.1.0 ("), "{text}");
    // 24,690,000 ticks at 2 GHz.
    assert!(text.lines().any(|line| line.contains("linux") && line.ends_with("12.345 ms")), "{text}");
    assert_eq!(scripts[1].orders, ["retire"]);
}

#[test]
fn programs_get_a_line_for_each_event() {
    let (text, printed, _) = run(both(), "--json succession start --retire");
    let text = text.unwrap_or_else(|failure| panic!("{failure}{printed}"));
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let phases: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == "phase")
        .map(|event| event["phase"].as_str().unwrap())
        .collect();
    assert_eq!(phases, ["carving", "launched", "moving", "ready", "retiring", "quiet"]);
    let linux: Vec<&str> = events
        .iter()
        .filter(|event| event["name"] == "vm linux")
        .map(|event| event["party"].as_str().unwrap())
        .collect();
    assert_eq!(linux, ["incumbent", "successor"]);
    let end = events.last().unwrap();
    assert_eq!((&end["result"], &end["generation"]), (&"done".into(), &1.into()));
    assert_eq!(end["blackouts"][0]["us"], 12_345);
}

#[test]
fn a_succession_that_is_given_up_is_a_failure_with_its_reason() {
    let mut back = scene(false, Phase::Quiet, 4);
    back.status.message = "the successor does not greet".into();
    let scenes = vec![
        scene(false, Phase::Quiet, 4),
        scene(false, Phase::Carving, 4),
        scene(false, Phase::Returning, 4),
        back,
    ];
    let (result, printed, _) = run(vec![script(scenes, &[(1, "start")])], "succession start");
    let failure = result.unwrap_err();
    assert_eq!(failure.code(), 1);
    assert_eq!(failure.what(), "the succession was given up: the successor does not greet");
    assert!(printed.contains("returning"), "{printed}");
}

#[test]
fn an_abort_is_waited_for() {
    let scenes = vec![
        scene(false, Phase::Moving, 2),
        scene(false, Phase::Returning, 3),
        scene(false, Phase::Quiet, 4),
    ];
    let (text, _, scripts) = run(vec![script(scenes, &[(1, "abort")])], "succession abort");
    assert!(text.unwrap().contains("Everything is with 0.1.0, as before ("));
    assert_eq!(scripts[0].orders, ["abort"]);
    let quiet = script(vec![scene(false, Phase::Quiet, 4)], &[]);
    assert_eq!(run(vec![quiet], "succession abort").0.unwrap_err().what(), "there is no succession");
}

#[test]
fn only_what_is_ready_retires() {
    let early = script(vec![scene(false, Phase::Moving, 2)], &[]);
    let (result, _, scripts) = run(vec![early], "succession retire");
    assert_eq!(result.unwrap_err().what(), "the succession is not ready: it is moving");
    assert!(scripts[0].orders.is_empty());
    let ready = script(
        vec![scene(true, Phase::Ready, 3), scene(true, Phase::Retiring, 3), alone()],
        &[(1, "retire")],
    );
    let (text, ..) = run(vec![ready], "succession retire");
    assert!(text.unwrap().contains("0.2.0 has taken over from incumbent ("));
}

#[test]
fn status_and_resources_are_told() {
    let (text, ..) = run(vec![script(vec![scene(true, Phase::Moving, 3)], &[])], "succession status");
    let text = text.unwrap();
    for part in ["0.2.0 (successor)", "moving (resources move", "0 completed", "3 of 4"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (text, ..) = run(vec![script(vec![alone()], &[])], "--json succession status");
    let value: Value = serde_json::from_str(&text.unwrap()).unwrap();
    assert_eq!((&value["phase"], &value["blackouts"][0]["us"]), (&"quiet".into(), &12_345.into()));
    let (text, ..) = run(vec![script(vec![scene(false, Phase::Moving, 1)], &[])], "succession resources");
    let text = text.unwrap();
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(text.contains("vm linux") && text.contains("successor") && text.contains("0.1.0"), "{text}");
    let (text, ..) =
        run(vec![script(vec![scene(true, Phase::Moving, 1)], &[])], "--json succession resources");
    let value: Value = serde_json::from_str(&text.unwrap()).unwrap();
    assert_eq!((&value[0]["party"], &value[0]["owner"]), (&"successor".into(), &"0.2.0".into()));
    assert_eq!((&value[3]["party"], &value[3]["owner"]), (&"incumbent".into(), &"incumbent".into()));
}

#[test]
fn whoever_looks_on_sees_it_through() {
    let mut scripts = both();
    scripts[0].orders.push("start");
    scripts[1].orders.push("retire");
    let (text, printed, _) = run(scripts, "succession status --watch");
    let text = text.unwrap_or_else(|failure| panic!("{failure}{printed}"));
    assert!(text.contains("ready") && text.contains("0.2.0 has taken over from 0.1.0 ("), "{text}");
}

#[test]
fn patience_ends() {
    let (result, ..) = run(vec![script(vec![hangs_up()], &[])], "succession status");
    let failure = result.unwrap_err();
    assert_eq!((failure.code(), failure.what()), (2, "nobody is there any more"));
}

#[test]
fn a_system_without_the_service_says_so() {
    let (tool, _) = Fake::default().serve(Some(key(SECRET)));
    let mut system = System::new(Line::open(tool, &key(SECRET)).unwrap());
    let arguments = Arguments::try_parse_from(["understudy", "succession", "status"]).unwrap();
    let failure = perform(&arguments.action, false, &mut system, &mut Vec::new()).unwrap_err();
    assert_eq!(failure.what(), "there is no `succession`");
}
