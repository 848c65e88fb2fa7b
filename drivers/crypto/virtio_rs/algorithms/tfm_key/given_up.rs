// SPDX-License-Identifier: GPL-2.0

//! The session that a key has given up.

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

/// The direction whose session was given up because the device had no room for another one, and
/// whether a request has wanted it since.
///
/// Relaxed: it is read under the lock of the key, apart from [`GivenUp::want`].
pub(super) struct GivenUp(Atomic<u32>);

impl GivenUp {
    /// Added to the number of a direction that a request has wanted.
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

    /// Records that a request wants the session of a direction. Returns true if that session was given
    /// up, and no request has wanted it before.
    pub(super) fn want(&self, direction: Direction) -> bool {
        let number = Self::number(direction);
        let wanted = number + Self::WANTED;
        // The caller has found no binding: this is read after that. Pairs with the exchange of the
        // pointer to the binding, which comes after `set`.
        smp_mb(Read);
        self.0.load(Relaxed) == number && self.0.cmpxchg(number, wanted, Relaxed).is_ok()
    }

    /// Returns the direction that was given up and that a request has wanted since.
    pub(super) fn wanted(&self) -> Option<Direction> {
        let now = self.0.load(Relaxed);
        [Direction::Encrypt, Direction::Decrypt]
            .into_iter()
            .find(|direction| now == Self::number(*direction) + Self::WANTED)
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_given_up)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_that_was_given_up_is_asked_for_once() {
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
