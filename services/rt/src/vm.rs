// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual machines: GuestSpace and Vcpu, and a vCPU together with its page.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::error::Error;
use abi::invocation::Invocation;
use abi::vcpu::{Exit, VcpuPage};
use api::Environment;

use crate::cap::{Cap, Endpoint, Frame, GuestSpace, HostSpace, Vcpu};
use crate::{ipc, layout, syscall};

/// One step of reading the books of written pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Harvest {
    /// Address of the page that the lowest bit stands for; no page before it was written.
    pub first: u64,
    /// Address after the last page covered.
    pub next: u64,
    /// Whether the end was not reached.
    pub more: bool,
}

impl Cap<GuestSpace> {
    /// Seals all guest memory; returns the new epoch.
    ///
    /// # Errors
    /// See [`Invocation::GuestSeal`].
    pub fn seal(self) -> Result<u64, Error> {
        self.invoke(Invocation::GuestSeal, [0; 4]).map(|words| words[0])
    }

    /// Seals all guest memory, with another pager from then on; returns the new epoch.
    ///
    /// # Errors
    /// See [`Invocation::GuestSeal`].
    pub fn seal_for(self, pager: Cap<Endpoint>) -> Result<u64, Error> {
        self.invoke(Invocation::GuestSeal, [pager.cptr(), 0, 0, 0]).map(|words| words[0])
    }

    /// Lets the page at `address` be written.
    ///
    /// # Errors
    /// See [`Invocation::GuestUnseal`].
    pub fn unseal(self, address: u64) -> Result<(), Error> {
        self.invoke(Invocation::GuestUnseal, [address, 0, 0, 0]).map(|_| ())
    }

    /// Says who is asked before a sealed page is written; `None`: nobody, the core unseals.
    ///
    /// # Errors
    /// See [`Invocation::GuestSetPager`].
    pub fn set_pager(self, pager: Option<Cap<Endpoint>>) -> Result<(), Error> {
        self.invoke(Invocation::GuestSetPager, [pager.map_or(0, Cap::cptr), 0, 0, 0]).map(|_| ())
    }

    /// Reads the books of `epoch` of the pages of `range` into `bits`, a bit per page, and forgets
    /// them if `forget`. `bits` takes at most 476 words; words that the core did not send are
    /// cleared.
    ///
    /// # Errors
    /// See [`Invocation::GuestHarvest`].
    pub fn harvest(
        self,
        range: Range<u64>,
        epoch: u64,
        forget: bool,
        bits: &mut [u64],
    ) -> Result<Harvest, Error> {
        let words =
            self.invoke(Invocation::GuestHarvest, [range.start, epoch, u64::from(forget), range.end])?;
        let [next, more, first, present] = words;
        let present = usize::try_from(present).unwrap_or(usize::MAX).min(bits.len());
        let (sent, rest) = bits.split_at_mut(present);
        for (index, bit) in sent.iter_mut().enumerate() {
            *bit = ipc::read_word(4 + index);
        }
        rest.fill(0);
        Ok(Harvest { first, next, more: more != 0 })
    }

    /// Writes `size` bytes (at most a page) of `frame` from `offset` on to guest-physical
    /// `address`, as a vCPU would.
    ///
    /// # Errors
    /// See [`Invocation::GuestWrite`].
    pub fn write(self, address: u64, frame: Cap<Frame>, offset: u64, size: u64) -> Result<(), Error> {
        self.invoke(Invocation::GuestWrite, [address, frame.cptr(), offset, size]).map(|_| ())
    }
}

impl Cap<Vcpu> {
    /// Gives it its guest memory.
    ///
    /// # Errors
    /// See [`Invocation::VcpuConfigure`].
    pub fn configure(self, space: Cap<GuestSpace>) -> Result<(), Error> {
        self.invoke(Invocation::VcpuConfigure, [space.cptr(), 0, 0, 0]).map(|_| ())
    }

