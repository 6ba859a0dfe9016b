// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page that a VMM and the core share for one virtual CPU, and the exits.
//!
//! The vocabulary is neutral as to the vendor of the processor. `VcpuRun` takes what the VMM marked
//! in [`VcpuPage::dirty`], runs the guest, and returns with [`VcpuPage::exit`] and its `info` words
//! set. The core trusts nothing in the page: what the processor would refuse ends as
//! [`Exit::InvalidState`].

/// Groups of state in [`VcpuPage`].
pub mod group {
    /// General registers, RIP, RSP, RFLAGS, CR0-CR4, EFER, CS attributes: exported at every exit;
    /// imported when dirty (general registers, RIP, RSP and RFLAGS only: the rest belongs to
    /// [`SYSTEM`]).
    pub const BASIC: u64 = 1;
    /// Segments, descriptor tables, control and debug registers, EFER, XCR0.
    pub const SYSTEM: u64 = 2;
    /// Model-specific registers and the TSC offset.
    pub const MSRS: u64 = 4;
    /// The XSAVE area (standard format).
    pub const FPU: u64 = 8;
    /// All of them.
    pub const ALL: u64 = 15;
}

/// Why `VcpuRun` returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Exit {
    /// Nothing has run yet.
    None = 0,
    /// Somebody kicked the vCPU.
    Kicked = 1,
    /// The TSC reached [`VcpuPage::deadline`].
    Deadline = 2,
    /// The thread's bound notification was signalled. info0 = its word.
    Notification = 3,
    /// The guest can take an interrupt now, as asked for by [`VcpuPage::want_window`].
    Window = 4,
    /// HLT.
    Halt = 5,
    /// An I/O instruction. info0 = port, info1 = bytes | 1 << 8 for IN | 1 << 9 for a string | 1 <<
    /// 10 for REP, info2 = RIP of the next instruction.
    Io = 6,
    /// CPUID.
    Cpuid = 7,
    /// info0 = 0 for RDMSR, 1 for WRMSR.
    Msr = 8,
    /// VMMCALL (or VMCALL).
    Hypercall = 9,
    /// No, or too narrow, a nested mapping. info0 = guest-physical address, info1 = access
    /// ([`access`]).
    Memory = 10,
    /// An exception that the core must keep from the guest (machine check). info0 = vector, info1 =
    /// error code.
    Exception = 11,
    /// The guest shut down (triple fault).
    Shutdown = 12,
    /// The processor refused the guest's state.
    InvalidState = 13,
    /// XSETBV.
    Xsetbv = 14,
    /// An instruction that no guest is given: info0 = one of [`instruction`].
    Instruction = 15,
    /// A task switch. info0, info1 as the processor gives them.
    TaskSwitch = 16,
    /// INIT signal arrived while in the guest.
    Init = 17,
    /// Anything else. info0 = the processor's code, info1, info2 = its details.
    Unknown = 18,
}

impl Exit {
    /// The exit with this number; unknown numbers read as [`Exit::Unknown`].
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        const ALL: [Exit; 19] = [
            Exit::None,
            Exit::Kicked,
            Exit::Deadline,
            Exit::Notification,
            Exit::Window,
            Exit::Halt,
            Exit::Io,
            Exit::Cpuid,
            Exit::Msr,
            Exit::Hypercall,
            Exit::Memory,
            Exit::Exception,
            Exit::Shutdown,
            Exit::InvalidState,
            Exit::Xsetbv,
            Exit::Instruction,
            Exit::TaskSwitch,
            Exit::Init,
            Exit::Unknown,
        ];
        if number < ALL.len() as u64 { ALL[number as usize] } else { Exit::Unknown }
    }
}

/// Bits of info1 of [`Exit::Memory`].
pub mod access {
    /// The page was there; the permission was not.
    pub const PRESENT: u64 = 1;
    /// A write.
    pub const WRITE: u64 = 2;
    /// An instruction fetch.
    pub const FETCH: u64 = 4;
    /// While walking the guest's own page tables.
    pub const TABLE: u64 = 8;
}

/// Values of info0 of [`Exit::Instruction`].
pub mod instruction {
    /// INVD or WBINVD.
    pub const INVD: u64 = 1;
    /// MONITOR.
    pub const MONITOR: u64 = 2;
    /// MWAIT.
    pub const MWAIT: u64 = 3;
    /// RDPMC.
    pub const RDPMC: u64 = 4;
    /// An instruction of the virtualization extension itself.
    pub const VIRTUALIZATION: u64 = 5;
    /// RSM.
    pub const RSM: u64 = 6;
    /// RDPRU.
    pub const RDPRU: u64 = 7;
}

/// Event to inject, and event whose delivery an exit cut short: bits 0-7 vector, 8-10 [`event`]
/// type, 11 "has an error code", 31 valid, 32-63 error code (APM vol. 2, 15.20; SDM vol. 3C, 25.8.3
/// has the same fields).
pub mod event {
    /// External interrupt.
    pub const INTERRUPT: u64 = 0 << 8;
    /// Non-maskable interrupt.
    pub const NMI: u64 = 2 << 8;
    /// Exception.
    pub const EXCEPTION: u64 = 3 << 8;
    /// Software interrupt.
    pub const SOFTWARE: u64 = 4 << 8;
    /// The event has an error code.
    pub const HAS_ERROR: u64 = 1 << 11;
    /// The event is there at all.
    pub const VALID: u64 = 1 << 31;

