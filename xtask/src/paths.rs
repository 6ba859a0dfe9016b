// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where things are: the repository and the build directory.
//!
//! Everything that a command writes lies under the build directory (`target/`, or
//! `CARGO_TARGET_DIR`).

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The repository's root folder.
pub fn repo() -> &'static Path {
    static REPO: OnceLock<PathBuf> = OnceLock::new();
    REPO.get_or_init(|| {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let from_cargo = manifest.and_then(|path| path.parent().map(Path::to_path_buf));
        from_cargo.filter(|path| path.join("hv").is_dir()).unwrap_or_else(search_upwards)
    })
}

fn search_upwards() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let found =
        here.ancestors().find(|path| path.join("hv/main.rs").is_file() && path.join("xtask").is_dir());
    found.map_or_else(|| here.clone(), Path::to_path_buf)
}

/// A path inside the repository.
pub fn in_repo(path: &str) -> PathBuf {
    repo().join(path)
}

/// The build directory.
pub fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| match std::env::var_os("CARGO_TARGET_DIR") {
        Some(path) => repo().join(path),
        None => repo().join("target"),
    })
}

/// A path inside the build directory.
pub fn in_target(path: &str) -> PathBuf {
    target().join(path)
}

/// How a path is shown: relative to the repository where it lies in it.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(repo()).unwrap_or(path).display().to_string()
}
