// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a boot loader does, for a carve-out: where the parts of an image go, and the multiboot2
//! information that tells of them (specification, 3.6).
//!
//! Owns the arithmetic and the bytes. Memory is not touched here but for the slice that the
//! information is written into.

/// Bytes of a page.
const PAGE: u64 = 4096;
/// A core begins at multiples of this.
const ALIGN: u64 = 2 << 20;
const ELF_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const PT_LOAD: u32 = 1;

/// What is wrong with an ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCore(pub &'static str);

/// A part of a core's file, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Offset in the file.
    pub offset: usize,
    /// Bytes in the file.
    pub bytes: usize,
    /// Offset from where the core is put.
    pub to: u64,
}

/// A core's file: a static ELF64 that can be put anywhere at a multiple of 2 MiB.
#[derive(Clone, Copy, Debug)]
pub struct Core<'a> {
    file: &'a [u8],
    low: u64,
    /// Bytes in memory.
    pub bytes: u64,
    /// Offset of its entry from where it is put.
    pub entry: u64,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut word = [0; 8];
    let part = bytes.get(at..at.checked_add(N)?)?;
    word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
    Some(u64::from_le_bytes(word))
}

/// Program headers that are loaded: offset, virtual address, physical address, bytes in the file,
/// bytes in memory.
fn loads(file: &[u8]) -> impl Iterator<Item = Option<[u64; 5]>> + '_ {
    let count = number::<2>(file, 56).unwrap_or(0) as usize;
    let first = number::<8>(file, 32).and_then(|at| usize::try_from(at).ok());
    (0..count).filter_map(move |index| {
        let at = first.and_then(|first| first.checked_add(index * PROGRAM_HEADER))?;
        if number::<4>(file, at)? != u64::from(PT_LOAD) {
            return None;
        }
        Some((|| {
            let field = |offset: usize| number::<8>(file, at + offset);
            Some([field(8)?, field(16)?, field(24)?, field(32)?, field(40)?])
        })())
    })
}

impl<'a> Core<'a> {
    /// Reads a file.
    ///
    /// # Errors
    /// What does not add up.
    pub fn read(file: &'a [u8]) -> Result<Self, BadCore> {
        if file.get(..5) != Some(b"\x7fELF\x02") || file.len() < ELF_HEADER {
            return Err(BadCore("the core is no ELF64 file"));
        }
        let start = number::<8>(file, 24).ok_or(BadCore("the core has no entry"))?;
        let (mut low, mut high, mut entry) = (u64::MAX, 0_u64, None);
        for load in loads(file) {
            let [offset, virt, phys, in_file, in_memory] = load.ok_or(BadCore("the core is cut short"))?;
            let end = offset.checked_add(in_file).ok_or(BadCore("the core is cut short"))?;
            let whole = usize::try_from(end).is_ok_and(|end| end <= file.len()) && in_file <= in_memory;
            let top =
                phys.checked_add(in_memory).filter(|_| whole).ok_or(BadCore("the core is cut short"))?;
            low = low.min(phys);
            high = high.max(top);
            if let Some(offset) = start.checked_sub(virt).filter(|offset| *offset < in_memory) {
                entry = Some(phys + offset);
            }
        }
        let entry = entry.ok_or(BadCore("the core's entry is nowhere in it"))?;
        if low % ALIGN != 0 {
            return Err(BadCore("the core does not begin at a multiple of 2 MiB"));
        }
        Ok(Self { file, low, bytes: high - low, entry: entry - low })
    }

    /// Its segments. What of their memory is not in the file is zero.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + 'a {
        let low = self.low;
        loads(self.file).flatten().map(move |[offset, _, phys, in_file, _]| Segment {
            // They lie in the file: `read` has looked.
            offset: offset as usize,
            bytes: in_file as usize,
            to: phys - low,
        })
    }
}

/// Where the parts of an image lie in a carve-out.
#[derive(Clone, Copy, Debug)]
pub struct Placer {
    next: u64,
    end: u64,
}

