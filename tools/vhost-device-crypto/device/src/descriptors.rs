// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Parses descriptor chains.
//!
//! The iterator of the virtio-queue crate ends without an error at an invalid descriptor. It is
//! only available when the chain is popped from the ring. The parser in this file is strict, can
//! parse a popped chain again later, and returns an error for each kind of invalid chain.

use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::memory::{is_read_only, Chain};

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

/// A parsed chain and its properties.
#[derive(Debug)]
pub struct ParsedChain<'m> {
    /// The memory.
    pub chain: Chain<'m>,
    /// Whether all readable descriptors precede all writable descriptors.
    pub in_order: bool,
    /// Whether a descriptor has a length of 0. This device ignores such descriptors; QEMU's device
    /// fails.
    pub has_empty: bool,
}

impl DescriptorTable {
    /// Parses the chain that starts at `head`. Descriptors with a length of 0 are ignored.
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

/// Builds a chain from descriptors.
pub struct ChainBuilder<'m> {
    memory: &'m GuestMemoryMmap,
    /// Number of bytes that can still be added.
    left: u64,
    parsed: ParsedChain<'m>,
}

impl<'m> ChainBuilder<'m> {
    /// Starts a chain of at most `max_len` bytes.
    pub fn new(memory: &'m GuestMemoryMmap, max_len: u64) -> Self {
        let parsed = ParsedChain { chain: Chain::default(), in_order: true, has_empty: false };
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
        let chain = &mut self.parsed.chain;
        let span = if writable {
            &mut chain.writable
        } else {
            self.parsed.in_order &= chain.writable.is_empty() || len == 0;
            &mut chain.readable
        };
        // A buffer that crosses the border of two regions has more than one slice.
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

    /// Returns the finished chain.
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
    // An address that wraps around is not in guest memory.
    let descriptor = (address >= table.0).then(|| memory.read_obj(GuestAddress(address)).ok());
    descriptor.flatten().ok_or(ChainError::Table(address))
}
