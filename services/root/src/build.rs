// SPDX-License-Identifier: MIT OR Apache-2.0
//! Building a partition: from a plan to a thread that can start.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use abi::rights::Rights;
use abi::{CPtr, PAGE_SIZE};
use api::environment::{Environment, Window};
use api::log_ring;
use root::block::Block;
use root::image::{self, Image};
use root::{archive, pack};
use rt::cap::{CNode, Cpu, Frame, HostSpace, Notification, Reply, Thread, Untyped, Vcpu};
use rt::thread::Start;
use rt::{Cap, layout};

use crate::estate::Estate;
use crate::failure::{Failure, Result, core};
use crate::grant;
use crate::partition::Partition;
use crate::plan::{self, Borrowed, Part, Role};
use crate::system::System;

/// The objects of a partition under construction, by what they are for; slots of root's.
pub struct Made {
    /// Its CNode.
    pub node: Cap<CNode>,
    /// Its space.
    pub space: Cap<HostSpace>,
    /// Its thread.
    pub thread: Cap<Thread>,
    /// Its Reply objects.
    pub replies: Vec<Cap<Reply>>,
    /// Its vCPUs.
    pub vcpus: BTreeMap<u32, Cap<Vcpu>>,
    /// Its IPC buffer.
    pub ipc_buffer: Cap<Frame>,
    /// Its bounce frame, for a VMM.
    pub bounce: Option<Cap<Frame>>,
    /// The frame of its environment.
    environment: Cap<Frame>,
    /// All frames of its own and where they go.
    frames: Vec<(Cap<Frame>, Part)>,
}

/// Where a partition sees what it borrows.
#[derive(Default)]
pub struct Windows {
    /// Kernel image of its VM.
    pub kernel: Window,
    /// Initial file system of its VM.
    pub initrd: Window,
    /// All frames.
    borrowed: Vec<Borrowed>,
}

/// Builds the partition at place `index` and starts it. If that fails, nothing of it remains.
pub fn start(system: &mut System, index: usize) -> Result<()> {
    let built = build(system, index);
    if built.is_err() {
        let System { estate, partitions, .. } = system;
        partitions[index].tear_down(estate)?;
    }
    built
}

fn build(system: &mut System, index: usize) -> Result<()> {
    let windows = windows(system, index)?;
    let System { estate, partitions, services, .. } = system;
    let partition = &mut partitions[index];
    let file = archive::find(services, &partition.spec.image)
        .ok_or_else(|| Failure::new(alloc::format!("there is no image {:?}", partition.spec.image)))?;
    let image = image::read(file).map_err(|flaw| Failure::new(alloc::format!("image: {flaw}")))?;
    let made = make(estate, partition, plan::parts(&partition.spec, &image, &windows.borrowed))?;
    map_own(estate, &made, &image)?;
    map_borrowed(estate, partition, &made, &windows)?;
    let environment = grant::all(system, index, &made, &windows)?;
    let System { estate, partitions, cpus, .. } = system;
    let partition = &mut partitions[index];
    write_environment(estate, &made, partition, &environment)?;
    let cpu = cpus.get(environment.cpu as usize).ok_or_else(|| Failure::new("there is no CPU"))?;
    configure(&made, partition, image.entry, cpu.cap).map_err(core("configure the thread"))?;
    partition.thread = Some(made.thread);
    partition.node = Some(made.node);
    partition.space = Some(made.space);
    partition.cpu = environment.cpu as usize;
    made.thread.start().map_err(core("start the thread"))
}

