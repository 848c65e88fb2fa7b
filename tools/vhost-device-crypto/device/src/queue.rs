// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A virtqueue: pops requests from the ring and returns them.
//!
//! All accesses to the ring and to the memory of requests happen under the lock of the queue.
//! [`Queue::stop`] takes the lock. After it has returned, the device writes nothing to guest
//! memory, and the requests that the hooks hold are dropped, so they are not returned after a
//! reset.
//!
//! Threads perform public-key operations without the lock, and access neither the ring nor the
//! memory of requests.
//!
//! A held request is only parsed when it is served. If the driver frees the buffer or destroys the
//! session before that, the request fails. The same happens on hardware that reads requests late.

mod context;
mod deferred;
mod finished;
mod processor;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use vm_memory::GuestAddressSpace;
use vmm_sys_util::timerfd::TimerFd;

use crate::device::{Device, Scratch};
use crate::hooks::Hooks;
use crate::queue_id::QueueId;
use crate::requirement::Requirement;
use crate::ring::{PoppedChain, Ring, RingError};
use crate::warn_limited;
pub use context::Memory;
use context::{Context, Counts};
use finished::{FinishedList, SharedTimer};
use processor::{ActiveRing, RingProcessor};

/// Maximum time for a worker to notice that its ring was stopped.
const STOP_TIME: Duration = Duration::from_secs(5);

/// State and counters of a queue.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct QueueStatus {
    /// The queue.
    pub queue: QueueId,
    /// Whether the driver has started the queue.
    pub running: bool,
    /// Whether the ring is invalid.
    pub broken: bool,
    /// Requests popped from the ring.
    pub popped: u64,
    /// Requests returned to the driver.
    pub completed: u64,
    /// Requests that the hooks hold.
    pub held: u64,
    /// Requests whose public-key operation waits for a thread or runs in one.
    pub deferred: u64,
    /// Invalid descriptor chains.
    pub malformed: u64,
    /// Used buffer notifications sent.
    pub interrupts: u64,
}

/// A virtqueue.
pub struct Queue<H: Hooks = ()> {
    context: Context<H>,
    state: Mutex<State<H::Ring>>,
    acked: Condvar,
}

struct State<S> {
    scratch: Scratch,
    active: Option<ActiveRing<S>>,
    timer: SharedTimer,
    /// Whether the timer is running or has expired. Threads for public-key operations set the timer,
    /// too, and then this is set when the timer has expired.
    armed: bool,
    /// Whether a worker waits for the timer.
    watched: bool,
    /// Whether the worker has handled an event since the ring was stopped.
    worker_acked: bool,
}

