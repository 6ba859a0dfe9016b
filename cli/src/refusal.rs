// SPDX-License-Identifier: MIT OR Apache-2.0
//! Refusals of the checkpoint service in words, and what the user can do.

use api::checkpoint::Refusal;

use crate::Failure;

/// The refusal as a failure.
pub fn refusal(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::QuotaExhausted => Failure::refused("the VM has as many checkpoints as it may have")
            .hint("Remove one with `understudy checkpoint rm`."),
        Refusal::StoreFull => Failure::refused("the page store is full; the VM goes on without the checkpoint")
            .hint("Remove checkpoints with `understudy checkpoint rm`, or give the store more memory in the manifest."),
        Refusal::Busy => Failure::refused("another checkpoint of the VM is being made or restored").hint("Try again."),
        Refusal::NoCheckpoint => {
            Failure::refused("there is no such checkpoint").hint("`understudy checkpoint ls` lists what there is.")
        }
        Refusal::NotComplete => Failure::refused("the checkpoint is not complete")
            .hint("See `understudy checkpoint ls`; while it is being copied, try again."),
        Refusal::BadPart => Failure::refused("the VM's state does not fit the checkpoint"),
        Refusal::Core(number) => match abi::error::Error::from_status(number) {
            Err(error) => Failure::refused(format!("the core refused: {error:?}")),
            Ok(()) => Failure::refused("the core refused"),
        },
    }
}

/// Why a checkpoint came to nothing.
#[must_use]
pub fn why(reason: Refusal) -> String {
    refusal(reason).what().to_owned()
}
