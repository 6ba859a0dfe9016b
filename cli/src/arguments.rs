// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// See and command a running Understudy.
#[derive(Debug, Parser)]
#[command(
    name = "understudy",
    version,
    term_width = 80,
    after_help = "Exit status: 0 done; 1 the system refused or failed; 2 wrong usage, or no connection.\n\
                  A system started with `cargo xtask run` is found without --connect and --secret-file."
)]
pub struct Arguments {
    /// Socket of the operator's line [default: target/run/operator.sock]
    #[arg(long, global = true, value_name = "PATH", env = "UNDERSTUDY_CONNECT")]
    pub connect: Option<PathBuf>,
    /// File with the system's secret [default: the file `secret` beside the socket]
    #[arg(long, global = true, value_name = "PATH", env = "UNDERSTUDY_SECRET_FILE")]
    pub secret_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List VMs and services
    #[command(visible_alias = "list")]
    Ps {
        /// VMs only
        #[arg(long)]
        vms: bool,
    },
    /// Show the machine: CPUs, memory, and who has what
    #[command(visible_alias = "nodeinfo")]
    Inventory,
    /// Print the log of all services
    #[command(visible_alias = "logs")]
    Log(LogArguments),
    /// Connect to the console of a VM; ^] (Ctrl and ]) leaves it
    Console(ConsoleArguments),
    /// Start a VM that has stopped, from its beginning
    Start {
        /// Name of the VM
        vm: String,
    },
    /// Stop a VM at once, without asking its operating system
    #[command(visible_alias = "destroy")]
    Stop {
        /// Name of the VM
        vm: String,
    },
    /// Halt a VM where it is
    #[command(visible_alias = "suspend")]
    Pause {
        /// Name of the VM
        vm: String,
    },
    /// Let a paused VM go on
    Resume {
        /// Name of the VM
        vm: String,
    },
    /// Restart a service; the VMs go on
    Restart {
        /// Name of the service
        service: String,
    },
    /// Switch the machine off at once, with everything that runs on it
    Poweroff {
        /// Without a question
        #[arg(long)]
        yes: bool,
    },
    /// Print metrics in the format of OpenMetrics
    Metrics,
    /// Create, list, restore and remove checkpoints
    Checkpoint {
        /// What to do.
        #[command(subcommand)]
        action: CheckpointAction,
    },
    /// Let another hypervisor take over from this one, without stopping the VMs
    Succession {
        /// What to do.
        #[command(subcommand)]
        action: SuccessionAction,
    },
    /// Print a script that completes this tool's command line
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write all of them
    Man {
        /// Write a page per subcommand to this folder
        #[arg(long, value_name = "FOLDER")]
        directory: Option<PathBuf>,
    },
}

/// What to print of the log.
#[derive(Debug, Args)]
pub struct LogArguments {
    /// Go on as the log grows
    #[arg(long, short)]
    pub follow: bool,
    /// Only so many of the last lines
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub lines: Option<usize>,
    /// Only lines of this service or VM
    #[arg(long, visible_alias = "vm", value_name = "NAME")]
    pub from: Option<String>,
}

/// How to use the console of a VM.
#[derive(Debug, Args)]
pub struct ConsoleArguments {
    /// Name of the VM
    pub vm: String,
    /// Begin with everything that the VM still has of its output
    #[arg(long)]
    pub all: bool,
    /// End at this text in what the VM prints from now on
    #[arg(long, value_name = "TEXT")]
    pub until: Option<String>,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", requires = "until")]
    pub timeout: Option<u64>,
}

/// What to do with checkpoints.
#[derive(Debug, Subcommand)]
pub enum CheckpointAction {
    /// Keep the whole state of a VM; the VM goes on meanwhile
    Create {
        /// Name of the VM
        vm: String,
        /// Do not wait until it can be restored
        #[arg(long)]
        no_wait: bool,
    },
    /// List checkpoints
    #[command(visible_alias = "list")]
    Ls {
        /// Of this VM only
        vm: Option<String>,
    },
    /// Put a VM back to a checkpoint
    #[command(visible_alias = "revert")]
    Restore {
        /// Name of the VM
        vm: String,
        /// Number of the checkpoint [default: the newest that is complete]
        id: Option<u64>,
    },
    /// Remove checkpoints
    #[command(visible_alias = "delete")]
    Rm {
        /// Name of the VM
        vm: String,
        /// Numbers of the checkpoints
        #[arg(required = true)]
        id: Vec<u64>,
    },
}

/// What to do about a succession.
#[derive(Debug, Subcommand)]
pub enum SuccessionAction {
    /// Send an image, and say what a succession would do; nothing moves
    Plan {
        /// The image, as `cargo xtask successor` makes it
        image: PathBuf,
    },
    /// Begin, and show each resource as it moves, until only its home is left to the incumbent
    Start {
        /// The image [default: the one that was sent last]
        image: Option<PathBuf>,
        /// Let the incumbent leave at the end: there is no way back from that
        #[arg(long)]
        retire: bool,
    },
    /// Say how far a succession is
    Status {
        /// Show each resource as it moves, until the succession ends
        #[arg(long, short)]
        watch: bool,
    },
    /// List CPUs, memory, lines and VMs with their owners
    Resources,
    /// Take everything back
    Abort,
    /// Let the incumbent leave: there is no way back from that
    Retire,
}

/// Words of other tools, and what does here what they do there.
const ELSEWHERE: [(&str, &str); 10] = [
    ("top", "`understudy ps` shows what runs, `understudy metrics` what it costs."),
    ("get", "`understudy ps` lists VMs and services."),
    ("describe", "`understudy --json ps` has everything that is known."),
    ("dominfo", "`understudy --json ps` has everything that is known."),
    ("exec", "Pipe to `understudy console VM --until TEXT`."),
    ("attach", "`understudy console VM` connects to it."),
    ("kill", "`understudy stop VM` stops a VM at once."),
    ("shutdown", "Log in by `understudy console VM` and shut the guest down there."),
    ("reboot", "`understudy stop VM` and `understudy start VM` boot it from its beginning."),
    ("snapshot-create", "`understudy checkpoint create VM` does that."),
];

impl Arguments {
    /// Reads a command line.
    ///
    /// # Errors
    /// Help that was asked for, or a mistake with what was perhaps meant.
    pub fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        Self::try_parse_from(words).map_err(|mut error| {
            let word = match error.get(ContextKind::InvalidSubcommand) {
                Some(ContextValue::String(word)) if error.kind() == ErrorKind::InvalidSubcommand => {
                    word.clone()
                }
                _ => return error,
            };
            if let Some((_, here)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == word) {
                error.remove(ContextKind::SuggestedSubcommand);
                let here = ContextValue::StyledStrs(vec![(*here).to_owned().into()]);
                error.insert(ContextKind::Suggested, here);
            }
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