/// What it borrows: guest memory and boot modules of its VM; guest memory of the VMs it
/// checkpoints; its store.
fn windows(system: &System, index: usize) -> Result<Windows> {
    let mut windows = Windows::default();
    let partition = &system.partitions[index];
    if let Some(vm) = &partition.spec.vm {
        let told = partition.arrival.as_ref();
        let (kernel, initrd) = told.map_or((&vm.kernel, &vm.initrd), |told| (&told.kernel, &told.initrd));
        windows.kernel = lend_module(system, &mut windows.borrowed, kernel, 0)?;
        if !initrd.is_empty() {
            windows.initrd = lend_module(system, &mut windows.borrowed, initrd, 1)?;
        }
    }
    for (vm_index, vm) in system.vms() {
        let own = core::ptr::eq(vm, partition);
        let Some(guest) = &vm.guest else { continue };
        if own || partition.spec.checkpoints.contains(&vm.spec.name) {
            let base = layout::GUEST + u64::from(vm_index) * layout::GUEST_STRIDE;
            windows.borrowed.extend(guest.frames.iter().map(|&(cap, block)| Borrowed {
                cap: cap.cptr(),
                block: Block { address: base + block.address, bits: block.bits },
                rights: Rights::READ,
            }));
        }
    }
    let rights = Rights::READ.or(Rights::WRITE);
    let logs = partition.log.iter().map(|&(cap, block)| (cap, block));
    let logs = logs.chain(system.logs_for(partition).flat_map(|(index, writer)| {
        let base = log_window(index).va - layout::LOG;
        let moved = move |block: Block| Block { address: base + block.address, bits: block.bits };
        writer.log.iter().map(move |&(cap, block)| (cap, moved(block)))
    }));
    windows.borrowed.extend(logs.map(|(cap, block)| Borrowed { cap: cap.cptr(), block, rights }));
    let store = partition.store.iter();
    windows.borrowed.extend(store.map(|&(cap, block)| Borrowed { cap: cap.cptr(), block, rights }));
    Ok(windows)
}

/// Where the console sees the ring of the partition at place `index`.
pub fn log_window(index: usize) -> Window {
    Window { va: layout::LOGS + index as u64 * layout::LOG_STRIDE, size: log_ring::BYTES }
}

fn lend_module(system: &System, borrowed: &mut Vec<Borrowed>, name: &str, number: u64) -> Result<Window> {
    let missing = || Failure::new(alloc::format!("there is no module {name:?}"));
    let placed = system.modules.iter().find(|module| module.name == name).ok_or_else(missing)?.place(number);
    let frames = placed.frames.into_iter();
    borrowed.extend(frames.map(|(cap, block)| Borrowed { cap, block, rights: Rights::READ }));
    Ok(placed.window)
}

/// Takes all of these pieces of memory, or none: with some of them the partition could never be
/// made.
fn take_pieces(estate: &mut Estate, sizes: impl IntoIterator<Item = u8>) -> Result<Vec<(Cap<Untyped>, u8)>> {
    let mut pieces = Vec::new();
    for bits in sizes {
        match estate.untyped(bits) {
            Ok(piece) => pieces.push((piece, bits)),
            Err(failure) => {
                for (piece, bits) in pieces {
                    let address = piece.describe().map_err(core("describe memory"))?.base;
                    estate.add(piece, Block { address, bits });
                }
                return Err(failure);
            }
        }
    }
    Ok(pieces)
}

/// Makes the objects, out of memory that is taken at the first time.
fn make(estate: &mut Estate, partition: &mut Partition, parts: Vec<Part>) -> Result<Made> {
    let sizes: Vec<u8> = parts.iter().map(|part| part.bits).collect();
    if partition.pieces.is_empty() {
        partition.pieces = take_pieces(estate, pack::pieces(sizes.iter().map(|&bits| 1u64 << bits).sum()))?;
    }
    let pieces: Vec<u8> = partition.pieces.iter().map(|&(_, bits)| bits).collect();
    let placed = pack::place(&sizes, &pieces)
        .ok_or_else(|| Failure::new("it has grown since it was started first"))?;
    let mut slots: BTreeMap<usize, CPtr> = BTreeMap::new();
    for (part, piece) in placed {
        let cptr = estate.make(partition.pieces[piece].0, parts[part].object, parts[part].bits)?;
        partition.slots.push(cptr);
        slots.insert(part, cptr);
    }
    sort(&parts, &slots).ok_or_else(|| Failure::new("the plan lacks a part"))
}

