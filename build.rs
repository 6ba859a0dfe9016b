// SPDX-License-Identifier: MIT OR Apache-2.0
//! Passes the layout of the image to the linker.

fn main() {
    println!("cargo:rerun-if-changed=linker.ld");
    let bare = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none");
    if bare && let Ok(root) = std::env::var("CARGO_MANIFEST_DIR") {
        println!("cargo:rustc-link-arg-bins=-T{root}/linker.ld");
        println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
        println!("cargo:rustc-link-arg-bins=--no-warn-rwx-segments");
    }
}
