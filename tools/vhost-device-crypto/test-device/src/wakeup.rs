// SPDX-License-Identifier: GPL-2.0
//! Wakes a thread at a time or at a change.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Maximum time to wait. Longer times are reduced to this one.
pub const MAX_PERIOD: Duration = Duration::from_secs(365 * 24 * 3600);

/// Wakes a thread that waits for a time or for a change.
#[derive(Debug, Default)]
pub struct Wakeup {
    changed: Mutex<bool>,
    wake: Condvar,
}

impl Wakeup {
    /// Signals a change.
    pub fn wake(&self) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    /// Waits until a change is signalled, or until a time.
    pub fn wait(&self, until: Option<Instant>) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        while !*changed {
            let left =
                until.map_or(MAX_PERIOD, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            let waited = self.wake.wait_timeout(changed, left);
            changed = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *changed = false;
    }
}
