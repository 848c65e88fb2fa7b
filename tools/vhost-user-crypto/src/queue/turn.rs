// SPDX-License-Identifier: GPL-2.0
//! A worker's turn with a ring: takes requests, serves them, and answers, right or wrong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vhost_user_backend::VringT;
use virtio_queue::{QueueOwnedT, QueueT};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use super::held::{self, Held, Order, Until};
use super::{Memory, Queue, Vring};
use crate::descriptors::{Malformed, Table, Walked};
use crate::device::{opcode, Device, Worker};
use crate::fault::{Kind, QueueId};
use crate::memory::Chain;
use crate::protocol::algorithm::Service;
use crate::requirement::Requirement;
use crate::used::{Entry, Used};

/// What a request has beside the data that `max_size` speaks of: fields and keys.
const OVERHEAD: u64 = 1 << 20;

/// Answers are shown to the driver together, but not too many at a time, and none waits
/// for long: the driver shall have something to do while the device is busy.
const BATCH: usize = 16;
const BATCH_TIME: Duration = Duration::from_micros(100);

/// A request of so many bytes takes long enough for the driver to be told before it of
/// what is done; so does one for public keys.
const LONG: usize = 16 << 10;

/// Something in the ring itself is wrong, or it is not in the guest's memory.
#[derive(Debug, thiserror::Error)]
pub(super) enum RingError {
    #[error(transparent)]
    Queue(#[from] virtio_queue::Error),
    #[error(transparent)]
    Memory(#[from] vm_memory::GuestMemoryError),
    #[error("the available ring cannot be read")]
    Available,
}

/// The time from a ring's start to its end.
pub(super) struct Life {
    pub(super) vring: Vring,
    pub(super) memory: Memory,
    pub(super) used: Used,
    pub(super) held: Vec<Held>,
    /// Requests answered.
    pub(super) answered: u64,
    /// When the oldest answer was given that the driver does not see yet.
    pub(super) since: Instant,
    pub(super) broken: bool,
}

impl Life {
    pub(super) fn new(vring: Vring, memory: Memory) -> Self {
        Life {
            vring,
            memory,
            used: Used::default(),
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

pub(super) fn is_started(vring: &Vring) -> bool {
    let vring = vring.get_ref();
    vring.get_queue().ready() && vring.is_enabled()
}

fn table(vring: &Vring, device: &Device) -> Table {
    let vring = vring.get_ref();
    Table {
        address: GuestAddress(vring.get_queue().desc_table()),
        size: vring.get_queue().size(),
        max_len: device.offer.max_size.saturating_add(OVERHEAD),
    }
}

/// The worker's turn with a ring.
pub(super) struct Turn<'a> {
    queue: &'a Queue,
    worker: &'a mut Worker,
    pub(super) life: &'a mut Life,
    memory: &'a GuestMemoryMmap,
    table: Table,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        queue: &'a Queue,
        worker: &'a mut Worker,
        memory: &'a GuestMemoryMmap,
        life: &'a mut Life,
    ) -> Self {
        let table = table(&life.vring, &queue.device);
        Turn { queue, worker, life, memory, table }
    }

    /// Serves what is due, and what is in the ring, until there is nothing.
    pub(super) fn serve(&mut self) -> Result<(), RingError> {
        while self.may_go_on() {
            self.life.vring.disable_notification()?;
            loop {
                self.serve_due()?;
                let Some(head) = self.pop()? else { break };
                self.take(head)?;
            }
            self.publish()?;
            // True if something came while nobody would have been told.
            if !self.life.vring.enable_notification()? {
                break;
            }
        }
        Ok(())
    }

    fn may_go_on(&self) -> bool {
        !self.queue.halt.load(Ordering::Relaxed) && is_started(&self.life.vring)
    }

    /// Takes the next request from the ring.
    fn pop(&mut self) -> Result<Option<u16>, RingError> {
        let mut vring = self.life.vring.get_mut();
        if self.queue.halt.load(Ordering::Relaxed) || !vring.is_enabled() {
            return Ok(None);
        }
        let queue = vring.get_queue_mut();
        if !queue.ready() {
            return Ok(None);
        }
        if queue.avail_idx(self.memory, Ordering::Acquire)?.0 == queue.next_avail() {
            return Ok(None);
        }
        match queue.iter(self.memory)?.next() {
            Some(chain) => Ok(Some(chain.head_index())),
            None => Err(RingError::Available),
        }
    }

    /// A request from the ring is served, or held back.
    fn take(&mut self, head: u16) -> Result<(), RingError> {
        bump(&self.queue.counts.popped);
        let faults = &self.queue.device.faults;
        let walked = match self.table.walk(self.memory, head) {
            Ok(walked) => walked,
            Err(malformed) => return self.refuse(head, malformed),
        };
        let opcode = opcode(&walked.chain);
        let fire = |kind| faults.fire(kind, self.queue.id, opcode);
        if fire(Kind::Die).is_some() {
            (self.queue.die)();
            self.life.broken = true;
            self.queue.halt.store(true, Ordering::SeqCst);
            return Ok(());
        }
        let until = if fire(Kind::NeverAnswer).is_some() {
            Some(Until::never())
        } else if let Some(value) = fire(Kind::Delay) {
            Some(Until::late(value))
        } else {
            fire(Kind::Reorder).map(|value| Until::answers(self.life.answered, value))
        };
        match until {
            // A driver that reuses what it has not got back has no claim to memory of ours.
            Some(until) if self.life.held.len() < usize::from(self.table.size) => {
                self.life.held.push(Held { head, until });
                Ok(())
            }
            _ => self.answer(head, opcode, walked),
        }
    }

    /// Serves what was held back for long enough, the longest due first.
    fn serve_due(&mut self) -> Result<(), RingError> {
        while !self.life.held.is_empty() && self.may_go_on() {
            let now = Instant::now();
            let answered = self.life.answered;
            let Some(at) = held::first_due(&self.life.held, now, answered) else {
                break;
            };
            let head = self.life.held.remove(at).head;
            self.serve_held(head)?;
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
        held.iter().try_for_each(|held| self.serve_held(held.head))
    }

    /// What is in the chain may be something else by now.
    fn serve_held(&mut self, head: u16) -> Result<(), RingError> {
        match self.table.walk(self.memory, head) {
            Ok(walked) => self.answer(head, opcode(&walked.chain), walked),
            Err(malformed) => self.refuse(head, malformed),
        }
    }

    /// Serves a request and answers it, with all that may be wrong with an answer.
    fn answer(&mut self, head: u16, opcode: u32, walked: Walked<'_>) -> Result<(), RingError> {
        let device = &*self.queue.device;
        if !walked.in_order {
            device.violations.record(Requirement::WritableLast);
        }
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
        let id = fire(Kind::WrongId).map_or(u32::from(head), |value| value as u32);
        let entry = Entry { id, len };
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
                let mut vring = self.life.vring.get_mut();
                self.life.used.publish(self.memory, vring.get_queue_mut())?;
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
    fn refuse(&mut self, head: u16, malformed: Malformed) -> Result<(), RingError> {
        if malformed == Malformed::TooBig {
            self.queue.device.violations.record(Requirement::MaxSize);
        }
        let counts = &self.queue.counts;
        if counts.malformed.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("queue {}: a bad descriptor chain: {malformed}", self.queue.id);
        }
        bump(&counts.answered);
        self.push(Entry { id: head.into(), len: 0 });
        self.life.answered += 1;
        self.publish_if_due()
    }

    fn push(&mut self, entry: Entry) {
        if self.life.used.pending() == 0 {
            self.life.since = Instant::now();
        }
        self.life.used.push(entry);
    }

    fn publish_if_due(&mut self) -> Result<(), RingError> {
        // A short ring must not be filled beyond its end.
        let full = BATCH.min(usize::from(self.table.size));
        if self.life.used.pending() >= full || self.life.since.elapsed() > BATCH_TIME {
            self.publish()?;
        }
        Ok(())
    }

    /// Shows the driver all answers, and tells it, if it wants to be told.
    pub(super) fn publish(&mut self) -> Result<(), RingError> {
        if self.life.used.pending() == 0 {
            return Ok(());
        }
        let mut vring = self.life.vring.get_mut();
        let used = &mut self.life.used;
        used.publish(self.memory, vring.get_queue_mut())?;
        if used.needs_signal(self.memory, vring.get_queue())? {
            bump(&self.queue.counts.interrupts);
            if let Err(error) = vring.signal_used_queue() {
                tracing::warn!("queue {}: no interrupt: {error}", self.queue.id);
            }
        }
        Ok(())
    }
}
