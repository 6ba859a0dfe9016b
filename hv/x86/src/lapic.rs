// SPDX-License-Identifier: MIT OR Apache-2.0
//! The local APIC of each CPU, in x2APIC mode where there is one (SDM vol. 3A, 12; APM vol. 2, 16).

use crate::{clock, cpu, mmio, msr, vectors};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Ids from here on need x2APIC mode.
pub(crate) const XAPIC_LIMIT: u32 = 0xff;

const BASE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const BASE_ENABLE: u64 = 1 << 11;
const BASE_X2APIC: u64 = 1 << 10;

/// Offsets of registers; the x2APIC number is the offset / 16.
const ID: u32 = 0x20;
const TASK_PRIORITY: u32 = 0x80;
const EOI: u32 = 0xb0;
const SPURIOUS: u32 = 0xf0;
const IN_SERVICE: u32 = 0x100;
const ERROR_STATUS: u32 = 0x280;
const LVT_CMCI: u32 = 0x2f0;
const COMMAND: u32 = 0x300;
const COMMAND_HIGH: u32 = 0x310;
const LVT_TIMER: u32 = 0x320;
const LVT_THERMAL: u32 = 0x330;
const LVT_PERFORMANCE: u32 = 0x340;
const LVT_LINT0: u32 = 0x350;
const LVT_LINT1: u32 = 0x360;
const LVT_ERROR: u32 = 0x370;
const INITIAL_COUNT: u32 = 0x380;
const CURRENT_COUNT: u32 = 0x390;
const DIVIDE: u32 = 0x3e0;
const VERSION: u32 = 0x30;

const MASKED: u32 = 1 << 16;
const MODE_TSC_DEADLINE: u32 = 2 << 17;
const SOFTWARE_ENABLE: u32 = 1 << 8;
const DIVIDE_BY_1: u32 = 0b1011;

const COMMAND_PENDING: u32 = 1 << 12;
const COMMAND_ASSERT: u32 = 1 << 14;
const COMMAND_NMI: u32 = 4 << 8;
const COMMAND_INIT: u32 = 5 << 8;
const COMMAND_STARTUP: u32 = 6 << 8;
/// Reads of the delivery status before a command is taken as stuck.
const PATIENCE: usize = 1_000_000;

static X2APIC_MODE: AtomicBool = AtomicBool::new(false);

fn x2apic() -> bool {
    X2APIC_MODE.load(Ordering::Relaxed)
}

/// Chooses the mode for all CPUs, before any is set up.
///
/// x2APIC goes together with the TSC deadline: on processors with both, everything is a register. A
/// processor without deadlines is QEMU's TCG or old, and TCG ends itself when it counts
/// instructions and sees a timer access by WRMSR; there x2APIC is for those who need it (`wanted`,
/// or ids that do not fit otherwise, or firmware that left it on).
pub(crate) fn choose_mode(ids: &[u32], wanted: bool) {
    let features = cpu::features();
    let now = msr::read(msr::APIC_BASE);
    REGISTERS.store(now & BASE_ADDRESS, Ordering::Relaxed);
    let needed = wanted || ids.iter().any(|&id| id >= XAPIC_LIMIT) || now & BASE_X2APIC != 0;
    X2APIC_MODE.store(features.x2apic && (features.tsc_deadline || needed), Ordering::Relaxed);
}

/// Physical address of the registers, the same on every CPU.
static REGISTERS: AtomicU64 = AtomicU64::new(0);

/// Physical address of the registers.
pub(crate) fn base() -> u64 {
    REGISTERS.load(Ordering::Relaxed)
}

fn read(register: u32) -> u32 {
    if x2apic() {
        msr::read(msr::X2APIC + register / 16) as u32
    } else {
        // SAFETY: the page is mapped uncached before a local APIC is used; reads change nothing in
        // memory.
        unsafe { mmio::read(base() + u64::from(register)) }
    }
}

fn write(register: u32, value: u32) {
    if x2apic() {
        // SAFETY: the APIC interrupts CPUs; what it can make them do is in our IDT.
        unsafe { msr::write(msr::X2APIC + register / 16, u64::from(value)) };
    } else {
        // SAFETY: the page is mapped uncached before a local APIC is used; it interrupts CPUs, and
        // what that can make them do is in our IDT.
        unsafe { mmio::write(base() + u64::from(register), value) };
    }
}

/// APIC id of this CPU, known before the local APIC is set up.
pub(crate) fn own_id() -> u32 {
    const TOPOLOGY: u32 = 0xb;
    let topology = cpu::cpuid(TOPOLOGY, 0);
    if cpu::features().x2apic && topology.ebx != 0 { topology.edx } else { cpu::cpuid(1, 0).ebx >> 24 }
}

