// SPDX-License-Identifier: GPL-2.0

//! Request timeouts without a list of requests and without timestamps. A queue counts its in-flight requests in
//! four age buckets. Each periodic check starts a new bucket if the oldest bucket is empty. Requests in the
//! oldest bucket are overdue.

use super::DataQueue;
use crate::support::bh::BhDisabled;

/// The number of buckets. A request is in the oldest one [`CHECKS_PER_TIMEOUT`] checks after it was sent.
const AGES: usize = 4;

/// The number of checks within the timeout of a request.
pub(in crate::transport) const CHECKS_PER_TIMEOUT: u32 = AGES as u32 - 1;

/// The requests in flight, counted by age.
pub(super) struct AgeBuckets {
    now: usize,
    ages: [AgeBucket; AGES],
}

#[derive(Clone, Copy)]
struct AgeBucket {
    /// The number of its requests in flight.
    count: u32,
    /// The number of completed requests at the end of the bucket.
    completed: u64,
    /// The number of requests in flight at the end of the bucket.
    in_flight: u32,
}

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Overdue {
    /// No request is overdue.
    No,
    /// A request is overdue, but the device still completes earlier ones.
    Slow,
    /// A request is overdue, and the device has completed nothing since, or all earlier requests.
    Lost,
}

impl AgeBuckets {
    /// Creates empty buckets.
    pub(super) const fn new() -> Self {
        Self {
            now: 0,
            ages: [AgeBucket {
                count: 0,
                completed: 0,
                in_flight: 0,
            }; AGES],
        }
    }

    /// Adds a request that is sent. Returns its bucket, for [`remove`](Self::remove).
    #[inline(always)]
    pub(super) fn add(&mut self) -> u8 {
        self.ages[self.now].count += 1;
        // CAST: There are few.
        self.now as u8
    }

    /// Removes a request that has returned.
    #[inline(always)]
    pub(super) fn remove(&mut self, age: u8) {
        if let Some(age) = self.ages.get_mut(usize::from(age)) {
            // The bucket counts the request.
            age.count = age.count.wrapping_sub(1);
        }
    }

    /// Checks the oldest bucket, and starts a new one if the oldest is empty. The device has completed
    /// `completed` requests in total, and has `in_flight` requests.
    pub(super) fn advance(&mut self, completed: u64, in_flight: u32) -> Overdue {
        let oldest = (self.now + 1) % AGES;
        let AgeBucket {
            count,
            completed: before,
            in_flight: had,
        } = self.ages[oldest];
        if count != 0 {
            let since = completed.wrapping_sub(before);
            return if since == 0 || since >= u64::from(had) {
                Overdue::Lost
            } else {
                Overdue::Slow
            };
        }
        let age = &mut self.ages[self.now];
        age.completed = completed;
        age.in_flight = in_flight;
        self.now = oldest;
        Overdue::No
    }
}

/// The result of [`check_progress`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::transport) enum Progress {
    /// The device has no request.
    Idle,
    /// The device makes progress, or no request has timed out yet.
    Busy,
    /// A request has timed out.
    Stalled,
}

/// Checks whether the device makes progress. It must be called at regular intervals. Returns
/// [`Progress::Stalled`] if the ring is broken, or if a request has been in flight for [`CHECKS_PER_TIMEOUT`]
/// checks and the device has returned nothing since the last check, or all earlier requests.
pub(in crate::transport) fn check_progress(queue: &DataQueue) -> Progress {
    let bh = BhDisabled::disable();
    let mut locked = queue.lock(&bh);
    let (in_flight, broken) = (locked.in_flight(), locked.is_broken());
    let state = locked.state();
    let found = state.ages.advance(state.completed, in_flight);
    let returned = state.completed;
    let seen = core::mem::replace(
        &mut state.last_completed,
        (found == Overdue::Slow).then_some(returned),
    );
    // The bottom half sends a backlogged request without arming the watchdog, so a queue that drains its
    // backlog is not idle.
    if in_flight == 0 && !state.backlog.has_waiting() && !broken {
        state.watchdog_armed = false;
        return Progress::Idle;
    }
    drop(locked);
    // An interrupt may be lost.
    queue.schedule();
    if broken || found == Overdue::Lost || seen.is_some_and(|seen| seen == returned) {
        Progress::Stalled
    } else {
        Progress::Busy
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_timeout)]
mod tests {
    use super::*;

    /// A device.
    struct Device {
        ages: AgeBuckets,
        completed: u64,
        in_flight: u32,
    }

    impl Device {
        fn new() -> Self {
            Self {
                ages: AgeBuckets::new(),
                completed: 0,
                in_flight: 0,
            }
        }

        fn send(&mut self) -> u8 {
            self.in_flight += 1;
            self.ages.add()
        }

        fn give_back(&mut self, age: u8) {
            self.in_flight -= 1;
            self.completed += 1;
            self.ages.remove(age);
        }

        fn check(&mut self) -> Overdue {
            self.ages.advance(self.completed, self.in_flight)
        }
    }

    #[test]
    fn a_request_that_never_comes_back_is_lost() {
        let mut device = Device::new();
        device.send();
        for _ in 0..CHECKS_PER_TIMEOUT {
            assert_eq!(device.check(), Overdue::No);
        }
        assert_eq!(device.check(), Overdue::Lost);
    }

    #[test]
    fn one_that_others_overtake_is_lost() {
        let mut device = Device::new();
        device.send();
        for _ in 0..CHECKS_PER_TIMEOUT {
            let other = device.send();
            assert_eq!(device.check(), Overdue::No);
            device.give_back(other);
        }
        assert_eq!(device.check(), Overdue::Lost);
    }

    #[test]
    fn a_slow_device_gets_its_time() {
        let mut device = Device::new();
        let mut sent = [0; 100];
        for age in &mut sent {
            *age = device.send();
        }
        for (looks, age) in (0..).zip(sent) {
            let found = device.check();
            assert!((found == Overdue::No) == (looks < CHECKS_PER_TIMEOUT));
            assert!(found != Overdue::Lost);
            device.give_back(age);
        }
        assert_eq!(device.check(), Overdue::No);
    }

    #[test]
    fn a_slow_device_that_stops_is_found_out() {
        let mut device = Device::new();
        let first = device.send();
        for _ in 0..99 {
            device.send();
        }
        for _ in 0..CHECKS_PER_TIMEOUT {
            device.check();
        }
        device.give_back(first);
        // The device continues with requests of another age. Those of the first age are still overdue.
        assert_eq!(device.check(), Overdue::Slow);
    }

    #[test]
    fn a_busy_device_is_young_for_ever() {
        let mut device = Device::new();
        let mut last = device.send();
        for _ in 0..1000 {
            let next = device.send();
            device.give_back(last);
            last = next;
            assert_eq!(device.check(), Overdue::No);
        }
    }
}
