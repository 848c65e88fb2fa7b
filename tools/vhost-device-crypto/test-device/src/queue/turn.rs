// SPDX-License-Identifier: GPL-2.0
//! A worker's turn with a ring: takes requests, serves them, and answers, right or wrong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vm_memory::GuestMemoryMmap;

use super::held::{self, Held, Order, Until};
use super::{Disaster, Memory, Queue};
use crate::descriptors::{Malformed, Walked};
use crate::device::{opcode, Worker};
use crate::fault::{Kind, QueueId};
use crate::log_limit::warn_limited;
use crate::memory::Chain;
use crate::protocol::algorithm::Service;
use crate::requirement::Requirement;
use crate::ring::{Entry, Ring, RingError, Taken};

/// What a request has beside the data that `max_size` speaks of: fields and keys.
const OVERHEAD: u64 = 1 << 20;

/// Answers are shown to the driver together, but not too many at a time, and none waits
/// for long: the driver shall have something to do while the device is busy.
const BATCH: usize = 16;
const BATCH_TIME: Duration = Duration::from_micros(100);

/// What ends a queue, and by which fault.
const DISASTERS: [(Kind, Disaster); 3] = [
    (Kind::Die, Disaster::Death),
    (Kind::NeedsReset, Disaster::NeedsReset),
    (Kind::DeviceGone, Disaster::Gone),
];

/// A request of so many bytes takes long enough for the driver to be told before it of
/// what is done; so does one for public keys.
const LONG: usize = 16 << 10;

/// The time from a ring's start to its end.
pub(super) struct Life {
    pub(super) ring: Box<dyn Ring>,
    pub(super) memory: Memory,
    /// Answers that the driver does not see yet.
    pending: Vec<Entry>,
    pub(super) held: Vec<Held>,
    /// Requests answered.
    answered: u64,
    /// When the oldest answer was given that the driver does not see yet.
    since: Instant,
    pub(super) broken: bool,
}

impl Life {
    pub(super) fn new(ring: Box<dyn Ring>, memory: Memory) -> Self {
        Life {
            ring,
            memory,
            pending: Vec::new(),
            held: Vec::new(),
            answered: 0,
            since: Instant::now(),
            broken: false,
        }
    }
}

fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The worker's turn with a ring.
pub(super) struct Turn<'a> {
    queue: &'a Queue,
    worker: &'a mut Worker,
    pub(super) life: &'a mut Life,
    memory: &'a GuestMemoryMmap,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        queue: &'a Queue,
        worker: &'a mut Worker,
        memory: &'a GuestMemoryMmap,
        life: &'a mut Life,
    ) -> Self {
        Turn { queue, worker, life, memory }
    }

    /// Serves what is due, and what is in the ring, until there is nothing.
    pub(super) fn serve(&mut self) -> Result<(), RingError> {
        while self.may_go_on() && !self.queue.is_hurried() {
            self.life.ring.silence(self.memory)?;
            loop {
                self.serve_due()?;
                let Some(taken) = self.pop()? else { break };
                self.take(taken)?;
            }
            self.publish()?;
            if !self.life.ring.listen(self.memory)? {
                break;
            }
        }
        Ok(())
    }

    fn may_go_on(&self) -> bool {
        !self.queue.is_halted() && self.life.ring.is_started()
    }

    /// Takes the next request from the ring.
    fn pop(&mut self) -> Result<Option<Taken>, RingError> {
        match self.queue.is_halted() || self.queue.is_hurried() {
            true => Ok(None),
            false => self.life.ring.pop(self.memory),
        }
    }

    fn walk(&self, taken: &Taken) -> Result<Walked<'a>, Malformed> {
        let max_len = self.queue.device.offer.max_size.saturating_add(OVERHEAD);
        self.life.ring.walk(self.memory, taken, max_len)
    }

    /// A request from the ring is served, or held back.
    fn take(&mut self, taken: Taken) -> Result<(), RingError> {
        bump(&self.queue.counts.popped);
        let faults = &self.queue.device.faults;
        let walked = match self.walk(&taken) {
            Ok(walked) => walked,
            Err(malformed) => return self.refuse(&taken, malformed),
        };
        let opcode = opcode(&walked.chain);
        let fire = |kind| faults.fire(kind, self.queue.id, opcode);
        for (kind, disaster) in DISASTERS {
            if fire(kind).is_some() {
                (self.queue.strike)(disaster);
                self.life.broken = true;
                self.queue.halt();
                return Ok(());
            }
        }
        let held = &self.life.held;
        let until = if fire(Kind::NeverAnswer).is_some() {
            Some(Until::never())
        } else if let Some(value) = fire(Kind::Delay) {
            Some(Until::late(value))
        } else if let Some(value) = fire(Kind::Reorder) {
            Some(Until::answers(self.life.answered, value))
        } else {
            (self.life.ring.in_order() && held::blocks(held)).then(Until::turn)
        };
        match until {
            // A driver that reuses what it has not got back has no claim to memory of ours.
            Some(until) if held::slots(held) < usize::from(self.life.ring.size()) => {
                self.life.held.push(Held { taken, until });
                Ok(())
            }
            _ => self.answer(&taken, opcode, walked),
        }
    }

    /// Serves what was held back for long enough, the longest due first.
    fn serve_due(&mut self) -> Result<(), RingError> {
        while !self.life.held.is_empty() && self.may_go_on() && !self.queue.is_hurried() {
            let now = Instant::now();
            let answered = self.life.answered;
            let in_order = self.life.ring.in_order();
            let Some(at) = held::first_due(&self.life.held, in_order, now, answered) else {
                break;
            };
            let taken = self.life.held.remove(at).taken;
            self.serve_held(&taken)?;
        }
        Ok(())
    }

    /// Serves what is held back, in this order.
    pub(super) fn complete(&mut self, order: Order) -> Result<(), RingError> {
        if !self.may_go_on() {
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.life.held);
        if order == Order::Lifo {
            held.reverse();
        }
        held.iter().try_for_each(|held| self.serve_held(&held.taken))
    }

    /// What is in the chain may be something else by now.
    fn serve_held(&mut self, taken: &Taken) -> Result<(), RingError> {
        match self.walk(taken) {
            Ok(walked) => self.answer(taken, opcode(&walked.chain), walked),
            Err(malformed) => self.refuse(taken, malformed),
        }
    }

    /// Serves a request and answers it, with all that may be wrong with an answer.
    fn answer(&mut self, taken: &Taken, opcode: u32, walked: Walked<'_>) -> Result<(), RingError> {
        let device = &*self.queue.device;
        device.violations.check(Requirement::WritableLast, walked.in_order);
        device.violations.check(Requirement::NoEmpty, !walked.has_empty);
        let len = walked.chain.readable.len() + walked.chain.writable.len();
        if len >= LONG || opcode >> 8 == Service::Akcipher.number() {
            self.publish()?;
        }
        let written = self.execute(&walked.chain);
        let fire = |kind| device.faults.fire(kind, self.queue.id, opcode);
        let number = |value| u32::try_from(value).unwrap_or(u32::MAX);
        let mut len = written;
        if let Some(value) = fire(Kind::UsedLenShort) {
            len = len.saturating_sub(number(value));
        }
        if let Some(value) = fire(Kind::UsedLenLong) {
            len = len.saturating_add(number(value));
        }
        if fire(Kind::UsedLenZero).is_some() {
            len = 0;
        }
        let id = fire(Kind::WrongId).map_or(taken.id.into(), |value| value as u32);
        let entry = Entry { id, len, slots: taken.slots };
        let times = if fire(Kind::AnswerTwice).is_some() { 2 } else { 1 };
        let silent = fire(Kind::NoInterrupt).is_some();
        if silent {
            // The others of the batch get theirs.
            self.publish()?;
        }
        for _ in 0..times {
            self.push(entry);
            if silent {
                // The next answer's interrupt is for this one as well, whatever way the
                // driver asks for interrupts.
                self.show()?;
            }
            self.publish_if_due()?;
        }
        self.life.answered += 1;
        bump(&self.queue.counts.answered);
        Ok(())
    }

    fn execute(&mut self, chain: &Chain<'_>) -> u32 {
        match self.queue.id {
            QueueId::Control => self.queue.device.control(chain),
            QueueId::Data(index) => self.queue.device.data(index, self.worker, chain),
        }
    }

    /// Answers what cannot be served: nothing is written.
    fn refuse(&mut self, taken: &Taken, malformed: Malformed) -> Result<(), RingError> {
        self.queue.device.violations.record(match malformed {
            Malformed::TooBig => Requirement::MaxSize,
            _ => Requirement::Chain,
        });
        let counts = &self.queue.counts;
        if counts.malformed.fetch_add(1, Ordering::Relaxed) == 0 {
            warn_limited!("queue {}: a bad descriptor chain: {malformed}", self.queue.id);
        }
        bump(&counts.answered);
        self.push(Entry { id: taken.id.into(), len: 0, slots: taken.slots });
        self.life.answered += 1;
        self.publish_if_due()
    }

    fn push(&mut self, entry: Entry) {
        if self.life.pending.is_empty() {
            self.life.since = Instant::now();
        }
        self.life.pending.push(entry);
    }

    fn publish_if_due(&mut self) -> Result<(), RingError> {
        // A short ring must not be filled beyond its end.
        let full = BATCH.min(usize::from(self.life.ring.size()));
        if self.life.pending.len() >= full || self.life.since.elapsed() > BATCH_TIME {
            self.publish()?;
        }
        Ok(())
    }

    /// Shows the driver all answers.
    fn show(&mut self) -> Result<(), RingError> {
        let pending = std::mem::take(&mut self.life.pending);
        self.life.ring.publish(self.memory, &pending)
    }

    /// Shows the driver all answers, and tells it, if it wants to be told.
    pub(super) fn publish(&mut self) -> Result<(), RingError> {
        if self.life.pending.is_empty() {
            return Ok(());
        }
        self.show()?;
        if self.life.ring.needs_signal(self.memory)? {
            bump(&self.queue.counts.interrupts);
            if let Err(error) = self.life.ring.signal() {
                warn_limited!("queue {}: no interrupt: {error}", self.queue.id);
            }
        }
        Ok(())
    }
}
