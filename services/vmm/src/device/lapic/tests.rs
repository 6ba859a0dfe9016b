// SPDX-License-Identifier: MIT OR Apache-2.0
//! What operating systems do to a local APIC.

use super::*;
use crate::device::message::{Delivery, Destination};

const TICKS_PER_MICROSECOND: u64 = 2000;

fn apic() -> LocalApic {
    let mut apic = LocalApic::new(0, true, Rate::from_khz(2_000_000));
    apic.write_memory(0xf0, 0x1ff, 0);
    apic
}

fn x2apic() -> LocalApic {
    let mut apic = apic();
    apic.set_base(DEFAULT_BASE | 0xc00).unwrap();
    apic
}

#[test]
fn after_reset_it_is_enabled_in_memory_but_not_by_software() {
    let mut apic = LocalApic::new(3, false, Rate::from_khz(1000));
    assert_eq!((apic.base(), apic.mode(), apic.enabled()), (DEFAULT_BASE | 0x800, Mode::XApic, false));
    assert_eq!(apic.read_memory(0x20, 0), 3 << 24);
    assert_eq!(apic.read_memory(0x30, 0), 0x0005_0014);
    assert_eq!(apic.read_memory(0xe0, 0), u32::MAX);
    assert_eq!(apic.read_memory(0xf0, 0), 0xff);
    assert_eq!(apic.read_memory(0x350, 0), 0x10000);
}

#[test]
fn the_base_register_refuses_the_forbidden_steps() {
    let mut apic = LocalApic::new(0, true, Rate::from_khz(1000));
    assert_eq!(apic.base() & 0x100, 0x100);
    assert!(apic.set_base(DEFAULT_BASE | 0x400).is_err());
    assert!(apic.set_base(DEFAULT_BASE | 0x801).is_err());
    assert!(apic.set_base(DEFAULT_BASE | 0xc00).is_ok());
    assert!(apic.set_base(DEFAULT_BASE | 0x800).is_err());
    assert!(apic.set_base(DEFAULT_BASE).is_ok());
    assert!(apic.set_base(DEFAULT_BASE | 0xc00).is_err());
    assert!(apic.set_base(DEFAULT_BASE | 0x900).is_ok());
    assert_eq!(apic.base() & 0x100, 0x100, "the bootstrap bit is not the guest's");
}

#[test]
fn interrupts_come_by_priority_and_nest() {
    let mut apic = apic();
    apic.raise(0x31, false);
    apic.raise(0x52, false);
    apic.raise(0x51, false);
    assert_eq!(apic.accept(), Some(0x52));
    assert_eq!(apic.accept(), None, "same class waits");
    apic.raise(0x61, false);
    assert_eq!(apic.accept(), Some(0x61));
    assert_eq!(apic.read_memory(0xa0, 0), 0x60);
    apic.write_memory(0xb0, 0, 0);
    apic.write_memory(0xb0, 0, 0);
    assert_eq!(apic.accept(), Some(0x51));
    apic.write_memory(0xb0, 0, 0);
    assert_eq!(apic.accept(), Some(0x31));
}

#[test]
fn task_priority_and_cr8_hold_interrupts_back() {
    let mut apic = apic();
    apic.raise(0x45, false);
    apic.write_memory(0x80, 0x40, 0);
    assert_eq!((apic.pending(), apic.cr8()), (None, 4));
    apic.observe_cr8(3);
    assert_eq!(apic.pending(), Some(0x45));
    apic.write_memory(0x80, 0x50, 0);
    apic.observe_cr8(3);
    assert_eq!(apic.pending(), None, "CR8 that did not change says nothing");
}

#[test]
fn only_the_end_of_a_level_triggered_interrupt_is_told() {
    let mut apic = apic();
    apic.raise(0x41, true);
    apic.accept();
    assert_eq!(apic.write_memory(0xb0, 0, 0), Some(Action::End(0x41)));
    apic.raise(0x41, false);
    apic.accept();
    assert_eq!(apic.write_memory(0xb0, 0, 0), None);
    assert_eq!(apic.write_memory(0xb0, 0, 0), None, "nothing in service");
}

#[test]
fn disabled_by_software_it_takes_nothing_and_masks_its_entries() {
    let mut apic = apic();
    apic.write_memory(0x320, 0x40, 0);
    apic.write_memory(0xf0, 0xff, 0);
    assert_eq!(apic.read_memory(0x320, 0), 0x10040);
    apic.write_memory(0x320, 0x40, 0);
    assert_eq!(apic.read_memory(0x320, 0), 0x10040);
    apic.raise(0x41, false);
    apic.write_memory(0xf0, 0x1ff, 0);
    assert_eq!(apic.pending(), None);
}

#[test]
fn linux_arms_the_deadline_timer_through_x2apic() {
    let mut apic = x2apic();
    apic.write_msr(0x832, 0x400ec, 0).unwrap();
    apic.set_deadline_msr(5000, 100);
    assert_eq!((apic.next_deadline(), apic.deadline_msr()), (Some(5000), 5000));
    apic.advance(4999);
    assert_eq!(apic.pending(), None);
    apic.advance(5000);
    assert_eq!((apic.accept(), apic.deadline_msr()), (Some(0xec), 0));
    apic.write_msr(0x80b, 0, 0).unwrap();
    apic.set_deadline_msr(50, 6000);
    assert_eq!(apic.accept(), Some(0xec), "a deadline in the past fires at once");
}

