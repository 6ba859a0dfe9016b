// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the virtual processors hang together: one package, cores without hyperthreads, APIC ids
//! without gaps.
//!
//! Every leaf that says so, on either vendor's processors, says the same. Sizes of caches and
//! addresses are the real ones.

use super::leaf::{Leaf, Processor};
use super::masks;

/// Bits of the APIC id that number a core.
fn core_bits(processor: &Processor) -> u32 {
    processor.count.max(1).next_power_of_two().ilog2()
}

/// Leaf 0xb: a level of one thread per core, then one of all cores.
pub fn levels(processor: &Processor, subleaf: u32) -> Leaf {
    const THREADS: u32 = 1 << 8;
    const CORES: u32 = 2 << 8;
    match subleaf {
        0 => Leaf::new(0, 1, THREADS, processor.id),
        1 => Leaf::new(core_bits(processor), processor.count, CORES | 1, processor.id),
        _ => Leaf::new(0, 0, subleaf & 0xff, processor.id),
    }
}

/// Leaf 4 (Intel): caches; the third level and beyond are shared by all.
pub fn cache_intel(processor: &Processor, real: Leaf) -> Leaf {
    const KIND_AND_LEVEL: u32 = 0x3fff;
    if real.eax & 0x1f == 0 {
        return Leaf::default();
    }
    let cores = (processor.count - 1) & 0x3f;
    let eax = real.eax & KIND_AND_LEVEL | sharing(processor, real.eax) << 14 | cores << 26;
    Leaf { eax, ..real }
}

/// Leaf 8000_001d (AMD): as [`cache_intel`].
pub fn cache_amd(processor: &Processor, real: Leaf) -> Leaf {
    const KIND_AND_LEVEL: u32 = 0x3fff;
    if real.eax & 0x1f == 0 {
        return Leaf::default();
    }
    Leaf { eax: real.eax & KIND_AND_LEVEL | sharing(processor, real.eax) << 14, ..real }
}

/// Leaf 8000_001e (AMD): APIC id, core, node.
pub fn node(processor: &Processor) -> Leaf {
    Leaf::new(processor.id, processor.id & 0xff, 0, 0)
}

/// Leaf 8000_0008: widths of addresses, number of cores.
pub fn sizes(processor: &Processor, real: Leaf) -> Leaf {
    const PHYSICAL: u32 = 0xff;
    const LINEAR_48: u32 = 48 << 8;
    let ecx = core_bits(processor) << 12 | (processor.count - 1) & 0xff;
    Leaf::new(real.eax & PHYSICAL | LINEAR_48, real.ebx & masks::SIZES_EBX, ecx, 0)
}

/// Number of other vCPUs that share a cache.
fn sharing(processor: &Processor, eax: u32) -> u32 {
    const THIRD_LEVEL: u32 = 3;
    if eax >> 5 & 7 >= THIRD_LEVEL { processor.count - 1 } else { 0 }
}
