// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starting the other CPUs.
//!
//! One after the other, through one page below 1 MiB: real mode, straight to 64-bit mode on the
//! tables that the boot CPU came through itself, then to [`arrive`] on the CPU's own stack.

use crate::{boot, clock, control, cpu, lapic, park, percpu, println, space, window};
use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// What a CPU finds at the end of the page where it begins.
#[repr(C)]
struct Parameters {
    gdt: [u64; 2],
    gdt_limit: u16,
    gdt_base: [u16; 2],
    reserved: u16,
    root: u64,
    stack: u64,
    entry: u64,
    index: u64,
}

/// Offset of the parameters in the page.
const PARAMETERS: usize = 0xf00;

global_asm!(
    r#"
    .pushsection .rodata.start, "a", @progbits
    .code16
    understudy_start_code:
        cli
        cld
        xor ebx, ebx
        mov ax, cs
        mov bx, ax
        mov ds, ax
        shl ebx, 4
        mov eax, 0x20
        mov cr4, eax
        mov eax, dword ptr [{root}]
        mov cr3, eax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x100
        wrmsr
        lgdt [{gdtr}]
        mov eax, cr0
        or eax, 0x80000001
        and eax, 0x9fffffff
        mov cr0, eax
        // A far jump whose 32-bit target the boot CPU fills in; in 32-bit code it is one without its prefix.
        .byte 0x66
    start_jump:
        .byte 0xea
    understudy_start_jump:
        .long start_long - understudy_start_code
        .short 8
    .code32
    // From the loop of `park`: EBX is the page.
    understudy_start_parked:
        mov eax, 0x20
        mov cr4, eax
        mov eax, [ebx + {root}]
        mov cr3, eax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x100
        wrmsr
        lgdt [ebx + {gdtr}]
        mov eax, cr0
        or eax, 0x80000001
        and eax, 0x9fffffff
        mov cr0, eax
        jmp start_jump
    .code64
    start_long:
        mov ebx, ebx
        xor eax, eax
        mov ss, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov ds, ax
        mov rsp, [rbx + {stack}]
        mov rdi, [rbx + {index}]
        xor ebp, ebp
        call [rbx + {entry}]
        ud2
    understudy_start_code_end:
    .popsection
    "#,
    root = const PARAMETERS + offset_of!(Parameters, root),
    gdtr = const PARAMETERS + offset_of!(Parameters, gdt_limit),
    stack = const PARAMETERS + offset_of!(Parameters, stack),
    index = const PARAMETERS + offset_of!(Parameters, index),
    entry = const PARAMETERS + offset_of!(Parameters, entry),
);

unsafe extern "C" {
    static understudy_start_code: u8;
    static understudy_start_jump: u8;
    static understudy_start_parked: u8;
    static understudy_start_code_end: u8;
}

const INIT_MICROSECONDS: u64 = 10_000;
/// After this long without an answer the start is sent again, as old processors need.
const RETRY_MICROSECONDS: u64 = 100_000;
const RETRIES: usize = 30;
/// The same for a CPU that is started while others work.
const LATE_RETRIES: usize = 50;

/// Index of the CPU that arrived last, plus one.
static ARRIVED: AtomicUsize = AtomicUsize::new(1);
static ENTRY: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Starts every CPU of [`crate::boot::BootFacts::cpus`] but the boot CPU. Each calls `entry` with
/// its index, on its own kernel stack, in the core's own space, with its local APIC enabled and
/// interrupts off; `entry` never returns (it ends in [`crate::context::resume`] or an idle loop).
/// Returns how many CPUs run, the boot CPU included, once all have arrived at `entry`; their
/// indices are 0 to that, exclusive. To be called once. A CPU that does not answer is reported on
/// the serial line, and those after it stay off.
pub fn start_all(entry: fn(usize) -> !) -> usize {
    park::remember();
    let running = start_others(entry);
    boot::image::forget_early_tables();
    running
}

/// Whether CPUs can be started at all: there is a page below 1 MiB to begin in.
#[must_use]
pub fn can_start() -> bool {
    boot::low_page().is_some()
}

