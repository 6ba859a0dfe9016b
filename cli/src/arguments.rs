// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// See and command a running Understudy.
#[derive(Debug, Parser)]
#[command(
    name = "understudy",
    version,
    disable_help_subcommand = true,
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
    Log {
        /// Go on as the log grows
        #[arg(long, short)]
        follow: bool,
        /// Only so many of the last lines
        #[arg(long, short = 'n', value_name = "COUNT")]
        lines: Option<usize>,
    },
    /// Connect to the console of a VM; ^] (Ctrl and ]) leaves it
    Console {
        /// Name of the VM
        vm: String,
        /// Begin with everything that the VM still has of its output
        #[arg(long)]
        all: bool,
    },
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
