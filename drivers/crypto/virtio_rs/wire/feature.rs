// SPDX-License-Identifier: GPL-2.0

//! Feature bits ("Feature bits"), and what follows from them.

/// VIRTIO_CRYPTO_F_REVISION_1.
const REVISION_1: u32 = 0;

/// VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE.
const CIPHER_STATELESS_MODE: u32 = 1;

/// The bits the driver understands.
pub(crate) const ALL: [u32; 2] = [REVISION_1, CIPHER_STATELESS_MODE];

/// Bits that are of no use without another.
pub(crate) const REQUIRES: [(u32, u32); 1] = [(CIPHER_STATELESS_MODE, REVISION_1)];

/// The layout of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Revision {
    /// What devices without VIRTIO_CRYPTO_F_REVISION_1 speak: header and fixed part are filled up
    /// with zeros to 72 bytes, and all requests are in a session.
    Padded,
    /// What devices with it speak: every part has its natural size, and a flag says whether a
    /// request is in a session.
    Natural,
}

/// The features in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    revision: Revision,
    cipher_stateless: bool,
}

impl Features {
    /// Asks for each feature whether it is in force.
    pub(crate) fn new(has: impl Fn(u32) -> bool) -> Self {
        let natural = has(REVISION_1);
        Self {
            revision: if natural {
                Revision::Natural
            } else {
                Revision::Padded
            },
            cipher_stateless: natural && has(CIPHER_STATELESS_MODE),
        }
    }

    /// Returns the layout of requests.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns true if cipher requests may bring their key along instead of a session's number.
    pub(crate) fn has_stateless_ciphers(&self) -> bool {
        self.cipher_stateless
    }
}

impl Revision {
    /// Returns what of a padded request is sent, whose natural size is `natural` bytes.
    pub(super) fn cut<'a>(&self, padded: &'a [u8], natural: usize) -> &'a [u8] {
        match self {
            Revision::Padded => padded,
            Revision::Natural => padded.get(..natural).unwrap_or(padded),
        }
    }

    /// Returns the flag of a request in a session.
    pub(super) fn session_flag(&self) -> u32 {
        /// VIRTIO_CRYPTO_FLAG_SESSION_MODE; not looked at in the padded layout.
        const SESSION_MODE: u32 = 1;

        match self {
            Revision::Padded => 0,
            Revision::Natural => SESSION_MODE,
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_feature)]
mod tests {
    use super::*;

    #[test]
    fn without_the_revision_nothing_is_stateless() {
        let features = Features::new(|bit| bit == 1);
        assert_eq!(features.revision(), Revision::Padded);
        assert!(!features.has_stateless_ciphers());
        let features = Features::new(|bit| bit <= 1);
        assert_eq!(features.revision(), Revision::Natural);
        assert!(features.has_stateless_ciphers());
        assert!(!Features::new(|bit| bit == 0).has_stateless_ciphers());
    }

    #[test]
    fn every_bit_but_the_revision_needs_it() {
        for bit in ALL {
            let needs = REQUIRES.iter().any(|pair| *pair == (bit, REVISION_1));
            assert_eq!(needs, bit != REVISION_1);
        }
    }

    #[test]
    fn natural_requests_are_the_beginning_of_padded_ones() {
        let padded = [7; 72];
        assert_eq!(Revision::Padded.cut(&padded, 24).len(), 72);
        assert_eq!(Revision::Natural.cut(&padded, 24).len(), 24);
        assert_eq!(Revision::Padded.session_flag(), 0);
        assert_eq!(Revision::Natural.session_flag(), 1);
    }
}
