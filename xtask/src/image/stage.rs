// SPDX-License-Identifier: MIT OR Apache-2.0
//! The folder whose content becomes the ISO's `/boot`.
//!
//! A file is written only where its content changes, so that its time tells whether the ISO is out
//! of date.

use crate::paths;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The folder.
pub struct Stage {
    folder: PathBuf,
}

impl Stage {
    /// Opens the folder and makes it where it is missing.
    pub fn open(name: &str) -> Result<Stage> {
        let folder = paths::in_target("image").join(name);
        std::fs::create_dir_all(folder.join("boot/grub"))?;
        Ok(Stage { folder })
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts a file under `/boot`.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join("boot").join(name);
        if std::fs::read(&path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        let parent = path.parent().context("a staged file has a folder")?;
        std::fs::create_dir_all(parent)?;
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", paths::shown(&path)))
    }

    /// Whether a file is there.
    pub fn has(&self, name: &str) -> bool {
        self.folder.join("boot").join(name).is_file()
    }

    /// All files, with their names under `/boot`, sorted.
    pub fn files(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut files = Vec::new();
        let boot = self.folder.join("boot");
        collect(&boot, &boot, &mut files)?;
        files.sort();
        Ok(files)
    }
}

fn collect(base: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(base, &path, files)?;
        } else {
            let name = path.strip_prefix(base).unwrap_or(&path).to_string_lossy().into_owned();
            files.push((name, path));
        }
    }
    Ok(())
}

/// Whether `file` must be made again from `source`.
pub fn is_older(file: &Path, source: &Path) -> bool {
    let time = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    match (time(file), time(source)) {
        (Some(file), Some(source)) => file < source,
        _ => true,
    }
}
