// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service on guests and a store that are models.

mod again;
mod failure;
mod life;
mod protocol;
mod random;

use std::cell::Cell;
use std::ops::Range;
use std::vec;
use std::vec::Vec;

use api::checkpoint::{Info, Refusal, Reply, Request, StoreInfo};
use api::{Badge, CONTROL};

use crate::store::ZERO;
use crate::{Answer, Books, Harvest, Loaded, Outside, PAGE, Page, Service, VmSetup};

const OPERATOR: Badge = CONTROL | 50;

/// A guest: each page is one number, repeated.
#[derive(Clone)]
struct Guest {
    pages: Vec<u64>,
    sealed: Vec<bool>,
    written: [Vec<bool>; 2],
    epoch: u64,
    pager: bool,
}

/// The outside as a model.
struct World {
    guests: Vec<Guest>,
    store: Vec<Page>,
    calls: u64,
    /// Guest pages that were read.
    reads: Cell<u64>,
    /// The last one.
    last: Cell<(usize, u64)>,
    /// Every call that can be refused is, while this is set.
    refuse: bool,
    /// The call with this number is refused.
    refuse_at: Option<u64>,
}

fn page_of(number: u64) -> Page {
    let mut page = [0; PAGE];
    page.as_chunks_mut::<8>().0.iter_mut().for_each(|word| *word = number.to_le_bytes());
    page
}

impl Guest {
    fn new(pages: usize) -> Self {
        let written = [vec![true; pages], vec![false; pages]];
        Self { pages: vec![0; pages], sealed: vec![false; pages], written, epoch: 0, pager: false }
    }

    fn unseal(&mut self, page: usize) {
        self.sealed[page] = false;
        self.written[(self.epoch & 1) as usize][page] = true;
    }
}

impl World {
    fn refused(&mut self) -> Result<(), u64> {
        self.calls += 1;
        if self.refuse || self.refuse_at == Some(self.calls) { Err(4) } else { Ok(()) }
    }
}

impl Outside for World {
    fn seal(&mut self, vm: usize) -> Result<u64, u64> {
        self.refused()?;
        let guest = &mut self.guests[vm];
        guest.sealed.fill(true);
        guest.epoch += 1;
        Ok(guest.epoch)
    }

    fn unseal(&mut self, vm: usize, page: u64) -> Result<(), u64> {
        self.refused()?;
        self.guests[vm].unseal(page as usize);
        Ok(())
    }

    fn set_pager(&mut self, vm: usize, here: bool) -> Result<(), u64> {
        // The core refuses to take a pager away only where the space is gone.
        if here || self.refuse {
            self.refused()?;
        }
        self.guests[vm].pager = here;
        Ok(())
    }

    fn harvest(
        &mut self,
        vm: usize,
        pages: Range<u64>,
        books: Books,
        bits: &mut [u64],
    ) -> Result<Harvest, u64> {
        self.refused()?;
        let guest = &mut self.guests[vm];
        let before = books.epoch + 1 == guest.epoch;
        assert!(before || books.epoch == guest.epoch && !books.forget, "the core would refuse these books");
        assert_eq!(pages.end as usize, guest.pages.len());
        bits.fill(0);
        let written = &mut guest.written[(books.epoch & 1) as usize][..pages.end as usize];
        let found = written.iter().skip(pages.start as usize).position(|written| *written);
        let first = found.map_or(pages.start, |at| (pages.start + at as u64) / 64 * 64);
        let next = pages.end.min(first + 128);
        for (at, written) in written.iter_mut().enumerate().take(next as usize).skip(first as usize) {
            let at = at - first as usize;
            bits[at / 64] |= u64::from(*written) << (at % 64);
            *written &= !books.forget;
        }
        Ok(Harvest { first, next: (next < pages.end).then_some(next) })
    }

    fn is_same(&self, vm: usize, page: u64, slot: u32) -> bool {
        // A page that is looked at twice counts once.
        self.reads.set(self.reads.get() + u64::from(self.last.replace((vm, page)) != (vm, page)));
        page_of(self.guests[vm].pages[page as usize]) == self.store[slot as usize]
    }

    fn save(&mut self, vm: usize, page: u64, slot: u32) {
        self.put(slot, &page_of(self.guests[vm].pages[page as usize]));
    }

    fn write_guest(&mut self, vm: usize, page: u64, slot: u32) -> Result<(), u64> {
        self.refused()?;
        let contents = self.store[slot as usize];
        let guest = &mut self.guests[vm];
        assert!(!(guest.sealed[page as usize] && guest.pager), "the service would wait for itself");
        guest.unseal(page as usize);
        let number = u64::from_le_bytes(contents.as_chunks::<8>().0[0]);
        assert!(contents == page_of(number), "no page is torn");
        guest.pages[page as usize] = number;
        Ok(())
    }

    fn put(&mut self, slot: u32, page: &Page) {
        assert!(slot != ZERO, "the zero page stays zero");
        self.store[slot as usize] = *page;
    }

