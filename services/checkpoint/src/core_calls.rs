// SPDX-License-Identifier: MIT OR Apache-2.0
//! The outside as the core offers it: guest spaces, windows onto guest memory, and frames for
//! pages.

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use checkpoint::{Books, Harvest, Outside, PAGE, Page, ZERO};
use rt::cap::{Cap, Endpoint, GuestSpace};
use rt::window::{self, Owned, Shared};
use rt::{Environment, Error};

/// What is held of one VM.
struct Guest {
    space: Cap<GuestSpace>,
    pager: Cap<Endpoint>,
    memory: Shared,
}

/// A frame of the store and the slot at its beginning.
struct Frame {
    first: u32,
    memory: Owned,
}

/// All VMs, in the order of the environment, and the store.
pub struct Core {
    guests: Vec<Guest>,
    frames: Vec<Frame>,
    slots: u32,
}

/// What the environment lacks.
pub struct Missing(pub &'static str);

impl Core {
    /// What the environment gives us.
    pub fn new(environment: &'static Environment) -> Result<Self, Missing> {
        let mut guests = Vec::new();
        for vm in &environment.vms {
            let space = Cap::named(environment, &format!("guest.{}", vm.name)).ok_or(Missing("guest"))?;
            let pager = Cap::named(environment, &format!("pager.{}", vm.name)).ok_or(Missing("pager"))?;
            let memory = window::guest_of(vm.index).ok_or(Missing("window"))?;
            guests.push(Guest { space, pager, memory });
        }
        let mut frames = Vec::new();
        let mut slots = 0u32;
        for memory in window::take_store() {
            let count = u32::try_from(memory.size() / PAGE as u64).unwrap_or(0);
            let Some(next) = slots.checked_add(count) else { break };
            frames.push(Frame { first: slots, memory });
            slots = next;
        }
        let mut core = Self { guests, frames, slots };
        core.put(ZERO, &[0; PAGE]);
        Ok(core)
    }

    /// Pages that the store has room for.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    fn guest(&self, vm: usize) -> Result<&Guest, u64> {
        self.guests.get(vm).ok_or(Error::InvalidCapability.number())
    }

    /// Where a slot is: its frame's place in the list, and the offset in it.
    fn place(&self, slot: u32) -> Option<(usize, u64)> {
        let index = self.frames.partition_point(|frame| frame.first <= slot).checked_sub(1)?;
        let frame = self.frames.get(index)?;
        Some((index, u64::from(slot - frame.first) * PAGE as u64))
    }
}

impl Outside for Core {
    fn seal(&mut self, vm: usize) -> Result<u64, u64> {
        self.guest(vm)?.space.seal().map_err(Error::number)
    }

    fn unseal(&mut self, vm: usize, page: u64) -> Result<(), u64> {
        self.guest(vm)?.space.unseal(page * PAGE as u64).map_err(Error::number)
    }

    fn set_pager(&mut self, vm: usize, here: bool) -> Result<(), u64> {
        let guest = self.guest(vm)?;
        guest.space.set_pager(here.then_some(guest.pager)).map_err(Error::number)
    }

    fn harvest(
        &mut self,
        vm: usize,
        pages: Range<u64>,
        books: Books,
        bits: &mut [u64],
    ) -> Result<Harvest, u64> {
        let addresses = pages.start * PAGE as u64..pages.end * PAGE as u64;
        let space = self.guest(vm)?.space;
        let done = space.harvest(addresses, books.epoch, books.forget, bits).map_err(Error::number)?;
        let page = |address: u64| address / PAGE as u64;
        Ok(Harvest { first: page(done.first), next: done.more.then_some(page(done.next)) })
    }

    fn is_same(&self, vm: usize, page: u64, slot: u32) -> bool {
        let Some(memory) = self.guests.get(vm).map(|guest| guest.memory) else { return slot == ZERO };
        let offset = page * PAGE as u64;
        if offset >= memory.size() {
            return slot == ZERO;
        }
        if slot == ZERO { memory.is_zero(offset, PAGE) } else { memory.holds(offset, self.get(slot)) }
    }

    fn save(&mut self, vm: usize, page: u64, slot: u32) {
        let Some(memory) = self.guests.get(vm).map(|guest| guest.memory) else { return };
        if let Some((index, offset)) = self.place(slot)
            && let Some(frame) = self.frames.get_mut(index)
        {
            let inside = frame.memory.copy_from(offset, memory, page * PAGE as u64, PAGE);
            assert!(
                inside,
                "a page that is not zero is inside of guest memory, and slots are inside of their frames"
            );
        }
    }

    fn write_guest(&mut self, vm: usize, page: u64, slot: u32) -> Result<(), u64> {
        let (index, offset) = self.place(slot).ok_or(Error::OutOfRange.number())?;
        let frame = self.frames.get(index).ok_or(Error::OutOfRange.number())?;
        let space = self.guest(vm)?.space;
        space.write(page * PAGE as u64, frame.memory.cap(), offset, PAGE as u64).map_err(Error::number)
    }

    fn put(&mut self, slot: u32, page: &Page) {
        if let Some((index, offset)) = self.place(slot)
            && let Some(frame) = self.frames.get_mut(index)
        {
            let inside = frame.memory.write(offset, page);
            assert!(inside, "slots are inside of their frames");
        }
    }

    fn get(&self, slot: u32) -> &[u8] {
        let found = self.place(slot).and_then(|(index, offset)| Some((self.frames.get(index)?, offset)));
        found.map_or(&[], |(frame, offset)| frame.memory.bytes(offset, PAGE))
    }
}