    /// Maps its page.
    ///
    /// # Errors
    /// See [`Invocation::VcpuMapPage`].
    pub fn map_page(self, space: Cap<HostSpace>, address: u64) -> Result<(), Error> {
        self.invoke(Invocation::VcpuMapPage, [space.cptr(), address, 0, 0]).map(|_| ())
    }

    /// Makes its run return.
    ///
    /// # Errors
    /// See [`Invocation::VcpuKick`].
    pub fn kick(self) -> Result<(), Error> {
        self.invoke(Invocation::VcpuKick, [0; 4]).map(|_| ())
    }
}

/// A vCPU and its page: the page belongs to whoever holds this, except during [`VirtualCpu::run`],
/// [`VirtualCpu::export`] and [`VirtualCpu::import`].
pub struct VirtualCpu {
    cap: Cap<Vcpu>,
    page: &'static mut VcpuPage,
}

/// vCPU pages that have been taken, a bit each.
static TAKEN: AtomicU64 = AtomicU64::new(0);

impl VirtualCpu {
    /// vCPU `number` of the service's VM; `None` where there is none or it was taken before.
    #[must_use]
    pub fn take(environment: &'static Environment, number: u32) -> Option<Self> {
        let vm = environment.vm.as_ref()?;
        let cap = Cap::named(environment, &alloc::format!("vcpu{number}"))?;
        if number >= vm.vcpus {
            return None;
        }
        // SAFETY: Root has mapped a page for each vCPU of the VM there before the service started.
        unsafe { Self::at(cap, layout::VCPU_PAGES + u64::from(number) * abi::PAGE_SIZE, number) }
    }

    /// The vCPU whose page is mapped at `address`; `None` where that `number` (below 64) was taken
    /// before.
    ///
    /// # Safety
    /// The page of `cap` must be mapped at `address`, for good, and nothing else may be at that
    /// address.
    pub unsafe fn at(cap: Cap<Vcpu>, address: u64, number: u32) -> Option<Self> {
        let bit = 1u64.checked_shl(number)?;
        if TAKEN.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return None;
        }
        // SAFETY: Mapped, aligned and exclusive as the caller promises; every bit pattern is a
        // `VcpuPage`.
        let page = unsafe { &mut *(address as *mut VcpuPage) };
        Some(Self { cap, page })
    }

    /// The capability.
    #[must_use]
    pub fn cap(&self) -> Cap<Vcpu> {
        self.cap
    }

    /// The page.
    #[must_use]
    pub fn page(&self) -> &VcpuPage {
        self.page
    }

    /// The page, to be changed.
    pub fn page_mut(&mut self) -> &mut VcpuPage {
        self.page
    }

    /// Runs the vCPU until its next exit.
    ///
    /// # Errors
    /// As the core says.
    pub fn run(&mut self) -> Result<Exit, Error> {
        self.expose();
        syscall::vcpu_run(self.cap.cptr())?;
        self.expose();
        Ok(Exit::from_number(self.page.exit))
    }

    /// Copies groups of state out of the vCPU into the page.
    ///
    /// # Errors
    /// See [`Invocation::VcpuExport`].
    pub fn export(&mut self, groups: u64) -> Result<(), Error> {
        self.expose();
        let done = self.cap.invoke(Invocation::VcpuExport, [groups, 0, 0, 0]).map(|_| ());
        self.expose();
        done
    }

    /// Copies groups of state from the page into the vCPU.
    ///
    /// # Errors
    /// See [`Invocation::VcpuImport`].
    pub fn import(&mut self, groups: u64) -> Result<(), Error> {
        self.expose();
        let done = self.cap.invoke(Invocation::VcpuImport, [groups, 0, 0, 0]).map(|_| ());
        self.expose();
        done
    }

    /// Tells the compiler that somebody else reads and writes the page here.
    fn expose(&mut self) {
        let page: *mut VcpuPage = self.page;
        // SAFETY: An empty instruction; the pointer is passed so that the compiler writes back what
        // it holds of the page and reads it again.
        unsafe { core::arch::asm!("/* {} */", in(reg) page, options(nostack, preserves_flags)) };
    }
}
