// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A ring, as a queue sees it: where requests come from, and where answers go.
//!
//! There are two formats, [`split`] and [`packed`]. A front end that owns its rings implements [`Ring`]
//! for them.

pub mod packed;
pub mod split;

use std::io;
use std::sync::atomic::{fence, Ordering};

use smallvec::SmallVec;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryError, GuestMemoryMmap};

use crate::descriptors::{ChainError, ParsedChain};
use crate::memory::is_read_only;

/// What sends the ring's interrupt.
pub type Signal = Box<dyn Fn() -> io::Result<()> + Send>;

/// Something in the ring itself is wrong, or it is not in the guest's memory.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// What virtio-queue has against it.
    #[error(transparent)]
    Queue(#[from] virtio_queue::Error),
    /// It is not in the guest's memory.
    #[error(transparent)]
    Memory(#[from] GuestMemoryError),
    /// It is where the device may only read.
    #[error("the ring's memory at {0:#x} is not to be written")]
    ReadOnly(u64),
    /// An entry of the available ring is not in the guest's memory.
    #[error("the available ring cannot be read")]
    Available,
    /// A chain of a packed ring goes all the way round.
    #[error("a chain does not end within the ring")]
    Endless,
}

/// A descriptor of a packed ring, as the driver has written it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedDescriptor {
    pub(crate) address: u64,
    pub(crate) len: u32,
    pub(crate) flags: u16,
}

/// A request popped from a ring: all it takes to find its memory, and to return it.
#[derive(Clone, Debug)]
pub struct PoppedChain {
    /// What the driver knows it by: the head of its chain, or the number of its buffer.
    pub id: u16,
    /// How many places of the ring it has; 1 in a split ring.
    pub slots: u16,
    /// The descriptors in a packed ring, where answers are written over them.
    pub(crate) direct: SmallVec<[PackedDescriptor; 2]>,
}

/// An answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UsedElem {
    /// The number of the request.
    pub id: u32,
    /// How many bytes were written to it.
    pub len: u32,
    /// How many places of the ring it had.
    pub slots: u16,
}

/// A ring of either format.
pub trait Ring: Send {
    /// Whether the driver lets it be served.
    fn is_started(&self) -> bool;

    /// How many descriptors it has.
    fn size(&self) -> u16;

    /// Whether answers are to come in the order of the requests.
    fn in_order(&self) -> bool {
        false
    }

    /// Takes the next request, if there is one.
    fn pop(&mut self, memory: &GuestMemoryMmap) -> Result<Option<PoppedChain>, RingError>;

    /// Finds a request's memory, which has no more bytes than these.
    fn parse<'m>(
        &self,
        memory: &'m GuestMemoryMmap,
        popped: &PoppedChain,
        max_len: u64,
    ) -> Result<ParsedChain<'m>, ChainError>;

    /// Shows the driver these answers, of which there must not be more than the ring is long.
    fn publish(&mut self, memory: &GuestMemoryMmap, answers: &[UsedElem]) -> Result<(), RingError>;

    /// Whether the driver wants an interrupt for what was published since this was last asked.
    fn needs_notification(&mut self, memory: &GuestMemoryMmap) -> Result<bool, RingError>;

    /// The place of the next request, where a front end can stop the ring and have it go on.
    fn next_place(&self) -> Option<u16> {
        None
    }

    /// Sends the interrupt.
    fn signal_used(&self) -> io::Result<()>;

    /// Tells the driver that it need not tell of new requests.
    fn disable_notification(&mut self, memory: &GuestMemoryMmap) -> Result<(), RingError>;

    /// Tells the driver that it has to; true if something came while it had not.
    fn enable_notification(&mut self, memory: &GuestMemoryMmap) -> Result<bool, RingError>;
}

/// Has what was written before be seen before anything is read after: a machine lets a read pass a
/// write otherwise, and each side of a ring might miss what the other one has just written.
pub(crate) fn full_fence() {
    fence(Ordering::SeqCst);
    #[cfg(test)]
    FENCES.with(|fences| fences.set(fences.get() + 1));
}

#[cfg(test)]
thread_local! {
    /// How often the thread has called [`full_fence`]: on most machines nothing else shows that one is
    /// missing.
    pub(crate) static FENCES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// An address so far behind another.
pub(crate) fn address(base: u64, offset: u64) -> Result<GuestAddress, GuestMemoryError> {
    let address = base.checked_add(offset).map(GuestAddress);
    address.ok_or(GuestMemoryError::GuestAddressOverflow)
}

/// The same, where the device is about to write `len` bytes.
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
