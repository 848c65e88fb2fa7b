// SPDX-License-Identifier: GPL-2.0
//! Requests that are held, for a time or for ever.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use virtio_crypto_device::ring::PoppedChain;

/// How long a `reorder` lasts if nothing else comes along.
const REORDER_TIME: Duration = Duration::from_millis(100);

/// The longest delay there is; longer ones are as good as this one.
const MAX_DELAY: Duration = Duration::from_secs(365 * 24 * 3600);

/// The order in which held requests are answered on demand.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As they came.
    #[default]
    Fifo,
    /// The last one first.
    Lifo,
}

/// A request that is held back.
#[derive(Clone, Debug)]
pub struct Held {
    /// The request.
    pub chain: PoppedChain,
    /// When it is served.
    pub until: ReleaseCondition,
}

/// What has to happen before a request is answered.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseCondition {
    time: Option<Instant>,
    /// So many requests of the queue are answered.
    answers: Option<u64>,
    /// Whether it has its place in the order, where answers are to have one.
    ordered: bool,
}

impl ReleaseCondition {
    /// It is never served, unless the monitor says so.
    pub fn never() -> Self {
        ReleaseCondition { time: None, answers: None, ordered: true }
    }

    /// Nothing but that its turn comes.
    pub fn in_order() -> Self {
        ReleaseCondition { time: None, answers: Some(0), ordered: true }
    }

    /// It is served so many milliseconds late.
    pub fn late(milliseconds: u64) -> Self {
        let delay = Duration::from_millis(milliseconds).min(MAX_DELAY);
        ReleaseCondition { time: Some(Instant::now() + delay), answers: None, ordered: true }
    }

    /// `count` requests more than `answered`, or the time a reorder lasts. It breaks any
    /// order, as it says.
    pub fn answers(answered: u64, count: u64) -> Self {
        ReleaseCondition {
            time: Some(Instant::now() + REORDER_TIME),
            answers: Some(answered.saturating_add(count)),
            ordered: false,
        }
    }

    fn is_met(&self, now: Instant, answered: u64) -> bool {
        self.time.is_some_and(|time| time <= now)
            || self.answers.is_some_and(|answers| answers <= answered)
    }
}

/// The requests that are held at a ring.
#[derive(Debug, Default)]
pub struct HeldRequests {
    /// The requests, as they came.
    pub held: Vec<Held>,
    /// How many requests were returned to the driver.
    pub returned: u64,
}

impl HeldRequests {
    /// Takes out the request that has to be served now, the longest due first.
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
            // A request that keeps the order is not overtaken.
            let blocked = self.held.iter().position(|held| held.until.ordered && !is_due(held));
            return due.map(|(at, _)| at).next().filter(|&at| blocked.is_none_or(|end| at < end));
        }
        due.min_by_key(|(_, held)| held.until.time).map(|(at, _)| at)
    }

    /// Returns when a request may be due, if the time decides that.
    pub fn next_due(&self, in_order: bool) -> Option<Instant> {
        let blocked = self.held.iter().position(|held| in_order && held.until.ordered);
        let waiting = blocked.map_or(&self.held[..], |at| &self.held[..=at]);
        waiting.iter().filter_map(|held| held.until.time).min()
    }

    /// Returns whether a new request must wait for its turn.
    pub fn blocks(&self) -> bool {
        self.held.iter().any(|held| held.until.ordered)
    }

    /// Returns how many places of the ring the requests occupy.
    pub fn slots(&self) -> usize {
        self.held.iter().map(|held| usize::from(held.chain.slots)).sum()
    }

    /// Takes out all requests, in this order.
    pub fn take_all(&mut self, order: Order) -> Vec<PoppedChain> {
        let mut chains: Vec<_> = self.held.drain(..).map(|held| held.chain).collect();
        if order == Order::Lifo {
            chains.reverse();
        }
        chains
    }
}
