// SPDX-License-Identifier: GPL-2.0
//! Lines that a guest can have written to the log: so many a second, and no more.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What [`warn_limited`] has in common for the whole process.
pub(crate) static GUEST: Limit = Limit::new(10, Duration::from_secs(1));

/// How often something may happen.
pub(crate) struct Limit {
    most: u32,
    period: Duration,
    state: Mutex<State>,
}

struct State {
    /// When the period has begun.
    since: Option<Instant>,
    admitted: u32,
    /// Refused since the last time that something was admitted.
    refused: u64,
}

impl Limit {
    pub(crate) const fn new(most: u32, period: Duration) -> Self {
        let state = State { since: None, admitted: 0, refused: 0 };
        Limit { most, period, state: Mutex::new(state) }
    }

    /// Whether it may happen now; then how often it may not have since the last time.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |since: Instant| now.saturating_duration_since(since) >= self.period;
        if state.since.is_none_or(over) {
            (state.since, state.admitted) = (Some(now), 0);
        }
        if state.admitted == self.most {
            state.refused = state.refused.saturating_add(1);
            return None;
        }
        state.admitted += 1;
        Some(std::mem::take(&mut state.refused))
    }
}

/// A warning that a guest can cause. Beyond the limit it is left out, which the next one tells.
macro_rules! warn_limited {
    ($($argument:tt)*) => {
        match $crate::log_limit::GUEST.admit(std::time::Instant::now()) {
            None => {}
            Some(left_out) => {
                if left_out != 0 {
                    tracing::warn!("{left_out} warnings were left out");
                }
                tracing::warn!($($argument)*);
            }
        }
    };
}

pub(crate) use warn_limited;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_in_each_period() {
        let limit = Limit::new(3, Duration::from_secs(1));
        let start = Instant::now();
        let at = |milliseconds| limit.admit(start + Duration::from_millis(milliseconds));
        assert_eq!([at(0), at(10), at(20)], [Some(0); 3]);
        assert_eq!([at(30), at(999)], [None; 2]);
        assert_eq!([at(1000), at(1001), at(1002)], [Some(2), Some(0), Some(0)]);
        assert_eq!(at(1999), None);
        assert_eq!(at(5000), Some(1));
        // Clocks of two threads may be read in another order than they come here.
        assert_eq!(at(4000), Some(0));
    }
}
