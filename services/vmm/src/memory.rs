// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guest memory as the monitor sees it.
//!
//! Owns the trait that keeps loaders and device models apart from the way memory is reached. Reads
//! go through a window that is mapped read-only; writes through the core, so that a sealed page is
//! saved first (I9). Translation of the guest's own virtual addresses is in [`crate::translate`].

/// Why guest memory could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The range does not lie wholly in the guest's memory.
    OutOfRange,
    /// The core refused the write.
    Refused,
}

/// A guest's physical memory, from address 0 to [`GuestMemory::size`].
pub trait GuestMemory {
    /// Bytes of memory.
    fn size(&self) -> u64;

    /// Copies guest memory from `address` on into `bytes`.
    ///
    /// # Errors
    /// [`MemoryError::OutOfRange`]; nothing is promised about `bytes` then.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError>;

    /// Copies `bytes` to guest memory from `address` on.
    ///
    /// # Errors
    /// [`MemoryError::OutOfRange`], and nothing is written; or [`MemoryError::Refused`].
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), MemoryError>;

    /// Reads a 64-bit word.
    ///
    /// # Errors
    /// As [`GuestMemory::read`].
    fn read_u64(&self, address: u64) -> Result<u64, MemoryError> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes a 64-bit word.
    ///
    /// # Errors
    /// As [`GuestMemory::write`].
    fn write_u64(&mut self, address: u64, value: u64) -> Result<(), MemoryError> {
        self.write(address, &value.to_le_bytes())
    }
}

/// Returns whether `length` bytes from `address` on lie in a memory of `size` bytes.
#[must_use]
pub fn contains(size: u64, address: u64, length: usize) -> bool {
    address.checked_add(length as u64).is_some_and(|end| end <= size)
}

/// Zeroes a guest's memory; only what is not zero is written.
///
/// # Errors
/// As [`GuestMemory::write`].
pub fn clear(memory: &mut dyn GuestMemory) -> Result<(), MemoryError> {
    let size = memory.size();
    let mut page = [0; 4096];
    for address in (0..size).step_by(page.len()) {
        let part = (size - address).min(page.len() as u64) as usize;
        memory.read(address, &mut page[..part])?;
        if page[..part].iter().any(|&byte| byte != 0) {
            page.fill(0);
            memory.write(address, &page[..part])?;
        }
    }
    Ok(())
}

/// Guest memory in a vector, for tests.
#[derive(Clone, Debug)]
pub struct PlainMemory(pub alloc::vec::Vec<u8>);

impl PlainMemory {
    /// Zeroed memory of `size` bytes.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(alloc::vec![0; size])
    }
}

impl GuestMemory for PlainMemory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        if !contains(self.size(), address, bytes.len()) {
            return Err(MemoryError::OutOfRange);
        }
        let start = address as usize;
        bytes.copy_from_slice(&self.0[start..start + bytes.len()]);
        Ok(())
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        if !contains(self.size(), address, bytes.len()) {
            return Err(MemoryError::OutOfRange);
        }
        let start = address as usize;
        self.0[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}
