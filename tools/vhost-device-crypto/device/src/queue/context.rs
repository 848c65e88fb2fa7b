// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Data shared by a queue and the processor of its ring.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

use crate::device::Device;
use crate::queue_id::QueueId;

/// Guest memory.
pub type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// Counters of a queue, which can be read without the lock of the queue.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) running: AtomicBool,
    pub(super) broken: AtomicBool,
    pub(super) popped: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) held: AtomicU64,
    pub(super) deferred: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) interrupts: AtomicU64,
}

/// Adds 1 to a counter.
pub(super) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Data that is constant while a ring is served, or changes without the lock of the queue.
pub(super) struct Context<H> {
    pub(super) id: QueueId,
    pub(super) device: Arc<Device<H>>,
    pub(super) counts: Counts,
    /// Makes the worker release the lock until the ring is stopped.
    pub(super) halt: AtomicBool,
    /// Number of threads for which the worker must release the lock for a short time.
    pub(super) lock_waiters: AtomicU64,
}

impl<H> Context<H> {
    pub(super) fn halt(&self) {
        self.halt.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_halted(&self) -> bool {
        self.halt.load(Ordering::Relaxed)
    }

    pub(super) fn lock_wanted(&self) -> bool {
        self.lock_waiters.load(Ordering::Relaxed) != 0
    }
}
