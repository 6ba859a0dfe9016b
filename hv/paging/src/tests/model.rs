// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random operations against a model that knows pages and no tables.

use std::collections::BTreeSet;
use std::vec::Vec;

use addr::{GuestPhysAddr, PhysAddr};

use super::{Memory, Numbers, ROOT, gpa, guest};
use crate::{Block, FaultStep, GuestTable, HarvestRequest, MapError, Progress};

/// Where the guest of the model has memory.
const END: u64 = 1 << 32;
const SIZES: [u8; 8] = [12, 12, 13, 16, 21, 21, 23, 30];

/// One mapped block, and which of its pages were written in this epoch and the one before.
struct Mapped {
    block: Block,
    read_only: bool,
    mapped_in: u64,
    written: [BTreeSet<u64>; 2],
}

impl Mapped {
    fn bytes(&self) -> u64 {
        1 << self.block.bits
    }

    fn has(&self, address: u64) -> bool {
        address >= self.block.address && address < self.block.address + self.bytes()
    }

    fn was_written(&self, page: u64, epoch: u64) -> bool {
        self.mapped_in == epoch || self.written[(epoch & 1) as usize].contains(&page)
    }
}

struct World {
    memory: Memory,
    table: GuestTable,
    mapped: Vec<Mapped>,
    forgotten: bool,
    numbers: Numbers,
}

impl World {
    fn new(seed: u64) -> Self {
        let memory = Memory::with_tables(300);
        Self { memory, table: guest(), mapped: Vec::new(), forgotten: true, numbers: Numbers(seed) }
    }

    fn address(&mut self) -> u64 {
        let index = self.numbers.below(self.mapped.len() as u64 + 1) as usize;
        match self.mapped.get(index) {
            Some(mapped) => {
                let pages = mapped.bytes() >> 12;
                mapped.block.address + (self.numbers.below(pages) << 12)
            }
            None => self.numbers.below(END >> 12) << 12,
        }
    }

    fn map(&mut self) {
        let bits = SIZES[self.numbers.below(8) as usize];
        let address = self.numbers.below(END >> bits) << bits;
        let frame = PhysAddr::known((1 << 40) + (self.numbers.below(1 << (40 - bits)) << bits));
        let block = Block { address, frame, bits };
        let read_only = self.numbers.below(8) == 0;
        let free = self
            .mapped
            .iter()
            .all(|m| !m.has(address) && !(block.address..address + (1 << bits)).contains(&m.block.address));
        let result = if read_only {
            self.table.map_read_only(&mut self.memory, block)
        } else {
            self.table.map(&mut self.memory, block)
        };
        match result {
            Ok(()) => {
                assert!(free);
                let mapped_in = self.table.epoch();
                self.mapped.push(Mapped { block, read_only, mapped_in, written: Default::default() });
            }
            Err(error) => assert_eq!(error == MapError::AlreadyMapped, !free),
        }
    }

    fn unmap(&mut self) {
        if self.mapped.is_empty() {
            return;
        }
        let index = self.numbers.below(self.mapped.len() as u64) as usize;
        let gone = self.mapped.swap_remove(index);
        self.table.unmap(gpa(gone.block.address), gone.block.bits).finish(&mut self.memory, |_| {});
        for address in [gone.block.address, gone.block.address + gone.bytes() - 1] {
            assert_eq!(self.table.translate(&self.memory, gpa(address)), None);
        }
    }

    fn seal(&mut self) {
        if !self.forgotten {
            self.harvest(true);
        }
        self.table.seal(&mut self.memory).spend(&mut self.memory, |_| {});
        self.forgotten = false;
        let epoch = self.table.epoch();
        for mapped in &mut self.mapped {
            mapped.written[(epoch & 1) as usize].clear();
        }
    }

