// SPDX-License-Identifier: MIT OR Apache-2.0
//! Catalogues that no service of ours has written.

use std::boxed::Box;
use std::ops::Range;
use std::vec;
use std::vec::Vec;

use api::checkpoint::MAX_STATE;

use super::record::{Entry, Head, Record, leaf_page};
use super::{Flaw, ROOTS, Root, chain, digest_of};
use crate::leaf::Place;
use crate::outside::{Books, Harvest, Outside, PAGE, Page};
use crate::store::{FIRST, ZERO};
use crate::{Loaded, Service, VmSetup};

const SLOTS: u32 = 60;
/// Pages of leaves lie from here on, as far as these tests write them.
const PLACES: u32 = 40;

/// A store, and no guests.
struct Pages(Vec<Page>);

impl Outside for Pages {
    fn seal(&mut self, _: usize) -> Result<u64, u64> {
        Err(0)
    }

    fn unseal(&mut self, _: usize, _: u64) -> Result<(), u64> {
        Err(0)
    }

    fn set_pager(&mut self, _: usize, _: bool) -> Result<(), u64> {
        Ok(())
    }

    fn harvest(&mut self, _: usize, _: Range<u64>, _: Books, _: &mut [u64]) -> Result<Harvest, u64> {
        Err(0)
    }

    fn is_same(&self, _: usize, _: u64, slot: u32) -> bool {
        slot == ZERO
    }

    fn save(&mut self, _: usize, _: u64, _: u32) {}

    fn write_guest(&mut self, _: usize, _: u64, _: u32) -> Result<(), u64> {
        Err(0)
    }

    fn put(&mut self, slot: u32, page: &Page) {
        self.0[slot as usize] = *page;
    }

    fn get(&self, slot: u32) -> &[u8] {
        self.0.get(slot as usize).map_or(&[], |page| page)
    }
}

/// A writer that knows the format and means ill.
struct Liar {
    pages: Pages,
    records: Vec<u32>,
    places: u32,
}

impl Liar {
    fn new() -> Self {
        Self::with(SLOTS)
    }

    fn with(slots: u32) -> Self {
        Self { pages: Pages(vec![[0; PAGE]; slots as usize]), records: Vec::new(), places: PLACES }
    }

    /// Writes the page of a leaf; what a record has to say of it.
    fn leaf(&mut self, number: u32, slots: &[u32; 512]) -> Entry {
        let (page, sum) = leaf_page(slots);
        let slot = self.places;
        self.places += 1;
        self.pages.put(slot, &page);
        Entry { number, place: Place { slot, sum }, digest: 3 }
    }

    /// Writes a record into these slots, with right sums, and pages for its leaves.
    fn record(&mut self, slots: &[u32], head: &Head, state: &[u8], leaves: &[(u32, [u32; 512])]) {
        let entries: Vec<Entry> = leaves.iter().map(|(number, leaf)| self.leaf(*number, leaf)).collect();
        self.record_of(slots, head, state, &entries);
    }

    /// The same with leaves that lie somewhere.
    fn record_of(&mut self, slots: &[u32], head: &Head, state: &[u8], entries: &[Entry]) {
        let mut bytes = head.encode(state).unwrap();
        bytes.extend(entries.iter().flat_map(Entry::encode));
        bytes.extend(digest_of(&bytes));
        let mut left = bytes.len() as u32;
        let slots = &slots[..bytes.len().div_ceil(chain::PAYLOAD)];
        for (index, part) in bytes.chunks(chain::PAYLOAD).enumerate() {
            let next = slots.get(index + 1).copied().unwrap_or(0);
            self.pages.put(slots[index], &chain::page(next, left, part));
            left -= part.len() as u32;
        }
        self.records.push(slots[0]);
    }

    fn load(&mut self) -> (Service, Loaded) {
        let slots = self.pages.0.len() as u32;
        let root = Root { generation: 9, ids: 100, records: self.records.clone() };
        root.write(slots, &mut self.pages);
        let setup = |(badge, name): (u64, &str)| VmSetup { name: name.into(), badge, pages: 600, quota: 1 };
        let vms = [(1, "a"), (2, "b")].map(setup).to_vec();
        let mut service = Service::new(vms, slots, 1);
        let loaded = service.start(&mut self.pages);
        (service, loaded)
    }
}

