// SPDX-License-Identifier: GPL-2.0
//! From a descriptor chain to a request's memory.
//!
//! virtio-queue's own iterator ends silently when it meets something it does not like,
//! and can only be had while the chain is taken from the ring. Here a chain is walked
//! strictly, as often as needed, and what is wrong with it has a name.

use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::memory::{is_read_only, Chain};

/// The length of a descriptor, in bytes, in either format.
pub(crate) const DESCRIPTOR_LEN: u32 = 16;

/// Where a queue's chains are found, and how long they may be.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The descriptor table.
    pub address: GuestAddress,
    /// How many descriptors it has, which is also the most there are in a chain.
    pub size: u16,
    /// The most bytes there are in a chain.
    pub max_len: u64,
}

/// Why a chain is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
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
pub struct Walked<'m> {
    /// The memory.
    pub chain: Chain<'m>,
    /// Whether its readable part came before its writable part.
    pub in_order: bool,
    /// Whether there was a descriptor without bytes. It is passed over here; QEMU's device
    /// breaks down.
    pub has_empty: bool,
}

impl Table {
    /// Walks the chain that begins at `head`. Descriptors without bytes are passed over.
    pub fn walk<'m>(
        &self,
        memory: &'m GuestMemoryMmap,
        head: u16,
    ) -> Result<Walked<'m>, Malformed> {
        let mut chain = Gatherer::new(memory, self.max_len);
        let (mut address, mut size) = (self.address, u32::from(self.size));
        let mut index = u32::from(head);
        let mut indirect = false;
        for _ in 0..self.size {
            let mut descriptor = read(memory, address, size, index)?;
            if descriptor.refers_to_indirect_table() {
                if indirect {
                    return Err(Malformed::Nested);
                }
                if descriptor.has_next() {
                    return Err(Malformed::IndirectNext);
                }
                let table_len = descriptor.len();
                if table_len == 0 || table_len % DESCRIPTOR_LEN != 0 {
                    return Err(Malformed::IndirectLen(table_len));
                }
                indirect = true;
                (address, size) = (descriptor.addr(), table_len / DESCRIPTOR_LEN);
                descriptor = read(memory, address, size, 0)?;
                if descriptor.refers_to_indirect_table() {
                    return Err(Malformed::Nested);
                }
            }
            chain.push(descriptor.addr(), descriptor.len(), descriptor.is_write_only())?;
            if !descriptor.has_next() {
                return Ok(chain.finish());
            }
            index = u32::from(descriptor.next());
        }
        Err(Malformed::TooLong)
    }
}

/// Puts a chain together, one descriptor after the other.
pub(crate) struct Gatherer<'m> {
    memory: &'m GuestMemoryMmap,
    /// How many bytes there may still be.
    left: u64,
    walked: Walked<'m>,
}

impl<'m> Gatherer<'m> {
    /// For a chain of at most so many bytes.
    pub(crate) fn new(memory: &'m GuestMemoryMmap, max_len: u64) -> Self {
        let walked = Walked { chain: Chain::default(), in_order: true, has_empty: false };
        Gatherer { memory, left: max_len, walked }
    }

    /// Adds a descriptor's buffer.
    pub(crate) fn push(
        &mut self,
        address: GuestAddress,
        len: u32,
        writable: bool,
    ) -> Result<(), Malformed> {
        self.left = self.left.checked_sub(len.into()).ok_or(Malformed::TooBig)?;
        self.walked.has_empty |= len == 0;
        let chain = &mut self.walked.chain;
        let span = if writable {
            &mut chain.writable
        } else {
            self.walked.in_order &= chain.writable.is_empty() || len == 0;
            &mut chain.readable
        };
        // More than one if the buffer lies across the border of two regions.
        let mut at = address;
        for slice in self.memory.get_slices(address, len as usize) {
            let slice = slice.map_err(|_| Malformed::Buffer(address.0, len))?;
            if writable && self.memory.find_region(at).is_some_and(is_read_only) {
                return Err(Malformed::ReadOnly(address.0, len));
            }
            at = GuestAddress(at.0.wrapping_add(slice.len() as u64));
            span.push(slice);
        }
        Ok(())
    }

    /// The whole chain.
    pub(crate) fn finish(self) -> Walked<'m> {
        self.walked
    }
}

fn read(
    memory: &GuestMemoryMmap,
    table: GuestAddress,
    size: u32,
    index: u32,
) -> Result<Descriptor, Malformed> {
    if index >= size {
        return Err(Malformed::Index(index));
    }
    let offset = u64::from(index) * u64::from(DESCRIPTOR_LEN);
    let address = table.0.wrapping_add(offset);
    // Where the sum wraps around there is no memory.
    let descriptor = (address >= table.0).then(|| memory.read_obj(GuestAddress(address)).ok());
    descriptor.flatten().ok_or(Malformed::Table(address))
}