    fn get(&self, slot: u32) -> &[u8] {
        self.store.get(slot as usize).map_or(&[], |page| page)
    }
}

/// VMs with so many pages each.
fn setups(guests: &[usize], quota: u32) -> Vec<VmSetup> {
    let setup = |(index, pages): (usize, &usize)| VmSetup {
        name: std::format!("vm{index}"),
        badge: index as u64 + 1,
        pages: *pages as u64,
        quota,
    };
    guests.iter().enumerate().map(setup).collect()
}

/// Service and world together. The badge of VM i is i + 1.
struct Test {
    service: Service,
    world: World,
}

impl Test {
    fn new(guests: &[usize], quota: u32, slots: u32) -> Self {
        let vms = setups(guests, quota);
        let guests = guests.iter().map(|pages| Guest::new(*pages)).collect();
        let store = vec![[0; PAGE]; slots as usize];
        let mut world = World {
            guests,
            store,
            calls: 0,
            reads: Cell::new(0),
            last: Cell::new((usize::MAX, 0)),
            refuse: false,
            refuse_at: None,
        };
        let mut service = Service::new(vms, slots, 1);
        service.start(&mut world);
        Self { service, world }
    }

    /// Another service has the store from now on, whatever this one was doing.
    fn again(&mut self, vms: Vec<VmSetup>) -> Loaded {
        let slots = self.world.store.len() as u32;
        self.service = Service::new(vms, slots, 1);
        self.service.start(&mut self.world)
    }

    fn ask(&mut self, badge: Badge, request: Request) -> Reply {
        match self.service.request(badge, request, 0, &mut self.world) {
            Answer::Now(reply) => reply,
            Answer::Later => loop {
                if let Some((whom, reply)) = self.service.finished() {
                    assert_eq!(whom, badge);
                    return reply;
                }
                assert!(self.service.has_work(), "an answer is owed");
                self.service.step(&mut self.world);
            },
        }
    }

    /// All of a VMM's side, up to the commit.
    fn begin(&mut self, vm: usize, state: &[u8]) -> Result<u64, Refusal> {
        let badge = vm as u64 + 1;
        let id = match self.ask(badge, Request::Begin) {
            Reply::Begun { id } => id,
            Reply::Refused(why) => return Err(why),
            other => panic!("{other:?}"),
        };
        let mut offset = 0;
        for part in state.chunks(1000) {
            let bytes = part.to_vec();
            assert_eq!(self.ask(badge, Request::PutState { id, offset, bytes }), Reply::Done);
            offset += part.len() as u32;
        }
        match self.ask(badge, Request::Commit { id }) {
            Reply::Done => Ok(id),
            Reply::Refused(why) => Err(why),
            other => panic!("{other:?}"),
        }
    }

    /// Takes all steps that there are.
    fn finish(&mut self) {
        while self.service.has_work() {
            self.service.step(&mut self.world);
        }
    }

    fn checkpoint(&mut self, vm: usize, state: &[u8]) -> u64 {
        let id = self.begin(vm, state).unwrap();
        self.finish();
        id
    }

    fn state(&mut self, vm: usize, id: u64) -> Vec<u8> {
        let mut state = Vec::new();
        loop {
            let request = Request::GetState { id, offset: state.len() as u32 };
            let Reply::State { total, bytes } = self.ask(vm as u64 + 1, request) else { panic!("no state") };
            if bytes.is_empty() {
                assert_eq!(state.len(), total as usize);
                return state;
            }
            state.extend(bytes);
        }
    }

    /// Pages written for it.
    fn restore(&mut self, vm: usize, id: u64) -> u64 {
        match self.ask(vm as u64 + 1, Request::Restore { id }) {
            Reply::Restored { pages } => pages,
            other => panic!("{other:?}"),
        }
    }

    /// The guest writes: a sealed page goes to the service if that is the pager.
    fn write(&mut self, vm: usize, page: usize, number: u64) {
        let guest = &mut self.world.guests[vm];
        if guest.sealed[page] {
            if guest.pager {
                let address = (page as u64) << 12 | 0x123;
                assert!(self.service.sealed_write(vm as u64 + 1, address, &mut self.world));
                assert!(!self.world.guests[vm].sealed[page], "the writer can go on");
            } else {
                guest.unseal(page);
            }
        }
        self.world.guests[vm].pages[page] = number;
    }

    /// Guest pages that were read since the last time.
    fn take_reads(&self) -> u64 {
        self.world.reads.take()
    }

    fn pages(&self, vm: usize) -> Vec<u64> {
        self.world.guests[vm].pages.clone()
    }

    fn store(&mut self) -> StoreInfo {
        let Reply::Store(info) = self.ask(OPERATOR, Request::Store) else { panic!("no store") };
        info
    }

    fn info(&mut self, id: u64) -> Info {
        let Reply::List(list) = self.ask(OPERATOR, Request::List { from: id }) else { panic!("no list") };
        list.into_iter().next().filter(|info| info.id == id).unwrap()
    }
}
