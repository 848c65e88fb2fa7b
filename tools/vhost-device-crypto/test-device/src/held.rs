// SPDX-License-Identifier: GPL-2.0
//! Held requests, which a fault delays or does not complete.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use virtio_crypto_device::ring::PoppedChain;

/// Maximum time for which `reorder` holds a request.
const REORDER_TIME: Duration = Duration::from_millis(100);

/// Maximum delay. Longer delays are reduced to this maximum.
const MAX_DELAY: Duration = Duration::from_secs(365 * 24 * 3600);

/// The order in which the monitor command `complete` completes held requests.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// First in, first out.
    #[default]
    Fifo,
    /// Last in, first out.
    Lifo,
}

/// A held request.
#[derive(Clone, Debug)]
pub struct Held {
    /// The request.
    pub chain: PoppedChain,
    /// When the request is served.
    pub until: ReleaseCondition,
}

/// The condition under which a held request is served: its time has come, or the queue has
/// completed enough requests. Without either the request waits for the monitor.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseCondition {
    time: Option<Instant>,
    /// Number of requests that the queue must have completed.
    completed: Option<u64>,
    /// Whether the request keeps its position if the ring completes requests in order.
    ordered: bool,
}

impl ReleaseCondition {
    /// The request is only served by the monitor command `complete`.
    pub fn never() -> Self {
        ReleaseCondition { time: None, completed: None, ordered: true }
    }

    /// The request is served after all earlier requests.
    pub fn in_order() -> Self {
        ReleaseCondition { time: None, completed: Some(0), ordered: true }
    }

    /// The request is served after a delay.
    pub fn after_delay(milliseconds: u64) -> Self {
        let delay = Duration::from_millis(milliseconds).min(MAX_DELAY);
        ReleaseCondition { time: Some(Instant::now() + delay), completed: None, ordered: true }
    }

    /// The request is served after `count` later requests, or after `REORDER_TIME`. `completed`
    /// is the number of requests completed so far. Later requests may overtake the request even if
    /// the ring completes requests in order.
    pub fn after_requests(completed: u64, count: u64) -> Self {
        ReleaseCondition {
            time: Some(Instant::now() + REORDER_TIME),
            completed: Some(completed.saturating_add(count)),
            ordered: false,
        }
    }

    fn is_met(&self, now: Instant, completed: u64) -> bool {
        self.time.is_some_and(|time| time <= now)
            || self.completed.is_some_and(|required| required <= completed)
    }
}

/// The held requests of a ring.
#[derive(Debug, Default)]
pub struct HeldRequests {
    /// The requests, in the order in which they were popped.
    pub held: Vec<Held>,
    /// Number of requests returned to the driver.
    pub returned: u64,
}

impl HeldRequests {
    /// Removes and returns a request that must be served now. `in_order` selects the oldest such
    /// request, otherwise the request that is longest overdue is returned.
    pub fn take_due(&mut self, in_order: bool) -> Option<PoppedChain> {
        if self.held.is_empty() {
            return None;
        }
        let at = self.first_due(in_order, Instant::now())?;
        Some(self.held.remove(at).chain)
    }

    fn first_due(&self, in_order: bool, now: Instant) -> Option<usize> {
        let is_due = |held: &Held| held.until.is_met(now, self.returned);
        let due = self.held.iter().enumerate().filter(|(_, held)| is_due(held));
        if in_order {
            // No request overtakes an earlier request that keeps the order and is not due.
            let blocked = self.held.iter().position(|held| held.until.ordered && !is_due(held));
            return due.map(|(at, _)| at).next().filter(|&at| blocked.is_none_or(|end| at < end));
        }
        due.min_by_key(|(_, held)| held.until.time).map(|(at, _)| at)
    }

    /// Returns the next time at which a request is due, if a request waits for a time.
    pub fn next_due(&self, in_order: bool) -> Option<Instant> {
        let blocked = self.held.iter().position(|held| in_order && held.until.ordered);
        let waiting = blocked.map_or(&self.held[..], |at| &self.held[..=at]);
        waiting.iter().filter_map(|held| held.until.time).min()
    }

    /// Returns whether a new request must wait for a held one to keep the order.
    pub fn blocks_new_requests(&self) -> bool {
        self.held.iter().any(|held| held.until.ordered)
    }

    /// Returns the number of ring entries of the held requests.
    pub fn slots(&self) -> usize {
        self.held.iter().map(|held| usize::from(held.chain.slots)).sum()
    }

    /// Removes all requests and returns them in the given order.
    pub fn take_all(&mut self, order: Order) -> Vec<PoppedChain> {
        let mut chains: Vec<_> = self.held.drain(..).map(|held| held.chain).collect();
        if order == Order::Lifo {
            chains.reverse();
        }
        chains
    }
}
