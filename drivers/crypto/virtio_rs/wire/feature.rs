// SPDX-License-Identifier: GPL-2.0

//! Feature bits ("Feature bits"). They determine the layout of requests, and whether a request may
//! carry its key (stateless mode) instead of naming a session.

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

/// The feature bits that the driver supports.
pub(crate) const ALL: [u32; 6] = [
    REVISION_1,
    CIPHER_STATELESS_MODE,
    HASH_STATELESS_MODE,
    MAC_STATELESS_MODE,
    AEAD_STATELESS_MODE,
    AKCIPHER_STATELESS_MODE,
];

/// Pairs of a feature bit and the bit that it requires ("Feature bit requirements").
pub(crate) const REQUIRES: [(u32, u32); 5] = [
    (CIPHER_STATELESS_MODE, REVISION_1),
    (HASH_STATELESS_MODE, REVISION_1),
    (MAC_STATELESS_MODE, REVISION_1),
    (AEAD_STATELESS_MODE, REVISION_1),
    (AKCIPHER_STATELESS_MODE, REVISION_1),
];

/// Returns the feature bit of the stateless mode of a service.
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
pub(crate) enum Layout {
    /// The layout without VIRTIO_CRYPTO_F_REVISION_1. Zeros pad the header and the fixed-length
    /// fields to 72 bytes. All requests name a session.
    Padded,
    /// The layout with VIRTIO_CRYPTO_F_REVISION_1. The fixed-length fields have their natural size.
    /// A flag in the header distinguishes session mode from stateless mode.
    Natural,
}

/// The negotiated features.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    /// A mask of feature bits.
    bits: u32,
}

impl Features {
    /// Collects the features of [`ALL`] for which `is_negotiated` returns true.
    pub(crate) fn new(is_negotiated: impl Fn(u32) -> bool) -> Self {
        let negotiated = ALL.iter().filter(|bit| is_negotiated(**bit));
        Self {
            bits: negotiated.fold(0, |mask, bit| mask | 1 << bit),
        }
    }

    fn has(&self, bit: u32) -> bool {
        self.bits & 1 << bit != 0
    }

    /// Returns the layout of requests.
    pub(crate) fn layout(&self) -> Layout {
        if self.has(REVISION_1) {
            Layout::Natural
        } else {
            Layout::Padded
        }
    }

    /// Returns true if the stateless mode of a service is negotiated.
    pub(crate) fn has_stateless(&self, service: Service) -> bool {
        self.has(REVISION_1) && self.has(stateless_mode(service))
    }
}

impl Layout {
    /// Converts a request from the padded layout to this layout. `natural_len` is the length of the
    /// request in the natural layout, in bytes.
    pub(super) fn truncate<'a>(&self, padded: &'a [u8], natural_len: usize) -> &'a [u8] {
        match self {
            Layout::Padded => padded,
            Layout::Natural => padded.get(..natural_len).unwrap_or(padded),
        }
    }

    /// Returns the `flag` field of a request in session mode.
    pub(super) fn session_flag(&self) -> u32 {
        /// VIRTIO_CRYPTO_FLAG_SESSION_MODE. Devices ignore the flag in the padded layout.
        const SESSION_MODE: u32 = 1;

        match self {
            Layout::Padded => 0,
            Layout::Natural => SESSION_MODE,
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
    fn stateless_mode_requires_revision_1() {
        let features = Features::new(|bit| bit != 0);
        assert_eq!(features.layout(), Layout::Padded);
        assert!(SERVICES
            .iter()
            .all(|service| !features.has_stateless(*service)));
        let features = Features::new(|bit| bit == 0);
        assert_eq!(features.layout(), Layout::Natural);
        assert!(SERVICES
            .iter()
            .all(|service| !features.has_stateless(*service)));
    }

    #[test]
    fn each_service_has_its_own_stateless_feature() {
        for (bit, service) in (1..).zip(SERVICES) {
            let features = Features::new(|offered| offered == REVISION_1 || offered == bit);
            for candidate in SERVICES {
                let expected = candidate == service;
                assert_eq!(features.has_stateless(candidate), expected);
            }
        }
    }

    #[test]
    fn every_other_feature_requires_revision_1() {
        for bit in ALL {
            let requires_revision_1 = REQUIRES.iter().any(|pair| *pair == (bit, REVISION_1));
            assert_eq!(requires_revision_1, bit != REVISION_1);
        }
    }

    #[test]
    fn natural_layout_truncates_and_sets_the_session_flag() {
        let padded = [7; 72];
        assert_eq!(Layout::Padded.truncate(&padded, 24).len(), 72);
        assert_eq!(Layout::Natural.truncate(&padded, 24).len(), 24);
        assert_eq!(Layout::Padded.session_flag(), 0);
        assert_eq!(Layout::Natural.session_flag(), 1);
    }
}