/// Starts one more CPU, with this index, as [`start_all`] does; it stands still after an INIT.
/// `entry` is the same for all, always. One CPU at a time calls this. False: it does not answer,
/// and has been sent an INIT again.
pub fn start_one(entry: fn(usize) -> !, index: usize, id: u32) -> bool {
    let Some(page) = boot::low_page() else { return false };
    boot::image::revive_early_tables();
    ENTRY.store(entry as *mut (), Ordering::Release);
    write_start_page(page);
    let started = start(page, (index, id), LATE_RETRIES);
    let still = started || park::still(id);
    if still {
        clear_start_page(page);
    }
    boot::image::forget_early_tables();
    started
}

fn start_others(entry: fn(usize) -> !) -> usize {
    let cpus = boot::facts().cpus;
    if cpus.len() < 2 {
        return 1;
    }
    let Some(page) = boot::low_page() else {
        println!("core: no memory below 1 MiB to start other CPUs in");
        return 1;
    };
    ENTRY.store(entry as *mut (), Ordering::Release);
    write_start_page(page);
    cpus.iter().skip(1).for_each(|&id| lapic::send_init(id));
    clock::wait_microseconds(INIT_MICROSECONDS);
    let mut running = 1;
    for (index, &id) in cpus.iter().enumerate().skip(1) {
        if !start(page, (index, id), RETRIES) {
            println!("core: CPU {index} (APIC id {id}) does not start");
            lapic::send_init(id);
            break;
        }
        running = index + 1;
    }
    clear_start_page(page);
    running
}

fn clear_start_page(page: u64) {
    // SAFETY: the page is ours and in the window; no CPU is in this part of it any more.
    unsafe { core::ptr::write_bytes(window::to_virt(page) as *mut u8, 0, park::MAILBOX) };
}

fn write_start_page(page: u64) {
    let code = &raw const understudy_start_code;
    let length = offset_in_code(&raw const understudy_start_code_end);
    let jump = offset_in_code(&raw const understudy_start_jump);
    let to = window::to_virt(page) as *mut u8;
    // SAFETY: the page is ours, in the window, and longer than code and parameters.
    unsafe {
        core::ptr::copy_nonoverlapping(code, to, length);
        let target = to.add(jump).cast::<u32>();
        target.write_unaligned(target.read_unaligned() + page as u32);
    }
}

fn offset_in_code(label: *const u8) -> usize {
    label as usize - (&raw const understudy_start_code) as usize
}

/// Starts one CPU and waits until it has left the page.
fn start(page: u64, (index, id): (usize, u32), tries: usize) -> bool {
    const CODE: u64 = 0x00af_9b00_0000_ffff;
    let gdt = page as usize + PARAMETERS;
    let parameters = Parameters {
        gdt: [0, CODE],
        gdt_limit: 15,
        gdt_base: [gdt as u16, (gdt >> 16) as u16],
        reserved: 0,
        root: boot::image::early_root(),
        stack: percpu::kernel_stack_end(index),
        entry: arrive as *const () as u64,
        index: index as u64,
    };
    ARRIVED.store(0, Ordering::Release);
    // SAFETY: the page is ours and in the window, and the parameters end within it. The CPU that
    // the last ones were for has read them: it has arrived, or has been sent an INIT.
    unsafe { ((window::to_virt(page) + PARAMETERS as u64) as *mut Parameters).write(parameters) };
    let parked = offset_in_code(&raw const understudy_start_parked);
    let resumed = park::resume(id, page as u32 + parked as u32);
    if resumed == Some(false) {
        return false;
    }
    for _ in 0..tries {
        if resumed.is_none() {
            lapic::send_startup(id, page);
        }
        let end = cpu::rdtsc() + RETRY_MICROSECONDS * clock::tsc_khz() / 1000;
        while cpu::rdtsc() < end {
            if ARRIVED.load(Ordering::Acquire) == index + 1 {
                return true;
            }
            cpu::pause();
        }
    }
    false
}

/// The first Rust code of another CPU, still on the tables of the entry.
extern "C" fn arrive(index: usize) -> ! {
    // The handlers come first, so that a fault in what follows is told.
    percpu::init(index);
    control::init_this_cpu();
    space::activate(space::kernel_root());
    lapic::init_this_cpu();
    let entry = ENTRY.load(Ordering::Acquire);
    // SAFETY: `start_all` stored a function of this type.
    let entry = unsafe { core::mem::transmute::<*mut (), fn(usize) -> !>(entry) };
    ARRIVED.store(index + 1, Ordering::Release);
    entry(index)
}