    /// Checks that an event can be injected, if there is one: VMRUN refuses others, here or in the
    /// emulator (which refuses vector 31 too). The one rule for all who take events from somebody
    /// else: the core at import, and a saved state when it is loaded.
    #[must_use]
    pub const fn is_injectable(word: u64) -> bool {
        if word & VALID == 0 {
            return true;
        }
        let (vector, has_error) = (word & 0xff, word & HAS_ERROR != 0);
        let exists = match word & 7 << 8 {
            INTERRUPT | SOFTWARE => !has_error,
            NMI => !has_error && vector == 2,
            EXCEPTION => vector < 31 && vector != 2,
            _ => false,
        };
        let error_fits = has_error || word >> 32 == 0;
        exists && error_fits && word & 0x7fff_f000 == 0
    }
}

/// Index of a general register in [`VcpuPage::gpr`], in the order of instruction encodings.
pub mod gpr {
    #![allow(missing_docs, reason = "the names are those of the registers")]
    pub const RAX: usize = 0;
    pub const RCX: usize = 1;
    pub const RDX: usize = 2;
    pub const RBX: usize = 3;
    pub const RSP: usize = 4;
    pub const RBP: usize = 5;
    pub const RSI: usize = 6;
    pub const RDI: usize = 7;
    pub const R8: usize = 8;
    pub const R15: usize = 15;
}

/// A segment register. `attributes` as in a VMCB: bits 0-7 type, S, DPL, P; 8-11 AVL, L, D/B, G
/// (APM vol. 2, 15.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Attributes, packed to 12 bits.
    pub attributes: u16,
    /// Limit in bytes, expanded.
    pub limit: u32,
    /// Linear base.
    pub base: u64,
}

/// Index of a segment in [`VcpuPage::segments`].
pub mod segment {
    #![allow(missing_docs, reason = "the names are those of the registers")]
    pub const ES: usize = 0;
    pub const CS: usize = 1;
    pub const SS: usize = 2;
    pub const DS: usize = 3;
    pub const FS: usize = 4;
    pub const GS: usize = 5;
    pub const LDTR: usize = 6;
    pub const TR: usize = 7;
    pub const GDTR: usize = 8;
    pub const IDTR: usize = 9;
}

/// Bytes of the XSAVE area: enough for x87, SSE, AVX, AVX-512 and PKRU in the standard format.
pub const XSAVE_BYTES: usize = 3072;

/// The page shared by a VMM and the core.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
pub struct VcpuPage {
    /// VMM to core: groups that the VMM has changed; cleared when taken.
    pub dirty: u64,
    /// VMM to core: groups to export at every exit besides [`group::BASIC`].
    pub want: u64,
    /// VMM to core: TSC value at which to return; `u64::MAX` for none.
    pub deadline: u64,
    /// VMM to core: event to inject at the next entry; cleared when taken.
    pub inject: u64,
    /// VMM to core: 1 = return as soon as the guest can take an interrupt.
    pub want_window: u64,
    /// Core to VMM: an [`Exit`].
    pub exit: u64,
    /// Core to VMM: details of the exit.
    pub info: [u64; 4],
    /// Core to VMM: event whose delivery the exit cut short; the VMM has to inject it again.
    pub pending_event: u64,
    /// Core to VMM: 1 if an interrupt could be injected now (RFLAGS.IF and no interrupt shadow).
    pub interruptible: u64,
    /// Core to VMM: 1 while in the shadow of STI or MOV SS. Imported with [`group::SYSTEM`].
    pub interrupt_shadow: u64,
    /// Core to VMM: TSC at the exit.
    pub exit_tsc: u64,
    /// Not used.
    pub reserved0: [u64; 2],

    /// RAX RCX RDX RBX RSP RBP RSI RDI R8-R15.
    pub gpr: [u64; 16],
    /// Instruction pointer.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,

    /// Control registers and EFER, XCR0.
    pub cr0: u64,
    /// Page-fault address.
    pub cr2: u64,
    /// Page-table base.
    pub cr3: u64,
    /// Extensions.
    pub cr4: u64,
    /// Task priority.
    pub cr8: u64,
    /// Extended features.
    pub efer: u64,
    /// Enabled XSAVE components.
    pub xcr0: u64,
    /// Current privilege level.
    pub cpl: u64,
    /// DR0-DR3, DR6, DR7.
    pub dr: [u64; 6],
    /// ES CS SS DS FS GS LDTR TR GDTR IDTR.
    pub segments: [Segment; 10],

    /// SYSCALL target selectors.
    pub star: u64,
    /// SYSCALL target, 64-bit.
    pub lstar: u64,
    /// SYSCALL target, compatibility mode.
    pub cstar: u64,
    /// SYSCALL flag mask.
    pub sfmask: u64,
    /// SWAPGS value.
    pub kernel_gs_base: u64,
    /// SYSENTER CS.
    pub sysenter_cs: u64,
    /// SYSENTER ESP.
    pub sysenter_esp: u64,
    /// SYSENTER EIP.
    pub sysenter_eip: u64,
    /// Page attribute table.
    pub pat: u64,
    /// `TSC_AUX`.
    pub tsc_aux: u64,
    /// Guest TSC minus host TSC.
    pub tsc_offset: u64,
    /// Not used.
    pub reserved1: [u64; 49],

    /// XSAVE area, standard format.
    pub xsave: [u8; XSAVE_BYTES],
}

const _: () = assert!(core::mem::size_of::<VcpuPage>() == 4096);
const _: () = assert!(core::mem::offset_of!(VcpuPage, xsave) == 1024);
const _: () = assert!(core::mem::offset_of!(VcpuPage, gpr) == 128);
