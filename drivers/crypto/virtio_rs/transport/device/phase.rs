// SPDX-License-Identifier: GPL-2.0

//! How far a device is.

use crate::support::read_once::read_once;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// How far a device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Phase {
    /// It says that it is not ready.
    Waiting = 0,
    /// It takes requests.
    Ready = 1,
    /// It broke the rules or does not answer; it is about to be reset and started again.
    Failed = 2,
    /// It has failed too often, and is not used until it is bound again.
    GivenUp = 3,
    /// The system sleeps, or somebody else resets it.
    Asleep = 4,
    /// It is being unbound.
    Closed = 5,
}

impl Phase {
    fn from_number(number: u32) -> Self {
        [
            Self::Waiting,
            Self::Ready,
            Self::Failed,
            Self::GivenUp,
            Self::Asleep,
        ]
        .into_iter()
        // CAST: The enum is a `u32`.
        .find(|phase| *phase as u32 == number)
        .unwrap_or(Self::Closed)
    }
}

/// A [`Phase`] that several threads may look at, and change.
pub(super) struct SharedPhase(Atomic<u32>);

impl SharedPhase {
    /// Begins with [`Phase::Waiting`].
    pub(super) const fn new() -> Self {
        Self(Atomic::new(Phase::Waiting as u32))
    }

    /// Returns the phase.
    pub(super) fn get(&self) -> Phase {
        Phase::from_number(self.0.load(Relaxed))
    }

    /// Returns true if the phase is [`Phase::Ready`].
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        // CAST: The enum is a `u32`.
        read_once(&self.0) == Phase::Ready as u32
    }

    /// Moves on to a later phase; returns false if the device is there, or further, already.
    pub(super) fn advance(&self, to: Phase) -> bool {
        let to = to as u32;
        let mut now = self.0.load(Relaxed);
        while now < to {
            match self.0.cmpxchg(now, to, Relaxed) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// Goes from one phase to another; returns false if the device was in none of that kind.
    pub(super) fn change(&self, from: Phase, to: Phase) -> bool {
        self.0.cmpxchg(from as u32, to as u32, Relaxed).is_ok()
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_phase)]
mod tests {
    use super::*;

    #[test]
    fn a_device_moves_on_and_not_back() {
        let phase = SharedPhase::new();
        assert!(phase.change(Phase::Waiting, Phase::Ready));
        assert!(phase.advance(Phase::Failed));
        assert!(!phase.advance(Phase::Failed));
        assert!(!phase.change(Phase::Ready, Phase::Waiting));
        assert_eq!(phase.get(), Phase::Failed);
    }

    #[test]
    fn only_who_began_a_phase_ends_it() {
        let phase = SharedPhase::new();
        assert!(phase.advance(Phase::Failed));
        assert!(phase.advance(Phase::Asleep));
        // Whoever started it again finds that it sleeps.
        assert!(!phase.change(Phase::Failed, Phase::Waiting));
        assert!(phase.change(Phase::Asleep, Phase::Waiting));
        assert!(phase.advance(Phase::Closed));
        assert!(!phase.advance(Phase::Asleep));
        assert_eq!(phase.get(), Phase::Closed);
    }
}