impl Placer {
    /// For the carve-out from `base` to `end`, physical addresses.
    #[must_use]
    pub const fn new(base: u64, end: u64) -> Self {
        Self { next: base, end }
    }

    /// A place for `bytes` bytes at a multiple of `align`, behind those given before; `None` if
    /// there is no room.
    pub fn place(&mut self, bytes: u64, align: u64) -> Option<u64> {
        let start = self.next.checked_next_multiple_of(align)?;
        let end = start.checked_add(bytes)?.checked_next_multiple_of(PAGE)?;
        if end > self.end {
            return None;
        }
        self.next = end;
        Some(start)
    }

    /// A place for a core.
    pub fn place_core(&mut self, core: &Core<'_>) -> Option<u64> {
        self.place(core.bytes, ALIGN)
    }

    /// A place for a module.
    pub fn place_module(&mut self, bytes: u64) -> Option<u64> {
        self.place(bytes, PAGE)
    }
}

/// Writes multiboot2 information; what does not fit is seen at the end.
pub struct Information<'a> {
    bytes: &'a mut [u8],
    length: usize,
    fits: bool,
}

impl<'a> Information<'a> {
    /// Begins in a slice that lies at a multiple of 8.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        let mut information = Self { bytes, length: 0, fits: true };
        information.put(&[0; 8]);
        information
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        match self.bytes.get_mut(self.length..end) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.fits = false,
        }
        self.length = end;
    }

    fn tag(&mut self, kind: u32, parts: &[&[u8]]) {
        let size = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
        self.put(&kind.to_le_bytes());
        self.put(&(size as u32).to_le_bytes());
        parts.iter().for_each(|part| self.put(part));
        while !self.length.is_multiple_of(8) {
            self.put(&[0]);
        }
    }

    /// The command line.
    pub fn command_line(&mut self, line: &str) {
        self.tag(1, &[line.as_bytes(), &[0]]);
    }

    /// A module from `base` to `end`, below 4 GiB.
    pub fn module(&mut self, base: u64, end: u64, name: &str) {
        let (Ok(base), Ok(end)) = (u32::try_from(base), u32::try_from(end)) else {
            self.fits = false;
            return;
        };
        self.tag(3, &[&base.to_le_bytes(), &end.to_le_bytes(), name.as_bytes(), &[0]]);
    }

    /// The memory map: all of it available.
    pub fn memory(&mut self, ranges: &[(u64, u64)]) {
        const ENTRY: u32 = 24;
        const AVAILABLE: u32 = 1;
        let size = 16 + ENTRY * ranges.len() as u32;
        for word in [6, size, ENTRY, 0] {
            self.put(&word.to_le_bytes());
        }
        for (base, bytes) in ranges {
            self.put(&base.to_le_bytes());
            self.put(&bytes.to_le_bytes());
            self.put(&AVAILABLE.to_le_bytes());
            self.put(&[0; 4]);
        }
    }

    /// The end; the bytes of all. `None`: the slice is too small, or a module lies too high.
    pub fn finish(mut self) -> Option<usize> {
        self.tag(0, &[]);
        let length = u32::try_from(self.length).ok().filter(|_| self.fits)?;
        self.bytes.get_mut(..4)?.copy_from_slice(&length.to_le_bytes());
        Some(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::{Core, Information, Placer};

    fn elf(loads: &[[u64; 5]], entry: u64) -> Vec<u8> {
        let mut file = vec![0; 64 + 56 * loads.len()];
        file[..5].copy_from_slice(b"\x7fELF\x02");
        file[24..32].copy_from_slice(&entry.to_le_bytes());
        file[32..40].copy_from_slice(&64_u64.to_le_bytes());
        file[56..58].copy_from_slice(&(loads.len() as u16).to_le_bytes());
        for (index, [offset, virt, phys, in_file, in_memory]) in loads.iter().enumerate() {
            let header = &mut file[64 + 56 * index..][..56];
            header[..4].copy_from_slice(&1_u32.to_le_bytes());
            for (at, value) in [(8, offset), (16, virt), (24, phys), (32, in_file), (40, in_memory)] {
                header[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        file.resize(0x2000, 0xaa);
        file
    }

    #[test]
    fn a_core_is_put_where_it_is_wanted() {
        let high = 0xffff_ffff_8000_0000_u64;
        let file = elf(
            &[[0x1000, high, 0x20_0000, 0x800, 0x800], [0x1800, high + 0x1000, 0x20_1000, 0x100, 0x40_0000]],
            high + 0x40,
        );
        let core = Core::read(&file).unwrap();
        assert_eq!((core.bytes, core.entry), (0x40_1000, 0x40));
        let places: Vec<_> =
            core.segments().map(|segment| (segment.offset, segment.bytes, segment.to)).collect();
        assert_eq!(places, [(0x1000, 0x800, 0), (0x1800, 0x100, 0x1000)]);
    }

    #[test]
    fn what_is_no_core_is_refused_wherever_it_is_cut_or_bent() {
        let high = 0xffff_ffff_8000_0000_u64;
        let good = elf(&[[0x1000, high, 0x20_0000, 0x800, 0x800]], high);
        assert!(Core::read(&good).is_ok());
        for size in 0..0x1800 {
            assert!(Core::read(&good[..size]).is_err(), "{size}");
        }
        for bad in [
            [0x1000, high, 0x20_0000, 0x900, 0x800],
            [u64::MAX, high, 0x20_0000, 2, 2],
            [0x1000, high, u64::MAX, 2, 2],
            [0x1000, high, 0x20_1000, 2, 2],
        ] {
            assert!(Core::read(&elf(&[bad], high)).is_err());
        }
        assert!(Core::read(&elf(&[[0x1000, high, 0x20_0000, 2, 2]], 7)).is_err());
        for at in 0..120 {
            let mut altered = good.clone();
            altered[at] ^= 0xff;
            if let Ok(core) = Core::read(&altered) {
                assert!(core.segments().all(|segment| segment.offset + segment.bytes <= altered.len()));
            }
        }
    }

    #[test]
    fn places_do_not_overlap_and_end_with_the_carve_out() {
        let mut placer = Placer::new(0x100_1000, 0x180_0000);
        assert_eq!(placer.place(5, 2 << 20), Some(0x120_0000));
        assert_eq!(placer.place_module(0x1001), Some(0x120_1000));
        assert_eq!(placer.place_module(1), Some(0x120_3000));
        assert_eq!(placer.place_module(0x180_0000), None);
        assert_eq!(placer.place(u64::MAX, 8), None);
    }

    #[test]
    fn information_reads_back_as_multiboot2() {
        let mut room = vec![0; 4096];
        let mut information = Information::new(&mut room);
        information.command_line("alone serial=3e8");
        information.module(0x1000, 0x1005, "root");
        information.memory(&[(0x8000, 0x1000), (0x100_0000, 0x80_0000)]);
        let length = information.finish().unwrap();
        assert_eq!(u32::from_le_bytes(room[..4].try_into().unwrap()) as usize, length);
        assert_eq!(&room[8..12], 1_u32.to_le_bytes());
        assert_eq!(length % 8, 0);
        let mut at = 8;
        let mut kinds = Vec::new();
        while at < length {
            kinds.push(u32::from_le_bytes(room[at..at + 4].try_into().unwrap()));
            let size = u32::from_le_bytes(room[at + 4..at + 8].try_into().unwrap()) as usize;
            at = (at + size).next_multiple_of(8);
        }
        assert_eq!((kinds, at), (vec![1, 3, 6, 0], length));
        let mut small = vec![0; 40];
        let mut information = Information::new(&mut small);
        information.module(0, 1, "a module with a name that is too long for it");
        assert_eq!(information.finish(), None);
        let mut room = vec![0; 400];
        let mut information = Information::new(&mut room);
        information.module(1 << 32, (1 << 32) + 1, "high");
        assert_eq!(information.finish(), None);
    }
}
