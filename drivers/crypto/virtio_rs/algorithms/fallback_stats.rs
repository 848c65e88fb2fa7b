// SPDX-License-Identifier: GPL-2.0

//! Fallback statistics: the number of requests that ran on the fallback, by reason.

use core::fmt;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

/// The reason why a request, or a part of a request, runs on the fallback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FallbackReason {
    /// The caller of a synchronous algorithm does not allow the request to sleep.
    CannotSleep,
    /// The key is bound to no device, or its device does not accept requests.
    NoDevice,
    /// Devices do not support the request. Examples are XTS with ciphertext stealing, `authenc`
    /// without plaintext, an IV or a length that the fallback also rejects, and an ECDSA digest of
    /// invalid length.
    Unsupported,
    /// The request is longer than the device supports.
    TooLong,
    /// The request has too many segments, too large segments, or memory that devices cannot access.
    Unmappable,
    /// The ring is full and the request may not be backlogged, or the request has more segments
    /// than the ring has descriptors. Also counts requests of synchronous
    /// transforms that got no request context in time.
    RingFull,
    /// The device did not complete the request successfully.
    DeviceError,
}

impl FallbackReason {
    const ALL: [Self; 7] = [
        Self::CannotSleep,
        Self::NoDevice,
        Self::Unsupported,
        Self::TooLong,
        Self::Unmappable,
        Self::RingFull,
        Self::DeviceError,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::CannotSleep => "cannot_sleep",
            Self::NoDevice => "no_device",
            Self::Unsupported => "unsupported",
            Self::TooLong => "too_long",
            Self::Unmappable => "unmappable",
            Self::RingFull => "ring_full",
            Self::DeviceError => "device_error",
        }
    }

    /// Returns the reason for an error of [`dataq::submit`](crate::transport::dataq::submit).
    pub(super) fn from_submit_error(err: Error) -> Self {
        if [ENODEV, EIO].contains(&err) {
            Self::NoDevice
        } else {
            Self::RingFull
        }
    }
}

/// Number of requests that ran on the fallback, by reason. Relaxed: the driver only displays the
/// numbers.
pub(super) struct FallbackStats([Atomic<u64>; FallbackReason::ALL.len()]);

impl FallbackStats {
    /// Creates statistics with all counts 0.
    pub(super) fn new() -> Self {
        Self([const { Atomic::new(0) }; FallbackReason::ALL.len()])
    }

    /// Counts a request.
    pub(super) fn count(&self, reason: FallbackReason) {
        // CAST: The discriminants of the reasons are indices, starting at 0.
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    fn get(&self, reason: FallbackReason) -> u64 {
        // CAST: The discriminants of the reasons are indices, starting at 0.
        self.0[reason as usize].load(Relaxed)
    }
}

/// Writes the counts, one line for each reason.
pub(super) fn show(stats: &Arc<FallbackStats>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for reason in FallbackReason::ALL {
        writeln!(f, "{}: {}", reason.name(), stats.get(reason))?;
    }
    Ok(())
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_fallback_stats)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_separately() {
        let stats = FallbackStats::new();
        for (times, reason) in (1..).zip(FallbackReason::ALL) {
            for _ in 0..times {
                stats.count(reason);
            }
        }
        for (times, reason) in (1..).zip(FallbackReason::ALL) {
            assert_eq!(stats.get(reason), times);
        }
    }
}