fn head(id: u64, vm: &str, leaves: u32) -> Head {
    let (parent, at_ms, new_pages, pages, state_bytes) = (None, 5, 0, 600, 0);
    Head { id, vm: vm.into(), parent, at_ms, new_pages, pages, digest: [3; 32], state_bytes, leaves }
}

fn leaf(slots: &[u32]) -> [u32; 512] {
    let mut leaf = [ZERO; 512];
    leaf.iter_mut().zip(slots).for_each(|(to, slot)| *to = *slot);
    leaf
}

/// One record of VM `a`, alone in a store.
fn alone(head: &Head, state: &[u8], leaves: &[(u32, [u32; 512])]) -> Loaded {
    let mut liar = Liar::new();
    liar.record(&[10, 11, 12], head, state, leaves);
    liar.load().1
}

#[test]
fn what_a_service_writes_is_taken() {
    let leaves = [(0, leaf(&[20, 21])), (1, leaf(&[22]))];
    assert_eq!(alone(&head(7, "a", 2), b"", &leaves), Loaded { taken: 1, refused: 0 });
}

#[test]
fn a_record_that_makes_no_sense_is_refused_as_a_whole() {
    let good = [(0, leaf(&[20])), (1, leaf(&[22]))];
    let heads = [
        Head { id: 0, ..head(7, "a", 2) },
        Head { id: 100, ..head(7, "a", 2) },
        Head { id: u64::MAX, ..head(7, "a", 2) },
        Head { parent: Some(7), ..head(7, "a", 2) },
        Head { new_pages: 601, ..head(7, "a", 2) },
        Head { state_bytes: 1, ..head(7, "a", 2) },
        Head { state_bytes: u32::MAX, ..head(7, "a", 2) },
        Head { leaves: 1, ..head(7, "a", 2) },
        Head { leaves: u32::MAX, ..head(7, "a", 2) },
        Head { pages: 601, ..head(7, "a", 2) },
        Head { pages: u64::MAX, ..head(7, "a", 2) },
        head(7, "c", 2),
    ];
    for head in heads {
        assert_eq!(alone(&head, b"", &good), Loaded { taken: 0, refused: 1 }, "{head:?}");
    }
    let mut beyond = leaf(&[]);
    beyond[600 - 512] = 20;
    let others = [
        [(1, good[1].1), (0, good[0].1)],
        [(0, good[0].1), (0, good[0].1)],
        [(0, good[0].1), (2, good[1].1)],
        [(0, good[0].1), (u32::MAX, good[1].1)],
        [(0, good[0].1), (1, beyond)],
        [(0, leaf(&[1])), good[1]],
        [(0, leaf(&[SLOTS])), good[1]],
        [(0, leaf(&[u32::MAX])), good[1]],
        [(0, leaf(&[10])), good[1]],
    ];
    for leaves in others {
        assert_eq!(alone(&head(7, "a", 2), b"", &leaves), Loaded { taken: 0, refused: 1 });
    }
}

#[test]
fn no_page_is_of_two_vms_nor_part_of_any_record() {
    let mut liar = Liar::new();
    liar.record(&[10], &head(7, "a", 1), b"", &[(0, leaf(&[20]))]);
    liar.record(&[11], &head(8, "b", 1), b"", &[(0, leaf(&[20]))]);
    liar.record(&[12], &head(9, "b", 1), b"", &[(0, leaf(&[10]))]);
    liar.record(&[13], &head(10, "a", 1), b"", &[(0, leaf(&[20, 21]))]);
    let (service, loaded) = liar.load();
    assert_eq!(loaded, Loaded { taken: 2, refused: 2 });
    assert_eq!((service.store.used(), service.store.referenced()), (6, 7));
}

