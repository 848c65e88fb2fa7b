// SPDX-License-Identifier: GPL-2.0

//! The size of a batch: the requests that are taken from the ring under one lock.
//!
//! With bounce buffers, taking a request copies its result, with the queue locked and bottom halves
//! disabled. So a batch also has a limit in bytes.

/// The bytes of one batch.
pub(super) struct BatchLimit {
    bytes: u64,
}

impl BatchLimit {
    /// The maximum number of requests.
    const REQUESTS: usize = 16;

    /// The number of bytes that ends a batch: 8 requests of 64 KiB. The last request may exceed it. The
    /// device reports the lengths. A device that reports less than it has written makes the batch longer.
    const BYTES: u64 = 512 << 10;

    /// Creates the limit of a new batch.
    #[inline]
    pub(super) const fn new() -> Self {
        Self { bytes: 0 }
    }

    /// Counts a request. The device reports that it has written `used` bytes.
    #[inline]
    pub(super) fn add(&mut self, used: u32) {
        self.bytes += u64::from(used);
    }

    /// Returns true if a batch of `requests` requests is complete.
    #[inline]
    pub(super) fn is_reached(&self, requests: usize) -> bool {
        requests >= Self::REQUESTS || self.bytes >= Self::BYTES
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_batch)]
mod tests {
    use super::*;

    /// Returns the number of requests in a batch, if the device writes `used` bytes for each.
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
        // The sum does not overflow, and each batch has at least one request.
        assert_eq!(taken(u32::MAX), 1);
    }
}
