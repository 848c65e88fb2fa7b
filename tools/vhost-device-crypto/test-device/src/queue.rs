// SPDX-License-Identifier: GPL-2.0
//! A virtqueue: takes requests from the ring and puts the answers there.
//!
//! Everything that touches the ring or a request's memory happens under the queue's
//! lock. [`Queue::stop`] takes it, so that nothing is written any more once it returns,
//! and forgets what was held back, so that nothing is answered in a later life.
//!
//! # Faults of answers
//!
//! A request that is late (`delay`, `reorder`, `never-answer`) is not looked at until it
//! is to be answered: a driver that frees a buffer or destroys a session too early is
//! found out, as it would be by hardware. It keeps its place in no order: what comes
//! later is served first.

mod held;
mod turn;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::timerfd::TimerFd;

use crate::device::{Device, Worker};
use crate::fault::QueueId;
use crate::log_limit::warn_limited;
use crate::requirement::Requirement;
use crate::ring::vring::{is_started, SharedRing};
use crate::ring::{Ring, RingError};

pub use crate::ring::vring::Vring;
pub use held::Order;
use turn::{Life, Turn};

/// The guest's memory.
pub type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// What ends more than a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disaster {
    /// The fault `die`: the process ends.
    Death,
    /// The fault `needs-reset`, or a ring that is none: the device does nothing more until it
    /// is reset, if there is a front end that can be told.
    NeedsReset,
    /// The fault `device-gone`: the front end finds nobody any more.
    Gone,
}

/// How long a worker may take to see that its ring was stopped.
const STOP_TIME: Duration = Duration::from_secs(5);

/// What a queue has done, and how it is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct QueueStatus {
    /// Which one it is.
    pub queue: QueueId,
    /// Whether the driver has started it.
    pub running: bool,
    /// Whether the driver has broken its ring.
    pub broken: bool,
    /// Requests taken from the ring.
    pub popped: u64,
    /// Requests answered.
    pub answered: u64,
    /// Requests held back.
    pub held: u64,
    /// Requests that were no proper chain of descriptors.
    pub malformed: u64,
    /// Interrupts sent.
    pub interrupts: u64,
}

/// The same, to be looked at while the queue is at work.
#[derive(Default)]
struct Counts {
    running: AtomicBool,
    broken: AtomicBool,
    popped: AtomicU64,
    answered: AtomicU64,
    held: AtomicU64,
    malformed: AtomicU64,
    interrupts: AtomicU64,
}

/// A virtqueue.
pub struct Queue {
    id: QueueId,
    device: Arc<Device>,
    strike: Box<dyn Fn(Disaster) + Send + Sync>,
    counts: Counts,
    /// Has the worker let go of the lock.
    halt: AtomicBool,
    /// How many want the lock only for a moment.
    hurry: AtomicU64,
    state: Mutex<State>,
    seen: Condvar,
}

struct State {
    worker: Worker,
    life: Option<Life>,
    timer: TimerFd,
    /// Whether the timer runs, or has expired.
    armed: bool,
    /// Whether a worker waits for the timer.
    watched: bool,
    /// Whether the worker has been through its loop since the ring was stopped.
    seen: bool,
}

