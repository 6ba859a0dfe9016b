// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot tests: name, machine, time limit, expectation. `docs/boot-tests.md` shows how to add
//! one.

use super::scenario::{LONG_SCENARIOS, SCENARIOS, Script};
use super::suite;
use crate::qemu::{Machine, System};
use anyhow::Result;
use std::time::Duration;

/// A test that boots a machine.
pub struct BootTest {
    /// Name, unique.
    pub name: String,
    /// The machine.
    pub machine: Machine,
    /// Its time limit. Generous: the developer's machine may be busy.
    pub limit: Duration,
    /// When it has passed.
    pub expectation: Expectation,
}

/// When a test has passed.
pub enum Expectation {
    /// The suite runs this case and ends the machine by the debug exit port with "passed".
    Passes {
        /// Its name.
        case: String,
    },
    /// All these were said, in any order.
    Says {
        /// Parts of lines.
        lines: Vec<String>,
    },
    /// The function says so.
    Script(Script),
}

impl BootTest {
    /// Whether the test suite is all that it needs.
    pub fn is_of_suite(&self) -> bool {
        self.machine.system == System::Suite
    }

    fn new(name: &str, machine: Machine, expectation: Expectation) -> BootTest {
        BootTest { name: name.to_owned(), machine, limit: Duration::from_secs(120), expectation }
    }
}

/// Time limit of the few that take long.
const LONG: Duration = Duration::from_secs(600);

/// All of them; the long runs only where asked for.
pub fn tests(long: bool) -> Result<Vec<BootTest>> {
    let mut tests = matrix();
    tests.extend(suite_tests(long)?);
    let scenario = |(name, script): &(&str, Script)| {
        BootTest::new(name, Machine::default(), Expectation::Script(*script))
    };
    tests.extend(SCENARIOS.iter().map(scenario));
    tests.extend(LONG_SCENARIOS.iter().filter(|_| long).map(scenario));
    Ok(tests)
}

/// What the default system says when its services run.
const SERVICES_RUN: &str = "root: all services run";

fn says(lines: &[&str]) -> Expectation {
    Expectation::Says { lines: lines.iter().map(|line| (*line).to_owned()).collect() }
}

/// The boot matrix: CPUs, memory, firmware, missing processor features.
fn matrix() -> Vec<BootTest> {
    let mut tests = Vec::new();
    for cpus in [1, 2, 4, 8, 32] {
        let machine = Machine { cpus, ..Machine::default() };
        tests.push(BootTest::new(&format!("boot-cpus-{cpus}"), machine, says(&[SERVICES_RUN])));
    }
    // So little does not hold the default system: what does not fit is refused with the reason.
    let small = Machine { memory_mib: 256, ..Machine::default() };
    let lines = ["root: operator started", "root: linux refused", "root: ready"];
    tests.push(BootTest::new("boot-memory-256", small, says(&lines)));
    for memory_mib in [1024, 4096, 8192] {
        let machine = Machine { memory_mib, ..Machine::default() };
        tests.push(BootTest::new(&format!("boot-memory-{memory_mib}"), machine, says(&[SERVICES_RUN])));
    }
    let uefi = Machine { uefi: true, ..Machine::default() };
    tests.push(BootTest::new("boot-uefi", uefi, says(&[SERVICES_RUN])));
    for (name, cpu, lines) in PROCESSORS {
        let machine = Machine { cpu: (*cpu).to_owned(), ..Machine::default() };
        tests.push(BootTest::new(name, machine, says(lines)));
    }
    tests
}

/// Says that a guest of the default system runs.
const GUEST_RUNS: &str = "[heartbeat] | beat 3 ";

/// The emulator's processor models: those with SVM and nested paging run VMs, others run the
/// services and say why there are no VMs, and those that cannot run the core say what they lack.
const PROCESSORS: &[(&str, &str, &[&str])] = &[
    ("boot-cpu-max-4-level", "max,-la57", &[SERVICES_RUN, GUEST_RUNS]),
    ("boot-cpu-qemu64-npt", "qemu64,+svm,+npt,+vgif", &[SERVICES_RUN, GUEST_RUNS]),
    ("boot-cpu-phenom", "phenom,check=off", &[SERVICES_RUN, GUEST_RUNS]),
    ("boot-cpu-opteron-g4", "Opteron_G4,check=off", &[SERVICES_RUN, GUEST_RUNS]),
    ("boot-cpu-opteron-g5", "Opteron_G5,check=off", &[SERVICES_RUN, GUEST_RUNS]),
    ("boot-cpu-epyc", "EPYC,check=off", &[SERVICES_RUN, GUEST_RUNS]),
    ("boot-cpu-epyc-x2apic", "EPYC,check=off,+x2apic,+vgif", &[SERVICES_RUN, GUEST_RUNS]),
    ("boot-cpu-epyc-milan", "EPYC-Milan,check=off", &[SERVICES_RUN, GUEST_RUNS]),
    ("boot-cpu-epyc-genoa", "EPYC-Genoa,check=off", &[SERVICES_RUN, GUEST_RUNS]),
    ("boot-no-svm", "qemu64,-svm", &[SERVICES_RUN, "no SVM"]),
    ("boot-cpu-intel", "Skylake-Server,check=off", &[SERVICES_RUN, "no SVM"]),
    ("boot-no-npt", "qemu64,+svm", &[SERVICES_RUN, "nested paging"]),
    ("boot-cpu-opteron-g3", "Opteron_G3,check=off", &[SERVICES_RUN, "nested paging"]),
    ("boot-no-nx", "max,-nx", &["core: the processor lacks no-execute pages (NX)"]),
    ("boot-no-pge", "max,-pge", &["core: the processor lacks global pages (PGE)"]),
    ("boot-no-long-mode", "max,-lm", &["core: the processor has no 64-bit mode"]),
];

/// One test per case of the suite.
fn suite_tests(long: bool) -> Result<Vec<BootTest>> {
    let cases = suite::cases()?
        .into_iter()
        .filter(|case| !case.is_bench() && (long || !case.name.starts_with("long-")));
    let test = |case: suite::Case| {
        let options = format!("case={}", case.name);
        // CPUs that take turns are slow to hear of each other, and so every time.
        let icount = case.name.starts_with("turns-");
        let system = System::Suite;
        let cpus = case.cpus();
        let machine = Machine { system, options, icount, cpus, memory_mib: 512, ..Machine::default() };
        let test = BootTest::new(&case.name, machine, Expectation::Passes { case: case.name.clone() });
        // Those that try very many things take their time.
        if case.name.starts_with("fuzz-") { BootTest { limit: LONG, ..test } } else { test }
    };
    Ok(cases.map(test).collect())
}
