// SPDX-License-Identifier: GPL-2.0
//! Requests that are not answered yet, on purpose.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::ring::Taken;

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
pub(super) struct Held {
    pub(super) taken: Taken,
    pub(super) until: Until,
}

/// What has to happen before a request is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    time: Option<Instant>,
    /// So many requests of the queue are answered.
    answers: Option<u64>,
    /// Whether it has its place in the order, where answers are to have one.
    ordered: bool,
}

impl Until {
    pub(super) fn never() -> Self {
        Until { time: None, answers: None, ordered: true }
    }

    /// Nothing but that its turn comes.
    pub(super) fn turn() -> Self {
        Until { time: None, answers: Some(0), ordered: true }
    }

    pub(super) fn late(milliseconds: u64) -> Self {
        let delay = Duration::from_millis(milliseconds).min(MAX_DELAY);
        Until { time: Some(Instant::now() + delay), answers: None, ordered: true }
    }

    /// `count` requests more than `answered`, or the time a reorder lasts. It breaks any
    /// order, as it says.
    pub(super) fn answers(answered: u64, count: u64) -> Self {
        Until {
            time: Some(Instant::now() + REORDER_TIME),
            answers: Some(answered.saturating_add(count)),
            ordered: false,
        }
    }

    fn is_over(&self, now: Instant, answered: u64) -> bool {
        self.time.is_some_and(|time| time <= now)
            || self.answers.is_some_and(|answers| answers <= answered)
    }
}

/// The place of the request that is to be answered first, if one is to be answered.
pub(super) fn first_due(
    held: &[Held],
    in_order: bool,
    now: Instant,
    answered: u64,
) -> Option<usize> {
    let is_due = |held: &Held| held.until.is_over(now, answered);
    let due = held.iter().enumerate().filter(|(_, held)| is_due(held));
    if in_order {
        // Nothing passes by what has its place.
        let blocked = held.iter().position(|held| held.until.ordered && !is_due(held));
        return due.map(|(at, _)| at).next().filter(|&at| blocked.is_none_or(|end| at < end));
    }
    due.min_by_key(|(_, held)| held.until.time).map(|(at, _)| at)
}

/// When something may be due, if that is a matter of time.
pub(super) fn next_due(held: &[Held], in_order: bool) -> Option<Instant> {
    let blocked = held.iter().position(|held| in_order && held.until.ordered);
    let waiting = blocked.map_or(held, |at| &held[..=at]);
    waiting.iter().filter_map(|held| held.until.time).min()
}

/// Whether a new request has to wait until it is its turn.
pub(super) fn blocks(held: &[Held]) -> bool {
    held.iter().any(|held| held.until.ordered)
}

/// How many places of the ring they have.
pub(super) fn slots(held: &[Held]) -> usize {
    held.iter().map(|held| usize::from(held.taken.slots)).sum()
}
