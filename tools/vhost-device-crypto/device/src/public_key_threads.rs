// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Threads for public-key operations.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::warn_limited;

/// A job for a thread.
pub(crate) trait Job: Send {
    /// Returns how long the job must still wait.
    fn wait(&self, now: Instant) -> Duration;

    /// Returns whether the job is no longer wanted.
    fn is_cancelled(&self) -> bool;

    /// Does the job.
    fn run(self: Box<Self>);
}

/// The threads of a device, which start when they are needed.
pub(crate) struct PublicKeyThreads {
    max: usize,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    /// Waiting jobs. The first one that need not wait is done first.
    waiting: Vec<Box<dyn Job>>,
    /// Whether the threads must end.
    ended: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PublicKeyThreads {
    /// Creates a pool of at most `max` threads.
    pub(crate) fn new(max: usize) -> Self {
        PublicKeyThreads { max, shared: Arc::default(), threads: Mutex::default() }
    }

    /// Returns whether there may be threads.
    pub(crate) fn any(&self) -> bool {
        self.max != 0
    }

    /// Returns whether there is a thread. Starts another one if there may be more.
    pub(crate) fn start(&self) -> bool {
        let mut threads = lock(&self.threads);
        if threads.len() < self.max {
            let shared = self.shared.clone();
            let thread = thread::Builder::new().name("public-key".into());
            match thread.spawn(move || shared.work()) {
                Ok(thread) => threads.push(thread),
                Err(error) => warn_limited!("starting a thread failed: {error}"),
            }
        }
        !threads.is_empty()
    }

    /// Adds a job. There must be a thread.
    pub(crate) fn submit(&self, job: Box<dyn Job>) {
        lock(&self.shared.jobs).waiting.push(job);
        self.shared.changed.notify_one();
    }

    /// Makes the threads check how long their jobs must wait.
    pub(crate) fn wake(&self) {
        // A thread that has just checked is waiting when it releases the lock.
        drop(lock(&self.shared.jobs));
        self.shared.changed.notify_all();
    }

    /// Drops cancelled jobs. A job that has begun continues.
    pub(crate) fn drop_cancelled(&self) {
        lock(&self.shared.jobs).waiting.retain(|job| !job.is_cancelled());
    }
}

impl Drop for PublicKeyThreads {
    fn drop(&mut self) {
        lock(&self.shared.jobs).ended = true;
        self.shared.changed.notify_all();
        for thread in lock(&self.threads).drain(..) {
            // A thread that panics has ended, too.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Does jobs until the threads must end.
    fn work(&self) {
        let mut jobs = lock(&self.jobs);
        while !jobs.ended {
            let now = Instant::now();
            let due = jobs.waiting.iter().position(|job| job.wait(now).is_zero());
            if let Some(job) = due.map(|at| jobs.waiting.remove(at)) {
                drop(jobs);
                job.run();
                jobs = lock(&self.jobs);
            } else if let Some(wait) = jobs.waiting.iter().map(|job| job.wait(now)).min() {
                let waited = self.changed.wait_timeout(jobs, wait);
                jobs = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else {
                jobs = self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{channel, Sender};

    struct Send {
        start: Instant,
        cancelled: bool,
        to: Sender<u32>,
        number: u32,
    }

    impl Job for Send {
        fn wait(&self, now: Instant) -> Duration {
            self.start.saturating_duration_since(now)
        }

        fn is_cancelled(&self) -> bool {
            self.cancelled
        }

        fn run(self: Box<Self>) {
            self.to.send(self.number).unwrap();
        }
    }

    #[test]
    fn jobs_are_done_when_they_are_due() {
        let threads = PublicKeyThreads::new(1);
        assert!(threads.any() && threads.start() && threads.start());
        assert_eq!(lock(&threads.threads).len(), 1);
        let (to, from) = channel();
        let now = Instant::now();
        let submit = |number, wait, cancelled| {
            let start = now + Duration::from_millis(wait);
            threads.submit(Box::new(Send { start, cancelled, to: to.clone(), number }));
        };
        submit(1, 1_000_000, true);
        submit(2, 200, false);
        submit(3, 0, false);
        threads.drop_cancelled();
        assert_eq!(from.recv(), Ok(3));
        assert_eq!(from.recv(), Ok(2));
        assert!(now.elapsed() >= Duration::from_millis(200));
        submit(4, 1_000_000, false);
        // The jobs that are left are dropped with their senders.
        drop((threads, to));
        assert!(from.recv().is_err());
    }

    #[test]
    fn without_threads_there_are_none() {
        let threads = PublicKeyThreads::new(0);
        assert!(!threads.any() && !threads.start());
    }
}
