// SPDX-License-Identifier: GPL-2.0

//! All algorithms of the driver. Each kind of algorithm has its own file with a table of
//! algorithms. This file selects the table by the kind.

use super::{
    aead,
    algorithm_id::{
        AlgorithmId,
        Kind, //
    },
    authenc,
    devices::Devices,
    digest,
    ecdsa,
    rsa,
    skcipher, //
};
use crate::{
    crypto::algorithm::Registration,
    settings::Settings,
    transport::device::Device,
    wire::{
        algorithm::Akcipher,
        config::Algorithm, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

impl Kind {
    /// Returns the number of rows in the kind's table.
    pub(super) const fn rows(self) -> usize {
        match self {
            Self::Cipher => skcipher::TABLE.len(),
            Self::Hash => digest::HASHES.len(),
            Self::Mac => digest::MACS.len(),
            Self::Aead => aead::TABLE.len(),
            Self::Authenc => authenc::TABLE.len(),
            Self::Rsa => 1,
            Self::Ecdsa => ecdsa::TABLE.len(),
        }
    }
}

// `Capabilities` has 32 bits for each kind, one for each row.
kernel::static_assert!(Kind::Cipher.rows() <= u32::BITS as usize);
kernel::static_assert!(Kind::Hash.rows() <= u32::BITS as usize);
kernel::static_assert!(Kind::Mac.rows() <= u32::BITS as usize);
kernel::static_assert!(Kind::Aead.rows() <= u32::BITS as usize);
kernel::static_assert!(Kind::Authenc.rows() <= u32::BITS as usize);
kernel::static_assert!(Kind::Ecdsa.rows() <= u32::BITS as usize);

impl AlgorithmId {
    /// Tests whether a device supports the algorithm. For RSA and ECDSA, runs a known-answer test.
    /// For all other kinds, creates a test session.
    ///
    /// # Errors
    ///
    /// The errors of [`Session::create`](crate::transport::session::Session::create), and of the
    /// known-answer tests.
    pub(super) fn check_support(self, device: &Arc<Device>, settings: &Settings) -> Result {
        match self.kind {
            Kind::Cipher => skcipher::create_test_session(device, self.row).map(drop),
            Kind::Hash | Kind::Mac => digest::create_test_session(device, self).map(drop),
            Kind::Aead => aead::create_test_session(device, self.row).map(drop),
            Kind::Authenc => authenc::create_test_session(device, self.row).map(drop),
            Kind::Rsa => rsa::run_kat(device),
            Kind::Ecdsa => ecdsa::run_kat(device, settings, self.row),
        }
    }

    /// Returns the algorithm as a device advertises it. For algorithm chaining, returns the cipher
    /// and the MAC. All other kinds have one element and `None`.
    pub(super) fn algorithms(self) -> [Option<Algorithm>; 2] {
        match self.kind {
            Kind::Cipher => [skcipher::algorithm(self.row), None],
            Kind::Hash | Kind::Mac => [digest::algorithm(self), None],
            Kind::Aead => [aead::algorithm(self.row), None],
            Kind::Authenc => authenc::algorithms(self.row).map_or([None; 2], |pair| pair.map(Some)),
            Kind::Rsa => [Some(Algorithm::Akcipher(Akcipher::Rsa)), None],
            // The number of ECDSA in the specification. Sessions use `AkcipherKind::scheme`
            // instead.
            Kind::Ecdsa => [Some(Algorithm::Akcipher(Akcipher::Ecdsa)), None],
        }
    }

    /// Returns true if the device advertises the algorithm. For algorithm chaining, the device must
    /// advertise both the cipher and the MAC.
    pub(super) fn is_advertised(self, device: &Device) -> bool {
        self.algorithms()
            .into_iter()
            .flatten()
            .all(|algorithm| device.config().advertises(algorithm))
    }

    /// Registers all variants of the algorithm, or none of them.
    ///
    /// # Errors
    ///
    /// The errors of the crypto API. On error, no variant is registered.
    pub(super) fn register(
        self,
        devices: &Arc<Devices>,
        module: &'static ThisModule,
    ) -> Result<KVec<Registration>> {
        match self.kind {
            Kind::Cipher => skcipher::register(self, devices, module),
            Kind::Hash | Kind::Mac => digest::register(self, devices, module),
            Kind::Aead => aead::register(&aead::TABLE, self, devices, module),
            Kind::Authenc => aead::register(&authenc::TABLE, self, devices, module),
            Kind::Rsa => rsa::register(self, devices, module),
            Kind::Ecdsa => ecdsa::register(self, devices, module),
        }
    }
}
