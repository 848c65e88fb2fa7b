// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Interface of a ring: the source of requests and the destination of used entries.
//!
//! The two formats are [`split`] and [`packed`]. A front end that manages rings itself implements
//! [`Ring`].

pub mod packed;
pub mod split;

use std::io;
use std::sync::atomic::{fence, Ordering};

use smallvec::SmallVec;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryError, GuestMemoryMmap};

use crate::descriptors::{ChainError, ParsedChain};
use crate::memory::is_read_only;

/// Sends the used buffer notification of a ring.
pub type Signal = Box<dyn Fn() -> io::Result<()> + Send>;

/// Reason why a ring is invalid.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// An error of the virtio-queue crate.
    #[error(transparent)]
    Queue(#[from] virtio_queue::Error),
    /// The ring is not in guest memory.
    #[error(transparent)]
    Memory(#[from] GuestMemoryError),
    /// The ring is in memory that the device may only read.
    #[error("the ring's memory at {0:#x} is read-only")]
    ReadOnly(u64),
    /// An entry of the available ring is not in guest memory.
    #[error("the available ring is not in guest memory")]
    Available,
    /// A chain of a packed ring has more descriptors than the ring.
    #[error("a chain has more descriptors than the ring")]
    Endless,
}

/// A descriptor of a packed ring, as the driver has written it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedDescriptor {
    pub(crate) address: u64,
    pub(crate) len: u32,
    pub(crate) flags: u16,
}

/// A request popped from a ring: the data needed to find its memory and to return it.
#[derive(Clone, Debug)]
pub struct PoppedChain {
    /// The head index of the chain in a split ring, the buffer ID in a packed ring.
    pub id: u16,
    /// Number of ring entries of the request; 1 in a split ring.
    pub slots: u16,
    /// Copies of the descriptors in a packed ring, where used entries overwrite them.
    pub(crate) direct: SmallVec<[PackedDescriptor; 2]>,
}

/// A used entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UsedElem {
    /// The ID of the request.
    pub id: u32,
    /// Number of bytes written.
    pub len: u32,
    /// Number of ring entries of the request.
    pub slots: u16,
}

/// A ring of either format.
pub trait Ring: Send {
    /// Returns whether the ring may be served.
    fn is_started(&self) -> bool;

    /// Returns the number of descriptors.
    fn size(&self) -> u16;

    /// Returns whether requests must be returned in the order in which they were popped.
    fn in_order(&self) -> bool {
        false
    }

    /// Pops the next request, if there is one.
    fn pop(&mut self, memory: &GuestMemoryMmap) -> Result<Option<PoppedChain>, RingError>;

    /// Parses the chain of a request, which may have at most `max_len` bytes, to `parsed`.
    fn parse<'m>(
        &self,
        memory: &'m GuestMemoryMmap,
        popped: &PoppedChain,
        max_len: u64,
        parsed: &mut ParsedChain<'m>,
    ) -> Result<(), ChainError>;

    /// Adds used entries to the ring. There must not be more than [`Ring::size`].
    fn publish(&mut self, memory: &GuestMemoryMmap, used: &[UsedElem]) -> Result<(), RingError>;

    /// Returns whether the driver needs a notification for the entries published since the last
    /// call.
    fn needs_notification(&mut self, memory: &GuestMemoryMmap) -> Result<bool, RingError>;

    /// Returns the index of the next request, if a front end can stop the ring and continue there.
    fn next_place(&self) -> Option<u16> {
        None
    }

    /// Sends the used buffer notification.
    fn signal_used(&self) -> io::Result<()>;

    /// Tells the driver that kicks are not needed.
    fn disable_notification(&mut self, memory: &GuestMemoryMmap) -> Result<(), RingError>;

    /// Tells the driver to kick. Returns true if requests were added before the driver could see
    /// that.
    fn enable_notification(&mut self, memory: &GuestMemoryMmap) -> Result<bool, RingError>;
}

/// A full memory barrier. Without a barrier, the CPU may move a read before an earlier write.
/// Driver and device could then each miss the other's latest write.
pub(crate) fn full_fence() {
    fence(Ordering::SeqCst);
    #[cfg(test)]
    FENCES.with(|fences| fences.set(fences.get() + 1));
}

#[cfg(test)]
thread_local! {
    /// Number of calls of [`full_fence`] by this thread. On most machines only this count shows
    /// that a fence is missing.
    pub(crate) static FENCES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Returns `base` plus `offset`. Fails if the sum overflows.
pub(crate) fn address(base: u64, offset: u64) -> Result<GuestAddress, GuestMemoryError> {
    let address = base.checked_add(offset).map(GuestAddress);
    address.ok_or(GuestMemoryError::GuestAddressOverflow)
}

/// Returns `base` plus `offset`, an address at which the device writes `len` bytes. Fails if the
/// memory is read-only.
pub(crate) fn writable(
    memory: &GuestMemoryMmap,
    base: u64,
    offset: u64,
    len: u64,
) -> Result<GuestAddress, RingError> {
    let (first, last) = (address(base, offset)?, address(base, offset + len - 1)?);
    for at in [first, last] {
        if memory.find_region(at).is_some_and(is_read_only) {
            return Err(RingError::ReadOnly(at.0));
        }
    }
    Ok(first)
}
