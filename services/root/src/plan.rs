// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a partition consists of: the objects to make, and where each frame goes.

use alloc::vec::Vec;

use abi::object::{ObjectType, SLOT_BITS};
use abi::rights::Rights;
use abi::{CPtr, PAGE_BITS, PAGE_SIZE};
use api::handover::WINDOW_BITS;
use api::manifest;
use root::block::{self, Block};
use root::image::Image;
use rt::{layout, scratch};

/// Slots of a partition's CNode beside those for stores and VMs.
const BASE_SLOTS: u64 = 60;
/// log2 of the bytes set aside for the environment.
const ENVIRONMENT_BITS: u8 = 16;

/// log2 of the bytes of a large page.
const LARGE_BITS: u8 = 21;

/// What an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its CNode.
    Node,
    /// Its space.
    Space,
    /// Its thread.
    Thread,
    /// A Reply object.
    Reply,
    /// The vCPU with this number.
    Vcpu(u32),
    /// Its IPC buffer.
    IpcBuffer,
    /// A frame of the environment.
    Environment,
    /// A VMM's bounce frame.
    Bounce,
    /// Any other frame.
    Memory,
}

/// An object of the partition's own memory.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// What for.
    pub role: Role,
    /// Type.
    pub object: ObjectType,
    /// log2 of its bytes.
    pub bits: u8,
    /// For a frame: where it is mapped, and how.
    pub place: Option<(u64, Rights)>,
}

/// A frame of somebody else's memory that is mapped here too.
#[derive(Clone, Copy, Debug)]
pub struct Borrowed {
    /// The frame, in root's CSpace.
    pub cap: CPtr,
    /// Where.
    pub block: Block,
    /// How.
    pub rights: Rights,
}

/// The objects of a partition whose windows are `borrowed`.
pub fn parts(spec: &manifest::Partition, image: &Image<'_>, borrowed: &[Borrowed]) -> Vec<Part> {
    let read = Rights::READ;
    let write = Rights::READ.or(Rights::WRITE);
    let mut parts = Vec::new();
    for segment in &image.segments {
        add(&mut parts, Role::Memory, (segment.address, segment.end()), segment.rights, scratch::MAX_BITS);
    }
    let stack = layout::STACK_TOP - spec.stack_bytes;
    add(&mut parts, Role::Memory, (stack, layout::STACK_TOP), write, 30);
    add(&mut parts, Role::Memory, (layout::HEAP, layout::HEAP + spec.heap_bytes), write, 30);
    add_frame(&mut parts, Role::IpcBuffer, layout::IPC_BUFFER, PAGE_BITS, write);
    add_frame(&mut parts, Role::Environment, layout::ENVIRONMENT, ENVIRONMENT_BITS, read);
    let vcpus = spec.vm.as_ref().map_or(0, |vm| vm.vcpus);
    if vcpus > 0 {
        add_frame(&mut parts, Role::Bounce, layout::BOUNCE, layout::BOUNCE_BITS, write);
    }
    let mut object = |role, object, bits| parts.push(Part { role, object, bits, place: None });
    for number in 0..vcpus {
        object(Role::Vcpu(number), ObjectType::Vcpu, 14);
    }
    for _ in 0..spec.replies {
        object(Role::Reply, ObjectType::Reply, PAGE_BITS);
    }
    object(Role::Thread, ObjectType::Thread, PAGE_BITS);
    let slots = BASE_SLOTS + u64::from(spec.replies) + borrowed.len() as u64 + u64::from(vcpus);
    let node_bits = slots.next_power_of_two().ilog2() as u8 + SLOT_BITS;
    object(Role::Node, ObjectType::CNode, node_bits.max(PAGE_BITS));
    let space_bits = space_bits(&parts, spec, borrowed);
    parts.push(Part { role: Role::Space, object: ObjectType::HostSpace, bits: space_bits, place: None });
    parts
}

fn add(parts: &mut Vec<Part>, role: Role, (start, end): (u64, u64), rights: Rights, max_bits: u8) {
    for block in block::cover(start, end, max_bits) {
        add_frame(parts, role, block.address, block.bits, rights);
    }
}

fn add_frame(parts: &mut Vec<Part>, role: Role, address: u64, bits: u8, rights: Rights) {
    parts.push(Part { role, object: ObjectType::Frame, bits, place: Some((address, rights)) });
}

/// log2 of the bytes of a space for all that is mapped.
fn space_bits(parts: &[Part], spec: &manifest::Partition, borrowed: &[Borrowed]) -> u8 {
    let vcpus = spec.vm.as_ref().map_or(0, |vm| vm.vcpus);
    let own = parts.iter().filter_map(|part| Some(Block { address: part.place?.0, bits: part.bits }));
    let pages = (0..u64::from(vcpus))
        .map(|number| Block { address: layout::VCPU_PAGES + number * PAGE_SIZE, bits: PAGE_BITS });
    let windows = borrowed.iter().map(|window| window.block);
    // What a succession maps for a while.
    let handover = (vcpus > 0).then_some(Block { address: layout::HANDOVER, bits: WINDOW_BITS });
    let later = [
        Block { address: layout::BRIDGE, bits: WINDOW_BITS },
        Block { address: layout::CARVE_OUT, bits: LARGE_BITS },
    ];
    let later = later.into_iter().filter(|_| spec.succession);
    block::space_bits(block::table_count(own.chain(pages).chain(windows).chain(handover).chain(later)))
}