impl<H: Hooks> Queue<H> {
    /// Creates a queue without a ring.
    pub fn new(id: QueueId, device: Arc<Device<H>>) -> std::io::Result<Self> {
        let state = State {
            scratch: Scratch::default(),
            active: None,
            timer: Arc::new(Mutex::new(TimerFd::new()?)),
            armed: false,
            watched: false,
            worker_acked: false,
        };
        let context = Context {
            id,
            device,
            counts: Counts::default(),
            halt: AtomicBool::new(false),
            lock_waiters: AtomicU64::new(0),
        };
        Ok(Queue { context, state: Mutex::new(state), acked: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State<H::Ring>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the ID of the queue.
    pub fn id(&self) -> QueueId {
        self.context.id
    }

    /// Returns whether the driver has started the queue.
    pub fn is_running(&self) -> bool {
        self.context.counts.running.load(Ordering::SeqCst)
    }

    /// Returns state and counters.
    pub fn status(&self) -> QueueStatus {
        let counts = &self.context.counts;
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        QueueStatus {
            queue: self.context.id,
            running: self.is_running(),
            broken: counts.broken.load(Ordering::Relaxed),
            popped: number(&counts.popped),
            completed: number(&counts.completed),
            held: number(&counts.held),
            deferred: number(&counts.deferred),
            malformed: number(&counts.malformed),
            interrupts: number(&counts.interrupts),
        }
    }

    /// Attaches a worker, which waits for the timer and calls [`Queue::timer_expired`].
    pub fn attach_worker<E>(&self, watch: impl FnOnce(&TimerFd) -> Result<(), E>) -> Result<(), E> {
        let mut state = self.lock();
        watch(&state.timer.lock().unwrap_or_else(PoisonError::into_inner))?;
        state.watched = true;
        self.context.halt.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Detaches the worker, which is about to end.
    pub fn detach_worker(&self) {
        self.halt();
        let mut state = self.lock();
        self.end(&mut state);
        state.watched = false;
    }

    /// Serves the ring until it is empty. If no ring is active, first starts the ring that `start`
    /// returns, if any.
    pub fn run(&self, start: impl FnOnce() -> Option<Box<dyn Ring>>, memory: &Memory) {
        let mut state = self.lock();
        if state.active.is_none() && !self.context.is_halted() {
            if let Some(ring) = start() {
                self.begin(&mut state, ring, memory);
            }
        }
        self.with_ring(&mut state, |processor| processor.serve());
    }

    /// Starts a ring. The previous ring must be stopped or forgotten.
    pub fn start(&self, ring: Box<dyn Ring>, memory: &Memory) {
        let mut state = self.lock();
        self.context.halt.store(false, Ordering::SeqCst);
        self.begin(&mut state, ring, memory);
    }

    fn begin(&self, state: &mut State<H::Ring>, ring: Box<dyn Ring>, memory: &Memory) {
        let mut active = ActiveRing::new(ring, memory.clone());
        if self.context.device.public_key_threads.any() {
            active.finished = Some(Arc::new(FinishedList::new(state.timer.clone())));
        }
        state.active = Some(active);
        self.context.counts.running.store(true, Ordering::SeqCst);
    }

    /// Serves the active ring until it is empty.
    pub fn serve(&self) {
        self.with_ring(&mut self.lock(), |processor| processor.serve());
    }

    /// Makes the worker stop serving the ring. The ring is not served again before it has been
    /// stopped and started. Does not wait for the worker.
    pub fn halt(&self) {
        self.context.halt();
    }

    /// Waits until no thread accesses memory regions that were removed. The caller must update the
    /// memory of the queue before the call. Afterwards the caller must wake the worker, because the
    /// call may have made the worker stop serving early.
    pub fn quiesce_memory(&self) {
        self.context.lock_waiters.fetch_add(1, Ordering::SeqCst);
        drop(self.lock());
        self.context.lock_waiters.fetch_sub(1, Ordering::SeqCst);
    }

    /// Handles an expiration of the timer: serves the requests that are due.
    pub fn timer_expired(&self) {
        let mut state = self.lock();
        state.armed = true;
        state.worker_acked = true;
        self.acked.notify_all();
        self.with_ring(&mut state, |processor| processor.serve());
    }

    /// Serves the held requests that `take` returns. Returns their number.
    pub fn serve_held(&self, take: impl FnOnce(&mut H::Ring) -> Vec<PoppedChain>) -> usize {
        let mut count = 0;
        self.with_ring(&mut self.lock(), |processor| {
            count = processor.serve_all(take)?;
            Ok(())
        });
        count
    }

    /// Serves the requests in the ring, waits for public-key operations, and then stops serving.
    /// Called before the process ends.
    pub fn drain(&self) {
        self.context.lock_waiters.fetch_add(1, Ordering::SeqCst);
        let mut state = self.lock();
        self.with_ring(&mut state, |processor| {
            processor.drain()?;
            processor.finish_all_deferred()
        });
        self.halt();
        self.context.lock_waiters.fetch_sub(1, Ordering::SeqCst);
    }

    /// Stops the ring. Waits for public-key operations, because the ring does not say which of its
    /// requests are not completed. When this returns, the ring and the memory of its requests are not accessed
    /// until the ring is started again, and the worker has handled all earlier events.
    /// vhost-user-backend then replaces the eventfd of the kick. A worker that had not yet handled
    /// an earlier event would read the new eventfd, and block or exit.
    ///
    /// Returns the index of the next request, if the ring was active and can continue there.
    pub fn stop(&self) -> Option<u16> {
        self.halt();
        let mut state = self.lock();
        self.with_ring(&mut state, |processor| processor.finish_all_deferred());
        self.context.halt.store(false, Ordering::SeqCst);
        let next = state.active.as_ref().and_then(|active| active.ring.next_place());
        self.end(&mut state);
        // The first acknowledgment may be for a timer event from before the stop, so wait for two.
        for _ in 0..2 {
            if state.watched {
                state.worker_acked = false;
                self.set_timer(&mut state, Some(Instant::now()));
                let unacked = |state: &mut State<H::Ring>| !state.worker_acked;
                let waited = self.acked.wait_timeout_while(state, STOP_TIME, unacked);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                if !state.worker_acked {
                    tracing::error!("queue {}: timeout waiting for the worker", self.context.id);
                }
            }
        }
        next
    }

    /// Ends a ring that the front end has not stopped, and drops its requests.
    pub fn forget(&self) {
        self.end(&mut self.lock());
    }

    fn end(&self, state: &mut State<H::Ring>) {
        if let Some(finished) = state.active.take().and_then(|active| active.finished) {
            finished.close();
            self.context.device.public_key_threads.drop_cancelled();
        }
        // Wipes data of the last requests.
        state.scratch = Scratch::default();
        let counts = &self.context.counts;
        counts.held.store(0, Ordering::Relaxed);
        counts.deferred.store(0, Ordering::Relaxed);
        counts.broken.store(false, Ordering::Relaxed);
        counts.running.store(false, Ordering::SeqCst);
    }

    /// Runs `action` on the active ring, if the ring is valid, and sets the timer.
    fn with_ring<F>(&self, state: &mut State<H::Ring>, action: F)
    where
        F: FnOnce(&mut RingProcessor<'_, H>) -> Result<(), RingError>,
    {
        let Context { id, device, counts, .. } = &self.context;
        let mut next = None;
        if let Some(active) = state.active.as_mut().filter(|active| !active.broken) {
            let memory = active.memory.memory();
            let scratch = &mut state.scratch;
            let mut processor = RingProcessor::new(&self.context, scratch, &memory, active);
            let result = action(&mut processor).and_then(|()| processor.publish());
            if let Err(error) = result {
                warn_limited!("queue {id}: invalid ring: {error}");
                device.violated(Requirement::Ring);
                active.broken = true;
                active.hooks = H::Ring::default();
                counts.broken.store(true, Ordering::Relaxed);
                device.hooks.ring_failed();
            }
            let held = device.hooks.held(&active.hooks);
            counts.held.store(held as u64, Ordering::Relaxed);
            counts.deferred.store(active.deferred as u64, Ordering::Relaxed);
            // A ring that the front end has stopped needs no timer: the next start wakes the
            // worker.
            if active.ring.is_started() {
                next = device.hooks.deadline(&active.hooks, active.ring.in_order());
            }
        }
        self.set_timer(state, next);
        // An operation that was performed meanwhile has set the timer before it was cleared.
        let can_go_on = |active: &ActiveRing<_>| {
            let valid = !active.broken && active.ring.is_started();
            valid && active.has_finished() && !self.context.is_halted()
        };
        if state.active.as_ref().is_some_and(can_go_on) {
            self.set_timer(state, Some(Instant::now()));
        }
    }

    /// Sets the timer to the time at which the worker must run again. Setting the timer also
    /// discards an expiration, so no thread has to read the timer.
    fn set_timer(&self, state: &mut State<H::Ring>, next: Option<Instant>) {
        let timer = || state.timer.lock().unwrap_or_else(PoisonError::into_inner);
        let set = match next {
            Some(time) => {
                let wait = time.saturating_duration_since(Instant::now());
                timer().reset(wait.max(Duration::from_nanos(1)), None)
            }
            None if state.armed => timer().clear(),
            None => Ok(()),
        };
        state.armed = next.is_some();
        if let Err(error) = set {
            tracing::error!("queue {}: setting the timer failed: {error}", self.context.id);
        }
    }
}
