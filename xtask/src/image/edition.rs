// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a build is told about itself: its version, the key of the images that it accepts, and
//! whether it is one for tests.
//!
//! Both go to the compiler as environment variables that the programs read by `option_env!`; cargo
//! builds anew what reads one that has changed. So every build of a bare-metal program has to be
//! told, or they would undo each other's work.

use crate::keys;
use anyhow::{Context, Result, bail};
use bundle::Version;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// The version; without it, that of the packages.
const VERSION: &str = "UNDERSTUDY_VERSION";
/// The public key, as 64 hexadecimal digits. A service that was built without it accepts no image.
const KEY: &str = "UNDERSTUDY_IMAGE_KEY";

/// The packages that a test can stop by [fault injection](inject_faults).
const INJECTING: [&str; 2] = ["understudy-root", "understudy-succession"];
/// What a program that injects faults says when it stops. The optimizer leaves it out of every
/// other.
const MARK: &[u8] = b"a fault was injected here";

static INJECTS: AtomicBool = AtomicBool::new(false);

/// All builds of this run are for tests: they can be told to stop as by a bug.
pub fn inject_faults() {
    INJECTS.store(true, Ordering::Relaxed);
}

/// Whether they are.
pub fn injects_faults() -> bool {
    INJECTS.load(Ordering::Relaxed)
}

/// Fails if a built program injects faults and is not for tests, or does not and is.
pub fn check_faults(name: &str, program: &[u8]) -> Result<()> {
    if name != "succession" {
        return Ok(());
    }
    let can = program.windows(MARK.len()).any(|part| part == MARK);
    match (can, injects_faults()) {
        (true, false) => bail!("the program `{name}` injects faults, which only one for tests may"),
        (false, true) => bail!("the program `{name}` injects no faults, which one for tests has to"),
        (true, true) | (false, false) => Ok(()),
    }
}

/// One build of everything.
pub struct Edition {
    version: Version,
}

impl Edition {
    /// What is built by default: the version of the packages, or what the environment says.
    pub fn current() -> Result<Edition> {
        match std::env::var(VERSION) {
            Ok(version) => Edition::of(&version).context(VERSION),
            Err(_) => Edition::of(env!("CARGO_PKG_VERSION")),
        }
    }

    /// Another version.
    pub fn of(version: &str) -> Result<Edition> {
        let parsed = Version::parse(version);
        let version =
            parsed.with_context(|| format!("`{version}` is no version: three numbers as in 0.2.0"))?;
        Ok(Edition { version })
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Tells it to cargo, which builds these packages.
    pub fn tell<'a>(&self, command: &mut Command, packages: impl Iterator<Item = &'a str>) -> Result<()> {
        if injects_faults() {
            for name in packages.filter(|name| INJECTING.contains(name)) {
                command.args(["--features", &format!("{name}/fault-injection")]);
            }
        }
        let key = keys::hex(&keys::image()?.public());
        command.env(VERSION, self.version.to_string()).env(KEY, key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Edition, MARK, check_faults};

    #[test]
    fn a_program_that_injects_faults_goes_into_no_image_but_one_for_tests() {
        let program = [b"before".as_slice(), MARK, b"after"].concat();
        assert!(check_faults("succession", &program).is_err());
        assert!(check_faults("succession", b"before, after").is_ok());
    }

    #[test]
    fn a_version_is_three_numbers() {
        assert_eq!(Edition::of("0.2.0").unwrap().version().to_string(), "0.2.0");
        assert!(Edition::of("next").is_err());
        assert!(Edition::of(env!("CARGO_PKG_VERSION")).is_ok());
    }
}
