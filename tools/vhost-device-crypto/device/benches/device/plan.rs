// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Plan of a measurement: the settings and the time for each.

use std::time::Duration;

use openssl::error::ErrorStack;

use crate::measure::Clock;
use crate::public_key;
use crate::work::{cbc, gcm, hmac, sha256, CreateWork, Work};

const SIZES: [usize; 7] = [16, 64, 256, 1500, 4096, 16384, 65536];
const FEW_SIZES: [usize; 3] = [64, 4096, 65536];
const DEPTHS: [u16; 3] = [1, 8, 32];
const FEW_DEPTHS: [u16; 2] = [1, 32];
const QUEUES: [u16; 3] = [1, 2, 4];
/// The depth for settings that are measured with a single depth.
const SINGLE_DEPTH: u16 = 32;
/// The symmetric algorithms that are measured.
const ALGORITHMS: [CreateWork; 4] = [cbc, gcm, sha256, hmac];

/// Extent of the measurement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Few settings, about 15 seconds.
    Quick,
    /// The settings of the report, about a minute.
    Report,
    /// All settings, several minutes.
    All,
}

/// A kind of request, by index, with the depth and the number of queues of its measurement.
pub struct Setting {
    pub work: usize,
    pub depth: u16,
    pub queues: u16,
}

/// Kinds of requests, and settings that refer to them by index.
pub struct Plan {
    pub works: Vec<Work>,
    pub settings: Vec<Setting>,
    pub clock: Clock,
}

impl Plan {
    pub fn new(scope: Scope) -> Result<Self, ErrorStack> {
        let sizes = if scope == Scope::Quick { &FEW_SIZES[..] } else { &SIZES };
        let depths = if scope == Scope::Quick { &FEW_DEPTHS[..] } else { &DEPTHS };
        let millis = if scope == Scope::All { 100 } else { 45 };
        let clock = Clock { times: 5, time: Duration::from_millis(millis) };
        let mut plan = Plan { works: Vec::new(), settings: Vec::new(), clock };
        for create_work in ALGORITHMS {
            for &size in sizes {
                let on_many_queues = match scope {
                    Scope::Quick => size == 4096,
                    Scope::Report => FEW_SIZES.contains(&size),
                    Scope::All => true,
                };
                plan.add(create_work(size)?, depths, |depth, queues| {
                    queues == 1 || on_many_queues && (depth == SINGLE_DEPTH || scope == Scope::All)
                });
            }
        }
        for work in public_key::works()? {
            plan.add(work, depths, |depth, queues| match scope {
                Scope::Quick => queues == 1 && depth == 1,
                Scope::Report => queues == 1 && depth != 8,
                Scope::All => true,
            });
        }
        Ok(plan)
    }

    /// Adds a kind of request, with the depths and numbers of queues that `is_measured` selects.
    fn add(&mut self, work: Work, depths: &[u16], is_measured: impl Fn(u16, u16) -> bool) {
        for queues in QUEUES {
            for &depth in depths.iter().filter(|&&depth| is_measured(depth, queues)) {
                self.settings.push(Setting { work: self.works.len(), depth, queues });
            }
        }
        self.works.push(work);
    }
}