#[test]
fn records_of_one_vm_share_a_leaf_and_those_of_others_do_not() {
    let mut liar = Liar::new();
    let shared = liar.leaf(0, &leaf(&[20, 21]));
    liar.record_of(&[10], &head(7, "a", 1), b"", &[shared]);
    liar.record_of(&[11], &head(8, "a", 1), b"", &[shared]);
    liar.record_of(&[12], &head(9, "b", 1), b"", &[shared]);
    liar.record_of(&[13], &head(10, "a", 1), b"", &[Entry { number: 1, ..shared }]);
    liar.record_of(&[14], &head(11, "a", 1), b"", &[Entry { digest: 4, ..shared }]);
    let (service, loaded) = liar.load();
    assert_eq!(loaded, Loaded { taken: 2, refused: 3 });
    // Two chains, the leaf and its two pages, each once.
    assert_eq!((service.store.used(), service.store.referenced()), (5, 5));
}

#[test]
fn the_page_of_a_leaf_is_nothing_else() {
    let spoil: [fn(&mut Liar, Entry); 7] = [
        |liar, good| liar.record_of(&[11], &head(8, "a", 2), b"", &[good, Entry { number: 1, ..good }]),
        |liar, good| liar.record(&[11], &head(8, "a", 1), b"", &[(0, leaf(&[good.place.slot]))]),
        |liar, _| liar.record(&[11], &head(8, "a", 1), b"", &[(0, leaf(&[PLACES + 1]))]),
        |liar, _| {
            let (_, sum) = leaf_page(&leaf(&[]));
            let of_page = Entry { number: 0, place: Place { slot: 20, sum }, digest: 3 };
            liar.record_of(&[11], &head(8, "a", 1), b"", &[of_page]);
        },
        |liar, good| {
            let place = Place { slot: PLACES + 5, ..good.place };
            liar.record_of(&[11], &head(8, "a", 1), b"", &[Entry { place, ..good }]);
        },
        |liar, good| {
            let place = Place { slot: u32::MAX, ..good.place };
            liar.record_of(&[11], &head(8, "a", 1), b"", &[Entry { place, ..good }]);
        },
        |liar, good| {
            let place = Place { slot: 10, ..good.place };
            liar.record_of(&[11], &head(8, "a", 1), b"", &[Entry { place, ..good }]);
        },
    ];
    for spoil in spoil {
        let mut liar = Liar::new();
        let good = liar.leaf(0, &leaf(&[20]));
        liar.record_of(&[10], &head(7, "a", 1), b"", &[good]);
        spoil(&mut liar, good);
        let (service, loaded) = liar.load();
        assert_eq!(loaded, Loaded { taken: 1, refused: 1 });
        assert_eq!(service.store.used(), 3, "nothing of the refused one is kept");
    }
}

#[test]
fn an_altered_page_of_a_leaf_costs_the_checkpoints_that_have_it() {
    for bit in [0, 85, 4095 * 8] {
        let mut liar = Liar::new();
        let (good, bad) = (liar.leaf(0, &leaf(&[20])), liar.leaf(1, &leaf(&[21])));
        liar.record_of(&[10], &head(7, "a", 1), b"", &[good]);
        liar.record_of(&[11], &head(8, "a", 2), b"", &[good, bad]);
        liar.record_of(&[12], &head(9, "a", 1), b"", &[bad]);
        liar.pages.0[bad.place.slot as usize][bit / 8] ^= 1 << (bit % 8);
        assert_eq!(liar.load().1, Loaded { taken: 1, refused: 2 });
    }
}

#[test]
fn records_for_which_no_service_has_memory_are_refused() {
    let mut liar = Liar::with(1100);
    let state = vec![1; MAX_STATE as usize];
    for id in 1..7 {
        let first = FIRST + id * 150;
        let slots: Vec<u32> = (first..first + 150).collect();
        liar.record(&slots, &Head { state_bytes: MAX_STATE, ..head(u64::from(id), "a", 0) }, &state, &[]);
    }
    // Two VMs with one each: as much as two of the largest records.
    assert_eq!(liar.load().1, Loaded { taken: 2, refused: 4 });
}

