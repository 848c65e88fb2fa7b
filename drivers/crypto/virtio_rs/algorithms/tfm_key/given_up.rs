// SPDX-License-Identifier: GPL-2.0

//! The session of one direction that a key has given up.
//!
//! Normally, a key has a session for each direction. If a device has no room for another session,
//! the driver destroys sessions that no request has used. When a request needs such a session, the
//! driver creates the session again.

use crate::crypto::Direction;
use kernel::sync::{
    atomic::{
        Atomic,
        Relaxed, //
    },
    barrier::{
        smp_mb,
        Read, //
    }, //
};

/// The direction whose session was given up, and whether a request has wanted this session since.
///
/// Relaxed: the value is accessed under the lock of the key, except by [`GivenUp::want`].
pub(super) struct GivenUp(Atomic<u32>);

impl GivenUp {
    /// This constant is added to the number of a direction when a request wants its session.
    const WANTED: u32 = 2;

    /// Creates a value without a direction.
    pub(super) const fn none() -> Self {
        Self(Atomic::new(0))
    }

    const fn number(direction: Direction) -> u32 {
        match direction {
            Direction::Encrypt => 1,
            Direction::Decrypt => 2,
        }
    }

    /// Sets the direction whose session was given up, if any.
    pub(super) fn set(&self, direction: Option<Direction>) {
        self.0.store(direction.map_or(0, Self::number), Relaxed);
    }

    /// Returns true if the session of a direction was given up.
    pub(super) fn is(&self, direction: Direction) -> bool {
        let number = Self::number(direction);
        [number, number + Self::WANTED].contains(&self.0.load(Relaxed))
    }

    /// Records that a request wants the session of a direction. Returns true if that session was
    /// given up, and no other request has wanted the session since.
    pub(super) fn want(&self, direction: Direction) -> bool {
        let number = Self::number(direction);
        let wanted = number + Self::WANTED;
        // The caller has read the pointer to the binding, which was null. Order that read before
        // the following read. Pairs with the exchange of the pointer, which is ordered after `set`.
        smp_mb(Read);
        self.0.load(Relaxed) == number && self.0.cmpxchg(number, wanted, Relaxed).is_ok()
    }

    /// Returns the direction whose session was given up, if a request has wanted this session
    /// since.
    pub(super) fn wanted(&self) -> Option<Direction> {
        let value = self.0.load(Relaxed);
        [Direction::Encrypt, Direction::Decrypt]
            .into_iter()
            .find(|direction| value == Self::number(*direction) + Self::WANTED)
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_given_up)]
mod tests {
    use super::*;

    #[test]
    fn given_up_session_is_requested_once() {
        let given_up = GivenUp::none();
        assert!(!given_up.want(Direction::Encrypt) && given_up.wanted().is_none());
        for (direction, other) in [
            (Direction::Encrypt, Direction::Decrypt),
            (Direction::Decrypt, Direction::Encrypt),
        ] {
            given_up.set(Some(direction));
            assert!(given_up.is(direction) && !given_up.is(other));
            assert!(!given_up.want(other) && given_up.wanted().is_none());
            assert!(given_up.want(direction) && !given_up.want(direction));
            assert!(given_up.is(direction) && given_up.wanted() == Some(direction));
            given_up.set(None);
            assert!(!given_up.is(direction) && given_up.wanted().is_none());
        }
    }
}
