// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask boot`: one boot with the console shown as it comes, for work on the system itself.

use crate::image::{self, Scope};
use crate::paths;
use crate::qemu::{Event, Machine, PASSED, System};
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Arguments of the command.
#[derive(Args)]
pub struct Options {
    /// The program that gets the machine: `root` (the whole system) or `suite` (test cases)
    #[arg(long, value_enum, default_value = "root")]
    root: Root,
    /// Name of the suite's case (implies --root suite)
    #[arg(long)]
    case: Option<String>,
    /// More words for the core's command line
    #[arg(long, default_value = "")]
    options: String,
    /// CPUs
    #[arg(long, default_value_t = 4)]
    cpus: u32,
    /// Memory in MiB
    #[arg(long, default_value_t = 2048)]
    memory: u32,
    /// CPU model of QEMU
    #[arg(long, default_value = "max")]
    cpu: String,
    /// Boot by UEFI
    #[arg(long)]
    uefi: bool,
    /// Count instructions (repeatable times, slower)
    #[arg(long)]
    icount: bool,
    /// Seconds until the machine is ended
    #[arg(long, default_value_t = 120)]
    timeout: u64,
    /// Boot what was built last
    #[arg(long)]
    no_build: bool,
    /// Second serial line: a Unix socket that QEMU is to make
    #[arg(long)]
    operator: Option<std::path::PathBuf>,
    /// More arguments for QEMU
    #[arg(last = true)]
    qemu: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Root {
    Root,
    Suite,
}

/// Boots; ends well where the machine ends by the debug exit port with "passed".
pub fn run(options: &Options) -> Result<ExitCode> {
    let suite = options.root == Root::Suite || options.case.is_some();
    let scope = if suite { Scope::Suite } else { Scope::Everything };
    let iso = if options.no_build { image::iso::path(scope) } else { image::build(scope)? };
    let machine = machine(options, suite);
    let mut running = machine.start(&iso, &paths::in_target("boot.log"))?;
    let deadline = Instant::now() + Duration::from_secs(options.timeout);
    loop {
        match running.next(deadline)? {
            Event::Line(line) => println!("{line}"),
            Event::Ended(status) => {
                let seconds = running.age().as_secs_f64();
                let passed = status.code() == Some(PASSED);
                let verdict = if passed { "passed" } else { "not passed" };
                eprintln!(
                    "ended after {seconds:.1} s: {status}, {verdict}; log in {}",
                    paths::shown(running.log())
                );
                return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            Event::TimedOut => {
                eprintln!(
                    "ended by the time limit of {} s; log in {}",
                    options.timeout,
                    paths::shown(running.log())
                );
                return Ok(ExitCode::FAILURE);
            }
        }
    }
}

fn machine(options: &Options, suite: bool) -> Machine {
    let mut words = Vec::new();
    words.extend(options.case.iter().map(|case| format!("case={case}")));
    if !options.options.is_empty() {
        words.push(options.options.clone());
    }
    Machine {
        system: if suite { System::Suite } else { System::Default },
        options: words.join(" "),
        cpus: options.cpus,
        memory_mib: options.memory,
        cpu: options.cpu.clone(),
        uefi: options.uefi,
        icount: options.icount,
        operator_socket: options.operator.clone(),
        extra: options.qemu.clone(),
    }
}
