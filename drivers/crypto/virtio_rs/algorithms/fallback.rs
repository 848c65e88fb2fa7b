// SPDX-License-Identifier: GPL-2.0

//! How often software does what devices were to do, and why.

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

/// Why software does a request, or a part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// The synchronous flavour would have to sleep, and may not.
    MayNotSleep,
    /// No device has the key just now.
    NoDevice,
    /// Devices do not do this kind of request: XTS with ciphertext stealing, `authenc` without
    /// plaintext, an IV or a length that the fallback rejects, an ECDSA digest of invalid length.
    Form,
    /// It is longer than the device takes.
    TooLong,
    /// It is in too many pieces, in too large ones, or in memory that devices cannot reach.
    Pieces,
    /// There is no room in the ring, and it may not wait or would never fit; or no request context of
    /// a synchronous transform became free in time.
    NoRoom,
    /// The device has not done it.
    DeviceFailed,
}

impl Reason {
    const ALL: [Self; 7] = [
        Self::MayNotSleep,
        Self::NoDevice,
        Self::Form,
        Self::TooLong,
        Self::Pieces,
        Self::NoRoom,
        Self::DeviceFailed,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::MayNotSleep => "may not sleep",
            Self::NoDevice => "no device",
            Self::Form => "form",
            Self::TooLong => "too long",
            Self::Pieces => "pieces",
            Self::NoRoom => "no room",
            Self::DeviceFailed => "device failed",
        }
    }

    /// Returns why a queue has given a request back.
    pub(super) fn of_queue(err: Error) -> Self {
        if [ENODEV, EIO].contains(&err) {
            Self::NoDevice
        } else {
            Self::NoRoom
        }
    }
}

/// Counts of requests that software has done, by reason.
pub(super) struct Fallbacks([Atomic<u64>; Reason::ALL.len()]);

impl Fallbacks {
    /// Begins with zeros.
    pub(super) fn new() -> Self {
        Self([const { Atomic::new(0) }; Reason::ALL.len()])
    }

    /// Counts one.
    pub(super) fn count(&self, reason: Reason) {
        // CAST: The enum numbers the reasons.
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    fn get(&self, reason: Reason) -> u64 {
        // CAST: As above.
        self.0[reason as usize].load(Relaxed)
    }
}

/// Writes them, a line for each reason.
pub(super) fn show(fallbacks: &Arc<Fallbacks>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for reason in Reason::ALL {
        writeln!(f, "{}: {}", reason.name(), fallbacks.get(reason))?;
    }
    Ok(())
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_fallback)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_count_of_its_own() {
        let fallbacks = Fallbacks::new();
        for (times, reason) in (1..).zip(Reason::ALL) {
            for _ in 0..times {
                fallbacks.count(reason);
            }
        }
        for (times, reason) in (1..).zip(Reason::ALL) {
            assert_eq!(fallbacks.get(reason), times);
        }
    }
}
