// SPDX-License-Identifier: GPL-2.0

//! Watchdog and recovery state of a bound device: failures, next checks, and the limit of log messages.

use crate::virtio::Queues;
use core::cmp::Ordering;
use kernel::{
    fmt,
    prelude::*,
    sync::Arc,
    time::{
        Instant,
        Monotonic,
        Msecs, //
    }, //
};

/// The number of failures of a device without a completed request in between.
const MAX_FAILURES_WITHOUT_PROGRESS: u32 = 5;

/// The number of failures of a device within [`PERIOD`].
const MAX_FAILURES_PER_PERIOD: u32 = 60;

/// The period of [`MAX_FAILURES_PER_PERIOD`], in milliseconds.
const PERIOD: i64 = 600_000;

/// Watchdog and recovery state of a bound device.
pub(super) struct Watchdog {
    pub(super) queues: Arc<Queues>,
    pub(super) failures: Failures,
    bound_at: Instant<Monotonic>,
    /// The time of the next check for timed-out requests, in milliseconds since `bound_at`.
    pub(super) next_check: i64,
    /// Set while the device is not ready.
    pub(super) ready_poll: Option<ReadyPoll>,
    /// The limit of messages about readiness.
    log: LogLimit,
}

impl Watchdog {
    pub(super) fn new(queues: Arc<Queues>) -> Self {
        Self {
            queues,
            failures: Failures::new(),
            bound_at: Instant::now(),
            next_check: 0,
            ready_poll: None,
            log: LogLimit::new(),
        }
    }

    /// Logs that the device became ready or not ready. The number of messages is limited.
    pub(super) fn log_readiness(&mut self, message: fmt::Arguments<'_>) {
        let dev = self.queues.device();
        match self.log.admit(self.bound_at.elapsed().as_millis()) {
            Admit::Log => dev_info!(dev, "{message}\n"),
            Admit::LogLast => {
                dev_info!(
                    dev,
                    "{message}; further changes are not logged for a while\n"
                );
            }
            Admit::Drop => {}
        }
    }

    /// Returns the time, in milliseconds since `bound_at`.
    pub(super) fn now(&self) -> i64 {
        self.bound_at.elapsed().as_millis()
    }
}

/// The limit of messages that a device can cause.
struct LogLimit {
    /// The number of messages in this period.
    count: u32,
    /// The start of the period, in milliseconds.
    since: i64,
}

/// What to do with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Admit {
    Log,
    /// Log it, and add that further messages are not logged.
    LogLast,
    Drop,
}

impl LogLimit {
    /// The number of messages that are logged within [`PERIOD`].
    const MAX: u32 = 10;

    const fn new() -> Self {
        Self { count: 0, since: 0 }
    }

    /// Counts a message at `now`.
    fn admit(&mut self, now: i64) -> Admit {
        if self.count == 0 || now.saturating_sub(self.since) > PERIOD {
            self.count = 0;
            self.since = now;
        }
        self.count = self.count.saturating_add(1);
        match self.count.cmp(&Self::MAX) {
            Ordering::Less => Admit::Log,
            Ordering::Equal => Admit::LogLast,
            Ordering::Greater => Admit::Drop,
        }
    }
}

/// The polling of a device that is not ready. It may become ready without a notification.
///
/// The interval starts with [`MIN`](Self::MIN), and doubles up to [`MAX`](Self::MAX), so that an idle
/// guest rarely wakes up. All times are in milliseconds.
pub(super) struct ReadyPoll {
    interval: Msecs,
    next: i64,
}

impl ReadyPoll {
    const MIN: Msecs = 2_000;
    const MAX: Msecs = 32_000;

    pub(super) fn new(now: i64) -> Self {
        Self {
            interval: Self::MIN,
            next: now + i64::from(Self::MIN),
        }
    }

    /// Returns true and starts the next interval if the current one has ended.
    pub(super) fn is_due(&mut self, now: i64) -> bool {
        if now < self.next {
            return false;
        }
        self.interval = (2 * self.interval).min(Self::MAX);
        self.next = now + i64::from(self.interval);
        true
    }

    /// Returns the rest of the interval, at least 1.
    pub(super) fn left(&self, now: i64) -> Msecs {
        Msecs::try_from(self.next - now).unwrap_or(0).max(1)
    }
}

/// The number of failures of a device.
pub(super) struct Failures {
    /// The number of failures since the device has returned a request.
    without_progress: u32,
    /// The number of failures in this period.
    recent: u32,
    /// The start of the period, in milliseconds of any clock.
    since: i64,
    /// The number of requests that the device had returned at its last failure.
    returned: u64,
}

impl Failures {
    pub(super) const fn new() -> Self {
        Self {
            without_progress: 0,
            recent: 0,
            since: 0,
            returned: 0,
        }
    }

    /// Counts a failure at `now`. The device has returned `returned` requests since it was bound. Returns
    /// false if the device has failed too often.
    pub(super) fn count(&mut self, now: i64, returned: u64) -> bool {
        if returned != self.returned {
            self.without_progress = 0;
            self.returned = returned;
        }
        if self.recent == 0 || now.saturating_sub(self.since) > PERIOD {
            self.recent = 0;
            self.since = now;
        }
        self.without_progress = self.without_progress.saturating_add(1);
        self.recent = self.recent.saturating_add(1);
        self.without_progress <= MAX_FAILURES_WITHOUT_PROGRESS
            && self.recent <= MAX_FAILURES_PER_PERIOD
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_watchdog)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_never_returns_a_request_is_given_up_soon() {
        let mut failures = Failures::new();
        for _ in 0..MAX_FAILURES_WITHOUT_PROGRESS {
            assert!(failures.count(0, 7));
        }
        assert!(!failures.count(0, 7));
    }

    #[test]
    fn a_device_that_works_in_between_may_fail_more_often() {
        let mut failures = Failures::new();
        for served in 0..MAX_FAILURES_PER_PERIOD {
            assert!(failures.count(0, u64::from(served) + 1));
        }
        assert!(!failures.count(0, 1000));
    }

    #[test]
    fn a_device_that_is_not_ready_is_polled_less_and_less_often() {
        let mut poll = ReadyPoll::new(1_000);
        assert_eq!(poll.left(1_000), ReadyPoll::MIN);
        let mut now = 1_000;
        for interval in [2_000, 4_000, 8_000, 16_000, 32_000, 32_000, 32_000] {
            assert!(!poll.is_due(now + interval - 1));
            assert_eq!(poll.left(now + interval + 5), 1);
            now += interval;
            assert!(poll.is_due(now));
        }
    }

    #[test]
    fn a_device_writes_a_limited_number_of_messages_to_the_log() {
        let mut log = LogLimit::new();
        for period in 0..3 {
            let now = period * (PERIOD + 1);
            for _ in 1..LogLimit::MAX {
                assert_eq!(log.admit(now), Admit::Log);
            }
            assert_eq!(log.admit(now), Admit::LogLast);
            for _ in 0..1000 {
                assert_eq!(log.admit(now + PERIOD), Admit::Drop);
            }
        }
    }

    #[test]
    fn what_is_long_ago_is_forgiven() {
        let mut failures = Failures::new();
        for served in 0..10 * u64::from(MAX_FAILURES_PER_PERIOD) {
            // CAST: Small numbers.
            assert!(failures.count(served as i64 * PERIOD / 10, served + 1));
        }
    }
}