fn sort(parts: &[Part], slots: &BTreeMap<usize, CPtr>) -> Option<Made> {
    let of = |role: Role| {
        let found = parts.iter().enumerate().filter(move |(_, part)| part.role == role);
        found.filter_map(|(index, _)| slots.get(&index).copied())
    };
    let frames = parts.iter().enumerate().filter(|(_, part)| part.place.is_some());
    let vcpus = parts.iter().enumerate().filter_map(|(index, part)| match part.role {
        Role::Vcpu(number) => Some((number, Cap::new(*slots.get(&index)?))),
        _ => None,
    });
    Some(Made {
        node: Cap::new(of(Role::Node).next()?),
        space: Cap::new(of(Role::Space).next()?),
        thread: Cap::new(of(Role::Thread).next()?),
        replies: of(Role::Reply).map(Cap::new).collect(),
        vcpus: vcpus.collect(),
        ipc_buffer: Cap::new(of(Role::IpcBuffer).next()?),
        bounce: of(Role::Bounce).next().map(Cap::new),
        environment: Cap::new(of(Role::Environment).next()?),
        frames: frames.filter_map(|(index, part)| Some((Cap::new(*slots.get(&index)?), *part))).collect(),
    })
}

/// Fills and maps its own frames, all but the environment, which is not known yet.
fn map_own(estate: &mut Estate, made: &Made, image: &Image<'_>) -> Result<()> {
    for (frame, part) in &made.frames {
        let Some((address, rights)) = part.place else { continue };
        if *frame == made.environment {
            continue;
        }
        for segment in &image.segments {
            let (at, data) = segment.data_in(address, 1 << part.bits);
            if data.is_empty() {
                continue;
            }
            let copy = |bytes: &mut [u8]| {
                let at = at as usize;
                if let Some(target) = bytes.get_mut(at..at + data.len()) {
                    target.copy_from_slice(data);
                }
            };
            estate.fill(*frame, copy)?;
        }
        frame.map(made.space, address, rights).map_err(core("map a frame"))?;
    }
    Ok(())
}

fn map_borrowed(
    estate: &mut Estate,
    partition: &mut Partition,
    made: &Made,
    windows: &Windows,
) -> Result<()> {
    for window in &windows.borrowed {
        let copy = estate.derive(window.cap, window.rights, 0)?;
        partition.slots.push(copy);
        let copy: Cap<Frame> = Cap::new(copy);
        copy.map(made.space, window.block.address, window.rights).map_err(core("map a window"))?;
    }
    for (&number, vcpu) in &made.vcpus {
        let address = layout::VCPU_PAGES + u64::from(number) * PAGE_SIZE;
        vcpu.map_page(made.space, address).map_err(core("map a vCPU's page"))?;
        if let Some(guest) = &partition.guest {
            vcpu.configure(guest.space).map_err(core("configure a vCPU"))?;
        }
    }
    Ok(())
}

fn write_environment(
    estate: &mut Estate,
    made: &Made,
    partition: &Partition,
    environment: &Environment,
) -> Result<()> {
    let encoded =
        postcard::to_allocvec(environment).map_err(|_| Failure::new("cannot encode the environment"))?;
    let header = [encoded.len() as u64, partition.spec.heap_bytes];
    let fill = |bytes: &mut [u8]| {
        let (head, body) = bytes.split_at_mut_checked(layout::ENVIRONMENT_HEADER)?;
        for (word, target) in header.iter().zip(head.chunks_exact_mut(8)) {
            target.copy_from_slice(&word.to_le_bytes());
        }
        body.get_mut(..encoded.len()).map(|body| body.copy_from_slice(&encoded))
    };
    estate.fill(made.environment, fill)?.ok_or_else(|| Failure::new("the environment is too long"))?;
    let mapped = made.environment.map(made.space, layout::ENVIRONMENT, Rights::READ);
    mapped.map_err(core("map the environment"))
}

fn configure(
    made: &Made,
    partition: &Partition,
    entry: u64,
    cpu: Cap<Cpu>,
) -> core::result::Result<(), rt::Error> {
    let thread = made.thread;
    thread.configure(made.node, made.space, made.ipc_buffer, Some(partition.faults))?;
    thread.set_schedule(partition.spec.priority, 0)?;
    thread.set_cpu(cpu)?;
    let doorbell: Cap<Notification> = partition.doorbell;
    thread.bind_notification(Some(doorbell))?;
    thread.write_registers(Start {
        rip: entry,
        rsp: layout::STACK_TOP,
        rdi: layout::ENVIRONMENT,
        rsi: layout::IPC_BUFFER,
        fs_base: 0,
    })
}
