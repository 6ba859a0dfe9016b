// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ledger as it lies in the bridge: two pages of atomic words.
//!
//! Owns the layout of version 1, in 64-bit words, least significant byte first: 0 magic, 1 version,
//! 2 shape (one byte each: VMs, vCPUs per VM, lines, CPUs, extents), 3 course, 4-15 zero, 16 CPUs
//! (64), 80 extents (224), 304 lines (160), 464 VMs (32), 496 vCPUs (16 per VM), 1008-1023 zero.
//!
//! Every access is one load or one compare-and-exchange. Ordering: an exchange releases what its
//! writer did before (state in the bridge, a CPU that is drained), a load acquires it; the pair is
//! the giver's offer and the taker's take.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::{Course, Party, Phase, Resource, Shape, State, Table, Word};

/// Words of the ledger: 8 KiB.
pub const LEDGER_WORDS: usize = 1024;
/// First word: `USledger`.
pub const LEDGER_MAGIC: u64 = u64::from_le_bytes(*b"USledger");
const LEDGER_VERSION: u64 = 1;
const VERSION_AT: usize = 1;
const SHAPE_AT: usize = 2;
const COURSE_AT: usize = 3;
const CPUS_AT: usize = 16;
const EXTENTS_AT: usize = 80;
const LINES_AT: usize = 304;
const VMS_AT: usize = 464;
const VCPUS_AT: usize = 496;

/// Why a ledger is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// Not a ledger, or of another version.
    Header,
    /// More resources than there are words for.
    Shape,
    /// A word that no party writes.
    Word,
    /// A word outside of the shape that is not zero.
    Reserved,
}

/// A ledger in shared memory.
pub struct SharedLedger<'a> {
    words: &'a [AtomicU64; LEDGER_WORDS],
    shape: Shape,
}

impl<'a> SharedLedger<'a> {
    /// Writes an empty ledger, before the other party can see it: the incumbent has everything,
    /// which is nothing yet.
    ///
    /// # Errors
    /// The shape has no room.
    pub fn create(
        words: &'a [AtomicU64; LEDGER_WORDS],
        shape: Shape,
        incumbent: Party,
    ) -> Result<Self, LayoutError> {
        if !shape.fits() {
            return Err(LayoutError::Shape);
        }
        words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let course = Course { incumbent, phase: Phase::Quiet, fallen: None, generation: 0 };
        let counts = [shape.vms, shape.vcpus, shape.lines, shape.cpus, shape.extents, 0, 0, 0];
        let header =
            [(VERSION_AT, LEDGER_VERSION), (SHAPE_AT, u64::from_le_bytes(counts)), (COURSE_AT, course.raw())];
        let ledger = Self { words, shape };
        for (at, value) in header {
            ledger.words[at].store(value, Ordering::Relaxed);
        }
        ledger.words[0].store(LEDGER_MAGIC, Ordering::Release);
        Ok(ledger)
    }

    /// Enters a resource, before the other party can see the ledger.
    ///
    /// # Errors
    /// There is no such word in the shape, or it is bound to a VM that is not.
    pub fn enter(&mut self, resource: Resource, word: Word) -> Result<(), LayoutError> {
        if let State::Bound(vm) = word.state
            && vm >= self.shape.vms
        {
            return Err(LayoutError::Shape);
        }
        self.cell(resource).ok_or(LayoutError::Shape)?.store(word.raw(), Ordering::Release);
        Ok(())
    }

    /// Takes a ledger that the other party wrote, after looking at every word.
    ///
    /// # Errors
    /// Something is not as a party of this version writes it.
    pub fn open(words: &'a [AtomicU64; LEDGER_WORDS]) -> Result<Self, LayoutError> {
        let load = |at: usize| words.get(at).map_or(0, |word| word.load(Ordering::Acquire));
        if load(0) != LEDGER_MAGIC || load(VERSION_AT) != LEDGER_VERSION {
            return Err(LayoutError::Header);
        }
        let [vms, vcpus, lines, cpus, extents, 0, 0, 0] = load(SHAPE_AT).to_le_bytes() else {
            return Err(LayoutError::Shape);
        };
        let shape = Shape { vms, vcpus, lines, cpus, extents };
        if !shape.fits() {
            return Err(LayoutError::Shape);
        }
        Course::read(load(COURSE_AT)).map_err(|_| LayoutError::Word)?;
        let ledger = Self { words, shape };
        let mut present = 0_usize;
        for resource in shape.all() {
            let raw = ledger.cell(resource).map_or(0, |cell| cell.load(Ordering::Acquire));
            let word = Word::read(raw).map_err(|_| LayoutError::Word)?;
            if matches!(word, Some(Word { state: State::Bound(vm), .. }) if vm >= vms || !can_bind(resource))
            {
                return Err(LayoutError::Word);
            }
            present += usize::from(word.is_some());
        }
        let written = (COURSE_AT + 1..LEDGER_WORDS).filter(|at| load(*at) != 0).count();
        if written == present { Ok(ledger) } else { Err(LayoutError::Reserved) }
    }

    /// Where the word of a resource lies, in bytes from the start of the ledger.
    #[must_use]
    pub fn offset(&self, resource: Resource) -> Option<u64> {
        let cell = core::ptr::from_ref(self.cell(resource)?).addr();
        cell.checked_sub(self.words.as_ptr().addr()).map(|bytes| bytes as u64)
    }

    fn cell(&self, resource: Resource) -> Option<&'a AtomicU64> {
        let shape = self.shape;
        let (inside, at) = match resource {
            Resource::Cpu(n) => (n < shape.cpus, CPUS_AT + usize::from(n)),
            Resource::Extent(n) => (n < shape.extents, EXTENTS_AT + usize::from(n)),
            Resource::Line(n) => (n < shape.lines, LINES_AT + usize::from(n)),
            Resource::Vm(n) => (n < shape.vms, VMS_AT + usize::from(n)),
            Resource::Vcpu(vm, n) => {
                (vm < shape.vms && n < shape.vcpus, VCPUS_AT + usize::from(vm) * 16 + usize::from(n))
            }
        };
        if inside { self.words.get(at) } else { None }
    }
}

const fn can_bind(resource: Resource) -> bool {
    match resource {
        Resource::Line(_) | Resource::Extent(_) => true,
        Resource::Vm(_) | Resource::Vcpu(..) | Resource::Cpu(_) => false,
    }
}

impl Table for SharedLedger<'_> {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn word(&self, resource: Resource) -> Option<Word> {
        Word::read(self.cell(resource)?.load(Ordering::Acquire)).ok().flatten()
    }

    fn exchange(&mut self, resource: Resource, old: Word, new: Word) -> bool {
        self.cell(resource).is_some_and(|cell| {
            cell.compare_exchange(old.raw(), new.raw(), Ordering::AcqRel, Ordering::Acquire).is_ok()
        })
    }

    fn course(&self) -> Option<Course> {
        Course::read(self.words[COURSE_AT].load(Ordering::Acquire)).ok()
    }

    fn exchange_course(&mut self, old: Course, new: Course) -> bool {
        let cell = &self.words[COURSE_AT];
        cell.compare_exchange(old.raw(), new.raw(), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
