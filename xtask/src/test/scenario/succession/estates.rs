// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page tables of both cores, walked from outside while both run: each maps its own memory and
//! nothing else (I6).
//!
//! The machine stands still meanwhile. Its memory is read through the emulator, the roots out of
//! the CPUs' CR3, and whose a page is out of the inventory and the ledger in the bridge. CPUs
//! belong to one core if the upper halves of their tables are the same. Walked are the core's half
//! and the space of whatever service a CPU is in; nested tables are not.

use super::circumstances::beats;
use super::{MEMORY_MIB, small_on};
use crate::image::successor::NEXT;
use crate::live::Live;
use crate::qemu::Machine;
use crate::qmp::{self, Monitor};
use crate::succession as drive;
use anyhow::{Context, Result, bail, ensure};
use api::estate::{INVENTORY_AT, Inventory, LEDGER_AT, Use, bridge_bits};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use succession::{LEDGER_MAGIC, LEDGER_WORDS, Party, Resource, SharedLedger, State, Table};

const PAGE: usize = 4096;
const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;
/// Accessed and dirty: the processor sets them (APM vol. 2, 5.4).
const BY_PROCESSOR: u64 = 3 << 5;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const LEVELS: u32 = 4;
/// CR4: five levels instead of four.
const CR4_LA57: u64 = 1 << 12;
/// The page in which CPUs begin lies below, and is of whoever starts one.
const LOW_MEMORY: u64 = 1 << 20;

/// All is with the successor but the incumbent's home: no page of the one is mapped by the other,
/// but for the bridge and the page where CPUs begin.
pub fn do_not_overlap(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut machine = machine.clone();
    let socket = qmp::socket_for(&mut machine, log);
    let (images, mut live) = small_on(3, &machine, iso, log)?;
    drive::stand_by(&mut live, &images.next, NEXT, &|_| {})?;
    let mut monitor = Monitor::open(&socket)?;
    let looked = look(&mut monitor, &log.with_extension("memory"), &mut live);
    monitor.execute("cont", json!({}))?;
    looked?;
    drive::retire(&mut live)?;
    let end = drive::to_the_end(&mut live)?;
    ensure!(end == NEXT, "{end} owns the machine");
    beats(&mut live)
}

fn look(monitor: &mut Monitor, file: &Path, live: &mut Live) -> Result<()> {
    monitor.execute("stop", json!({}))?;
    let registers = monitor.human("info registers -a")?;
    let dump =
        json!({ "val": 0, "size": u64::from(MEMORY_MIB) << 20, "filename": file.display().to_string() });
    monitor.execute("pmemsave", dump)?;
    let memory = Memory(std::fs::read(file).context("the memory of the machine")?);
    std::fs::remove_file(file)?;
    live.watch()?;
    let roots = roots(&registers)?;
    let bridge = Bridge::find(&memory).context("there is no bridge in the machine's memory")?;
    let first = bridge.inventory.first_cpu as usize;
    let kernel = |root: u64| upper_half(&memory, root);
    let own = kernel(*roots.get(first).context("the incumbent's CPU is not there")?);
    let (ours, theirs): (Vec<u64>, Vec<u64>) = roots.iter().partition(|&&root| kernel(root) == own);
    ensure!(!theirs.is_empty(), "all CPUs are in the same core");
    let maps = [memory.mapped(&ours)?, memory.mapped(&theirs)?];
    bridge.check(&maps)
}

/// The roots of the CPUs, in order.
fn roots(registers: &str) -> Result<Vec<u64>> {
    let values = |name: &str| -> Result<Vec<u64>> {
        let found = registers.split_whitespace().filter_map(|word| word.strip_prefix(name));
        found.map(|value| Ok(u64::from_str_radix(value, 16)?)).collect()
    };
    if values("CR4=")?.iter().any(|cr4| cr4 & CR4_LA57 != 0) {
        bail!("the machine has five levels of tables");
    }
    Ok(values("CR3=")?.into_iter().map(|cr3| cr3 & ADDRESS).collect())
}

