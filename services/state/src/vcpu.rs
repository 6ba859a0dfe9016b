// SPDX-License-Identifier: MIT OR Apache-2.0
//! One virtual CPU.

use crate::record::{Bytes, record};

/// What a vCPU does while it is not stopped, in [`Vcpu::activity`].
pub struct Activity;

impl Activity {
    /// It executes.
    pub const RUNNING: u8 = 0;
    /// It waits in HLT for an interrupt.
    pub const HALTED: u8 = 1;
    /// It waits to be started by another.
    pub const WAITING_FOR_STARTUP: u8 = 2;
}

record! {
    /// A segment register, or a descriptor table.
    pub struct Segment {
        /// Selector.
        1 selector: u16,
        /// Attributes: bits 0-7 type, S, DPL, P; 8-11 AVL, L, D/B, G.
        2 attributes: u16,
        /// Limit in bytes, expanded.
        3 limit: u32,
        /// Linear base.
        4 base: u64,
    }
}

record! {
    /// A virtual CPU between two instructions.
    pub struct Vcpu {
        /// Place among the vCPUs of the machine.
        1 index: u32,
        /// What it does: 0 executes, 1 waits in HLT, 2 waits to be started.
        2 activity: u8,
        /// RAX.
        3 rax: u64,
        /// RCX.
        4 rcx: u64,
        /// RDX.
        5 rdx: u64,
        /// RBX.
        6 rbx: u64,
        /// RSP.
        7 rsp: u64,
        /// RBP.
        8 rbp: u64,
        /// RSI.
        9 rsi: u64,
        /// RDI.
        10 rdi: u64,
        /// R8.
        11 r8: u64,
        /// R9.
        12 r9: u64,
        /// R10.
        13 r10: u64,
        /// R11.
        14 r11: u64,
        /// R12.
        15 r12: u64,
        /// R13.
        16 r13: u64,
        /// R14.
        17 r14: u64,
        /// R15.
        18 r15: u64,
        /// Instruction pointer.
        19 rip: u64,
        /// Flags.
        20 rflags: u64,
        /// Mode control.
        21 cr0: u64,
        /// Page-fault address.
        22 cr2: u64,
        /// Page-table base.
        23 cr3: u64,
        /// Extensions.
        24 cr4: u64,
        /// Task priority.
        25 cr8: u64,
        /// Extended features.
        26 efer: u64,
        /// Enabled XSAVE components.
        27 xcr0: u64,
        /// Current privilege level.
        28 cpl: u8,
        /// Breakpoint address 0.
        29 dr0: u64,
        /// Breakpoint address 1.
        30 dr1: u64,
        /// Breakpoint address 2.
        31 dr2: u64,
        /// Breakpoint address 3.
        32 dr3: u64,
        /// Debug status.
        33 dr6: u64,
        /// Debug control.
        34 dr7: u64,
        /// ES.
        35 es: Segment,
        /// CS.
        36 cs: Segment,
        /// SS.
        37 ss: Segment,
        /// DS.
        38 ds: Segment,
        /// FS.
        39 fs: Segment,
        /// GS.
        40 gs: Segment,
        /// Local descriptor table.
        41 ldtr: Segment,
        /// Task register.
        42 tr: Segment,
        /// Global descriptor table (base and limit).
        43 gdtr: Segment,
        /// Interrupt descriptor table (base and limit).
        44 idtr: Segment,
        /// SYSCALL target selectors.
        45 star: u64,
        /// SYSCALL target, 64-bit.
        46 lstar: u64,
        /// SYSCALL target, compatibility mode.
        47 cstar: u64,
        /// SYSCALL flag mask.
        48 sfmask: u64,
        /// SWAPGS value.
        49 kernel_gs_base: u64,
        /// SYSENTER CS.
        50 sysenter_cs: u64,
        /// SYSENTER ESP.
        51 sysenter_esp: u64,
        /// SYSENTER EIP.
        52 sysenter_eip: u64,
        /// Page attribute table.
        53 pat: u64,
        /// `TSC_AUX`.
        54 tsc_aux: u64,
        /// The guest's TSC at the moment of saving.
        55 tsc: u64,
        /// Whether STI or MOV SS holds interrupts off for one more instruction.
        56 interrupt_shadow: bool,
        /// Event to be delivered before the next instruction (as `abi::vcpu::event`).
        57 event: u64,
        /// XSAVE area, standard format.
        58 xsave: Bytes,
    }
}
