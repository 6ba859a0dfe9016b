// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sending an image over the operator's line.

use std::path::Path;
use std::time::{Duration, Instant};

use api::succession::{MAX_IMAGE, Parts};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{Failure, System, text};

/// Without a terminal, a line is printed so often.
const NEWS: Duration = Duration::from_secs(3);

/// Sends the image.
pub fn send(system: &mut System, path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    let image = std::fs::read(path).map_err(|error| {
        Failure::unreachable(format!("cannot read the image {shown}: {error}"))
            .hint("`cargo xtask successor` makes one and says where.")
    })?;
    let bytes = image.len() as u64;
    if bytes > MAX_IMAGE {
        return Err(Failure::refused(format!("{shown} has {bytes} bytes; an image has at most {MAX_IMAGE}")));
    }
    let bar = bar(bytes);
    let sent = send_bytes(system, &image, &bar);
    bar.finish_and_clear();
    sent
}

fn send_bytes(system: &mut System, image: &[u8], bar: &ProgressBar) -> Result<(), Failure> {
    system.stage(image.len() as u64)?;
    let mut told = Instant::now();
    for (part, there) in Parts::new(image) {
        system.stage_part(part, there)?;
        bar.set_position(there);
        if bar.is_hidden() && told.elapsed() > NEWS {
            told = Instant::now();
            eprintln!("Sent {} of {}", text::bytes(there), text::bytes(image.len() as u64));
        }
        system.give_way();
    }
    Ok(())
}

fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let template = "sending [{bar:16}] {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
