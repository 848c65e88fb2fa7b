// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Parses descriptor chains.
//!
//! The iterator of the virtio-queue crate ends without an error at an invalid descriptor. It is
//! only available when the chain is popped from the ring. The parser in this file is strict, can
//! parse a popped chain again later, and returns an error for each kind of invalid chain.

use virtio_queue::desc::split::Descriptor;
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, VolatileMemory,
};

use crate::memory::{is_read_only, Chain, Slice, Slices};

/// The length of a descriptor, in bytes, in either format.
pub(crate) const DESCRIPTOR_LEN: u32 = 16;

/// A descriptor table of a split ring, with the limits of its chains.
#[derive(Clone, Copy, Debug)]
pub struct DescriptorTable {
    /// Address of the descriptor table.
    pub address: GuestAddress,
    /// Number of descriptors in the table, and maximum number in a chain.
    pub size: u16,
    /// Maximum number of bytes in a chain.
    pub max_len: u64,
}

/// Reason why a descriptor chain is invalid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// An index is beyond the table's end.
    #[error("descriptor index {0} is beyond the end of the table")]
    Index(u32),
    /// A table is not in the guest's memory.
    #[error("the descriptor at {0:#x} is not in guest memory")]
    Table(u64),
    /// A buffer is not in the guest's memory.
    #[error("the buffer of {1} bytes at {0:#x} is not in guest memory")]
    Buffer(u64, u32),
    /// A device-writable buffer is in memory that the device may only read.
    #[error("the device-writable buffer of {1} bytes at {0:#x} is in read-only memory")]
    ReadOnly(u64, u32),
    /// The chain has more descriptors than the queue, for example because it is a loop.
    #[error("the chain has more descriptors than the queue")]
    TooLong,
    /// The chain has more bytes than [`DescriptorTable::max_len`].
    #[error("the chain has too many bytes")]
    TooBig,
    /// An indirect table refers to an indirect table.
    #[error("an indirect table refers to an indirect table")]
    Nested,
    /// The length of an indirect table is 0 or not a multiple of the descriptor length.
    #[error("invalid length of an indirect table: {0} bytes")]
    IndirectLen(u32),
    /// The descriptor that refers to an indirect table has the NEXT flag.
    #[error("an indirect table is not the last element of its chain")]
    IndirectNext,
}

/// A parsed chain and its properties. A queue uses the same one for all requests, which saves
/// allocations.
#[derive(Debug, Default)]
pub struct ParsedChain<'m> {
    readable: Slices<'m>,
    writable: Slices<'m>,
    /// Whether all readable descriptors precede all writable descriptors.
    pub in_order: bool,
    /// Whether a descriptor has a length of 0. This device ignores such descriptors; QEMU's device
    /// fails.
    pub has_empty: bool,
    /// The region of the last buffer. Most buffers are in the same region.
    window: Option<Window<'m>>,
}

impl ParsedChain<'_> {
    /// Returns the memory.
    pub fn chain(&self) -> Chain<'_> {
        Chain { readable: self.readable.span(), writable: self.writable.span() }
    }
}

/// A region of guest memory.
#[derive(Clone, Copy, Debug)]
struct Window<'m> {
    start: u64,
    memory: Slice<'m>,
    read_only: bool,
}

impl<'m> Window<'m> {
    /// Returns the region that contains an address.
    fn find(memory: &'m GuestMemoryMmap, address: GuestAddress) -> Option<Self> {
        let region = memory.find_region(address)?;
        Some(Window {
            start: region.start_addr().0,
            memory: region.as_volatile_slice().ok()?,
            read_only: is_read_only(region),
        })
    }

    /// Returns a part of the region, or `None` if a byte is outside.
    fn get(&self, address: GuestAddress, len: usize) -> Option<Slice<'m>> {
        let offset = usize::try_from(address.0.checked_sub(self.start)?).ok()?;
        self.memory.subslice(offset, len).ok()
    }
}

impl DescriptorTable {
    /// Parses the chain that starts at `head`. Descriptors with a length of 0 are ignored.
    pub fn parse<'m>(
        &self,
        memory: &'m GuestMemoryMmap,
        head: u16,
        parsed: &mut ParsedChain<'m>,
    ) -> Result<(), ChainError> {
        let mut chain = ChainBuilder::new(memory, self.max_len, parsed);
        let mut table = Table::new(&mut chain, self.address, self.size.into());
        let mut index = u32::from(head);
        let mut indirect = false;
        for _ in 0..self.size {
            let mut descriptor = table.read(memory, index)?;
            if descriptor.refers_to_indirect_table() {
                if indirect {
                    return Err(ChainError::Nested);
                }
                if descriptor.has_next() {
                    return Err(ChainError::IndirectNext);
                }
                let table_len = descriptor.len();
                if table_len == 0 || table_len % DESCRIPTOR_LEN != 0 {
                    return Err(ChainError::IndirectLen(table_len));
                }
                indirect = true;
                table = Table::new(&mut chain, descriptor.addr(), table_len / DESCRIPTOR_LEN);
                descriptor = table.read(memory, 0)?;
                if descriptor.refers_to_indirect_table() {
                    return Err(ChainError::Nested);
                }
            }
            chain.push(descriptor.addr(), descriptor.len(), descriptor.is_write_only())?;
            if !descriptor.has_next() {
                return Ok(());
            }
            index = u32::from(descriptor.next());
        }
        Err(ChainError::TooLong)
    }
}