    fn write(&mut self) {
        let address = self.address();
        let epoch = self.table.epoch();
        let step = loop {
            match self.table.write_fault(&mut self.memory, gpa(address)) {
                FaultStep::PushedDown => {}
                step => break step,
            }
        };
        let mapped = self.mapped.iter_mut().find(|m| m.has(address));
        match (step, mapped) {
            (FaultStep::NotMapped, None) => {}
            (FaultStep::ReadOnly, Some(mapped)) => assert!(mapped.read_only),
            (FaultStep::AlreadyWritable, Some(mapped)) => {
                assert!(!mapped.read_only && mapped.was_written(address >> 12, epoch));
            }
            (FaultStep::Sealed(page), Some(mapped)) => {
                assert_eq!(page, gpa(address));
                assert!(!mapped.read_only);
                self.table.unseal(&mut self.memory, page).unwrap();
                mapped.written[(epoch & 1) as usize].insert(address >> 12);
                assert!(self.table.is_writable(&self.memory, page));
            }
            (FaultStep::TablesExhausted, Some(_)) => assert!(self.memory.pool.is_empty()),
            (step, mapped) => panic!("{step:?} at {address:#x}, mapped: {}", mapped.is_some()),
        }
    }

    fn look(&mut self) {
        let address = self.address() + self.numbers.below(4096);
        let found = self.table.translate(&self.memory, gpa(address));
        let mapped = self.mapped.iter().find(|m| m.has(address));
        let frame = mapped.map(|m| m.block.frame.as_u64() + (address - m.block.address));
        assert_eq!(found.map(|f| f.pa.as_u64()), frame);
        if found.is_some_and(|f| f.perms.write) {
            let mapped = mapped.unwrap();
            assert!(!mapped.read_only && mapped.was_written(address >> 12, self.table.epoch()));
        }
    }

    /// Read the books of the epoch before, or else of this one, to the end, and compare all of it.
    fn harvest(&mut self, before: bool) {
        let Some(epoch) = self.table.epoch().checked_sub(u64::from(before)) else { return };
        let end = if self.numbers.below(2) == 0 { END } else { GuestTable::END };
        let mut from = 0;
        loop {
            let mut out = [0; 476];
            let request = HarvestRequest { from: GuestPhysAddr::known(from), end, epoch, forget: before };
            let progress = self.table.harvest(&mut self.memory, request, &mut out).unwrap();
            for mapped in &self.mapped {
                self.compare(mapped, (from >> 12, progress), epoch, &out);
            }
            if !progress.more {
                break;
            }
            from = progress.next;
        }
        if before {
            self.forgotten = true;
            for mapped in &mut self.mapped {
                mapped.written[(epoch & 1) as usize].clear();
                if mapped.mapped_in == epoch {
                    mapped.mapped_in = u64::MAX;
                }
            }
        }
    }

    fn compare(&self, mapped: &Mapped, (from, progress): (u64, Progress), epoch: u64, out: &[u64]) {
        let first = (mapped.block.address >> 12).max(from);
        let last = ((mapped.block.address + mapped.bytes()) >> 12).min(progress.next >> 12);
        let begin = progress.first >> 12;
        for page in first..last {
            let word =
                page.checked_sub(begin).map_or(0, |at| out.get((at / 64) as usize).copied().unwrap_or(0));
            let bit = word >> (page % 64) & 1 != 0;
            assert_eq!(bit, mapped.was_written(page, epoch), "page {page:#x} in epoch {epoch}");
        }
    }
}

#[test]
fn random_operations_agree_with_a_model_of_pages() {
    for seed in 1..12 {
        let mut world = World::new(seed * 0x9e37_79b9);
        for _ in 0..300 {
            match world.numbers.below(100) {
                0..12 => world.map(),
                12..18 => world.unmap(),
                18..22 => world.seal(),
                22..23 => world.harvest(false),
                23..24 => world.harvest(true),
                24..70 => world.write(),
                _ => world.look(),
            }
        }
        while !world.mapped.is_empty() {
            world.unmap();
        }
        assert_eq!(world.memory.pool.len(), 300, "every table came back");
        assert_eq!(world.memory.tables[&ROOT.as_u64()], [0; 512]);
    }
}
