// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the boot loader to the kernel, and what boot loader and firmware said.

mod entry;
pub(crate) mod image;
pub(crate) mod tables;

pub use firmware::memory::Range;

use crate::once::Once;
use crate::{clock, control, cpu, ioapic, lapic, percpu, println, serial, space, trap};
use abi::boot::{MAX_CPUS, MAX_MODULES, MAX_REGIONS, Virtualization};
use core::sync::atomic::Ordering;
use firmware::acpi::{self, Physical};
use firmware::list::List;
use firmware::madt::Madt;
use firmware::memory::{PAGE, RangeSet};
use firmware::multiboot::Loaded;
use firmware::multiboot2::{BootInformation, BootInformationHeader};

/// Port of the emulator's exit device, used where the command line has `debug-exit`.
pub const DEBUG_EXIT_PORT: u16 = 0xf4;
/// Word of the command line: of the machine only the CPU that boots, and what the memory map lists,
/// is this image's. Other CPUs and the interrupt controllers are left as they are until they are
/// adopted.
const ALONE: &str = "alone";
/// Begins the word that says how fast the TSC is, in ticks per millisecond, where somebody has
/// measured it already.
const TSC_KHZ: &str = "tsc-khz=";
/// Begins the word that says how fast the APIC timer is, as [`clock::timer_ratio`] has it.
const TIMER_RATIO: &str = "timer-ratio=";
/// Value that says that a run went wrong.
pub const DEBUG_EXIT_FAILED: u32 = 0x11;

/// A boot module. Its last page is filled up with zeros.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// First word of the module's string.
    pub name: &'static str,
    /// Physical address, page-aligned.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// What the boot loader and the firmware said.
#[derive(Debug)]
pub struct BootFacts {
    /// Memory that nobody uses, sorted, page-aligned, above 1 MiB; neither image nor modules are in
    /// it.
    pub available: &'static [Range],
    /// Memory that is listed by the firmware but kept by it.
    pub reserved: &'static [Range],
    /// The image with all its tables and stacks.
    pub image: Range,
    /// Modules.
    pub modules: &'static [Module],
    /// Command line.
    pub command_line: &'static str,
    /// Physical address of the ACPI root pointer, 0 if it is not known.
    pub rsdp: u64,
    /// APIC ids of the CPUs that can be used, the boot CPU first. At most [`abi::boot::MAX_CPUS`].
    pub cpus: &'static [u32],
    /// Whether VMs can run here.
    pub virtualization: Virtualization,
    /// TSC at the entry of the core.
    pub entry_tsc: u64,
}

/// Where the slices of [`BootFacts`] lie.
struct Kept {
    loaded: Loaded,
    available: RangeSet<MAX_REGIONS>,
    reserved: RangeSet<MAX_REGIONS>,
    cpus: List<u32, MAX_CPUS>,
    rsdp: u64,
}

static KEPT: Once<Kept> = Once::new();
static MODULES: Once<List<Module, MAX_MODULES>> = Once::new();
static FACTS: Once<BootFacts> = Once::new();

/// What the boot loader and the firmware said.
///
/// # Panics
/// Before the kernel is entered; there is nobody to ask then.
#[must_use]
pub fn facts() -> &'static BootFacts {
    match FACTS.get() {
        Some(facts) => facts,
        None => unreachable!("the facts are collected before the kernel starts"),
    }
}

/// Whether the command line has this word.
#[must_use]
pub fn has_option(word: &str) -> bool {
    is_among(facts().command_line, word)
}

/// The decimal number behind a prefix on the command line.
fn told(prefix: &str) -> Option<u64> {
    let mut words = facts().command_line.split_ascii_whitespace();
    words.find_map(|word| word.strip_prefix(prefix)).and_then(|digits| digits.parse().ok())
}

fn is_among(line: &str, word: &str) -> bool {
    line.split_ascii_whitespace().any(|option| option == word)
}

/// A free page below 1 MiB in the window, for the start of other CPUs.
#[must_use]
pub fn low_page() -> Option<u64> {
    KEPT.get()?.loaded.low_page()
}

/// Physical memory while the tables of the entry are in use.
struct OneToOne;

impl Physical for OneToOne {
    fn read(&self, address: u64, length: usize) -> Option<&[u8]> {
        const LIMIT: u64 = 1 << 32;
        if address == 0 || address.checked_add(length as u64)? > LIMIT {
            return None;
        }
        // SAFETY: the first 4 GiB are mapped one to one until `boot_main` changes CR3, after the
        // last use of this; nobody writes to memory outside of the image meanwhile.
        Some(unsafe { core::slice::from_raw_parts(address as *const u8, length) })
    }
}

unsafe extern "C" {
    /// The kernel, named by [`crate::entry`].
    safe fn understudy_kernel_start() -> !;
}

