// SPDX-License-Identifier: GPL-2.0
//! Lets a thread wait for a time, or for a change.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest time that a thread waits; longer ones are as good as this one.
pub const MAX_PERIOD: Duration = Duration::from_secs(365 * 24 * 3600);

/// Wakes a thread that waits for a change, or for a time.
#[derive(Debug, Default)]
pub struct Wakeup {
    changed: Mutex<bool>,
    wake: Condvar,
}

impl Wakeup {
    /// Something has changed.
    pub fn wake(&self) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    /// Waits until something has changed, or until then.
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
