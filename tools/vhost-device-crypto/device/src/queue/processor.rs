// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Pops requests from a ring, serves them, and returns them to the driver.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use vm_memory::GuestMemoryMmap;

use super::context::{bump, Context, Memory};
use crate::descriptors::{ChainError, ParsedChain};
use crate::device::Scratch;
use crate::hooks::{Admission, Completion, Hooks, RequestId};
use crate::memory::Chain;
use crate::protocol::algorithm::Service;
use crate::queue_id::QueueId;
use crate::requirement::Requirement;
use crate::ring::{PoppedChain, Ring, RingError, UsedElem};
use crate::warn_limited;

/// Maximum length of a request in addition to `max_size`, for the fixed-length fields and for the
/// keys of a CREATE.
const OVERHEAD: u64 = 1 << 20;

/// Used entries are published in batches of at most `BATCH` entries. No entry waits longer than
/// `BATCH_TIME`, so the driver gets results while the device is busy.
const BATCH: usize = 16;
const BATCH_TIME: Duration = Duration::from_micros(100);

/// Length in bytes from which on a request is slow. Public-key operations are also slow. Pending
/// entries are published before a slow request.
const SLOW_REQUEST_LEN: usize = 16 << 10;

/// Interval at which a throttled worker checks whether its ring must stop.
const THROTTLE_STEP: Duration = Duration::from_millis(10);

/// A started ring.
pub(super) struct ActiveRing<S> {
    pub(super) ring: Box<dyn Ring>,
    pub(super) memory: Memory,
    pub(super) hooks: S,
    /// Entries that are not published yet.
    pending: Vec<UsedElem>,
    /// Time at which the oldest pending entry was added.
    since: Instant,
    pub(super) broken: bool,
}

impl<S: Default> ActiveRing<S> {
    pub(super) fn new(ring: Box<dyn Ring>, memory: Memory) -> Self {
        ActiveRing {
            ring,
            memory,
            hooks: S::default(),
            pending: Vec::new(),
            since: Instant::now(),
            broken: false,
        }
    }
}

/// Serves an active ring under the lock of its queue.
pub(super) struct RingProcessor<'a, H: Hooks> {
    queue: &'a Context<H>,
    scratch: &'a mut Scratch,
    pub(super) active: &'a mut ActiveRing<H::Ring>,
    memory: &'a GuestMemoryMmap,
}

impl<'a, H: Hooks> RingProcessor<'a, H> {
    pub(super) fn new(
        queue: &'a Context<H>,
        scratch: &'a mut Scratch,
        memory: &'a GuestMemoryMmap,
        active: &'a mut ActiveRing<H::Ring>,
    ) -> Self {
        RingProcessor { queue, scratch, active, memory }
    }

    /// Serves the held requests that are due and the requests in the ring, until both are empty.
    pub(super) fn serve(&mut self) -> Result<(), RingError> {
        while self.may_go_on() && !self.queue.lock_wanted() {
            self.active.ring.disable_notification(self.memory)?;
            loop {
                self.serve_due()?;
                let Some(popped) = self.pop()? else { break };
                self.take(popped)?;
            }
            self.publish()?;
            if !self.active.ring.enable_notification(self.memory)? {
                break;
            }
        }
        Ok(())
    }

    /// Serves the requests in the ring, at most as many as the size of the ring, because the driver
    /// may continue to add requests.
    pub(super) fn drain(&mut self) -> Result<(), RingError> {
        for _ in 0..self.active.ring.size() {
            if !self.may_go_on() {
                break;
            }
            let Some(popped) = self.active.ring.pop(self.memory)? else { break };
            self.take(popped)?;
        }
        self.publish()
    }

    fn may_go_on(&self) -> bool {
        !self.queue.is_halted() && self.active.ring.is_started()
    }

    /// Pops the next request from the ring, unless the lock must be released.
    fn pop(&mut self) -> Result<Option<PoppedChain>, RingError> {
        match self.queue.is_halted() || self.queue.lock_wanted() {
            true => Ok(None),
            false => self.active.ring.pop(self.memory),
        }
    }

