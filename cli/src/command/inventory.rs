// SPDX-License-Identifier: MIT OR Apache-2.0
//! `inventory`: the machine, and who has what.

use abi::boot::RegionKind;
use api::checkpoint::StoreInfo;
use api::root::{Inventory, Process, Region};
use serde::Serialize;

use super::Output;
use crate::{Failure, System, text};

#[derive(Serialize)]
struct View<'a> {
    cpus: Vec<Cpu<'a>>,
    memory: Memory<'a>,
    regions: Vec<RegionView>,
    modules: &'a [String],
    abi_version: u32,
    tsc_khz: u64,
    boot_us: Option<u64>,
    rendezvous: u64,
    virtualization: bool,
    no_virtualization: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_store: Option<Store>,
}

#[derive(Serialize)]
struct Cpu<'a> {
    index: usize,
    apic_id: u32,
    partitions: Vec<&'a str>,
}

#[derive(Serialize)]
struct Memory<'a> {
    total_bytes: u64,
    free_bytes: u64,
    owners: Vec<Owner<'a>>,
}

#[derive(Serialize)]
struct Owner<'a> {
    name: &'a str,
    bytes: u64,
}

#[derive(Serialize)]
struct RegionView {
    base: u64,
    size: u64,
    kind: &'static str,
}

#[derive(Serialize)]
struct Store {
    pages: u64,
    used: u64,
    referenced: u64,
}

/// The command.
pub fn inventory(system: &mut System, output: &mut Output<'_>) -> Result<(), Failure> {
    let inventory = system.inventory()?;
    let regions = system.regions()?;
    let processes = system.partitions()?;
    // The page store is worth a line, but not a failure.
    let store = system.store().ok();
    let view = view(&inventory, &regions, &processes, store);
    if output.json { output.json(&view) } else { print(&view, output) }
}

fn view<'a>(
    inventory: &'a Inventory,
    regions: &[Region],
    processes: &'a [Process],
    store: Option<StoreInfo>,
) -> View<'a> {
    let count = inventory.apic_ids.len().max(1);
    let cpus = inventory.apic_ids.iter().enumerate().map(|(index, &apic_id)| {
        let here = processes.iter().filter(|process| process.cpu as usize % count == index);
        Cpu { index, apic_id, partitions: here.map(|process| process.name.as_str()).collect() }
    });
    let owners = processes.iter().map(|process| Owner { name: &process.name, bytes: process.memory_bytes });
    let reason = &inventory.no_virtualization;
    View {
        cpus: cpus.collect(),
        memory: Memory {
            total_bytes: inventory.memory_bytes,
            free_bytes: inventory.free_bytes,
            owners: owners.collect(),
        },
        regions: regions.iter().map(region).collect(),
        modules: &inventory.modules,
        abi_version: inventory.abi_version,
        tsc_khz: inventory.tsc_khz,
        boot_us: inventory.boot_ticks.saturating_mul(1000).checked_div(inventory.tsc_khz),
        rendezvous: inventory.rendezvous,
        virtualization: reason.is_empty(),
        no_virtualization: (!reason.is_empty()).then_some(reason),
        page_store: store.map(|store| Store {
            pages: store.pages,
            used: store.used,
            referenced: store.referenced,
        }),
    }
}

fn region(region: &Region) -> RegionView {
    const KINDS: [(RegionKind, &str); 4] = [
        (RegionKind::Untyped, "memory"),
        (RegionKind::Core, "core"),
        (RegionKind::Module, "module"),
        (RegionKind::Reserved, "reserved"),
    ];
    let known = KINDS.iter().find(|(kind, _)| *kind as u64 == region.kind);
    RegionView { base: region.base, size: region.size, kind: known.map_or("unknown", |(_, name)| name) }
}

fn print(view: &View<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let cpus = view.cpus.iter().map(|cpu| {
        let names = cpu.partitions.iter().map(|name| text::plain(name)).collect::<Vec<_>>().join(", ");
        vec![
            cpu.index.to_string(),
            cpu.apic_id.to_string(),
            if names.is_empty() { "-".into() } else { names },
        ]
    });
    output.table(&["CPU", "APIC id", "Partitions"], &cpus.collect::<Vec<_>>())?;
    output.line("")?;
    let owners =
        view.memory.owners.iter().map(|owner| vec![text::plain(owner.name), text::bytes(owner.bytes)]);
    let free = vec!["(free)".to_owned(), text::bytes(view.memory.free_bytes)];
    let total = vec!["(all)".to_owned(), text::bytes(view.memory.total_bytes)];
    output.table(&["Memory of", "Size"], &owners.chain([free, total]).collect::<Vec<_>>())?;
    output.line("")?;
    let regions = view.regions.iter().map(|region| {
        let end = region.base.saturating_add(region.size).saturating_sub(1);
        vec![format!("{:#014x}-{end:#014x}", region.base), text::bytes(region.size), region.kind.to_owned()]
    });
    output.table(&["Physical addresses", "Size", "Kind"], &regions.collect::<Vec<_>>())?;
    output.line("")?;
    let mut fact = |name: &str, value: String| output.line(&format!("{:<20} {value}", format!("{name}:")));
    fact("VMs", view.no_virtualization.map_or_else(|| "can run".to_owned(), text::plain))?;
    fact("Boot modules", text::plain(&view.modules.join(", ")))?;
    fact("Core contract", format!("version {}", view.abi_version))?;
    fact("TSC", format!("{}.{:03} MHz", view.tsc_khz / 1000, view.tsc_khz % 1000))?;
    if let Some(us) = view.boot_us {
        fact("Core to root", format!("{}.{:03} ms", us / 1000, us % 1000))?;
    }
    fact("Rendezvous", view.rendezvous.to_string())?;
    match &view.page_store {
        Some(store) => {
            let size = |pages: u64| text::bytes(pages.saturating_mul(abi::PAGE_SIZE));
            fact("Page store", format!("{} of {} used", size(store.used), size(store.pages)))
        }
        None => Ok(()),
    }
}
