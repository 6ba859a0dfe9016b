// SPDX-License-Identifier: MIT OR Apache-2.0
//! Properties of every record and its changes, the golden files, and the rules.

mod change;
mod core;
mod golden;
mod page;
mod property;
mod rules;

use std::string::ToString;
use std::vec;
use std::vec::Vec;

use crate::record::Bytes;
use crate::{ClockPage, IoApic, LocalApic, Machine, Segment, Token, Uart16550, Vcpu};

/// Bytes from nowhere, the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }
}

fn flat(attributes: u16) -> Segment {
    Segment { selector: 0x10, attributes, limit: u32::MAX, base: 0, ..Segment::default() }
}

/// A vCPU in 64-bit code.
fn vcpu() -> Vcpu {
    let mut xsave = vec![0; 3072];
    xsave[..28].copy_from_slice(&[
        0x7f, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x1f, 0, 0,
    ]);
    xsave[512] = 3;
    Vcpu {
        rax: 0x5553_0001,
        rsp: 0xffff_c900_0001_3f00,
        rip: 0xffff_ffff_8100_1234,
        rflags: 0x202,
        cr0: 0x8005_0033,
        cr3: 0x1_2345_6000,
        cr4: 0x3_06f0,
        efer: 0xd01,
        xcr0: 7,
        dr6: 0xffff_0ff0,
        dr7: 0x400,
        cs: flat(0xa9b),
        ss: flat(0xc93),
        ds: flat(0xc93),
        es: flat(0xc93),
        gs: Segment { base: 0xffff_8880_3ec0_0000, ..flat(0xc93) },
        tr: Segment {
            selector: 0x40,
            attributes: 0x8b,
            limit: 0x4087,
            base: 0xffff_fe00_0000_3000,
            ..Segment::default()
        },
        gdtr: Segment { limit: 0x7f, base: 0xffff_fe00_0000_1000, ..Segment::default() },
        idtr: Segment { limit: 0xfff, base: 0xffff_fe00_0000_0000, ..Segment::default() },
        lstar: 0xffff_ffff_8200_0040,
        star: 0x23_0010_0000_0000,
        sfmask: 0x25_7fd5,
        pat: 0x0407_0506_0007_0106,
        tsc: 987_654_321,
        event: 0x8000_00ec,
        xsave: Bytes(xsave),
        ..Vcpu::default()
    }
}

/// A machine as a running Linux has it.
fn machine() -> Machine {
    let apic = LocalApic {
        base: 0xfee0_0d00,
        spurious: 0x1ff,
        requested: [0, 0, 0, 0, 0, 0, 0, 1 << 12],
        lvt_timer: 0x4_00ec,
        timer_deadline: 1_000_000_000,
        ..LocalApic::default()
    };
    let mut ioapic = IoApic { levels: 1 << 9, ..IoApic::default() };
    ioapic.entries.fill(1 << 16);
    ioapic.entries[4] = 0x24;
    let uart = Uart16550 {
        port: 0x3f8,
        line: 4,
        interrupt_enable: 5,
        fifo_control: 0xc1,
        line_control: 3,
        modem_control: 0xb,
        divisor: 1,
        unread: Bytes(b"ls\n".to_vec()),
        ..Uart16550::default()
    };
    let mut machine = Machine {
        name: "linux".to_string(),
        memory_bytes: 256 << 20,
        tsc_khz: 2_596_150,
        vcpus: vec![vcpu()],
        apics: vec![apic],
        ioapics: vec![ioapic],
        uarts: vec![uart],
        token: Token { secret: Bytes((0..16).collect()), quota: 8, used: 3, ..Token::default() },
        ..Machine::default()
    };
    machine.rtc.memory = Bytes(vec![0; 128]);
    machine.rtc.seconds = 1_795_345_200;
    machine.clock.system_time = 0x3ffd_0001;
    machine
}

/// The same with two vCPUs, and with every field that a handover has brought.
fn handed_over() -> Machine {
    let mut machine = machine();
    machine.vcpus.push(Vcpu { index: 1, ..vcpu() });
    machine.apics.push(LocalApic { id: 1, ..machine.apics[0].clone() });
    machine.clock.pages = vec![ClockPage { system_time: 0x3ffd_0041, version: 4, ..ClockPage::default() }];
    machine.clock.wall_version = 2;
    machine.console_bytes = 12_345;
    machine.console_line = "a line that is not".to_string();
    machine.uptime_ms = 98_765;
    machine
}

/// Every path to a single value.
fn paths<T: crate::Value>(value: &T) -> Vec<std::string::String> {
    value.values().into_iter().map(|(path, _)| path).collect()
}
