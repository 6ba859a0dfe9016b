// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bounds of an inventory, which another hypervisor has written.
//!
//! Owns what has to hold before a number of it is used: how many pieces there are, that each refers
//! to one that exists, and that no address wraps. Whether the memory is there, and free, is for the
//! core to say when it is adopted.

use super::{Block, Inventory, Range, Use};

/// The ledger has no room for more (`succession::Shape::MOST`).
const MOST_CPUS: usize = 64;
const MOST_EXTENTS: usize = 224;
const MOST_LINES: usize = 160;
const MOST_VMS: usize = 32;
const MOST_VCPUS: u32 = 16;
/// More boot modules than a core keeps.
const MOST_MODULES: usize = 64;
/// More ranges, or blocks, than memory ever is in: what is done with them takes the square of it.
const MOST_PIECES: usize = 4096;
/// Physical and guest-physical addresses have fewer bits.
const ADDRESS_BITS: u32 = 52;
const PAGE: u64 = 4096;

impl Inventory {
    /// Checks it.
    ///
    /// # Errors
    /// What is out of bounds.
    pub fn check(&self) -> Result<(), &'static str> {
        let ensure = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        ensure(self.cpus.len() <= MOST_CPUS, "too many CPUs")?;
        ensure(self.extents.len() <= MOST_EXTENTS, "too many extents")?;
        ensure(self.lines.len() <= MOST_LINES, "too many lines")?;
        ensure(self.vms.len() <= MOST_VMS && self.stores.len() <= MOST_VMS, "too many VMs or stores")?;
        ensure(self.modules.len() <= MOST_MODULES, "too many modules")?;
        ensure(self.vms.iter().all(|vm| vm.vcpus <= MOST_VCPUS), "too many vCPUs")?;
        let ranges = || self.extents.iter().flat_map(|extent| &extent.ranges);
        let blocks = || {
            let of_vms = self.vms.iter().flat_map(|vm| &vm.memory);
            of_vms.chain(self.stores.iter().flat_map(|store| &store.frames))
        };
        ensure(ranges().count() <= MOST_PIECES && blocks().count() <= MOST_PIECES, "too many ranges")?;
        ensure(ranges().all(|range| range.is_in_pages()), "a range that is not of pages")?;
        ensure(self.modules.iter().all(|module| module.range.is_addressable()), "a module that wraps")?;
        ensure(blocks().all(Block::is_valid), "a block that is not aligned")?;
        let refers = |used| match used {
            Use::Vm(vm) => usize::from(vm) < self.vms.len(),
            Use::Store(store) => usize::from(store) < self.stores.len(),
            Use::First | Use::Second | Use::Free => true,
        };
        ensure(self.extents.iter().all(|extent| refers(extent.used)), "an extent of what is not there")
    }
}

impl Range {
    fn is_addressable(&self) -> bool {
        self.base.checked_add(self.bytes).is_some_and(|end| end <= 1 << ADDRESS_BITS)
    }

    fn is_in_pages(&self) -> bool {
        self.is_addressable() && self.base.is_multiple_of(PAGE) && self.bytes.is_multiple_of(PAGE)
    }
}

impl Block {
    fn is_valid(&self) -> bool {
        let fits = (PAGE.ilog2()..ADDRESS_BITS).contains(&u32::from(self.bits));
        let bytes = if fits { 1_u64 << self.bits } else { return false };
        let is_in_space = |at: u64| at.checked_add(bytes).is_some_and(|end| end <= 1 << ADDRESS_BITS);
        self.base.is_multiple_of(bytes) && is_in_space(self.base) && is_in_space(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Extent, Store, Use};
    use super::{Block, Inventory, MOST_PIECES, Range};
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    fn sample() -> Inventory {
        let block = Block { base: 0x20_0000, bits: 21, at: 0 };
        Inventory {
            cpus: vec![0, 1],
            extents: vec![
                Extent { used: Use::First, ranges: vec![Range { base: 0x1000, bytes: 0x3000 }] },
                Extent { used: Use::Store(0), ranges: vec![Range { base: 0x20_0000, bytes: 0x20_0000 }] },
            ],
            stores: vec![Store { service: String::from("checkpoint"), frames: vec![block] }],
            ..Inventory::default()
        }
    }

    #[test]
    fn an_inventory_within_its_bounds_is_taken() {
        assert_eq!(sample().check(), Ok(()));
    }

    #[test]
    fn each_number_beyond_its_bound_is_refused() {
        type Alter = fn(&mut Inventory);
        let altered: [(&str, Alter); 9] = [
            ("CPUs", |i| i.cpus = (0..65).collect()),
            ("extents", |i| i.extents = vec![i.extents[0].clone(); 225]),
            ("a store that is not there", |i| i.extents[1].used = Use::Store(1)),
            ("a VM that is not there", |i| i.extents[1].used = Use::Vm(0)),
            ("a range that wraps", |i| i.extents[0].ranges[0].bytes = u64::MAX - 0xfff),
            ("a range of half a page", |i| i.extents[0].ranges[0].bytes = 0x800),
            ("a shift that overflows", |i| i.stores[0].frames[0].bits = 200),
            ("a block that is not aligned", |i| i.stores[0].frames[0].base = 0x10_0000),
            ("ranges without end", |i| {
                i.extents[0].ranges = Vec::from_iter((0..=MOST_PIECES).map(|_| Range::default()));
            }),
        ];
        for (what, alter) in altered {
            let mut inventory = sample();
            alter(&mut inventory);
            assert!(inventory.check().is_err(), "{what}");
        }
    }
}