#[test]
fn a_masked_timer_fires_nothing() {
    let mut apic = x2apic();
    apic.write_msr(0x832, 0x500ec, 0).unwrap();
    apic.set_deadline_msr(5000, 0);
    assert_eq!(apic.next_deadline(), None);
    apic.advance(6000);
    assert_eq!(apic.pending(), None);
}

#[test]
fn the_bus_clock_is_one_gigahertz() {
    let mut apic = apic();
    apic.write_memory(0x3e0, 0xb, 0);
    apic.write_memory(0x320, 0x40, 0);
    apic.write_memory(0x380, 10_000, 0);
    assert_eq!(apic.next_deadline(), Some(10 * TICKS_PER_MICROSECOND));
    assert_eq!(apic.read_memory(0x390, 4 * TICKS_PER_MICROSECOND), 6000);
    apic.advance(10 * TICKS_PER_MICROSECOND);
    assert_eq!(apic.accept(), Some(0x40));
}

#[test]
fn x2apic_registers_refuse_what_the_manual_forbids() {
    let mut apic = x2apic();
    assert_eq!(apic.read_msr(0x802, 0), Ok(0));
    assert_eq!(apic.read_msr(0x80d, 0), Ok(1));
    for msr in [0x80b, 0x80e, 0x831, 0x83f, 0x800, 0x82f] {
        assert_eq!(apic.read_msr(msr, 0), Err(GeneralProtection), "{msr:#x}");
    }
    let writes = [(0x802, 0), (0x80d, 0), (0x80b, 1), (0x828, 1), (0x808, 0x100), (0x839, 0), (0x83f, 0x100)];
    for (msr, value) in writes {
        assert_eq!(apic.write_msr(msr, value, 0), Err(GeneralProtection), "{msr:#x}");
    }
    assert_eq!(apic.read_memory(0x20, 0), u32::MAX, "the page is gone");
    let mut plain = LocalApic::new(0, true, Rate::from_khz(1000));
    assert!(plain.read_msr(0x802, 0).is_err() && plain.write_msr(0x808, 0, 0).is_err());
}

#[test]
fn commands_become_messages() {
    let mut apic = x2apic();
    let Ok(Some(Action::Send(message))) = apic.write_msr(0x830, 2 << 32 | 0xfd, 0) else { panic!() };
    assert_eq!(message.destination, Destination::Physical(2));
    assert_eq!((message.delivery, message.vector, message.narrow), (Delivery::Fixed, 0xfd, false));
    let Ok(Some(Action::Send(message))) = apic.write_msr(0x83f, 0x44, 0) else { panic!() };
    assert_eq!((message.destination, message.vector), (Destination::Itself, 0x44));
    let mut xapic = self::apic();
    xapic.write_memory(0x310, 1 << 24, 0);
    let Some(Action::Send(message)) = xapic.write_memory(0x300, 0x0c_4000 | 0xfb, 0) else { panic!() };
    assert_eq!(message.destination, Destination::Others);
}

#[test]
fn the_reserved_timer_mode_becomes_one_shot() {
    let mut apic = apic();
    apic.write_memory(0x320, 0x6_00ec, 0);
    assert_eq!(apic.read_memory(0x320, 0), 0xec);
}

#[test]
fn a_wrong_vector_is_an_error_that_the_guest_can_read() {
    let mut apic = apic();
    apic.write_memory(0x370, 0xfe, 0);
    apic.write_memory(0x300, 0x0000_0003, 0);
    assert_eq!(apic.accept(), Some(0xfe));
    assert_eq!(apic.read_memory(0x280, 0), 0);
    apic.write_memory(0x280, 0, 0);
    assert_eq!(apic.read_memory(0x280, 0), 0x20);
    apic.write_memory(0x280, 0, 0);
    assert_eq!(apic.read_memory(0x280, 0), 0);
}

#[test]
fn a_local_apic_made_from_its_registers_behaves_the_same() {
    let mut apic = x2apic();
    apic.write_msr(0x832, 0x200ec, 0).unwrap();
    apic.write_msr(0x83e, 3, 0).unwrap();
    apic.write_msr(0x838, 50_000, 777).unwrap();
    apic.raise(0x61, true);
    apic.accept();
    apic.raise(0x81, false);
    let mut copy = LocalApic::loaded(&apic.saved(), Rate::from_khz(2_000_000));
    assert_eq!(copy, apic);
    for now in [0, 100_000, 5_000_000] {
        apic.advance(now);
        copy.advance(now);
        assert_eq!((copy.accept(), copy.next_deadline()), (apic.accept(), apic.next_deadline()));
        assert_eq!(copy.read_msr(0x839, now), apic.read_msr(0x839, now));
        assert_eq!(copy.write_msr(0x80b, 0, now), apic.write_msr(0x80b, 0, now));
    }
}
