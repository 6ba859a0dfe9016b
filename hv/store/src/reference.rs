// SPDX-License-Identifier: MIT OR Apache-2.0
//! References to kernel objects, by physical address.

use abi::object::ObjectType;
use core::marker::PhantomData;
use core::num::NonZeroU64;
use core::ops::Deref;
use x86_machine::window;

/// First word of an object that contains capability slots, so that a slot tells what it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Tag {
    /// Not an object with slots.
    None = 0,
    /// A thread.
    Thread = 0x5448_5245_4144_0001,
    /// A guest space.
    GuestSpace = 0x4753_5041_4345_0002,
    /// A vCPU.
    Vcpu = 0x5643_5055_0000_0003,
}

/// A kernel object.
///
/// # Safety
/// All zero bytes are a valid value, all fields are cells or atomics, and the size is at most that
/// which retype gives to objects of `TYPE`.
pub unsafe trait Object: 'static {
    /// The type of the capabilities that name it.
    const TYPE: ObjectType;
}

/// A reference to an object of type `T`: its physical address.
pub struct Ref<T: Object> {
    address: NonZeroU64,
    object: PhantomData<fn() -> T>,
}

impl<T: Object> Ref<T> {
    /// The object that a capability names, if it names one of this type.
    #[must_use]
    pub fn from_cap(cap: &cap::Cap) -> Option<Self> {
        if cap.kind() != T::TYPE {
            return None;
        }
        Self::from_address(cap.object)
    }

    /// The object at an address that was taken from such a reference before (by [`Ref::address`]).
    #[must_use]
    pub fn from_address(address: u64) -> Option<Self> {
        Some(Self { address: NonZeroU64::new(address)?, object: PhantomData })
    }

    /// Its physical address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.address.get()
    }

    /// The object. The lifetime is that of the estate; claim 3 of the crate says why that is no
    /// lie.
    #[must_use]
    pub fn get(self) -> &'static T {
        // SAFETY: claims 1, 2 and 5 of the crate: the address is that of a `T` in mapped memory;
        // `T` is made of cells and atomics (contract of `Object`), so shared references to it may
        // coexist.
        unsafe { &*(window::to_virt(self.address.get()) as *const T) }
    }
}

impl<T: Object> Deref for Ref<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.get()
    }
}

impl<T: Object> Clone for Ref<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Object> Copy for Ref<T> {}

impl<T: Object> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl<T: Object> Eq for Ref<T> {}

impl<T: Object> core::fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}@{:#x}", T::TYPE, self.address)
    }
}
