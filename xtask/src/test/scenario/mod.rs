// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot tests with a plan of their own: they boot the default system and talk to it by the
//! operator's line.

mod checkpoints;
mod early;
mod example;
mod hostile;
mod line;
mod main_job;
mod nmi;
mod release;
mod restart;
mod succession;
mod system;
mod typed;
mod work;

use crate::qemu::Machine;
use anyhow::Result;
use std::path::Path;
use succession::circumstances;
use system::{boot, boot_system, undisturbed};

/// A scenario: it starts the machine, and fails by an error.
pub type Script = fn(&Machine, &Path, &Path) -> Result<()>;

/// All of them, with their names.
pub const SCENARIOS: &[(&str, Script)] = &[
    ("boot-early-faults-are-told", early::faults_are_told),
    ("main-job", main_job::play),
    ("restart-console", restart::console),
    ("restart-hung-console", restart::hung_console),
    ("restart-operator", restart::operator),
    ("restart-checkpoint", restart::checkpoint),
    ("operator-line-garbage", line::garbage),
    ("operator-line-truncated", line::truncated),
    ("operator-line-wrong-secret", line::wrong_secret),
    ("operator-line-flood", line::flood),
    ("operator-what-people-type", typed::what_people_type),
    ("operator-tools-side-by-side", typed::side_by_side),
    ("checkpoints-in-any-order", checkpoints::in_any_order),
    ("checkpoints-quota", checkpoints::quota),
    ("write-a-service", example::boots),
    ("vm-pause-stop-start", checkpoints::pause_stop_start),
    ("hostile-guest-tries-everything", hostile::tries_everything),
    ("hostile-guests-end-badly", hostile::ends_badly),
    ("hostile-guests-take-all", hostile::hogs),
    ("nmi-in-guest", nmi::in_guest),
    ("release-artefacts", release::works),
    ("succession-without-vms", succession::without_vms),
    ("succession-on-two-cpus", circumstances::on_two_cpus),
    ("succession-on-eight-cpus", circumstances::on_eight_cpus),
    ("succession-on-one-cpu-is-refused", circumstances::on_one_cpu),
    ("succession-with-vms-that-do-not-run", circumstances::with_vms_that_do_not_run),
    ("succession-without-an-operator", circumstances::without_an_operator),
    ("succession-checkpoints-move", succession::checkpoints::move_with_the_store),
    ("succession-refuses-to-lose-checkpoints", succession::checkpoints::without_a_place),
    ("succession-checkpoints-outlive-stops", succession::checkpoints::outlive_stops),
    ("succession-refuses-bad-images", circumstances::with_bad_images),
    ("succession-estates-do-not-overlap", succession::estates::do_not_overlap),
    ("succession-a-hypervisor-stops", succession::stops::at_some_steps),
    ("succession-the-incumbents-core-breaks", succession::breaks::of_the_incumbent),
    ("succession-the-successors-core-breaks", succession::breaks::of_the_successor),
    ("succession-given-up", circumstances::given_up),
    ("succession-a-vmm-starts-anew", circumstances::a_vmm_starts_anew),
    ("succession-a-vmm-is-ended", circumstances::a_vmm_is_ended),
    ("succession-incumbent-crashes-at-every-step", succession::incumbent_crashes),
    ("succession-successor-crashes-at-every-step", succession::successor_crashes),
    ("succession-ten-in-a-row", succession::ten_in_a_row),
    ("guests-of-succession", work::guests_of_succession),
    ("linux-2-vcpus", work::on_2_vcpus),
    ("linux-4-vcpus", work::on_4_vcpus),
];

/// Those that take long.
pub const LONG_SCENARIOS: &[(&str, Script)] = &[
    ("succession-hundred-in-a-row", succession::hundred_in_a_row),
    ("succession-a-hypervisor-stops-at-many-steps", succession::stops::at_many_steps),
    ("succession-checkpoints-outlive-many-stops", succession::checkpoints::outlive_many_stops),
];
