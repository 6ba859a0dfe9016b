// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every interleaving of a succession of two VMs (one with two vCPUs), four CPUs, five extents and
//! a line.

mod checker;

use checker::world::Mistake;
use checker::{Found, explore};
use succession::Party;

fn holds(incumbent: Party, faults: u8) -> Found {
    let found = explore(incumbent, faults, Mistake::None).unwrap_or_else(|what| panic!("{what}"));
    let [incumbent, successor, standby, nobody] = found.ends;
    println!(
        "succession: {} states, {} steps, {faults} faults; ends: incumbent {incumbent}, successor {successor}, \
         standby {standby}, nobody left {nobody}",
        found.states, found.steps
    );
    found
}

#[test]
fn every_interleaving_without_a_fault_ends_with_one_owner_of_everything() {
    let found = holds(Party::First, 0);
    assert!(found.states > 100);
    assert_eq!(found.ends[2..], [0, 0]);
}

#[test]
fn every_fall_restart_and_failure_at_every_step_leaves_each_vm_with_one_named_owner() {
    assert!(holds(Party::First, 1).states > 1000);
}

#[test]
fn the_way_down_is_the_same_with_the_parties_exchanged() {
    assert_eq!(holds(Party::Second, 0).states, holds(Party::First, 0).states);
}

#[test]
#[ignore = "long: a minute, and 5 GiB of memory"]
fn two_faults_in_any_order_leave_each_vm_with_one_named_owner() {
    holds(Party::First, 2);
}

#[test]
fn each_deliberate_mistake_is_found() {
    for (mistake, name) in [
        (Mistake::RunBeforeWord, "uses Vcpu"),
        (Mistake::OfferBeforeRelease, "uses"),
        (Mistake::NoFence, "I7"),
        (Mistake::StopForgotten, "uses Vcpu"),
        (Mistake::VmWordForgotten, ""),
    ] {
        let found = explore(Party::First, 1, mistake).expect_err("not found");
        println!("succession: a mistake is found: {found}");
        assert!(found.contains(name), "{found}");
    }
}
