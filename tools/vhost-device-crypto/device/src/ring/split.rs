// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The split format, based on the virtio-queue crate. This module writes the used ring itself:
//! virtio-queue writes one entry at a time, and rejects the invalid entries that fault injection
//! needs.

use std::io;
use std::sync::atomic::Ordering;

use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::{address, full_fence, writable, PoppedChain, Ring, RingError, Signal, UsedElem};
use crate::descriptors::{ChainError, DescriptorTable, ParsedChain};

/// `VRING_AVAIL_F_NO_INTERRUPT`
const NO_INTERRUPT: u16 = 1;

/// Length of the flags and the index at the start of both rings, in bytes.
const HEADER_LEN: u64 = 4;

/// State of a ring in addition to the state that virtio-queue keeps.
#[derive(Debug, Default)]
pub struct Split {
    /// Entries published since the last `needs_notification()`.
    unsignalled: u16,
    /// The driver's index when it was last read. The requests before it are available.
    avail: u16,
    /// Whether only the flags of the driver disable notifications, and its event index is ignored.
    by_flags: bool,
}

impl Split {
    /// Creates the state of a ring for a driver that may or may not have accepted
    /// `VIRTIO_RING_F_EVENT_IDX`. Its event index may be undefined, and is ignored. Its flags are
    /// valid in both cases: with the feature they are 0, so the driver gets all notifications.
    pub fn by_flags() -> Self {
        Split { by_flags: true, ..Split::default() }
    }

    /// See [`Ring::pop`].
    pub fn pop(
        &mut self,
        memory: &GuestMemoryMmap,
        queue: &mut Queue,
    ) -> Result<Option<PoppedChain>, RingError> {
        let (next, size) = (queue.next_avail(), queue.size());
        if !queue.ready() || queue.avail_ring() == 0 {
            return Err(virtio_queue::Error::QueueNotReady.into());
        }
        // A front end may have moved the ring, so the index may be before the next request.
        if !(1..=size).contains(&self.avail.wrapping_sub(next)) {
            self.avail = queue.avail_idx(memory, Ordering::Acquire)?.0;
            match self.avail.wrapping_sub(next) {
                0 => return Ok(None),
                count if count > size => {
                    return Err(virtio_queue::Error::InvalidAvailRingIndex.into())
                }
                _ => {}
            }
        }
        let at = HEADER_LEN + 2 * u64::from(next % size);
        let id = memory.load(address(queue.avail_ring(), at)?, Ordering::Relaxed);
        let id = id.map(u16::from_le).map_err(|_| RingError::Available)?;
        queue.set_next_avail(next.wrapping_add(1));
        Ok(Some(PoppedChain { id, slots: 1, direct: Default::default() }))
    }

    /// See [`Ring::parse`].
    pub fn parse<'m>(
        memory: &'m GuestMemoryMmap,
        queue: &Queue,
        popped: &PoppedChain,
        max_len: u64,
        parsed: &mut ParsedChain<'m>,
    ) -> Result<(), ChainError> {
        let address = GuestAddress(queue.desc_table());
        DescriptorTable { address, size: queue.size(), max_len }.parse(memory, popped.id, parsed)
    }

    /// See [`Ring::publish`].
    pub fn publish(
        &mut self,
        memory: &GuestMemoryMmap,
        queue: &mut Queue,
        used: &[UsedElem],
    ) -> Result<(), RingError> {
        let ring = queue.used_ring();
        let mut next = queue.next_used();
        for entry in used {
            let at = HEADER_LEN + 8 * u64::from(next % queue.size());
            let value = (u64::from(entry.len) << 32) | u64::from(entry.id);
            memory.write_obj(value.to_le(), writable(memory, ring, at, 8)?)?;
            next = next.wrapping_add(1);
            self.unsignalled = self.unsignalled.wrapping_add(1);
        }
        memory.store(next.to_le(), writable(memory, ring, 2, 2)?, Ordering::Release)?;
        queue.set_next_used(next);
        Ok(())
    }

    /// See [`Ring::needs_notification`].
    pub fn needs_notification(
        &mut self,
        memory: &GuestMemoryMmap,
        queue: &Queue,
    ) -> Result<bool, RingError> {
        let added = std::mem::take(&mut self.unsignalled);
        if added == 0 {
            return Ok(false);
        }
        // The driver must see the new index before this side reads the driver's flags or event
        // index.
        full_fence();
        let load = |at| memory.load(address(queue.avail_ring(), at)?, Ordering::Relaxed);
        if self.by_flags || !queue.event_idx_enabled() {
            return Ok(u16::from_le(load(0)?) & NO_INTERRUPT == 0);
        }
        let event = u16::from_le(load(HEADER_LEN + 2 * u64::from(queue.size()))?);
        // Notify if the entry with the driver's event index was published since the last call.
        Ok(queue.next_used().wrapping_sub(event).wrapping_sub(1) < added)
    }
}

