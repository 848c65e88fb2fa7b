// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Pops requests from a ring, serves them, and returns them to the driver.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use vm_memory::GuestMemoryMmap;

use super::context::{bump, Context, Memory};
use super::finished::FinishedList;
use crate::data::{Fields, Outcome};
use crate::descriptors::{ChainError, ParsedChain};
use crate::device::Scratch;
use crate::hooks::{Admission, Completion, Hooks, RequestId};
use crate::protocol::algorithm::Service;
use crate::protocol::feature;
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

/// The clock is read after this number of bytes in requests.
const UNCLOCKED_LEN: usize = 2048;

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
    /// The performed public-key operations, unless the worker performs them.
    pub(super) finished: Option<Arc<FinishedList>>,
    /// Number of requests whose operation another thread performs or has performed.
    pub(super) deferred: usize,
    /// Entries that are not published yet.
    pending: Vec<UsedElem>,
    /// Time at which the oldest pending entry was added.
    since: Instant,
    /// Number of bytes in requests since the clock was last read.
    unclocked: usize,
    pub(super) broken: bool,
}

impl<S: Default> ActiveRing<S> {
    pub(super) fn new(ring: Box<dyn Ring>, memory: Memory) -> Self {
        ActiveRing {
            ring,
            memory,
            hooks: S::default(),
            finished: None,
            deferred: 0,
            pending: Vec::new(),
            since: Instant::now(),
            unclocked: 0,
            broken: false,
        }
    }
}

impl<S> ActiveRing<S> {
    /// Returns whether requests can be returned whose operation another thread has performed.
    pub(super) fn has_finished(&self) -> bool {
        self.deferred != 0 && self.finished.as_ref().is_some_and(|finished| finished.any())
    }
}