#[test]
fn an_id_or_a_chain_counts_once() {
    let mut liar = Liar::new();
    liar.record(&[10], &head(7, "a", 0), b"", &[]);
    liar.record(&[11], &head(7, "b", 0), b"", &[]);
    liar.records.push(10);
    liar.records.extend([0, 1, 2, SLOTS, u32::MAX]);
    assert_eq!(liar.load().1, Loaded { taken: 1, refused: 7 });
}

#[test]
fn chains_that_go_in_circles_or_lie_about_their_length_end() {
    let spoil: [fn(&mut Page); 6] = [
        |page| page[..4].copy_from_slice(&10_u32.to_le_bytes()),
        |page| page[..4].copy_from_slice(&0_u32.to_le_bytes()),
        |page| page[..4].copy_from_slice(&2_u32.to_le_bytes()),
        |page| page[4..8].copy_from_slice(&0_u32.to_le_bytes()),
        |page| page[4..8].copy_from_slice(&u32::MAX.to_le_bytes()),
        |page| page[4..8].copy_from_slice(&9000_u32.to_le_bytes()),
    ];
    for spoil in spoil {
        let mut liar = Liar::new();
        let leaves = [(0, leaf(&[20])), (1, leaf(&[22]))];
        liar.record(&[10, 11], &Head { state_bytes: 5000, ..head(7, "a", 2) }, &[1; 5000], &leaves);
        assert_eq!(liar.load().1, Loaded { taken: 1, refused: 0 });
        spoil(&mut liar.pages.0[10]);
        assert_eq!(liar.load().1, Loaded { taken: 0, refused: 1 });
    }
}

#[test]
fn a_root_of_another_version_or_store_is_none() {
    let page = |change: fn(&mut Page)| {
        let mut page = Root { generation: 3, ids: 50, records: vec![FIRST] }.encode(SLOTS);
        change(&mut page);
        let digest = digest_of(&page[..PAGE - 32]);
        page[PAGE - 32..].copy_from_slice(&digest);
        Root::decode(&page, SLOTS)
    };
    assert_eq!(page(|_| {}).map(|root| (root.generation, root.records)), Some((3, vec![FIRST])));
    let changes: [fn(&mut Page); 5] = [
        |page| page[0] ^= 1,
        |page| page[8] = 1,
        |page| page[14] = 1,
        |page| page[31] = 0x40,
        |page| page[32] ^= 1,
    ];
    for change in changes {
        assert_eq!(page(change), None);
    }
    assert_eq!(Root::decode(&[], SLOTS), None);
}

#[test]
fn the_newer_root_counts_and_the_older_one_is_cleared() {
    let mut pages = Pages(vec![[0; PAGE]; SLOTS as usize]);
    for generation in 1..5 {
        let root = Root { generation, ids: 1, records: Vec::new() };
        root.write(SLOTS, &mut pages);
        assert_eq!(Root::read(SLOTS, &pages), Some(root));
        let cleared = ROOTS.iter().filter(|slot| *pages.get(**slot) == [0; PAGE]).count();
        assert_eq!(cleared, 1);
    }
    // Left between the two writes: both are there.
    pages.put(1, &Root { generation: 10, ids: 1, records: Vec::new() }.encode(SLOTS));
    pages.put(2, &Root { generation: 11, ids: 2, records: Vec::new() }.encode(SLOTS));
    assert_eq!(Root::read(SLOTS, &pages).map(|root| root.ids), Some(2));
}

#[test]
fn hostile_records_with_right_sums_do_no_harm() {
    let mut seed = 5_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let good = Box::new(head(7, "a", 1).encode(b"").unwrap());
    for _ in 0..20_000 {
        let mut bytes = (*good).clone();
        bytes.extend(Entry { number: 0, place: Place { slot: 20, sum: 1 }, digest: 2 }.encode());
        for _ in 0..1 + next() % 4 {
            let at = next() as usize % 80;
            bytes[at] = next() as u8;
        }
        bytes.truncate(bytes.len() - (next() % 3) as usize);
        bytes.extend(digest_of(&bytes));
        match Record::decode(&bytes, 100) {
            Ok(record) => assert!(record.head.id < 100 && record.entries().count() <= 1),
            Err(flaw) => assert_eq!(flaw, Flaw::Record),
        }
    }
}
