// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requests of a ring whose public-key operation a thread has performed.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vmm_sys_util::timerfd::TimerFd;

use crate::akcipher::Output;
use crate::data::Deferred;
use crate::public_key_threads::Job;
use crate::ring::PoppedChain;
use crate::status::{Result, StatusError};
use crate::warn_limited;

/// A timer by which a thread wakes the worker of a queue.
pub(super) type SharedTimer = Arc<Mutex<TimerFd>>;

/// A request whose operation waits for a thread.
pub(super) struct Operation {
    pub(super) popped: PoppedChain,
    pub(super) deferred: Box<Deferred>,
    /// The operation must not start earlier, because of the rate limit.
    pub(super) start: Instant,
    pub(super) finished: Arc<FinishedList>,
}

impl Job for Operation {
    fn wait(&self, now: Instant) -> Duration {
        match self.finished.hurried.load(Ordering::Relaxed) {
            true => Duration::ZERO,
            false => self.start.saturating_duration_since(now),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.finished.lock().timer.is_none()
    }

    fn run(self: Box<Self>) {
        let Operation { popped, deferred, finished, .. } = *self;
        // A ring that stops waits for this request, so a panic must not lose it.
        let output = catch_unwind(AssertUnwindSafe(|| deferred.task.run()));
        let output = output.unwrap_or(Err(StatusError::Generic));
        finished.add(Finished { popped, deferred, output });
    }
}

/// A request whose operation was performed.
pub(super) struct Finished {
    pub(super) popped: PoppedChain,
    pub(super) deferred: Box<Deferred>,
    pub(super) output: Result<Output>,
}

/// The requests of a ring whose operation was performed.
pub(super) struct FinishedList {
    state: Mutex<State>,
    added: Condvar,
    /// Whether there are any. Can be read without the lock.
    any: AtomicBool,
    /// Whether operations must not wait for the rate limit, because the ring is being stopped.
    hurried: AtomicBool,
}

struct State {
    requests: Vec<Finished>,
    /// `None` if the ring has ended.
    timer: Option<SharedTimer>,
}

impl FinishedList {
    /// Creates an empty list for a ring whose worker waits for `timer`.
    pub(super) fn new(timer: SharedTimer) -> Self {
        FinishedList {
            state: Mutex::new(State { requests: Vec::new(), timer: Some(timer) }),
            added: Condvar::new(),
            any: AtomicBool::new(false),
            hurried: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether there are requests.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Adds a request and wakes the worker of the queue, unless the ring has ended.
    fn add(&self, request: Finished) {
        let mut state = self.lock();
        let Some(timer) = &state.timer else { return };
        // Set before the timer. A worker that clears the timer looks here afterwards.
        self.any.store(true, Ordering::SeqCst);
        let mut timer = timer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = timer.reset(Duration::from_nanos(1), None) {
            warn_limited!("waking a worker failed: {error}");
        }
        drop(timer);
        state.requests.push(request);
        self.added.notify_all();
    }

    /// Removes and returns the requests.
    pub(super) fn take(&self) -> Vec<Finished> {
        self.take_from(&mut self.lock())
    }

    /// Waits until there are requests, and then does the same.
    pub(super) fn wait(&self) -> Vec<Finished> {
        let waited = self.added.wait_while(self.lock(), |state| state.requests.is_empty());
        self.take_from(&mut waited.unwrap_or_else(PoisonError::into_inner))
    }

    fn take_from(&self, state: &mut State) -> Vec<Finished> {
        self.any.store(false, Ordering::SeqCst);
        std::mem::take(&mut state.requests)
    }

    /// Makes all operations start without waiting for the rate limit.
    pub(super) fn hurry(&self) {
        self.hurried.store(true, Ordering::Relaxed);
    }

    /// Drops all requests, now and in the future.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.timer = None;
        self.take_from(&mut state);
    }
}