/// The first Rust code: on the boot CPU, with the tables of the entry.
extern "C" fn boot_main(information: u64, image: u64, entry_tsc: u64) -> ! {
    image::set_base(image);
    trap::tables::fill_idt();
    percpu::init(0);
    // SAFETY: the entry has checked the magic number, so this is what the boot loader wrote; it is
    // mapped one to one.
    let information = unsafe { BootInformation::load(information as *const BootInformationHeader) };
    let loaded = information.map(|information| Loaded::copy(&information));
    serial::choose(loaded.as_ref().map_or("", |loaded| loaded.command_line.as_str()));
    // The first sign of life: what comes next writes registers that not every processor has.
    println!(
        "core: image at {image:#x}, processor {:#x}, CR4 {:#x}",
        cpu::cpuid(1, 0).eax,
        cpu::features().cr4()
    );
    if let Some(feature) = processor::missing(&cpu::cpuid) {
        println!("core: the processor lacks {feature}");
        trap::stop();
    }
    let Ok(loaded) = loaded else {
        println!("core: the boot information makes no sense");
        trap::stop();
    };
    let (rsdp, madt) = read_acpi(&loaded);
    let kept = KEPT.set(keep(loaded, rsdp, &madt));
    let options = kept.loaded.command_line.as_str();
    lapic::choose_mode(&kept.cpus, is_among(options, "x2apic"));
    control::init_this_cpu();
    tables::report(map_all(kept, &madt));
    space::activate(tables::root());
    FACTS.set(state(kept, entry_tsc));
    trap::DEBUG_EXIT.store(has_option("debug-exit"), Ordering::Relaxed);
    ioapic::init(&madt, has_option(ALONE));
    lapic::init_this_cpu();
    clock::calibrate(told(TSC_KHZ), told(TIMER_RATIO));
    understudy_kernel_start()
}

fn read_acpi(loaded: &Loaded) -> (u64, Madt) {
    let words = loaded.command_line.as_str().split_ascii_whitespace();
    let told = words
        .filter_map(|word| word.strip_prefix("rsdp="))
        .find_map(|digits| u64::from_str_radix(digits, 16).ok());
    let address = told.or_else(|| acpi::root_address(&OneToOne, loaded.efi_system_table));
    let root = loaded
        .root_pointer
        .as_ref()
        .and_then(|pointer| acpi::root(pointer))
        .or_else(|| acpi::root(OneToOne.read(address?, 36)?));
    let madt = root.and_then(|root| acpi::find(&OneToOne, root, b"APIC"));
    if madt.is_none() {
        println!("core: no list of processors from the firmware; one CPU, no device interrupts");
    }
    (address.unwrap_or(0), madt.map_or_else(Madt::empty, Madt::parse))
}

fn keep(loaded: Loaded, rsdp: u64, madt: &Madt) -> Kept {
    if loaded.modules_refused > 0 {
        println!("core: {} boot modules are too many or not aligned", loaded.modules_refused);
    }
    let mut available = RangeSet::new();
    loaded.available(image::range()).as_slice().iter().for_each(|&range| available.insert(range));
    let mut reserved = RangeSet::new();
    loaded.reserved.as_slice().iter().for_each(|&range| reserved.insert(range));
    let own = lapic::own_id();
    let mut cpus = List::new(0);
    cpus.push(own);
    let usable = |id: u32| id != own && (id < lapic::XAPIC_LIMIT || cpu::features().x2apic);
    let alone = is_among(loaded.command_line.as_str(), ALONE);
    for &id in madt.processors.iter().filter(|&&id| !alone && usable(id)) {
        if !cpus.push(id) {
            println!("core: more than {MAX_CPUS} CPUs; the others stay off");
            break;
        }
    }
    Kept { loaded, available, reserved, cpus, rsdp }
}

/// Memory that is handed out, modules (they lie side by side: large pages cover both), the page
/// where other CPUs begin, and the interrupt controllers.
fn map_all(kept: &Kept, madt: &Madt) -> Result<(), tables::PoolExhausted> {
    let mut memory = kept.available.clone();
    for module in kept.loaded.modules.iter() {
        memory.insert(module.range.pages_touched());
    }
    if let Some(page) = kept.loaded.low_page() {
        memory.insert(Range { base: page, size: PAGE });
    }
    tables::map_image()?;
    for &range in memory.as_slice() {
        tables::map_memory(range)?;
    }
    tables::map_device(lapic::base())?;
    madt.io_apics.iter().try_for_each(|io_apic| tables::map_device(io_apic.address))
}

fn state(kept: &'static Kept, entry_tsc: u64) -> BootFacts {
    let mut modules = List::new(Module { name: "", base: 0, size: 0 });
    for module in kept.loaded.modules.iter() {
        modules.push(Module { name: module.name.as_str(), base: module.range.base, size: module.range.size });
        let tail = Range::between(module.range.end(), module.range.pages_touched().end());
        // SAFETY: the last page of the module is mapped in the window and belongs to no one else.
        unsafe {
            core::ptr::write_bytes(crate::window::to_virt(tail.base) as *mut u8, 0, tail.size as usize)
        };
    }
    BootFacts {
        available: kept.available.as_slice(),
        reserved: kept.reserved.as_slice(),
        image: image::range(),
        modules: MODULES.set(modules).as_slice(),
        command_line: kept.loaded.command_line.as_str(),
        rsdp: kept.rsdp,
        cpus: kept.cpus.as_slice(),
        virtualization: cpu::virtualization(),
        entry_tsc,
    }
}