/// Enables the local APIC of this CPU, everything masked. (Done before the kernel starts, on every
/// CPU.)
pub fn init_this_cpu() {
    const LVT_CMCI_COUNT: u32 = 6;
    let enable = BASE_ENABLE | if x2apic() { BASE_X2APIC } else { 0 };
    // SAFETY: the registers stay where they are; x2APIC mode is there by CPUID.
    unsafe { msr::write(msr::APIC_BASE, msr::read(msr::APIC_BASE) & !BASE_ADDRESS | base() | enable) };
    write(TASK_PRIORITY, 0);
    write(SPURIOUS, SOFTWARE_ENABLE | u32::from(vectors::SPURIOUS));
    let last = read(VERSION) >> 16 & 0xff;
    let optional = [(3, LVT_ERROR), (4, LVT_PERFORMANCE), (5, LVT_THERMAL), (LVT_CMCI_COUNT, LVT_CMCI)];
    for (_, register) in optional.into_iter().filter(|&(number, _)| number <= last) {
        write(register, MASKED | u32::from(vectors::APIC_ERROR));
    }
    write(LVT_LINT0, MASKED);
    write(LVT_LINT1, MASKED);
    write(DIVIDE, DIVIDE_BY_1);
    timer_mode();
    write(ERROR_STATUS, 0);
    // Whatever the firmware left in service.
    for register in (0..8).map(|word| IN_SERVICE + 16 * word) {
        for _ in 0..read(register).count_ones() {
            eoi();
        }
    }
}

/// Masks what this local APIC raises by itself and ends what it has in service. It stays enabled,
/// as firmware leaves it.
pub(crate) fn quiet_this_cpu() {
    timer_disarm();
    write(LVT_TIMER, MASKED);
    eoi();
}

fn timer_mode() {
    let mode = if cpu::features().tsc_deadline { MODE_TSC_DEADLINE } else { 0 };
    write(LVT_TIMER, mode | u32::from(vectors::TIMER));
    // The mode has to arrive before the first deadline does (SDM vol. 3A, 12.5.4.1).
    // SAFETY: a fence.
    unsafe { asm!("mfence", options(nostack, preserves_flags)) };
}

/// APIC id of this CPU.
#[must_use]
pub fn id() -> u32 {
    if x2apic() { read(ID) } else { read(ID) >> 24 }
}

/// End of the interrupt in service.
pub fn eoi() {
    write(EOI, 0);
}

/// Sends interrupt `vector` to the CPU with this APIC id. Stores before it are visible to who takes
/// the interrupt.
pub fn send_ipi(apic_id: u32, vector: u8) {
    command(apic_id, u32::from(vector) | COMMAND_ASSERT);
}

/// Sends a non-maskable interrupt to the CPU with this APIC id.
pub fn send_nmi(apic_id: u32) {
    command(apic_id, COMMAND_NMI | COMMAND_ASSERT);
}

/// Puts a CPU into the state in which it waits for its start, whatever it does now.
pub fn send_init(apic_id: u32) {
    command(apic_id, COMMAND_INIT | COMMAND_ASSERT);
}

/// Starts a waiting CPU in real mode at a page below 1 MiB.
pub(crate) fn send_startup(apic_id: u32, page: u64) {
    command(apic_id, COMMAND_STARTUP | COMMAND_ASSERT | (page >> 12) as u32 & 0xff);
}

fn command(apic_id: u32, low: u32) {
    if x2apic() {
        // WRMSR of the command register does not wait for earlier stores.
        // SAFETY: a fence; the command interrupts a CPU, and what that can make it do is in its own
        // IDT.
        unsafe {
            asm!("mfence", "lfence", options(nostack, preserves_flags));
            msr::write(msr::X2APIC + COMMAND / 16, u64::from(apic_id) << 32 | u64::from(low));
        }
    } else {
        let _ = (0..PATIENCE).any(|_| read(COMMAND) & COMMAND_PENDING == 0);
        write(COMMAND_HIGH, apic_id << 24);
        write(COMMAND, low);
    }
}

/// One interrupt [`vectors::TIMER`] when the TSC reaches `deadline`, or at once if it has. Replaces
/// the deadline set before.
///
/// Where the hardware cannot count that far, the interrupt comes early: the kernel looks at the
/// clock and arms again.
pub fn timer_arm(deadline: u64) {
    if cpu::features().tsc_deadline {
        // 0 would disarm.
        // SAFETY: arms a timer.
        unsafe { msr::write(msr::TSC_DEADLINE, deadline.max(1)) };
    } else {
        write(INITIAL_COUNT, clock::timer_count(deadline.saturating_sub(cpu::rdtsc())));
    }
}

/// No timer interrupt until the next [`timer_arm`] (one that is already pending may still come).
pub fn timer_disarm() {
    if cpu::features().tsc_deadline {
        // SAFETY: disarms a timer.
        unsafe { msr::write(msr::TSC_DEADLINE, 0) };
    } else {
        write(INITIAL_COUNT, 0);
    }
}

/// Lets the timer count down from its highest value without an interrupt, for [`clock`].
pub(crate) fn count_start() {
    write(LVT_TIMER, MASKED);
    write(INITIAL_COUNT, u32::MAX);
}

/// How far it has counted.
pub(crate) fn counted() -> u32 {
    u32::MAX - read(CURRENT_COUNT)
}

/// Back from counting.
pub(crate) fn count_stop() {
    write(INITIAL_COUNT, 0);
    timer_mode();
}
