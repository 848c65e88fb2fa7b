// SPDX-License-Identifier: GPL-2.0

//! Feature bits ("Feature bits"), and what follows from them.

use super::algorithm::Service;

/// VIRTIO_CRYPTO_F_REVISION_1.
const REVISION_1: u32 = 0;

/// VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE.
const CIPHER_STATELESS_MODE: u32 = 1;

/// VIRTIO_CRYPTO_F_HASH_STATELESS_MODE.
const HASH_STATELESS_MODE: u32 = 2;

/// VIRTIO_CRYPTO_F_MAC_STATELESS_MODE.
const MAC_STATELESS_MODE: u32 = 3;

/// VIRTIO_CRYPTO_F_AEAD_STATELESS_MODE.
const AEAD_STATELESS_MODE: u32 = 4;

/// VIRTIO_CRYPTO_F_AKCIPHER_STATELESS_MODE.
const AKCIPHER_STATELESS_MODE: u32 = 5;

/// The bits the driver understands.
pub(crate) const ALL: [u32; 6] = [
    REVISION_1,
    CIPHER_STATELESS_MODE,
    HASH_STATELESS_MODE,
    MAC_STATELESS_MODE,
    AEAD_STATELESS_MODE,
    AKCIPHER_STATELESS_MODE,
];

/// Bits that are of no use without another.
pub(crate) const REQUIRES: [(u32, u32); 5] = [
    (CIPHER_STATELESS_MODE, REVISION_1),
    (HASH_STATELESS_MODE, REVISION_1),
    (MAC_STATELESS_MODE, REVISION_1),
    (AEAD_STATELESS_MODE, REVISION_1),
    (AKCIPHER_STATELESS_MODE, REVISION_1),
];

/// Returns the bit that lets requests of a service do without a session.
const fn stateless_mode(service: Service) -> u32 {
    match service {
        Service::Cipher => CIPHER_STATELESS_MODE,
        Service::Hash => HASH_STATELESS_MODE,
        Service::Mac => MAC_STATELESS_MODE,
        Service::Aead => AEAD_STATELESS_MODE,
        Service::Akcipher => AKCIPHER_STATELESS_MODE,
    }
}

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
    /// One bit for each.
    bits: u32,
}

impl Features {
    /// Asks for each feature whether it is in force.
    pub(crate) fn new(has: impl Fn(u32) -> bool) -> Self {
        let bits = ALL.iter().filter(|bit| has(**bit));
        Self {
            bits: bits.fold(0, |bits, bit| bits | 1 << bit),
        }
    }

    fn has(&self, bit: u32) -> bool {
        self.bits & 1 << bit != 0
    }

    /// Returns the layout of requests.
    pub(crate) fn revision(&self) -> Revision {
        if self.has(REVISION_1) {
            Revision::Natural
        } else {
            Revision::Padded
        }
    }

    /// Returns true if requests of a service may bring their key along instead of a session's
    /// number.
    pub(crate) fn has_stateless(&self, service: Service) -> bool {
        self.has(REVISION_1) && self.has(stateless_mode(service))
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

    const SERVICES: [Service; 5] = [
        Service::Cipher,
        Service::Hash,
        Service::Mac,
        Service::Aead,
        Service::Akcipher,
    ];

    #[test]
    fn without_the_revision_nothing_is_stateless() {
        let features = Features::new(|bit| bit != 0);
        assert_eq!(features.revision(), Revision::Padded);
        assert!(SERVICES
            .iter()
            .all(|service| !features.has_stateless(*service)));
        let features = Features::new(|bit| bit == 0);
        assert_eq!(features.revision(), Revision::Natural);
        assert!(SERVICES
            .iter()
            .all(|service| !features.has_stateless(*service)));
    }

    #[test]
    fn each_service_has_a_stateless_mode_of_its_own() {
        for (bit, service) in (1..).zip(SERVICES) {
            let features = Features::new(|asked| asked == 0 || asked == bit);
            for other in SERVICES {
                assert_eq!(features.has_stateless(other), other == service);
            }
        }
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
