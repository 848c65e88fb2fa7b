// SPDX-License-Identifier: GPL-2.0
//! The used ring, written by hand: several answers at once, and such as virtio-queue
//! would refuse to write.

use std::sync::atomic::{fence, Ordering};

use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError, GuestMemoryMmap};

/// `VRING_AVAIL_F_NO_INTERRUPT`
const NO_INTERRUPT: u16 = 1;

/// Both rings begin with their flags and their index.
const HEADER_LEN: u64 = 4;

/// An entry of the used ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The head of the chain that is done.
    pub id: u32,
    /// How many bytes were written to it.
    pub len: u32,
}

/// Answers on their way to the driver.
#[derive(Debug, Default)]
pub struct Used {
    pending: Vec<Entry>,
    /// Published without asking whether the driver wants to know.
    unsignalled: u16,
}

impl Used {
    /// How many answers the driver does not see yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Adds an answer that the driver does not see yet. There must not be more of them
    /// than the queue is long.
    pub fn push(&mut self, entry: Entry) {
        self.pending.push(entry);
    }

    /// Shows the driver all answers so far.
    pub fn publish(
        &mut self,
        memory: &GuestMemoryMmap,
        queue: &mut Queue,
    ) -> Result<(), GuestMemoryError> {
        let ring = queue.used_ring();
        let mut next = queue.next_used();
        for entry in self.pending.drain(..) {
            let at = HEADER_LEN + 8 * u64::from(next % queue.size());
            let value = (u64::from(entry.len) << 32) | u64::from(entry.id);
            memory.write_obj(value.to_le(), address(ring, at)?)?;
            next = next.wrapping_add(1);
            self.unsignalled = self.unsignalled.wrapping_add(1);
        }
        memory.store(next.to_le(), address(ring, 2)?, Ordering::Release)?;
        queue.set_next_used(next);
        Ok(())
    }

    /// Whether the driver wants to be told of what was published since this was last asked.
    pub fn needs_signal(
        &mut self,
        memory: &GuestMemoryMmap,
        queue: &Queue,
    ) -> Result<bool, GuestMemoryError> {
        let added = std::mem::take(&mut self.unsignalled);
        if added == 0 {
            return Ok(false);
        }
        // The index has to be written before the driver's wish is read: the driver writes
        // its wish before it reads the index.
        fence(Ordering::SeqCst);
        let load = |at| memory.load(address(queue.avail_ring(), at)?, Ordering::Relaxed);
        if !queue.event_idx_enabled() {
            return Ok(u16::from_le(load(0)?) & NO_INTERRUPT == 0);
        }
        let event = u16::from_le(load(HEADER_LEN + 2 * u64::from(queue.size()))?);
        // Whether the index has passed the entry that the driver waits for.
        Ok(queue.next_used().wrapping_sub(event).wrapping_sub(1) < added)
    }
}

fn address(ring: u64, offset: u64) -> Result<GuestAddress, GuestMemoryError> {
    let address = ring.checked_add(offset).map(GuestAddress);
    address.ok_or(GuestMemoryError::GuestAddressOverflow)
}
