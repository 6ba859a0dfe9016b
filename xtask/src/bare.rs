// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bare-metal toolchain: which one this machine has, and cargo called with it.
//!
//! Two routes lead to the library for `x86_64-unknown-none`: a toolchain that has it installed, or
//! Debian's toolchain, which builds it from source. Code generation flags are not here but in
//! `.cargo/config.toml`, the same for both.

use crate::paths;
use crate::process;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// The target of the core, the services and the small guests.
pub const TARGET: &str = "x86_64-unknown-none";

/// The oldest compiler that the workspace builds with.
const OLDEST: (u32, u32) = (1, 95);

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_RUSTDOC: &str = "/usr/bin/rustdoc";

/// Variables that must not reach cargo: they would replace the flags of `.cargo/config.toml`, or
/// load libraries of another toolchain.
const REMOVED: [&str; 8] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "RUSTC",
    "RUSTC_WRAPPER",
    "LD_LIBRARY_PATH",
    "CARGO_MANIFEST_DIR",
];

/// A way to the bare-metal library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The active toolchain has the target's library.
    Installed,
    /// Debian's compiler, with the library built from Debian's copy of its source.
    Debian,
}

impl Route {
    /// The route that this machine offers.
    pub fn find() -> Option<Route> {
        if active_toolchain_has_target() {
            return Some(Route::Installed);
        }
        debian_toolchain().then_some(Route::Debian)
    }

    /// The route, or an error that names the two ways to get one.
    pub fn require() -> Result<Route> {
        let Some(route) = Route::find() else {
            bail!(
                "no bare-metal Rust library; either `rustup target add {TARGET}` or, as root, \
                 `apt-get install rustc-web cargo-web rust-web-src`"
            )
        };
        Ok(route)
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Route::Installed => "the active toolchain's library",
            Route::Debian => "Debian's toolchain (library built from rust-web-src)",
        }
    }

    /// `cargo SUBCOMMAND` for the bare-metal target, to which packages and options are to be added.
    pub fn cargo(self, subcommand: &str) -> Command {
        let mut command = match self {
            Route::Installed => host_cargo(),
            Route::Debian => {
                let mut command = clean(Command::new(DEBIAN_CARGO));
                command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC).env("RUSTDOC", DEBIAN_RUSTDOC);
                command
            }
        };
        command.arg(subcommand).args(["--target", TARGET]);
        if self == Route::Debian {
            command.args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"]);
        }
        command
    }
}

/// Cargo of the active toolchain, free of what would change its flags.
pub fn host_cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    clean(Command::new(cargo))
}

/// Another program, run in the repository with the same care for the environment.
pub fn tool(name: &str) -> Command {
    clean(Command::new(name))
}

fn clean(mut command: Command) -> Command {
    for name in REMOVED {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    command.current_dir(paths::repo());
    command
}

fn active_toolchain_has_target() -> bool {
    let mut rustc = clean(Command::new("rustc"));
    let Ok(sysroot) = process::output(rustc.args(["--print", "sysroot"])) else { return false };
    Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib").is_dir()
}

fn debian_toolchain() -> bool {
    let source = Path::new("/usr/lib/rustlib/src/rust/library/core/src/lib.rs");
    source.exists()
        && Path::new(DEBIAN_CARGO).exists()
        && version_of(DEBIAN_RUSTC).is_some_and(|found| found >= OLDEST)
}

/// Major and minor version of a compiler.
fn version_of(rustc: &str) -> Option<(u32, u32)> {
    let text = process::output(clean(Command::new(rustc)).arg("--version")).ok()?;
    parse_version(&text)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn reads_a_compiler_version() {
        assert_eq!(parse_version("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some((1, 96)));
        assert_eq!(parse_version("not a compiler"), None);
    }
}