/// Builds a chain from descriptors.
pub struct ChainBuilder<'m, 'p> {
    memory: &'m GuestMemoryMmap,
    /// Number of bytes that can still be added.
    left: u64,
    parsed: &'p mut ParsedChain<'m>,
}

impl<'m, 'p> ChainBuilder<'m, 'p> {
    /// Starts a chain of at most `max_len` bytes, which replaces the contents of `parsed`.
    pub fn new(memory: &'m GuestMemoryMmap, max_len: u64, parsed: &'p mut ParsedChain<'m>) -> Self {
        parsed.readable.clear();
        parsed.writable.clear();
        (parsed.in_order, parsed.has_empty) = (true, false);
        ChainBuilder { memory, left: max_len, parsed }
    }

    /// Adds the buffer of a descriptor.
    pub fn push(
        &mut self,
        address: GuestAddress,
        len: u32,
        writable: bool,
    ) -> Result<(), ChainError> {
        self.left = self.left.checked_sub(len.into()).ok_or(ChainError::TooBig)?;
        self.parsed.has_empty |= len == 0;
        if !writable {
            self.parsed.in_order &= self.parsed.writable.is_empty() || len == 0;
        }
        let Some((slice, read_only)) = self.in_region(address, len as usize) else {
            return self.push_across_regions(address, len, writable);
        };
        if writable && read_only && len != 0 {
            return Err(ChainError::ReadOnly(address.0, len));
        }
        self.span(writable).push(slice);
        Ok(())
    }

    /// Returns a buffer, and whether it is in read-only memory, if the buffer is in one region.
    fn in_region(&mut self, address: GuestAddress, len: usize) -> Option<(Slice<'m>, bool)> {
        let inside = |window: Window<'m>| Some((window.get(address, len)?, window.read_only));
        self.parsed.window.and_then(inside).or_else(|| {
            self.parsed.window = Window::find(self.memory, address);
            self.parsed.window.and_then(inside)
        })
    }

    /// Adds a buffer that crosses the border of two regions, and has more than one slice.
    fn push_across_regions(
        &mut self,
        address: GuestAddress,
        len: u32,
        writable: bool,
    ) -> Result<(), ChainError> {
        let mut at = address;
        for slice in self.memory.get_slices(address, len as usize) {
            let slice = slice.map_err(|_| ChainError::Buffer(address.0, len))?;
            if writable && self.memory.find_region(at).is_some_and(is_read_only) {
                return Err(ChainError::ReadOnly(address.0, len));
            }
            at = GuestAddress(at.0.wrapping_add(slice.len() as u64));
            self.span(writable).push(slice);
        }
        Ok(())
    }

    fn span(&mut self, writable: bool) -> &mut Slices<'m> {
        match writable {
            true => &mut self.parsed.writable,
            false => &mut self.parsed.readable,
        }
    }
}

/// A table of descriptors.
struct Table<'m> {
    address: GuestAddress,
    size: u32,
    /// The table's memory, if it is in one region.
    memory: Option<Slice<'m>>,
}

impl<'m> Table<'m> {
    fn new(chain: &mut ChainBuilder<'m, '_>, address: GuestAddress, size: u32) -> Self {
        let len = size as usize * DESCRIPTOR_LEN as usize;
        let memory = chain.in_region(address, len).map(|(slice, _)| slice);
        Table { address, size, memory }
    }

    /// Reads a descriptor. Each byte is read once, because the driver may change it.
    fn read(&self, memory: &GuestMemoryMmap, index: u32) -> Result<Descriptor, ChainError> {
        if index >= self.size {
            return Err(ChainError::Index(index));
        }
        let offset = u64::from(index) * u64::from(DESCRIPTOR_LEN);
        if let Some(table) = &self.memory {
            let word =
                |at: u64| table.get_ref::<u64>((offset + at) as usize).map(|word| word.load());
            if let (Ok(address), Ok(rest)) = (word(0), word(8)) {
                let rest = u64::from_le(rest);
                let (len, flags, next) = (rest as u32, (rest >> 32) as u16, (rest >> 48) as u16);
                return Ok(Descriptor::new(u64::from_le(address), len, flags, next));
            }
        }
        let address = self.address.0.wrapping_add(offset);
        // An address that wraps around is not in guest memory.
        let inside = address >= self.address.0;
        let descriptor = inside.then(|| memory.read_obj(GuestAddress(address)).ok());
        descriptor.flatten().ok_or(ChainError::Table(address))
    }
}
