// SPDX-License-Identifier: MIT OR Apache-2.0
//! The key that images of this builder are signed with.
//!
//! It is made at first use, of the operating system's randomness, and kept in `target/keys`, where
//! this user alone can read it: the secret half in `image.key`, the public half in `image.pub`,
//! both as hexadecimal digits. The public half is compiled into every system that is built here.
//! Without the key (`cargo clean` removes it) no image can be made any more for the systems that
//! run already.

use crate::operator;
use crate::paths;
use anyhow::{Context, Result, bail};
use bundle::build::SecretKey;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The key; made where there is none.
pub fn image() -> Result<SecretKey> {
    let folder = paths::in_target("keys");
    let secret = folder.join("image.key");
    if !secret.exists() {
        std::fs::create_dir_all(&folder)?;
        make(&secret)?;
    }
    let key = read(&secret).with_context(|| format!("the key {}", paths::shown(&secret)))?;
    let public = format!("{}\n", hex(&key.public()));
    let file = folder.join("image.pub");
    if std::fs::read_to_string(&file).ok().as_ref() != Some(&public) {
        std::fs::write(&file, public)?;
    }
    Ok(key)
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a new key beside its place and links it there, so that nobody ever reads half a key and,
/// of two that begin at the same time, the first one is kept.
fn make(path: &Path) -> Result<()> {
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{}", hex(&operator::random::<32>()?))?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&fresh, path);
    std::fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<SecretKey> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "others can read it (mode {:03o}); `chmod 600` it if nobody has, remove it otherwise",
            mode & 0o777
        );
    }
    let text = std::fs::read_to_string(path)?;
    let bytes = bundle::key_from_hex(text.trim()).context("is not 64 hexadecimal digits")?;
    Ok(SecretKey::new(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let folder = std::env::temp_dir().join(format!("understudy-keys-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("image.key");
        make(&path).unwrap();
        let first = read(&path).unwrap().public();
        make(&path).unwrap();
        assert_eq!(read(&path).unwrap().public(), first);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(read(&path).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