/// A split ring that owns its virtio-queue state.
pub struct SplitRing {
    queue: Queue,
    split: Split,
    in_order: bool,
    signal: Signal,
}

impl SplitRing {
    /// Creates a ring that the driver has set up.
    pub fn new(queue: Queue, in_order: bool, signal: Signal) -> Self {
        SplitRing { queue, split: Split::default(), in_order, signal }
    }

    /// Checks that the device may write the field by which it enables notifications: the flags
    /// before the used ring, or the event index after it.
    fn check_event_memory(&self, memory: &GuestMemoryMmap) -> Result<(), RingError> {
        let at = match self.queue.event_idx_enabled() {
            true => HEADER_LEN + 8 * u64::from(self.queue.size()),
            false => 0,
        };
        writable(memory, self.queue.used_ring(), at, 2).map(|_| ())
    }
}

impl Ring for SplitRing {
    fn is_started(&self) -> bool {
        self.queue.ready()
    }

    fn size(&self) -> u16 {
        self.queue.size()
    }

    fn in_order(&self) -> bool {
        self.in_order
    }

    fn pop(&mut self, memory: &GuestMemoryMmap) -> Result<Option<PoppedChain>, RingError> {
        self.split.pop(memory, &mut self.queue)
    }

    fn parse<'m>(
        &self,
        memory: &'m GuestMemoryMmap,
        popped: &PoppedChain,
        max_len: u64,
        parsed: &mut ParsedChain<'m>,
    ) -> Result<(), ChainError> {
        Split::parse(memory, &self.queue, popped, max_len, parsed)
    }

    fn publish(&mut self, memory: &GuestMemoryMmap, used: &[UsedElem]) -> Result<(), RingError> {
        self.split.publish(memory, &mut self.queue, used)
    }

    fn needs_notification(&mut self, memory: &GuestMemoryMmap) -> Result<bool, RingError> {
        self.split.needs_notification(memory, &self.queue)
    }

    fn signal_used(&self) -> io::Result<()> {
        (self.signal)()
    }

    fn disable_notification(&mut self, memory: &GuestMemoryMmap) -> Result<(), RingError> {
        self.check_event_memory(memory)?;
        Ok(self.queue.disable_notification(memory)?)
    }

    fn enable_notification(&mut self, memory: &GuestMemoryMmap) -> Result<bool, RingError> {
        self.check_event_memory(memory)?;
        Ok(self.queue.enable_notification(memory)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::FENCES;

    #[test]
    fn notification_state_is_read_after_a_fence() {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
        let mut queue = Queue::new(4).unwrap();
        queue.try_set_avail_ring_address(GuestAddress(0x100)).unwrap();
        queue.try_set_used_ring_address(GuestAddress(0x200)).unwrap();
        let mut split = Split::default();
        // No entry was published, so the driver's state is not read.
        assert!(!split.needs_notification(&memory, &queue).unwrap());
        let before = FENCES.get();
        split.publish(&memory, &mut queue, &[UsedElem { id: 0, len: 0, slots: 1 }]).unwrap();
        assert_eq!(FENCES.get(), before);
        assert!(split.needs_notification(&memory, &queue).unwrap());
        assert_eq!(FENCES.get(), before + 1);
    }

    /// The event index requests a notification for a later entry. `Split::by_flags()` ignores it.
    #[test]
    fn by_flags_ignores_the_event_index() {
        for (mut split, flags, notified) in [
            (Split::default(), 0, false),
            (Split::by_flags(), 0, true),
            (Split::by_flags(), NO_INTERRUPT, false),
        ] {
            let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
            let mut queue = Queue::new(4).unwrap();
            queue.set_size(4);
            queue.try_set_avail_ring_address(GuestAddress(0x100)).unwrap();
            queue.try_set_used_ring_address(GuestAddress(0x200)).unwrap();
            queue.set_event_idx(true);
            memory.write_obj(flags.to_le(), GuestAddress(0x100)).unwrap();
            memory.write_obj(5u16.to_le(), GuestAddress(0x10c)).unwrap();
            split.publish(&memory, &mut queue, &[UsedElem { id: 0, len: 0, slots: 1 }]).unwrap();
            assert_eq!(split.needs_notification(&memory, &queue).unwrap(), notified, "{flags}");
        }
    }
}
