// SPDX-License-Identifier: GPL-2.0

//! How much is taken from the ring under one lock.
//!
//! With bounce buffers, taking a request copies its result, with the queue locked and bottom halves
//! disabled. So the batch is limited by bytes, too.

/// The bytes of one batch.
pub(super) struct BatchLimit {
    bytes: u32,
}

impl BatchLimit {
    /// The most requests of a batch.
    const REQUESTS: usize = 16;

    /// How many bytes end a batch: 8 requests of 64 KiB. The last request may exceed them. The lengths
    /// are those that the device reports: one that reports less than it has written makes the batch
    /// longer.
    const BYTES: u32 = 512 << 10;

    /// Begins a batch.
    #[inline]
    pub(super) const fn new() -> Self {
        Self { bytes: 0 }
    }

    /// Counts a request for which the device reports that it has written so many bytes.
    #[inline]
    pub(super) fn add(&mut self, used: u32) {
        self.bytes = self.bytes.saturating_add(used);
    }

    /// Returns true if the batch, which has so many requests, takes no more.
    #[inline]
    pub(super) fn is_reached(&self, requests: usize) -> bool {
        requests >= Self::REQUESTS || self.bytes >= Self::BYTES
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_batch)]
mod tests {
    use super::*;

    /// Returns how many requests of a length are taken in one batch.
    fn taken(used: u32) -> usize {
        let mut limit = BatchLimit::new();
        let mut requests = 0;
        while !limit.is_reached(requests) {
            limit.add(used);
            requests += 1;
        }
        requests
    }

    #[test]
    fn a_batch_is_limited_by_requests_and_by_bytes() {
        assert_eq!(taken(0), 16);
        // A result and its status.
        assert_eq!(taken(4096 + 1), 16);
        assert_eq!(taken((64 << 10) + 1), 8);
        assert_eq!(taken(256 << 10), 2);
        assert_eq!(taken(512 << 10), 1);
        // What a device reports does not overflow, and each batch takes a request.
        assert_eq!(taken(u32::MAX), 1);
    }
}
