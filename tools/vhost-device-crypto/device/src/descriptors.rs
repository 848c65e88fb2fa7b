// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From a descriptor chain to a request's memory.
//!
//! virtio-queue's own iterator ends silently when it meets something it does not like,
//! and can only be had while the chain is taken from the ring. Here a chain is parsed
//! strictly, as often as needed, and what is wrong with it has a name.

use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::memory::{is_read_only, Chain};

/// The length of a descriptor, in bytes, in either format.
pub(crate) const DESCRIPTOR_LEN: u32 = 16;

/// Where a queue's chains are found, and how long they may be.
#[derive(Clone, Copy, Debug)]
pub struct DescriptorTable {
    /// The descriptor table.
    pub address: GuestAddress,
    /// How many descriptors it has, which is also the most there are in a chain.
    pub size: u16,
    /// The most bytes there are in a chain.
    pub max_len: u64,
}

/// Why a chain is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// An index is beyond the table's end.
    #[error("there is no descriptor {0} in its table")]
    Index(u32),
    /// A table is not in the guest's memory.
    #[error("no descriptor can be read at {0:#x}")]
    Table(u64),
    /// A buffer is not in the guest's memory.
    #[error("there are no {1} bytes of memory at {0:#x}")]
    Buffer(u64, u32),
    /// A buffer is to be written, and may only be read.
    #[error("the {1} bytes of memory at {0:#x} are not to be written")]
    ReadOnly(u64, u32),
    /// There are more descriptors than the queue has, as when they form a loop.
    #[error("it has more descriptors than the queue")]
    TooLong,
    /// There are too many bytes.
    #[error("it has too many bytes")]
    TooBig,
    /// An indirect table refers to an indirect table.
    #[error("an indirect table is within another")]
    Nested,
    /// An indirect table has no length that a table can have.
    #[error("an indirect table cannot have {0} bytes")]
    IndirectLen(u32),
    /// A descriptor of an indirect table says that another one follows.
    #[error("something follows an indirect table")]
    IndirectNext,
}

/// A chain, and what is to be said of how it was put together.
#[derive(Debug)]
pub struct ParsedChain<'m> {
    /// The memory.
    pub chain: Chain<'m>,
    /// Whether its readable part came before its writable part.
    pub in_order: bool,
    /// Whether there was a descriptor without bytes. It is passed over here; QEMU's device
    /// breaks down.
    pub has_empty: bool,
}

impl DescriptorTable {
    /// Walks the chain that begins at `head`. Descriptors without bytes are passed over.
    pub fn parse<'m>(
        &self,
        memory: &'m GuestMemoryMmap,
        head: u16,
    ) -> Result<ParsedChain<'m>, ChainError> {
        let mut chain = ChainBuilder::new(memory, self.max_len);
        let (mut address, mut size) = (self.address, u32::from(self.size));
        let mut index = u32::from(head);
        let mut indirect = false;
        for _ in 0..self.size {
            let mut descriptor = read(memory, address, size, index)?;
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
                (address, size) = (descriptor.addr(), table_len / DESCRIPTOR_LEN);
                descriptor = read(memory, address, size, 0)?;
                if descriptor.refers_to_indirect_table() {
                    return Err(ChainError::Nested);
                }
            }
            chain.push(descriptor.addr(), descriptor.len(), descriptor.is_write_only())?;
            if !descriptor.has_next() {
                return Ok(chain.finish());
            }
            index = u32::from(descriptor.next());
        }
        Err(ChainError::TooLong)
    }
}

/// Puts a chain together, one descriptor after the other.
pub struct ChainBuilder<'m> {
    memory: &'m GuestMemoryMmap,
    /// How many bytes there may still be.
    left: u64,
    parsed: ParsedChain<'m>,
}

impl<'m> ChainBuilder<'m> {
    /// For a chain of at most so many bytes.
    pub fn new(memory: &'m GuestMemoryMmap, max_len: u64) -> Self {
        let parsed = ParsedChain { chain: Chain::default(), in_order: true, has_empty: false };
        ChainBuilder { memory, left: max_len, parsed }
    }

    /// Adds a descriptor's buffer.
    pub fn push(
        &mut self,
        address: GuestAddress,
        len: u32,
        writable: bool,
    ) -> Result<(), ChainError> {
        self.left = self.left.checked_sub(len.into()).ok_or(ChainError::TooBig)?;
        self.parsed.has_empty |= len == 0;
        let chain = &mut self.parsed.chain;
        let span = if writable {
            &mut chain.writable
        } else {
            self.parsed.in_order &= chain.writable.is_empty() || len == 0;
            &mut chain.readable
        };
        // More than one if the buffer lies across the border of two regions.
        let mut at = address;
        for slice in self.memory.get_slices(address, len as usize) {
            let slice = slice.map_err(|_| ChainError::Buffer(address.0, len))?;
            if writable && self.memory.find_region(at).is_some_and(is_read_only) {
                return Err(ChainError::ReadOnly(address.0, len));
            }
            at = GuestAddress(at.0.wrapping_add(slice.len() as u64));
            span.push(slice);
        }
        Ok(())
    }

    /// The whole chain.
    pub fn finish(self) -> ParsedChain<'m> {
        self.parsed
    }
}

fn read(
    memory: &GuestMemoryMmap,
    table: GuestAddress,
    size: u32,
    index: u32,
) -> Result<Descriptor, ChainError> {
    if index >= size {
        return Err(ChainError::Index(index));
    }
    let offset = u64::from(index) * u64::from(DESCRIPTOR_LEN);
    let address = table.0.wrapping_add(offset);
    // Where the sum wraps around there is no memory.
    let descriptor = (address >= table.0).then(|| memory.read_obj(GuestAddress(address)).ok());
    descriptor.flatten().ok_or(ChainError::Table(address))
}