/// The entries of the core's half, without what the processor sets.
fn upper_half(memory: &Memory, root: u64) -> Vec<u64> {
    (256..512).map(|index| memory.word(root + index * 8) & !BY_PROCESSOR).collect()
}

/// The memory of the machine, from 0 on.
struct Memory(Vec<u8>);

/// Pages that are mapped or hold tables, by number.
type Pages = Vec<bool>;

impl Memory {
    fn word(&self, at: u64) -> u64 {
        let bytes = self.0.get(at as usize..).and_then(|rest| rest.first_chunk::<8>());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// What these roots reach. What lies beyond the memory is devices.
    fn mapped(&self, roots: &[u64]) -> Result<Pages> {
        let mut pages = vec![false; self.0.len() / PAGE];
        for &root in roots {
            ensure!((root as usize) < self.0.len(), "a root at {root:#x}");
            self.walk(root, LEVELS, &mut pages);
        }
        Ok(pages)
    }

    fn walk(&self, table: u64, level: u32, pages: &mut Pages) {
        mark(pages, table, PAGE as u64);
        for index in 0..512 {
            let entry = self.word(table + index * 8);
            let bytes = (PAGE as u64) << (9 * (level - 1));
            let address = entry & ADDRESS & !(bytes - 1);
            match (entry & PRESENT != 0, level == 1 || level < LEVELS && entry & LARGE != 0) {
                (false, _) => {}
                (true, true) => mark(pages, address, bytes),
                (true, false) => self.walk(entry & ADDRESS, level - 1, pages),
            }
        }
    }
}

fn mark(pages: &mut Pages, address: u64, bytes: u64) {
    let first = (address / PAGE as u64) as usize;
    let count = (bytes / PAGE as u64) as usize;
    pages.iter_mut().skip(first).take(count).for_each(|page| *page = true);
}

/// What the parties have written down.
struct Bridge {
    base: u64,
    inventory: Inventory,
    /// For each extent, who may use it.
    owners: Vec<Party>,
}

impl Bridge {
    fn find(memory: &Memory) -> Option<Bridge> {
        let pages = (0..memory.0.len() as u64).step_by(PAGE);
        pages.filter(|&base| memory.word(base + LEDGER_AT) == LEDGER_MAGIC).find_map(|base| {
            let words: Vec<AtomicU64> = (0..LEDGER_WORDS as u64)
                .map(|index| AtomicU64::new(memory.word(base + LEDGER_AT + index * 8)))
                .collect();
            let words: Box<[AtomicU64; LEDGER_WORDS]> = words.try_into().ok()?;
            let ledger = SharedLedger::open(&words).ok()?;
            let length = memory.word(base + INVENTORY_AT) as usize;
            let from = (base + INVENTORY_AT) as usize + 8;
            let inventory: Inventory = postcard::from_bytes(memory.0.get(from..from + length)?).ok()?;
            let owner = |number: usize| {
                let word = ledger.word(Resource::Extent(number as u8))?;
                match word.state {
                    // It follows its VM.
                    State::Bound(vm) => ledger.owner(Resource::Vm(vm)),
                    State::Held | State::Leaving => Some(word.owner),
                }
            };
            let owners: Option<Vec<Party>> = (0..inventory.extents.len()).map(owner).collect();
            Some(Bridge { base, owners: owners?, inventory })
        })
    }

    /// Whether a page is of both parties.
    fn is_shared(&self, page: u64) -> bool {
        let bytes = 1_u64 << bridge_bits(self.inventory.vms.len() as u64);
        page < LOW_MEMORY || (self.base..self.base + bytes).contains(&page)
    }

