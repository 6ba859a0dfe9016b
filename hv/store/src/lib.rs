// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that becomes kernel objects.
//!
//! Owns the layout of every kernel object and the only way from a physical address to one. The
//! kernel itself contains no unsafe code; what makes that possible is argued here once, in numbered
//! claims:
//!
//! 1. *Every object is valid when its memory is zero.* Objects consist of cells and atomics of
//!    plain numbers, optional references (zero is `None`) and enums whose zero is a value. Untyped
//!    memory is cleared before it is retyped.
//! 2. *A [`Ref`] names an object of its type.* The kernel makes one only from a capability of that
//!    type ([`Ref::from_cap`]), and such a capability is written only by retype, by derivation from
//!    another one, and at boot.
//! 3. *No reference outlives its object.* An object dies when its last capability is deleted, which
//!    happens with every other CPU stopped outside of any operation; the kernel's finaliser takes
//!    the object out of every queue, cache and link first. Local variables do not survive an
//!    operation.
//! 4. *No two CPUs touch the same cell at once.* The cells of an object belong to its home CPU, or
//!    to the holder of the capability lock while the home CPU is stopped; whatever is shared
//!    without that is an atomic. Cells change hands by an inbox, or by the word that names the home
//!    ([`queue::Home`]), each released by the one and acquired by the other. See
//!    `docs/adr/0010-no-partition-stops-another.md`.
//! 5. *Objects are always reached by the physical window*, which maps every page of the estate.
//!    Memory leaves it with the world stopped, and only when nothing is made of it: no object, no
//!    mapping, no second capability ([`move_away`]). Even a reference that broke claim 3 would read
//!    memory, or fault if that has left; what it read would be a number, never a pointer that Rust
//!    relies on for more than claim 2.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

mod away;
mod endpoint;
mod frame;
mod interrupt;
mod notification;
mod percpu;
mod reference;
mod slot;
mod space;
mod spaces;
mod thread;
mod vcpu;

pub use away::{away_slot, free_away_slot, is_away, move_away};
pub use endpoint::{Endpoint, Reply};
pub use frame::{clear, copy, copy_words, read_word, write_boot_info, write_word};
pub use interrupt::{LINES, Line, line, line_of_slot};
pub use notification::Notification;
pub use percpu::PerCpu;
pub use reference::{Object, Ref, Tag};
pub use slot::{Container, SlotArray, SlotMemory, container, peek, slot_at};
pub use space::{GuestSpace, HostSpace, Pool, Tables};
pub use spaces::{AnySpace, enter_space, leave_space, numbers_left, space_of};
pub use thread::{QueueLinks, Thread, ThreadSlot, ThreadState, TimeLinks, Wait};
pub use vcpu::Vcpu;
