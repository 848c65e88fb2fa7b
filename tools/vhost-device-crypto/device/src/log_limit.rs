// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A rate limit for log messages that a guest can cause.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[doc(hidden)]
pub use tracing;

/// Default number of log lines per second that guests can cause.
pub const DEFAULT_LINES: u32 = 10;

/// The limit of [`warn_limited!`](crate::warn_limited), for all devices of the process.
pub static GUEST: Limit = Limit::new(DEFAULT_LINES, Duration::from_secs(1));

/// A maximum number of events per period.
pub struct Limit {
    /// The maximum.
    max: AtomicU32,
    period: Duration,
    state: Mutex<State>,
}

struct State {
    /// Start of the current period.
    start: Option<Instant>,
    /// Number of events admitted in the current period.
    admitted: u32,
    /// Number of events refused since the last admitted event.
    refused: u64,
}

impl Limit {
    /// Creates a limit of `max` events per period.
    pub const fn new(max: u32, period: Duration) -> Self {
        let state = State { start: None, admitted: 0, refused: 0 };
        Limit { max: AtomicU32::new(max), period, state: Mutex::new(state) }
    }

    /// Changes the maximum number of events per period.
    pub fn set(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Returns `None` if the limit is reached. Otherwise returns the number of events that were
    /// refused since the last admitted event.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |start: Instant| now.saturating_duration_since(start) >= self.period;
        if state.start.is_none_or(is_over) {
            (state.start, state.admitted) = (Some(now), 0);
        }
        if state.admitted >= self.max.load(Ordering::Relaxed) {
            state.refused = state.refused.saturating_add(1);
            return None;
        }
        state.admitted += 1;
        Some(std::mem::take(&mut state.refused))
    }
}

/// Logs a warning that a guest can cause, unless the limit is reached. The next warning is preceded
/// by the number of suppressed warnings.
#[macro_export]
macro_rules! warn_limited {
    ($($argument:tt)*) => {
        match $crate::log_limit::GUEST.admit(std::time::Instant::now()) {
            None => {}
            Some(left_out) => {
                if left_out != 0 {
                    $crate::log_limit::tracing::warn!("{left_out} warnings were left out");
                }
                $crate::log_limit::tracing::warn!($($argument)*);
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_apply_to_each_period() {
        let limit = Limit::new(3, Duration::from_secs(1));
        let start = Instant::now();
        let at = |milliseconds| limit.admit(start + Duration::from_millis(milliseconds));
        assert_eq!([at(0), at(10), at(20)], [Some(0); 3]);
        assert_eq!([at(30), at(999)], [None; 2]);
        assert_eq!([at(1000), at(1001), at(1002)], [Some(2), Some(0), Some(0)]);
        assert_eq!(at(1999), None);
        assert_eq!(at(5000), Some(1));
        // Two threads may take their times in one order and call `admit` in the other order.
        assert_eq!(at(4000), Some(0));
        limit.set(0);
        assert_eq!(at(9000), None);
    }
}