    /// The maps of the first party and of the second.
    fn check(&self, maps: &[Pages; 2]) -> Result<()> {
        let mut wrong: BTreeMap<String, u64> = BTreeMap::new();
        let mut right = [0_u64; 2];
        for (extent, owner) in self.inventory.extents.iter().zip(&self.owners) {
            for page in extent.ranges.iter().flat_map(|range| (range.base..range.end()).step_by(PAGE)) {
                for (party, map) in [Party::First, Party::Second].into_iter().zip(maps) {
                    let mapped = map.get(page as usize / PAGE).is_some_and(|mapped| *mapped);
                    match (mapped && !self.is_shared(page), party == *owner) {
                        (true, true) => right[party as usize] += 1,
                        (true, false) => {
                            let what = format!("{party:?} maps {:?} of {owner:?}", extent.used);
                            wrong.entry(what).and_modify(|count| *count += 1).or_insert(1);
                        }
                        (false, _) => {}
                    }
                }
            }
        }
        let both = maps[0].iter().zip(&maps[1]).enumerate().filter(|(_, (one, other))| **one && **other);
        let both: Vec<u64> = both.map(|(number, _)| (number * PAGE) as u64).collect();
        if let Some(page) = both.iter().find(|page| !self.is_shared(**page)) {
            wrong.insert(format!("both map {page:#x}"), both.len() as u64);
        }
        ensure!(wrong.is_empty(), "pages by what is wrong with them: {wrong:?}");
        // The walk has seen what must be there: homes, a VM's memory, and the bridge with both.
        let vm = self.inventory.extents.iter().filter(|extent| matches!(extent.used, Use::Vm(_)));
        let vm: u64 = vm.flat_map(|extent| &extent.ranges).map(|range| range.bytes / PAGE as u64).sum();
        ensure!(right[0] > 256 && right[1] > vm, "pages that are mapped: {right:?}, {vm} of them of VMs");
        ensure!(both.contains(&self.base), "the bridge is not mapped by both");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Bridge, Memory, PAGE, Pages};
    use api::estate::{Extent, Inventory, Range, Use};
    use succession::Party;

    #[test]
    fn a_walk_finds_small_and_large_pages_and_the_tables_themselves() {
        let mut bytes = vec![0; 16 << 20];
        let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        // Root at page 1, then tables at pages 2, 3 and 4; a page of 2 MiB at 4 MiB, a small one at
        // page 9.
        put(PAGE, 0x2000 | 3);
        put(2 * PAGE + 8, 0x3000 | 3);
        put(3 * PAGE, (4 << 20) | 0x83);
        put(3 * PAGE + 8, 0x4000 | 3);
        put(4 * PAGE + 16, 0x9000 | 0x63);
        put(4 * PAGE + 24, 0xa000);
        let pages = Memory(bytes).mapped(&[0x1000]).expect("a root");
        let found: Vec<usize> = (0..pages.len()).filter(|page| pages[*page]).collect();
        let mut wanted = vec![1, 2, 3, 4, 9];
        wanted.extend(1024..1536);
        assert_eq!(found, wanted);
    }

    fn bridge() -> Bridge {
        let extent = |used, base, bytes| Extent { used, ranges: vec![Range { base, bytes }] };
        let extents = vec![
            extent(Use::First, 1 << 20, 4 << 20),
            extent(Use::Second, 8 << 20, 4 << 20),
            extent(Use::Vm(0), 16 << 20, 4 << 20),
        ];
        let inventory = Inventory { extents, ..Inventory::default() };
        Bridge { base: 8 << 20, inventory, owners: vec![Party::First, Party::Second, Party::Second] }
    }

    fn maps() -> [Pages; 2] {
        let of = |ranges: &[(usize, usize)]| {
            let within = |page: usize| ranges.iter().any(|(from, to)| (*from << 8..*to << 8).contains(&page));
            (0..32 << 8).map(within).collect()
        };
        let mut maps: [Pages; 2] = [of(&[(1, 5)]), of(&[(8, 12), (16, 20)])];
        maps[0][8 << 8] = true;
        maps
    }

    #[test]
    fn a_page_that_is_mapped_by_the_wrong_party_is_found() {
        bridge().check(&maps()).expect("all is as it should be");
        for (party, page) in [(0, 17 << 8), (1, 2 << 8), (0, 11 << 8)] {
            let mut maps = maps();
            maps[party][page] = true;
            let found = bridge().check(&maps).expect_err("not found").to_string();
            assert!(found.contains("maps"), "{found}");
        }
        // Of no extent, and mapped by both.
        let mut maps = maps();
        maps.iter_mut().for_each(|map| map[30 << 8] = true);
        assert!(bridge().check(&maps).is_err());
    }
}
