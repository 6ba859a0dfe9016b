// SPDX-License-Identifier: MIT OR Apache-2.0
//! Invocations: what can be asked of an object by [`crate::syscall::Syscall::Call`].
//!
//! The label of the message is the invocation; `w0`, `w1`, ... are its words; words 4 and up travel
//! in the IPC buffer. *cptr* is a slot in the caller's CSpace. Besides the errors named, every
//! invocation can return [`InvalidCapability`](crate::error::Error::InvalidCapability) and
//! [`MissingRights`](crate::error::Error::MissingRights). `docs/abi.md` is generated from this
//! file.

macro_rules! invocations {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// Labels of invocations.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Invocation {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Invocation {
            /// All invocations.
            pub const ALL: &'static [Invocation] = &[$(Invocation::$name,)+];

            /// The invocation with this label, if there is one.
            #[must_use]
            pub const fn from_label(label: u32) -> Option<Self> {
                match label {
                    $($number => Some(Invocation::$name),)+
                    _ => None,
                }
            }
        }
    };
}

invocations! {
    /// Make objects. MANAGE. In: w0 = type | size bits << 8 | count << 16 (count 1 to 256), w1 =
    /// cptr of the CNode that receives the capabilities, w2 = index of the first slot. The memory
    /// is cleared first, in bounded steps. Errors: InvalidArgument, OutOfRange, SlotOccupied,
    /// NotEnoughMemory, TooDeep, Unsupported (Vcpu, GuestSpace without SVM and nested paging).
    UntypedRetype = 0x10,
    /// Describe. Out: w0 = physical address, w1 = size bits, w2 = bytes not yet used.
    UntypedDescribe = 0x11,

    /// Derive a capability from one of the caller's. In: w0 = source cptr, w1 = index of the
    /// destination, w2 = rights to keep, w3 = badge (0 keeps the source's; Endpoint and
    /// Notification only, and only where the source has none). MANAGE on the CNode. Errors:
    /// OutOfRange, SlotOccupied, InvalidArgument, TooDeep.
    CNodeMint = 0x20,
    /// Move a capability of the caller's. In: w0 = source cptr, w1 = index of the destination.
    /// MANAGE. Errors: OutOfRange, SlotOccupied.
    CNodeMove = 0x21,
    /// Empty a slot. In: w0 = index. MANAGE. The object dies with its last capability. An empty
    /// slot is no error. Errors: OutOfRange, Busy (untyped memory with objects in it, a vCPU that
    /// runs).
    CNodeDelete = 0x22,
    /// Delete everything derived from the capability in a slot. In: w0 = index. MANAGE. Errors:
    /// OutOfRange, Busy (some of it is memory that is away, by `MachineSurrender`; all else is
    /// gone).
    CNodeRevoke = 0x23,

    /// Bind a thread to its spaces. MANAGE. In: w0 = cptr of its CNode, w1 = cptr of its HostSpace,
    /// w2 = cptr of the frame that is its IPC buffer, w3 = cptr of the endpoint that hears of its
    /// faults (in the caller's CSpace; 0 for none). Errors: Busy (the thread runs).
    ThreadConfigure = 0x30,
    /// Set registers. MANAGE. In: w0 = RIP, w1 = RSP, w2 = RDI, w3 = RSI; w4 = FS base. Errors:
    /// Busy, InvalidArgument (an address that is not a user address).
    ThreadWriteRegisters = 0x31,
    /// Read registers. MANAGE. Out: w0 = RIP, w1 = RSP, w2 = RFLAGS, w3 = state (0 stopped, 1 ready
    /// or running, 2 waiting).
    ThreadReadRegisters = 0x32,
    /// Let a thread run. MANAGE. Errors: NotConfigured.
    ThreadStart = 0x33,
    /// Stop a thread, wherever it waits. MANAGE.
    ThreadSuspend = 0x34,
    /// Set priority and time slice. MANAGE. In: w0 = priority (0 to 255, higher runs first), w1 =
    /// time slice in TSC ticks (0 for the default). Errors: InvalidArgument.
    ThreadSetSchedule = 0x35,
    /// Bind a notification whose signal ends the thread's receive and `VcpuRun`. MANAGE. In: w0 =
    /// cptr of the notification (0 unbinds). Errors: Busy (already bound to another thread).
    ThreadBindNotification = 0x36,
    /// Move the thread to a CPU. MANAGE. In: w0 = cptr of the Cpu (EXECUTE). What it waits for it
    /// waits for again from there. Errors: InvalidArgument (a CPU that does not run).
    ThreadSetCpu = 0x37,

    /// Map a frame. In: w0 = cptr of a HostSpace or GuestSpace (MANAGE), w1 = address, w2 = rights
    /// (READ, WRITE, EXECUTE). The capability remembers the mapping; derive another one to map the
    /// frame twice. A GuestSpace needs GUEST and ignores w2. Errors: Misaligned, OutOfRange,
    /// AlreadyMapped, TablesExhausted.
    FrameMap = 0x40,
    /// Undo the mapping of this capability. Errors: NotMapped.
    FrameUnmap = 0x41,
    /// Describe. Out: w0 = physical address, w1 = size bits.
    FrameDescribe = 0x42,

    /// Make the whole guest memory read-only, in constant time, and begin a new epoch of the books
    /// of written pages. SEAL. In: w0 = cptr of an endpoint (WRITE) that becomes the pager, as by
    /// `GuestSetPager`; 0 leaves the pager as it is. Out: w0 = the new epoch. Only the CPUs that
    /// ran this guest, or wrote its memory, are interrupted.
    GuestSeal = 0x50,
    /// Let one sealed page be written. SEAL. In: w0 = guest-physical address. An unsealed page is
    /// no error. Errors: NotMapped, TablesExhausted.
    GuestUnseal = 0x51,
    /// Say who is asked before a sealed page is written. SEAL. In: w0 = cptr of an endpoint
    /// (WRITE), or 0: pages are then unsealed by the core at the first write.
    GuestSetPager = 0x52,
    /// Read the books of written pages. READ. In: w0 = first guest-physical address, w1 = epoch
    /// (the present one or the one before), w2 = 1 to forget what is read (of the one before only;
    /// what is not forgotten by the next seal shows again two epochs on), w3 = address where to
    /// stop. Out: w0 = address after the last page covered, w1 = whether the end was not reached,
    /// w2 = address of the page of the lowest bit (no page before it was written), w3 = number of
    /// words that follow; words 4 and up = a bit per page from w2 on. w0 and w2 are multiples of 64
    /// pages where the two addresses given are. Errors: InvalidArgument, Misaligned.
    GuestHarvest = 0x53,
    /// Write guest memory, as a vCPU of it would: a sealed page goes to the pager first. WRITE. In:
    /// w0 = guest-physical address, w1 = cptr of the frame that holds the bytes (READ), w2 = offset
    /// in it, w3 = number of bytes (1 to 4096, within one guest page and one page of the frame).
    /// Errors: NotMapped, OutOfRange.
    GuestWrite = 0x54,

    /// Give a vCPU its guest memory. MANAGE. In: w0 = cptr of the GuestSpace (MANAGE). Errors:
    /// Busy.
    VcpuConfigure = 0x60,
    /// Map the vCPU's page ([`crate::vcpu::VcpuPage`]). MANAGE. In: w0 = cptr of a HostSpace
    /// (MANAGE), w1 = address. Errors: Misaligned, OutOfRange, AlreadyMapped, TablesExhausted.
    VcpuMapPage = 0x61,
    /// Make the `VcpuRun` under way, or else the next, return with `Exit::Kicked`. WRITE.
    VcpuKick = 0x62,
    /// Copy groups of state ([`crate::vcpu::group`]) out of the vCPU into its page. EXECUTE. In:
    /// w0 = groups. Errors: Busy.
    VcpuExport = 0x63,
    /// Copy groups of state from the page into the vCPU. EXECUTE. In: w0 = groups. Errors: Busy,
    /// InvalidArgument (a value that the processor would refuse; nothing is taken).
    VcpuImport = 0x64,

    /// Bind a line to a notification, signalled with the badge of that capability. MANAGE. In: w0 =
    /// cptr of the notification (WRITE).
    InterruptBind = 0x70,
    /// Say that the line may raise again. WRITE.
    InterruptAck = 0x71,

    /// Read a port. READ. In: w0 = port, w1 = bytes (1, 2 or 4). Out: w0 = value. Errors:
    /// OutOfRange, InvalidArgument.
    PortIn = 0x80,
    /// Write a port. WRITE. In: w0 = port, w1 = bytes, w2 = value. Errors: OutOfRange,
    /// InvalidArgument.
    PortOut = 0x81,
    /// Derive a capability to a part of the range. MANAGE. In: w0 = first port, w1 = last port,
    /// w2 = cptr of a CNode (MANAGE), w3 = index. Errors: OutOfRange, SlotOccupied, TooDeep.
    PortNarrow = 0x82,
    /// Write up to 24 bytes, one after the other, to one port of 8 bits. WRITE. In: w0 = port |
    /// count << 16, w1 to w3 = the bytes, the first one lowest. Errors: OutOfRange, InvalidArgument
    /// (count is 0 or above 24).
    PortOutBytes = 0x83,

    /// Describe. Out: w0 = index, w1 = APIC id, w2 = 1 if online, w3 = TSC ticks spent idle (0 for
    /// another CPU).
    CpuDescribe = 0x90,
    /// Leave the CPU to another image. MANAGE, which is as much as the whole machine and is held
    /// with it. In: w0 = physical address below 4 GiB that it goes on at, in the state of a
    /// multiboot2 entry (specification, 3.3), or 0: it stands still until it gets an INIT; w1 =
    /// physical address of the multiboot2 information; w2 = cptr of a frame (WRITE; 0 for none) and
    /// w3 = offset in its first page, a multiple of 8: where it writes w4 as the last thing it does
    /// under this instance. Errors: Busy (threads are bound to it), InvalidArgument, OutOfRange.
    /// The last CPU may be left with threads; then the call does not return.
    CpuRelease = 0x91,

    /// Make the capability to an interrupt line. MANAGE. In: w0 = global system interrupt (or
    /// [`crate::boot::DOORBELL`]), w1 = 1 for level-triggered | 2 for active-low, w2 = cptr of a
    /// CNode (MANAGE), w3 = index. Errors: OutOfRange, SlotOccupied, Busy (made already).
    MachineInterrupt = 0xa0,
    /// Counters of the core. READ. In: w0 = [`crate::boot::counter`]. Out: w0 = value. Errors:
    /// InvalidArgument.
    MachineCounter = 0xa1,
    /// Take memory in that this instance does not have. MANAGE. In: w0 = physical address, w1 =
    /// type (Untyped or Frame) | size bits << 8 (12 to 30), w2 = cptr of a CNode (MANAGE), w3 =
    /// index. It is not cleared. What was surrendered as a whole comes back as what it was. Errors:
    /// InvalidArgument, Misaligned, OutOfRange, Busy (some of it is this instance's), SlotOccupied,
    /// NotEnoughMemory (the core's tables are used up).
    MachineAdopt = 0xa2,
    /// Start a CPU that no instance uses, which stands still after an INIT. MANAGE. In: w0 = APIC
    /// id, w1 = cptr of a CNode (MANAGE), w2 = index of the slot for its Cpu. Out: w0 = its index.
    /// Errors: Busy (it runs here), SlotOccupied, OutOfRange (more CPUs than the core can have),
    /// Unsupported (no page to start it in), TimedOut (it does not answer).
    MachineAdoptCpu = 0xa3,
    /// Send the doorbell interrupt to a CPU, of whatever instance. WRITE. In: w0 = APIC id.
    MachineRing = 0xa4,
    /// Send an INIT to a CPU that does not run here: whatever it does, it stops. The boot
    /// processor, which an INIT would let reset the machine, gets an NMI instead, unless it waits
    /// in the page where CPUs begin already. MANAGE. In: w0 = APIC id. Errors: Busy (it runs here),
    /// TimedOut (the boot processor does not leave).
    MachineInit = 0xa5,
    /// Let memory leave this instance's maps and books, unchanged. MANAGE. In: w0 = cptr of untyped
    /// memory or a frame (MANAGE). The capability goes; what it was derived from stays as if it
    /// were in use, and cannot be revoked as a whole, until `MachineAdopt` brings the memory back.
    /// Errors: Busy (it has objects, is mapped, or there are other capabilities to it), OutOfRange
    /// (larger than 1 GiB), NotEnoughMemory (more pieces away than the core can list, or its tables
    /// are used up).
    MachineSurrender = 0xa6,
}

#[cfg(test)]
mod tests {
    use super::Invocation;

    #[test]
    fn labels_name_one_invocation_each() {
        for &invocation in Invocation::ALL {
            assert_eq!(Invocation::from_label(invocation as u32), Some(invocation));
        }
        assert_eq!(Invocation::from_label(0), None);
    }
}
