// SPDX-License-Identifier: GPL-2.0
//! Lets a thread sleep until a deadline or until another thread wakes it.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Maximum time to wait. Longer times are reduced to this maximum.
pub const MAX_PERIOD: Duration = Duration::from_secs(365 * 24 * 3600);

/// Wakes a thread that sleeps until a deadline, for example of a periodic fault, when a change
/// happens before the deadline.
#[derive(Debug, Default)]
pub struct Wakeup {
    changed: Mutex<bool>,
    wake: Condvar,
}

impl Wakeup {
    /// Signals a change. If no thread waits now, the next [`Self::wait`] returns at once.
    pub fn wake(&self) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    /// Waits until a change is signalled or the deadline has passed.
    pub fn wait(&self, deadline: Option<Instant>) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        while !*changed {
            let remaining = deadline
                .map_or(MAX_PERIOD, |deadline| deadline.saturating_duration_since(Instant::now()));
            if remaining.is_zero() {
                break;
            }
            let result = self.wake.wait_timeout(changed, remaining);
            changed = result.unwrap_or_else(PoisonError::into_inner).0;
        }
        *changed = false;
    }
}
