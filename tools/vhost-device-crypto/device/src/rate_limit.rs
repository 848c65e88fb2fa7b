// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A rate limit for operations.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time for which a guest can accumulate unused operations.
const BURST: Duration = Duration::from_millis(100);

/// A rate limit. Each operation reserves the next free time.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Time between two operations, or zero without a limit.
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// Creates a limit of `per_second` operations; 0 means no limit.
    pub(crate) fn new(per_second: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        RateLimit { interval, next: Mutex::new(None) }
    }

    /// Reserves an operation. Returns how long the caller must wait before the operation.
    pub(crate) fn reserve(&self, now: Instant) -> Duration {
        if self.interval.is_zero() {
            return Duration::ZERO;
        }
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let time = next.map_or(earliest, |next| next.max(earliest));
        *next = Some(time + self.interval);
        time.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_spread_after_a_burst() {
        let limit = RateLimit::new(20);
        let start = Instant::now() + BURST;
        let wait =
            |milliseconds| limit.reserve(start + Duration::from_millis(milliseconds)).as_millis();
        // A burst is 100 ms, so two more operations follow the first one without a wait.
        assert_eq!([wait(0), wait(0), wait(0), wait(0), wait(0)], [0, 0, 0, 50, 100]);
        assert_eq!([wait(150), wait(200)], [0, 0]);
        // A long pause does not extend the burst.
        assert_eq!([wait(9000), wait(9000), wait(9000), wait(9000)], [0, 0, 0, 50]);
        assert_eq!(RateLimit::new(0).reserve(start), Duration::ZERO);
    }
}
