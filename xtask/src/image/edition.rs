// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a build is told about itself: its version, and the key of the images that it accepts.
//!
//! Both go to the compiler as environment variables that the programs read by `option_env!`; cargo builds anew what reads one that has
//! changed. So every build of a bare-metal program has to be told, or they would undo each other's work.

use crate::keys;
use anyhow::{Context, Result};
use bundle::Version;
use std::process::Command;

/// The version; without it, that of the packages.
const VERSION: &str = "UNDERSTUDY_VERSION";
/// The public key, as 64 hexadecimal digits. A service that was built without it accepts no image.
const KEY: &str = "UNDERSTUDY_IMAGE_KEY";

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

    /// Tells it to cargo.
    pub fn tell(&self, command: &mut Command) -> Result<()> {
        let key = keys::hex(&keys::image()?.public());
        command.env(VERSION, self.version.to_string()).env(KEY, key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Edition;

    #[test]
    fn a_version_is_three_numbers() {
        assert_eq!(Edition::of("0.2.0").unwrap().version().to_string(), "0.2.0");
        assert!(Edition::of("next").is_err());
        assert!(Edition::of(env!("CARGO_PKG_VERSION")).is_ok());
    }
}
