// SPDX-License-Identifier: GPL-2.0
//! Counters of the requests that the device has served or rejected.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use virtio_crypto_device::hooks::Served;
use virtio_crypto_device::queue_id::QueueId;
use virtio_crypto_device::status::status_name;

use crate::trace::opcode_name;

/// Properties of a request. Requests with equal properties share a counter.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// The name of the opcode, for example `CIPHER_ENCRYPT`; see [`crate::trace::opcode_name`].
    pub operation: &'static str,
    /// The name of the algorithm, or an empty string if the algorithm is not known.
    pub algorithm: &'static str,
    /// Whether the request was stateless.
    pub stateless: bool,
    /// The status of the request.
    pub status: u8,
}

/// A counter of requests and their bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Count {
    requests: u64,
    bytes: u64,
}

/// A counter in the report.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Line {
    pub queue: QueueId,
    pub operation: &'static str,
    pub algorithm: &'static str,
    pub stateless: bool,
    pub status: &'static str,
    pub requests: u64,
    /// Bytes of source data in successful requests, without keys, IVs and associated data.
    pub bytes: u64,
}

/// Counters, separate for each queue, so workers of different queues do not share a lock.
#[derive(Debug, Default)]
pub struct Counters {
    queues: Vec<(QueueId, Mutex<BTreeMap<Key, Count>>)>,
}

impl Counters {
    /// Creates counters for the data queues and the control queue.
    pub fn new(data_queues: u16) -> Self {
        let ids = (0..data_queues).map(QueueId::Data).chain([QueueId::Control]);
        Counters { queues: ids.map(|id| (id, Mutex::default())).collect() }
    }

    /// Counts a request.
    pub fn count(&self, served: &Served<'_, '_>) {
        let key = Key {
            operation: opcode_name(served.id.opcode),
            algorithm: served.algorithm,
            stateless: served.stateless,
            status: served.status,
        };
        self.add(served.id.queue, key, served.bytes.into());
    }

    fn add(&self, queue: QueueId, key: Key, bytes: u64) {
        let at = match queue {
            QueueId::Data(index) => usize::from(index),
            QueueId::Control => self.queues.len().saturating_sub(1),
        };
        if let Some((_, counts)) = self.queues.get(at) {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(key).or_default();
            count.requests = count.requests.saturating_add(1);
            count.bytes = count.bytes.saturating_add(bytes);
        }
    }

    /// Returns the counters that are not 0.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (queue, counts) in &self.queues {
            for (key, count) in &*counts.lock().unwrap_or_else(PoisonError::into_inner) {
                lines.push(Line {
                    queue: *queue,
                    operation: key.operation,
                    algorithm: key.algorithm,
                    stateless: key.stateless,
                    status: status_name(key.status),
                    requests: count.requests,
                    bytes: count.bytes,
                });
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_saturate() {
        let counters = Counters::new(1);
        let key = Key { operation: "HASH", algorithm: "", stateless: false, status: 0 };
        for bytes in [u64::MAX - 1, 2, u64::MAX] {
            counters.add(QueueId::Data(0), key, bytes);
        }
        let line = &counters.lines()[0];
        assert_eq!((line.requests, line.bytes), (3, u64::MAX));
    }
}
