// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A limit for the rate of operations.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a guest can save up operations that it does not use.
const BURST: Duration = Duration::from_millis(100);

/// Spreads operations over time. Each operation reserves the next free time.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// The time between two operations; zero without a limit.
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// Allows so many operations a second; 0 is no limit.
    pub(crate) fn new(per_second: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        RateLimit { interval, next: Mutex::new(None) }
    }

    /// Reserves an operation. Returns how long the caller must wait before it.
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
        // 100 ms are saved up, which is two operations besides the first one.
        assert_eq!([wait(0), wait(0), wait(0), wait(0), wait(0)], [0, 0, 0, 50, 100]);
        assert_eq!([wait(150), wait(200)], [0, 0]);
        // No more is saved up.
        assert_eq!([wait(9000), wait(9000), wait(9000), wait(9000)], [0, 0, 0, 50]);
        assert_eq!(RateLimit::new(0).reserve(start), Duration::ZERO);
    }
}
