// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Identifiers of virtqueues.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A virtqueue, by its role.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueId {
    /// The control queue.
    Control,
    /// The data queue with this index.
    #[serde(untagged)]
    Data(u16),
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueId::Data(index) => write!(f, "{index}"),
            QueueId::Control => f.write_str("control"),
        }
    }
}

impl FromStr for QueueId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "control" => Ok(QueueId::Control),
            _ => text.parse().map(QueueId::Data),
        }
    }
}