/// Serves an active ring under the lock of its queue.
pub(super) struct RingProcessor<'a, H: Hooks> {
    pub(super) queue: &'a Context<H>,
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
        let parsed = &mut ParsedChain::default();
        while self.may_go_on() && !self.queue.lock_wanted() {
            self.active.ring.disable_notification(self.memory)?;
            loop {
                self.serve_due(parsed)?;
                self.finish_deferred(parsed)?;
                let Some(popped) = self.pop()? else { break };
                self.take(&popped, parsed)?;
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
        let parsed = &mut ParsedChain::default();
        for _ in 0..self.active.ring.size() {
            if !self.may_go_on() {
                break;
            }
            let Some(popped) = self.active.ring.pop(self.memory)? else { break };
            self.take(&popped, parsed)?;
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

    pub(super) fn parse(
        &self,
        popped: &PoppedChain,
        parsed: &mut ParsedChain<'a>,
    ) -> Result<(), ChainError> {
        let max_len = self.queue.device.capabilities.max_size.saturating_add(OVERHEAD);
        self.active.ring.parse(self.memory, popped, max_len, parsed)
    }

    /// Serves a request from the ring, or leaves it to the hooks.
    fn take(
        &mut self,
        popped: &PoppedChain,
        parsed: &mut ParsedChain<'a>,
    ) -> Result<(), RingError> {
        bump(&self.queue.counts.popped);
        if let Err(error) = self.parse(popped, parsed) {
            return self.reject(popped, error);
        }
        let fields = Fields::read(&parsed.chain());
        let id = RequestId { queue: self.queue.id, opcode: fields.opcode() };
        let ActiveRing { ring, hooks, .. } = &mut *self.active;
        let (in_order, size) = (ring.in_order(), ring.size());
        match self.queue.device.hooks.admit(hooks, id, popped, in_order, size) {
            Admission::Serve => self.complete(popped, parsed, &fields),
            Admission::Defer => Ok(()),
            Admission::Stop => {
                self.active.broken = true;
                self.queue.halt();
                Ok(())
            }
        }
    }

    /// Serves held requests that are due.
    fn serve_due(&mut self, parsed: &mut ParsedChain<'a>) -> Result<(), RingError> {
        if self.queue.device.hooks.held(&self.active.hooks) == 0 {
            return Ok(());
        }
        while self.may_go_on() && !self.queue.lock_wanted() {
            let in_order = self.active.ring.in_order();
            let hooks = &self.queue.device.hooks;
            let Some(popped) = hooks.next_due(&mut self.active.hooks, in_order) else { break };
            self.serve_held(&popped, parsed)?;
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
        let parsed = &mut ParsedChain::default();
        held.iter().try_for_each(|popped| self.serve_held(popped, parsed))?;
        Ok(held.len())
    }

    /// Serves a held request. Parses the chain again, because the driver may have changed it.
    fn serve_held(
        &mut self,
        popped: &PoppedChain,
        parsed: &mut ParsedChain<'a>,
    ) -> Result<(), RingError> {
        match self.parse(popped, parsed) {
            Ok(()) => self.complete(popped, parsed, &Fields::read(&parsed.chain())),
            Err(error) => self.reject(popped, error),
        }
    }

    /// Serves a request and returns it to the driver, or leaves it to a thread for public-key
    /// operations.
    fn complete(
        &mut self,
        popped: &PoppedChain,
        parsed: &ParsedChain<'_>,
        fields: &Fields,
    ) -> Result<(), RingError> {
        let (device, chain) = (&*self.queue.device, parsed.chain());
        device.check(Requirement::WritableLast, parsed.in_order);
        device.check(Requirement::NoEmpty, !parsed.has_empty);
        let id = RequestId { queue: self.queue.id, opcode: fields.opcode() };
        let QueueId::Data(queue) = id.queue else {
            let len = device.control(&chain);
            return self.finish(popped, id, len);
        };
        let len = chain.readable.len() + chain.writable.len();
        let akcipher = id.opcode >> 8 == Service::Akcipher.number();
        let may_defer = akcipher && self.may_defer();
        if len >= SLOW_REQUEST_LEN || akcipher && !may_defer {
            self.publish()?;
        }
        self.active.unclocked += len;
        let mut start = None;
        if akcipher {
            let now = Instant::now();
            start = Some(now + device.akcipher_limit.reserve(now));
            // A stateless request has a key, which this thread parses.
            let stateless = feature::stateless(Service::Akcipher);
            if !may_defer || device.features() & stateless != 0 {
                self.throttle(start);
            }
        }
        match device.serve_data(queue, self.scratch, &chain, fields, may_defer) {
            Outcome::Done(len) => {
                if may_defer {
                    // Rejected requests count, too.
                    self.publish()?;
                    self.throttle(start);
                }
                self.finish(popped, id, len)
            }
            Outcome::Deferred(deferred) => self.defer(popped, &chain, deferred, start),
        }
    }

    /// Waits until the rate limit permits a public-key operation, or the lock must be released.
    pub(super) fn throttle(&self, start: Option<Instant>) {
        while !self.queue.is_halted() && !self.queue.lock_wanted() {
            let now = Instant::now();
            let left = start.unwrap_or(now).saturating_duration_since(now);
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(THROTTLE_STEP));
        }
    }

    /// Returns a served request to the driver.
    pub(super) fn finish(
        &mut self,
        popped: &PoppedChain,
        id: RequestId,
        len: u32,
    ) -> Result<(), RingError> {
        let elem = UsedElem { id: popped.id.into(), len, slots: popped.slots };
        let Completion { elem, times, silent } = self.queue.device.hooks.complete(id, elem);
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

    fn count_returned(&mut self) {
        self.queue.device.hooks.returned(&mut self.active.hooks);
        bump(&self.queue.counts.completed);
    }

    /// Returns an invalid chain to the driver without writing to its buffers.
    pub(super) fn reject(
        &mut self,
        popped: &PoppedChain,
        error: ChainError,
    ) -> Result<(), RingError> {
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
        if self.active.pending.len() >= full || self.is_late() {
            self.publish()?;
        }
        Ok(())
    }

    /// Returns whether the oldest pending entry has waited for too long. A few short requests are
    /// done sooner, so the clock is not read for them.
    fn is_late(&mut self) -> bool {
        if self.active.unclocked < UNCLOCKED_LEN {
            return false;
        }
        self.active.unclocked = 0;
        self.active.since.elapsed() > BATCH_TIME
    }

    /// Publishes the pending entries without a notification.
    fn publish_entries(&mut self) -> Result<(), RingError> {
        let published = self.active.ring.publish(self.memory, &self.active.pending);
        self.active.pending.clear();
        published
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
