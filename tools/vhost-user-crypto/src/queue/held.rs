// SPDX-License-Identifier: GPL-2.0
//! Requests that are not answered yet, on purpose.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// The chain's first descriptor.
    pub(super) head: u16,
    pub(super) until: Until,
}

/// What has to happen before a request is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    time: Option<Instant>,
    /// So many requests of the queue are answered.
    answers: Option<u64>,
}

impl Until {
    pub(super) fn never() -> Self {
        Until { time: None, answers: None }
    }

    pub(super) fn late(milliseconds: u64) -> Self {
        let delay = Duration::from_millis(milliseconds).min(MAX_DELAY);
        Until { time: Some(Instant::now() + delay), answers: None }
    }

    /// `count` requests more than `answered`, or the time a reorder lasts.
    pub(super) fn answers(answered: u64, count: u64) -> Self {
        Until {
            time: Some(Instant::now() + REORDER_TIME),
            answers: Some(answered.saturating_add(count)),
        }
    }

    /// When it is over at the latest.
    pub(super) fn time(&self) -> Option<Instant> {
        self.time
    }

    fn is_over(&self, now: Instant, answered: u64) -> bool {
        self.time.is_some_and(|time| time <= now)
            || self.answers.is_some_and(|answers| answers <= answered)
    }
}

/// The place of the request that is to be answered first, if one is to be answered.
pub(super) fn first_due(held: &[Held], now: Instant, answered: u64) -> Option<usize> {
    let due = held.iter().enumerate();
    let due = due.filter(|(_, held)| held.until.is_over(now, answered));
    due.min_by_key(|(_, held)| held.until.time).map(|(at, _)| at)
}
