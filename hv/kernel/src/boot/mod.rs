// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the machine layer's entry to the root service.
//!
//! The order can be said aloud: handlers, other CPUs, memory for the root service, its image, its
//! capabilities, what it is told, its thread. After that the core never again decides who gets
//! what.

mod grant;
mod image;
mod memory;

use crate::hold::WINDOW_EPOCH;
use crate::state;
use crate::{fault, interrupt, syscall, thread};
use abi::boot::{BootInfo, ROOT_CNODE_RADIX, Virtualization};
use abi::object::SLOT_BITS;
use abi::{PAGE_BITS, PAGE_SIZE};
use core::sync::atomic::Ordering;
use memory::Memory;
use store::{AnySpace, HostSpace, Ref, Thread, ThreadState, enter_space};
use x86_machine::context::FRAME_FULL;
use x86_machine::{boot, context, cpu, lapic, percpu, println, smp, svm, trap};

/// Where the root service finds its IPC buffer, its boot information, and the top of its stack.
const BUFFER_AT: u64 = 0x1000_0000_0000;
const INFO_AT: u64 = 0x1000_1000_0000;
const STACK_TOP: u64 = 0x1000_3000_0000;

const STACK_BITS: u8 = 17;
const INFO_BITS: u8 = 14;
const SPACE_BITS: u8 = 18;
const CNODE_BITS: u8 = ROOT_CNODE_RADIX + SLOT_BITS;
const ROOT_PRIORITY: u8 = 200;
const FRESH_RFLAGS: u64 = 0x202;

static HANDLERS: trap::Handlers = trap::Handlers {
    syscall: syscall::enter,
    exception: fault::enter,
    interrupt: interrupt::enter,
    nmi: interrupt::nmi,
};

/// Version of this hypervisor: that of the package, unless the build was told another one.
const VERSION: &str = match option_env!("UNDERSTUDY_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// What the root service is made of: physical addresses.
struct Root {
    thread: Ref<Thread>,
    space: Ref<HostSpace>,
    cnode: u64,
    buffer: u64,
    info: u64,
}

/// The first thing that the kernel does, on the boot CPU.
pub fn start() -> ! {
    let facts = boot::facts();
    println!("understudy {VERSION}: {} CPUs listed", facts.cpus.len());
    trap::install(&HANDLERS);
    join(percpu::cpu_index());
    let count = smp::start_all(other_cpu);
    // Whoever stops the others has to know where to send the interrupt.
    while !(0..count).all(|index| state::of(index).online.load(Ordering::Acquire)) {
        cpu::pause();
    }
    state::CPU_COUNT.store(count, Ordering::Release);
    tell_virtualization(facts.virtualization);
    let mut memory = Memory::new(facts.available);
    let Some(root) = make_root(&mut memory) else { give_up("too little memory for the root service") };
    let Some(module) = facts.modules.iter().find(|module| module.name == "root") else {
        give_up("no boot module is called `root`; add `module2 FILE root` to the boot loader's configuration")
    };
    let Some(entry) = image::load(&mut memory, root.space, module) else {
        give_up("the module `root` is no static ELF file for x86-64, or is too large")
    };
    let Some(()) = map_own(&mut memory, &root) else { give_up("too little memory for the root service") };
    grant::all(memory, &root, count);
    run(&root, entry, facts.entry_tsc)
}

/// This CPU takes part from here on.
fn join(index: usize) {
    let this = state::of(index);
    // Its translations are as new as it is, and its timer is not set, whatever it did before it
    // left once.
    this.timer.set(u64::MAX);
    this.reschedule.set(false);
    this.in_window.set(false);
    this.leave.set(None);
    this.window_epoch.set(WINDOW_EPOCH.load(Ordering::Acquire));
    this.apic_id.store(lapic::id(), Ordering::Relaxed);
    if boot::facts().virtualization == Virtualization::Svm {
        this.svm.set(Some(svm::enable_this_cpu(index)));
    }
    this.online.store(true, Ordering::Release);
}

/// Every CPU but the first comes in here.
pub fn other_cpu(index: usize) -> ! {
    join(index);
    thread::finish();
    context::resume()
}

fn tell_virtualization(virtualization: Virtualization) {
    let reason = match virtualization {
        Virtualization::Svm => return,
        Virtualization::NoSvm => "the processor has no SVM",
        Virtualization::NoNestedPaging => "the processor has SVM but no nested paging",
        Virtualization::DisabledByFirmware => "SVM is switched off by the firmware (VM_CR.SVMDIS)",
    };
    println!("VMs cannot run here: {reason}");
}

fn give_up(reason: &str) -> ! {
    println!("cannot start: {reason}");
    trap::stop()
}

fn make_root(memory: &mut Memory) -> Option<Root> {
    let cnode = memory.take(CNODE_BITS)?;
    let space = Ref::<HostSpace>::from_address(memory.take(SPACE_BITS)?)?;
    let thread = Ref::<Thread>::from_address(memory.take(PAGE_BITS)?)?;
    let buffer = memory.take(PAGE_BITS)?;
    let info = memory.take(INFO_BITS)?;
    HostSpace::initialise(space, SPACE_BITS);
    space.id.set(enter_space(AnySpace::Host(space))?);
    thread.initialise();
    Some(Root { thread, space, cnode, buffer, info })
}

/// Map the IPC buffer, the boot information and a stack.
fn map_own(memory: &mut Memory, root: &Root) -> Option<()> {
    let stack = memory.take(STACK_BITS)?;
    image::map(root.space, BUFFER_AT, (root.buffer, PAGE_BITS), paging::Perms::READ_WRITE)?;
    image::map(root.space, INFO_AT, (root.info, INFO_BITS), paging::Perms::READ)?;
    image::map(root.space, STACK_TOP - (1 << STACK_BITS), (stack, STACK_BITS), paging::Perms::READ_WRITE)
}

fn run(root: &Root, entry: u64, entry_tsc: u64) -> ! {
    let thread = root.thread;
    thread.priority.set(ROOT_PRIORITY);
    thread.cpu.set(percpu::cpu_index() as u32);
    state::count_thread(thread.cpu.get(), true);
    let registers = &thread.get().context;
    registers.rip.set(entry);
    registers.rsp.set(STACK_TOP);
    registers.rdi.set(INFO_AT);
    registers.rsi.set(BUFFER_AT);
    registers.rflags.set(FRESH_RFLAGS);
    registers.frame_kind.set(FRAME_FULL);
    thread.state.set(ThreadState::Inactive);
    state::BOOT_TICKS.store(cpu::rdtsc().saturating_sub(entry_tsc), Ordering::Relaxed);
    thread::make_ready(thread);
    thread::finish();
    context::resume()
}

const _: () = assert!(size_of::<BootInfo>() as u64 <= 1 << INFO_BITS && PAGE_SIZE == 4096);
