// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small guests: a few instructions of real mode in a MiB of memory.

use abi::object::ObjectType;
use abi::rights::Rights;
use abi::vcpu::{Exit, Segment, group, segment};
use rt::cap::{Cap, Frame, GuestSpace, Vcpu};
use rt::vm::VirtualCpu;
use rt::{scratch, time};

use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal};

/// log2 of the bytes of guest memory.
pub const MEMORY_BITS: u8 = 20;
/// Where guests begin.
pub const ENTRY: u64 = 0x1000;
/// Their stack.
pub const STACK: u64 = 0x8000;

/// A guest.
pub struct Guest {
    /// Its nested page table.
    pub space: Cap<GuestSpace>,
    /// Its memory.
    pub memory: Cap<Frame>,
    /// Its vCPU.
    pub cpu: VirtualCpu,
}

impl Guest {
    /// A guest whose memory holds these pieces and whose vCPU begins at [`ENTRY`] in real mode.
    pub fn new(context: &mut Context, pieces: &[(u64, &[u8])]) -> Outcome<Self> {
        let space: Cap<GuestSpace> = Cap::new(context.make(ObjectType::GuestSpace, 16)?);
        let memory = context.frame(MEMORY_BITS)?;
        let fill = |bytes: &mut [u8]| {
            for (address, piece) in pieces {
                let at = *address as usize;
                if let Some(target) = bytes.get_mut(at..at + piece.len()) {
                    target.copy_from_slice(piece);
                }
            }
        };
        scratch::with_frame(memory, fill).tried("fill guest memory")?;
        memory.map(space, 0, Rights::READ.or(Rights::WRITE)).tried("map guest memory")?;
        let vcpu: Cap<Vcpu> = Cap::new(context.make(ObjectType::Vcpu, 14)?);
        let mut cpu = scratch::map_vcpu(vcpu, space, 0).tried("map a vCPU's page")?;
        set_real_mode(&mut cpu);
        Ok(Self { space, memory, cpu })
    }

    /// Runs until the next exit, for at most a second.
    pub fn run(&mut self) -> Outcome<Exit> {
        self.cpu.page_mut().deadline = time::after_ms(1000);
        self.cpu.run().tried("run the vCPU")
    }

    /// Runs, and expects this exit.
    pub fn run_to(&mut self, exit: Exit) -> Outcome {
        let got = self.run()?;
        let page = self.cpu.page();
        let place = alloc::format!("exit at rip {:#x} (info {:x?})", page.rip, page.info);
        equal(got, exit, &place)
    }

    /// Goes on after an instruction of `size` bytes.
    pub fn skip(&mut self, size: u64) {
        let page = self.cpu.page_mut();
        page.rip = page.rip.wrapping_add(size);
        page.dirty |= group::BASIC;
    }

    /// A byte of guest memory.
    pub fn byte(&self, context: &mut Context, address: u64) -> Outcome<u8> {
        let copy = context.derive(self.memory, Rights::READ.or(Rights::WRITE), 0)?;
        let byte = scratch::with_frame(copy, |bytes| bytes.get(address as usize).copied());
        byte.tried("read guest memory")?.ok_or_else(|| "an address outside of guest memory".into())
    }
}

/// Real mode, flat, at [`ENTRY`], interrupts off.
fn set_real_mode(cpu: &mut VirtualCpu) {
    let page = cpu.page_mut();
    let data = Segment { selector: 0, attributes: 0x93, limit: 0xffff, base: 0 };
    for index in [segment::ES, segment::SS, segment::DS, segment::FS, segment::GS] {
        page.segments[index] = data;
    }
    page.segments[segment::CS] = Segment { attributes: 0x9b, ..data };
    page.segments[segment::LDTR] = Segment { attributes: 0x82, ..data };
    page.segments[segment::TR] = Segment { attributes: 0x8b, ..data };
    page.segments[segment::GDTR] = Segment { attributes: 0, ..data };
    page.segments[segment::IDTR] = Segment { attributes: 0, ..data };
    page.cr0 = 0x10;
    page.cr2 = 0;
    page.cr3 = 0;
    page.cr4 = 0;
    page.efer = 0;
    page.xcr0 = 1;
    page.dr = [0, 0, 0, 0, 0xffff_0ff0, 0x400];
    page.pat = 0x0007_0406_0007_0406;
    page.gpr = [0; 16];
    page.gpr[abi::vcpu::gpr::RSP] = STACK;
    page.rip = ENTRY;
    page.rflags = 2;
    page.want = 0;
    page.inject = 0;
    page.want_window = 0;
    page.interrupt_shadow = 0;
    page.deadline = u64::MAX;
    page.dirty = group::BASIC | group::SYSTEM | group::MSRS;
}
