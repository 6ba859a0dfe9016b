// SPDX-License-Identifier: MIT OR Apache-2.0
//! The multiboot2 information, copied out of the memory where the boot loader left it.

use crate::list::List;
use crate::memory::{PAGE, Range, RangeSet};
use abi::boot::{MAX_COMMAND_LINE, MAX_MODULE_NAME, MAX_MODULES};
use multiboot2::{BootInformation, MemoryAreaType};

/// Most ranges of memory that are kept while the map is read.
pub const MAX_RANGES: usize = 128;
/// Memory below is left alone: the firmware's, and where other CPUs begin.
pub const LOWEST: u64 = 0x10_0000;

/// A text of at most `N` bytes.
#[derive(Clone, Copy, Debug)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Text<N> {
    /// The text, cut where it gets too long.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; N];
        let mut length = 0;
        for character in text.chars() {
            let end = length + character.len_utf8();
            let Some(room) = bytes.get_mut(length..end) else { break };
            character.encode_utf8(room);
            length = end;
        }
        Self { bytes, length }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

/// A boot module.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// First word of its string.
    pub name: Text<MAX_MODULE_NAME>,
    /// Where it lies.
    pub range: Range,
}

/// A copy of what the boot loader said.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Command line of the image.
    pub command_line: Text<MAX_COMMAND_LINE>,
    /// Modules, all page-aligned.
    pub modules: List<Module, MAX_MODULES>,
    /// Modules that were left out: too many, or not page-aligned.
    pub modules_refused: usize,
    /// Memory that the firmware does not keep, in whole pages, wherever it lies.
    pub memory: RangeSet<MAX_RANGES>,
    /// What the map lists otherwise.
    pub reserved: RangeSet<MAX_RANGES>,
    /// Copy of the ACPI root pointer (36 bytes, the end zero for one of ACPI 1.0).
    pub root_pointer: Option<[u8; 36]>,
    /// Physical address of the EFI system table.
    pub efi_system_table: Option<u64>,
}

impl Loaded {
    /// Copies what counts.
    #[must_use]
    pub fn copy(information: &BootInformation<'_>) -> Self {
        let mut loaded = Self {
            command_line: Text::new(
                information.command_line_tag().and_then(|tag| tag.cmdline().ok()).unwrap_or(""),
            ),
            modules: List::new(Module { name: Text::new(""), range: Range::default() }),
            modules_refused: 0,
            memory: RangeSet::new(),
            reserved: RangeSet::new(),
            root_pointer: root_pointer(information),
            efi_system_table: information.efi_sdt64_tag().map(|tag| tag.sdt_address() as u64),
        };
        loaded.copy_modules(information);
        loaded.copy_map(information);
        loaded
    }

    fn copy_modules(&mut self, information: &BootInformation<'_>) {
        for tag in information.module_tags() {
            let name = tag.cmdline().ok().and_then(|text| text.split_ascii_whitespace().next());
            let range = Range::between(tag.start_address().into(), tag.end_address().into());
            let module = Module { name: Text::new(name.unwrap_or("")), range };
            if !range.base.is_multiple_of(PAGE) || !self.modules.push(module) {
                self.modules_refused += 1;
            }
        }
    }

    /// Where areas overlap, what is reserved wins.
    fn copy_map(&mut self, information: &BootInformation<'_>) {
        let areas = information.memory_map_tag().map_or(&[][..], |tag| tag.memory_areas());
        let split = |available: bool| {
            areas.iter().filter(move |area| (area.typ() == MemoryAreaType::Available) == available)
        };
        for area in split(true) {
            self.memory.insert(Range { base: area.start_address(), size: area.size() }.pages_inside());
        }
        for area in split(false) {
            let range = Range { base: area.start_address(), size: area.size() }.pages_touched();
            self.memory.remove(range);
            self.reserved.insert(range);
        }
    }

    /// Memory that can be handed out when the image lies at `image`.
    #[must_use]
    pub fn available(&self, image: Range) -> RangeSet<MAX_RANGES> {
        let mut available = self.memory.clone();
        available.remove(Range::between(0, LOWEST));
        available.remove(image.pages_touched());
        for module in self.modules.iter() {
            available.remove(module.range.pages_touched());
        }
        available
    }

    /// A free page below 1 MiB, in which another CPU can begin.
    #[must_use]
    pub fn low_page(&self) -> Option<u64> {
        let taken = |page: u64| self.modules.iter().any(|module| module.range.pages_touched().contains(page));
        let pages = (1..0xa0).rev().map(|number| number * PAGE);
        let ranges = self.memory.as_slice();
        pages.into_iter().find(|&page| ranges.iter().any(|range| range.contains(page)) && !taken(page))
    }
}

fn root_pointer(information: &BootInformation<'_>) -> Option<[u8; 36]> {
    let mut pointer = [0; 36];
    let mut payload = |bytes: &[u8]| {
        for (to, from) in pointer.iter_mut().zip(bytes) {
            *to = *from;
        }
    };
    let tag = |wanted: multiboot2::TagType| {
        information.tags().find(|tag| multiboot2::TagType::from_val(tag.header().typ.get()) == wanted)
    };
    if let Some(tag) = tag(multiboot2::TagType::AcpiV2) {
        payload(tag.payload());
    } else {
        payload(tag(multiboot2::TagType::AcpiV1)?.payload().get(..20)?);
    }
    Some(pointer)
}
