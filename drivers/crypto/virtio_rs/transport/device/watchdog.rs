// SPDX-License-Identifier: GPL-2.0

//! Watchdog and recovery state of a bound device: the number of failures, the times of the next checks, and
//! the limit of log messages.

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

/// The maximum number of failures of a device without a completed request in between.
const MAX_FAILURES_WITHOUT_PROGRESS: u32 = 5;

/// The maximum number of failures of a device within [`PERIOD`].
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
    /// The number of messages in the current period.
    count: u32,
    /// The start of the current period, in milliseconds.
    since: i64,
}

/// The result of [`LogLimit::admit`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Admit {
    /// Log the message.
    Log,
    /// Log the message, and add that further messages are not logged.
    LogLast,
    /// Drop the message.
    Drop,
}

impl LogLimit {
    /// The number of messages that are logged within [`PERIOD`].
    const MAX: u32 = 10;

    const fn new() -> Self {
        Self { count: 0, since: 0 }
    }

    /// Counts a message at the time `now`, and decides whether it is logged.
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

/// The polling of a device that is not ready. A device may become ready without a notification.
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

    /// Returns true if the current interval has ended, and then starts the next interval.
    pub(super) fn is_due(&mut self, now: i64) -> bool {
        if now < self.next {
            return false;
        }
        self.interval = (2 * self.interval).min(Self::MAX);
        self.next = now + i64::from(self.interval);
        true
    }

    /// Returns the remaining time of the interval, at least 1 ms.
    pub(super) fn remaining(&self, now: i64) -> Msecs {
        Msecs::try_from(self.next - now).unwrap_or(0).max(1)
    }
}

/// The number of failures of a device.
pub(super) struct Failures {
    /// The number of failures since the device last completed a request.
    without_progress: u32,
    /// The number of failures in the current period.
    recent: u32,
    /// The start of the current period, in milliseconds of any clock.
    since: i64,
    /// The number of requests that the device had completed at its last failure.
    completed: u64,
}

impl Failures {
    pub(super) const fn new() -> Self {
        Self {
            without_progress: 0,
            recent: 0,
            since: 0,
            completed: 0,
        }
    }

    /// Counts a failure at the time `now`. The device has completed `completed` requests since it was bound.
    /// Returns false if the device has failed too often.
    pub(super) fn count(&mut self, now: i64, completed: u64) -> bool {
        if completed != self.completed {
            self.without_progress = 0;
            self.completed = completed;
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
    fn failures_without_progress_are_limited() {
        let mut failures = Failures::new();
        for _ in 0..MAX_FAILURES_WITHOUT_PROGRESS {
            assert!(failures.count(0, 7));
        }
        assert!(!failures.count(0, 7));
    }

    #[test]
    fn failures_with_progress_are_limited_per_period() {
        let mut failures = Failures::new();
        for completed in 0..MAX_FAILURES_PER_PERIOD {
            assert!(failures.count(0, u64::from(completed) + 1));
        }
        assert!(!failures.count(0, 1000));
    }

    #[test]
    fn the_poll_interval_doubles_up_to_the_maximum() {
        let mut poll = ReadyPoll::new(1_000);
        assert_eq!(poll.remaining(1_000), ReadyPoll::MIN);
        let mut now = 1_000;
        for interval in [2_000, 4_000, 8_000, 16_000, 32_000, 32_000, 32_000] {
            assert!(!poll.is_due(now + interval - 1));
            assert_eq!(poll.remaining(now + interval + 5), 1);
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
    fn failures_of_earlier_periods_are_not_counted() {
        let mut failures = Failures::new();
        for completed in 0..10 * u64::from(MAX_FAILURES_PER_PERIOD) {
            // CAST: `completed` is below 1000.
            assert!(failures.count(completed as i64 * PERIOD / 10, completed + 1));
        }
    }
}