    fn parse(&self, popped: &PoppedChain) -> Result<ParsedChain<'a>, ChainError> {
        let max_len = self.queue.device.capabilities.max_size.saturating_add(OVERHEAD);
        self.active.ring.parse(self.memory, popped, max_len)
    }

    /// Serves a request from the ring, or leaves it to the hooks.
    fn take(&mut self, popped: PoppedChain) -> Result<(), RingError> {
        bump(&self.queue.counts.popped);
        let parsed = match self.parse(&popped) {
            Ok(parsed) => parsed,
            Err(error) => return self.reject(&popped, error),
        };
        let id = self.request_id(&parsed.chain);
        let ActiveRing { ring, hooks, .. } = &mut *self.active;
        let (in_order, size) = (ring.in_order(), ring.size());
        match self.queue.device.hooks.admit(hooks, id, &popped, in_order, size) {
            Admission::Serve => self.complete(&popped, id, parsed),
            Admission::Defer => Ok(()),
            Admission::Stop => {
                self.active.broken = true;
                self.queue.halt();
                Ok(())
            }
        }
    }

    fn request_id(&self, chain: &Chain<'_>) -> RequestId {
        RequestId { queue: self.queue.id, opcode: chain.opcode() }
    }

    /// Serves held requests that are due.
    fn serve_due(&mut self) -> Result<(), RingError> {
        while self.may_go_on() && !self.queue.lock_wanted() {
            let in_order = self.active.ring.in_order();
            let hooks = &self.queue.device.hooks;
            let Some(popped) = hooks.next_due(&mut self.active.hooks, in_order) else { break };
            self.serve_held(&popped)?;
        }
        Ok(())
    }

    /// Serves held requests, if the ring may be served.
    pub(super) fn serve_all(
        &mut self,
        take: impl FnOnce(&mut H::Ring) -> Vec<PoppedChain>,
    ) -> Result<usize, RingError> {
        if !self.may_go_on() {
            return Ok(0);
        }
        let held = take(&mut self.active.hooks);
        held.iter().try_for_each(|popped| self.serve_held(popped))?;
        Ok(held.len())
    }

    /// Serves a held request. Parses the chain again, because the driver may have changed it.
    fn serve_held(&mut self, popped: &PoppedChain) -> Result<(), RingError> {
        match self.parse(popped) {
            Ok(parsed) => self.complete(popped, self.request_id(&parsed.chain), parsed),
            Err(error) => self.reject(popped, error),
        }
    }

    /// Serves a request and returns it to the driver.
    fn complete(
        &mut self,
        popped: &PoppedChain,
        id: RequestId,
        parsed: ParsedChain<'_>,
    ) -> Result<(), RingError> {
        let device = &*self.queue.device;
        device.check(Requirement::WritableLast, parsed.in_order);
        device.check(Requirement::NoEmpty, !parsed.has_empty);
        let len = parsed.chain.readable.len() + parsed.chain.writable.len();
        let akcipher = id.opcode >> 8 == Service::Akcipher.number();
        if len >= SLOW_REQUEST_LEN || akcipher {
            self.publish()?;
        }
        if akcipher && id.queue != QueueId::Control {
            self.throttle();
        }
        let len = self.execute(&parsed.chain);
        let elem = UsedElem { id: popped.id.into(), len, slots: popped.slots };
        let Completion { elem, times, silent } = device.hooks.complete(id, elem);
        if silent {
            // Publish the earlier entries first, because these need a notification.
            self.publish()?;
        }
        for _ in 0..times {
            self.push(elem);
            if silent {
                // Do not notify the driver. The next notification also covers this entry.
                self.publish_entries()?;
            }
            self.publish_if_due()?;
        }
        self.count_returned();
        Ok(())
    }

    /// Waits until the rate limit permits a public-key operation, or the lock must be released.
    fn throttle(&self) {
        let begin = Instant::now();
        let end = begin + self.queue.device.akcipher_limit.reserve(begin);
        while !self.queue.is_halted() && !self.queue.lock_wanted() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(THROTTLE_STEP));
        }
    }

    fn count_returned(&mut self) {
        self.queue.device.hooks.returned(&mut self.active.hooks);
        bump(&self.queue.counts.completed);
    }

    fn execute(&mut self, chain: &Chain<'_>) -> u32 {
        match self.queue.id {
            QueueId::Control => self.queue.device.control(chain),
            QueueId::Data(index) => self.queue.device.data(index, self.scratch, chain),
        }
    }

    /// Returns an invalid chain to the driver without writing to its buffers.
    fn reject(&mut self, popped: &PoppedChain, error: ChainError) -> Result<(), RingError> {
        self.queue.device.violated(match error {
            ChainError::TooBig => Requirement::MaxSize,
            _ => Requirement::Chain,
        });
        if self.queue.counts.malformed.fetch_add(1, Ordering::Relaxed) == 0 {
            warn_limited!("queue {}: invalid descriptor chain: {error}", self.queue.id);
        }
        self.push(UsedElem { id: popped.id.into(), len: 0, slots: popped.slots });
        self.count_returned();
        self.publish_if_due()
    }

    fn push(&mut self, elem: UsedElem) {
        if self.active.pending.is_empty() {
            self.active.since = Instant::now();
        }
        self.active.pending.push(elem);
    }

    fn publish_if_due(&mut self) -> Result<(), RingError> {
        // A batch must not be longer than the ring.
        let full = BATCH.min(usize::from(self.active.ring.size()));
        if self.active.pending.len() >= full || self.active.since.elapsed() > BATCH_TIME {
            self.publish()?;
        }
        Ok(())
    }

    /// Publishes the pending entries without a notification.
    fn publish_entries(&mut self) -> Result<(), RingError> {
        let pending = std::mem::take(&mut self.active.pending);
        self.active.ring.publish(self.memory, &pending)
    }

    /// Publishes the pending entries, and notifies the driver unless it has disabled notifications.
    pub(super) fn publish(&mut self) -> Result<(), RingError> {
        if self.active.pending.is_empty() {
            return Ok(());
        }
        self.publish_entries()?;
        if self.active.ring.needs_notification(self.memory)? {
            bump(&self.queue.counts.interrupts);
            if let Err(error) = self.active.ring.signal_used() {
                warn_limited!("queue {}: notification failed: {error}", self.queue.id);
            }
        }
        Ok(())
    }
}