impl Queue {
    /// A queue that is not running. `strike` is what the faults do that end it; it is called
    /// with the queue's lock held.
    pub fn new(
        id: QueueId,
        device: Arc<Device>,
        strike: Box<dyn Fn(Disaster) + Send + Sync>,
    ) -> std::io::Result<Self> {
        let state = State {
            worker: Worker::default(),
            life: None,
            timer: TimerFd::new()?,
            armed: false,
            watched: false,
            seen: false,
        };
        Ok(Queue {
            id,
            device,
            strike,
            counts: Counts::default(),
            halt: AtomicBool::new(false),
            hurry: AtomicU64::new(0),
            state: Mutex::new(state),
            seen: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which one it is.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// Whether it is running.
    pub fn is_running(&self) -> bool {
        self.counts.running.load(Ordering::SeqCst)
    }

    /// How it is.
    pub fn status(&self) -> QueueStatus {
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        QueueStatus {
            queue: self.id,
            running: self.is_running(),
            broken: self.counts.broken.load(Ordering::Relaxed),
            popped: number(&self.counts.popped),
            answered: number(&self.counts.answered),
            held: number(&self.counts.held),
            malformed: number(&self.counts.malformed),
            interrupts: number(&self.counts.interrupts),
        }
    }

    /// A worker begins. It is to watch the timer, and to call [`Queue::expired`].
    pub fn employ<E>(&self, watch: impl FnOnce(&TimerFd) -> Result<(), E>) -> Result<(), E> {
        let mut state = self.lock();
        watch(&state.timer)?;
        state.watched = true;
        self.halt.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// The worker is about to end, and has nothing to do any more.
    pub fn dismiss(&self) {
        self.halt();
        let mut state = self.lock();
        self.end(&mut state);
        state.watched = false;
    }

    /// Serves a ring of vhost-user's until it is empty. The first time begins its life.
    pub fn run(&self, vring: &Vring, memory: &Memory) {
        let mut state = self.lock();
        if state.life.is_none() && !self.is_halted() && is_started(vring) {
            let ring = Box::new(SharedRing::new(vring.clone()));
            self.begin(&mut state, ring, memory);
        }
        self.turn(&mut state, |turn| turn.serve());
    }

    /// A ring's life begins. It has to be at its end, or stopped, before.
    pub fn start(&self, ring: Box<dyn Ring>, memory: &Memory) {
        let mut state = self.lock();
        self.halt.store(false, Ordering::SeqCst);
        self.begin(&mut state, ring, memory);
    }

    fn begin(&self, state: &mut State, ring: Box<dyn Ring>, memory: &Memory) {
        state.life = Some(Life::new(ring, memory.clone()));
        self.counts.running.store(true, Ordering::SeqCst);
    }

    /// Serves the ring that was started until it is empty.
    pub fn serve(&self) {
        self.turn(&mut self.lock(), |turn| turn.serve());
    }

    /// Has the worker let go of the ring, until it is stopped. Does not wait.
    pub fn halt(&self) {
        self.halt.store(true, Ordering::SeqCst);
    }

    fn is_halted(&self) -> bool {
        self.halt.load(Ordering::Relaxed)
    }

    fn is_hurried(&self) -> bool {
        self.hurry.load(Ordering::Relaxed) != 0
    }

    /// Waits until nobody uses memory that the guest does not have any more, if the queue's
    /// handle to the memory knows about it already. The worker has to be called again.
    pub fn settle(&self) {
        self.hurry.fetch_add(1, Ordering::SeqCst);
        drop(self.lock());
        self.hurry.fetch_sub(1, Ordering::SeqCst);
    }

    /// The timer has expired: serves what is due.
    pub fn expired(&self) {
        let mut state = self.lock();
        state.seen = true;
        self.seen.notify_all();
        self.turn(&mut state, |turn| turn.serve());
    }

    /// Answers all that is held back, in this order; returns how many requests that were.
    pub fn complete(&self, order: Order) -> usize {
        let mut count = 0;
        self.turn(&mut self.lock(), |turn| {
            let held = turn.life.held.len();
            let result = turn.complete(order);
            count = held - turn.life.held.len();
            result
        });
        count
    }

    /// Ends the ring's life. When this returns, nothing of the ring or of a request's
    /// memory is touched until it is started again, and the worker has handled all events
    /// that came before: vhost-user-backend takes the kick's descriptor away now, and
    /// reads the next one's for an old event, whose worker then waits or ends.
    ///
    /// Returns the place of the next request, of a ring that was alive and can go on there.
    pub fn stop(&self) -> Option<u16> {
        self.halt();
        let mut state = self.lock();
        self.halt.store(false, Ordering::SeqCst);
        let place = state.life.as_ref().and_then(|life| life.ring.next_place());
        self.end(&mut state);
        // The first time the timer's event may be one that came before, together with the
        // kick's; the second time it is not.
        for _ in 0..2 {
            if state.watched {
                state.seen = false;
                self.set_timer(&mut state, Some(Instant::now()));
                let unseen = |state: &mut State| !state.seen;
                let waited = self.seen.wait_timeout_while(state, STOP_TIME, unseen);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                if !state.seen {
                    tracing::error!("queue {}: the worker does not stop", self.id);
                }
            }
        }
        place
    }

    /// The same for a ring that the front end has not stopped, but whose requests are void.
    pub fn forget(&self) {
        self.end(&mut self.lock());
    }

    fn end(&self, state: &mut State) {
        state.life = None;
        // Data of the last requests is wiped.
        state.worker = Worker::default();
        self.counts.held.store(0, Ordering::Relaxed);
        self.counts.broken.store(false, Ordering::Relaxed);
        self.counts.running.store(false, Ordering::SeqCst);
    }

    /// Does something with the ring, if it is alive, and sets the timer.
    fn turn<F>(&self, state: &mut State, action: F)
    where
        F: FnOnce(&mut Turn<'_>) -> Result<(), RingError>,
    {
        let mut next = None;
        if let Some(life) = state.life.as_mut().filter(|life| !life.broken) {
            let memory = life.memory.memory();
            let mut turn = Turn::new(self, &mut state.worker, &memory, life);
            let result = action(&mut turn).and_then(|()| turn.publish());
            if let Err(error) = result {
                warn_limited!("queue {} is out of order: {error}", self.id);
                self.device.violations.record(Requirement::Ring);
                life.broken = true;
                life.held.clear();
                self.counts.broken.store(true, Ordering::Relaxed);
                (self.strike)(Disaster::NeedsReset);
            }
            self.counts.held.store(life.held.len() as u64, Ordering::Relaxed);
            // A ring that was disabled meanwhile has the worker look again if enabled.
            if life.ring.is_started() {
                next = held::next_due(&life.held, life.ring.in_order());
            }
        }
        self.set_timer(state, next);
    }

    /// Has the worker look again then. Setting the timer takes what has expired away as
    /// well, so that nobody has to read it, and to wait if there is nothing to read.
    fn set_timer(&self, state: &mut State, next: Option<Instant>) {
        let set = match next {
            Some(time) => {
                let wait = time.saturating_duration_since(Instant::now());
                state.timer.reset(wait.max(Duration::from_nanos(1)), None)
            }
            None if state.armed => state.timer.clear(),
            None => Ok(()),
        };
        state.armed = next.is_some();
        if let Err(error) = set {
            tracing::error!("queue {}: no timer: {error}", self.id);
        }
    }
}
