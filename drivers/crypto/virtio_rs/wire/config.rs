// SPDX-License-Identifier: GPL-2.0

//! The configuration space ("Device configuration layout").

use super::algorithm::{
    Aead,
    Akcipher,
    Cipher,
    Hash,
    Mac,
    Service, //
};
use kernel::prelude::*;
use zerocopy::byteorder::little_endian::{
    U32,
    U64, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// The length of the configuration space in 32-bit words.
pub(crate) const WORDS: usize = size_of::<Config>() / 4;

/// VIRTIO_CRYPTO_S_HW_READY, the only defined bit of `status`.
const HW_READY: u32 = 1;

/// The maximum number of data queues in the specification.
const MAX_DATA_QUEUES: u32 = 65535;

/// An algorithm of any service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Algorithm {
    /// An algorithm of the cipher service.
    Cipher(Cipher),
    /// An algorithm of the hash service.
    Hash(Hash),
    /// An algorithm of the MAC service.
    Mac(Mac),
    /// An algorithm of the AEAD service.
    Aead(Aead),
    /// An algorithm of the public key service.
    Akcipher(Akcipher),
}

/// `struct virtio_crypto_config`. All fields are read-only for the driver.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Clone)]
pub(crate) struct Config {
    status: U32,
    max_dataqueues: U32,
    crypto_services: U32,
    cipher_algo_l: U32,
    cipher_algo_h: U32,
    hash_algo: U32,
    mac_algo_l: U32,
    mac_algo_h: U32,
    aead_algo: U32,
    max_cipher_key_len: U32,
    max_auth_key_len: U32,
    akcipher_algo: U32,
    max_size: U64,
}

kernel::static_assert!(size_of::<Config>() == 56);
kernel::static_assert!(core::mem::offset_of!(Config, max_size) == 48);

impl Config {
    /// Parses the words of the configuration space.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the number of data queues is not in the range of the specification
    ///   (1 to 65535).
    pub(crate) fn parse(words: &[[u8; 4]; WORDS]) -> Result<Self> {
        let config = Self::read_from_bytes(words.as_flattened()).map_err(|_| EINVAL)?;
        match config.max_dataqueues.get() {
            1..=MAX_DATA_QUEUES => Ok(config),
            _ => Err(EINVAL),
        }
    }

    /// Returns true if `VIRTIO_CRYPTO_S_HW_READY` is set in `status`, the first word.
    pub(crate) fn is_ready(status: [u8; 4]) -> bool {
        u32::from_le_bytes(status) & HW_READY != 0
    }

    /// Returns true if all fields except `status` are equal to those of `other`.
    pub(crate) fn same_except_status(&self, other: &Self) -> bool {
        let without_status = |config: &Self| {
            let mut config = config.clone();
            config.status = 0.into();
            config
        };
        without_status(self).as_bytes() == without_status(other).as_bytes()
    }

    /// Returns the number of data queues, 1 to 65535. This number is also the index of the control
    /// queue.
    pub(crate) fn data_queues(&self) -> usize {
        // CAST: `parse` checked that the number is at most 65535.
        self.max_dataqueues.get() as usize
    }

    /// Returns true if the device advertises a service.
    pub(crate) fn has_service(&self, service: Service) -> bool {
        self.crypto_services.get() & (1 << service.number()) != 0
    }

    /// Returns true if the device advertises an algorithm and its service. The masks are
    /// unreliable: some devices support algorithms that they do not advertise, and others advertise
    /// algorithms that they do not support.
    pub(crate) fn advertises(&self, algorithm: Algorithm) -> bool {
        let (service, low, high, number) = match algorithm {
            Algorithm::Cipher(cipher) => (
                Service::Cipher,
                self.cipher_algo_l,
                self.cipher_algo_h,
                cipher.number(),
            ),
            Algorithm::Hash(hash) => (Service::Hash, self.hash_algo, 0.into(), hash.number()),
            Algorithm::Mac(mac) => (Service::Mac, self.mac_algo_l, self.mac_algo_h, mac.number()),
            Algorithm::Aead(aead) => (Service::Aead, self.aead_algo, 0.into(), aead.number()),
            // The field was reserved before version 1.3 of the specification. The bit of the
            // service, which is checked below, shows that the field is valid.
            Algorithm::Akcipher(akcipher) => (
                Service::Akcipher,
                self.akcipher_algo,
                0.into(),
                akcipher.number(),
            ),
        };
        let mask = u64::from(high.get()) << 32 | u64::from(low.get());
        self.has_service(service) && mask & (1 << number) != 0
    }

    /// Returns true if the device supports cipher and AEAD keys of `len` bytes.
    pub(crate) fn supports_cipher_key_len(&self, len: usize) -> bool {
        u32::try_from(len).is_ok_and(|len| len <= self.max_cipher_key_len.get())
    }

    /// Returns true if the device supports MAC keys of `len` bytes.
    pub(crate) fn supports_auth_key_len(&self, len: usize) -> bool {
        u32::try_from(len).is_ok_and(|len| len <= self.max_auth_key_len.get())
    }

    /// Returns the maximum total length, in bytes, of the variable-length fields of a data request:
    /// keys, IV, data, results and status.
    pub(crate) fn max_size(&self) -> u64 {
        self.max_size.get()
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_config)]
mod tests {
    use super::*;

    /// The configuration space of QEMU with `cryptodev-backend-builtin`.
    const QEMU: [u32; WORDS] = [1, 1, 7, 8, 0, 4, 0, 0, 0, 64, 512, 0, 0x10_0000, 0];

    fn words(values: &[u32; WORDS]) -> [[u8; 4]; WORDS] {
        values.map(u32::to_le_bytes)
    }

    #[test]
    fn fields_are_parsed_at_their_offsets() {
        let config = Config::parse(&words(&QEMU)).unwrap();
        assert_eq!(config.data_queues(), 1);
        assert!(config.has_service(Service::Cipher));
        assert!(config.has_service(Service::Mac));
        assert!(!config.has_service(Service::Aead));
        assert!(config.advertises(Algorithm::Cipher(Cipher::AesCbc)));
        assert!(!config.advertises(Algorithm::Cipher(Cipher::AesXts)));
        assert!(config.advertises(Algorithm::Hash(Hash::Sha1)));
        assert!(!config.advertises(Algorithm::Hash(Hash::Sha256)));
        assert!(config.supports_cipher_key_len(64));
        assert!(!config.supports_cipher_key_len(65));
        assert!(config.supports_auth_key_len(512));
        assert!(!config.supports_auth_key_len(513));
        assert!(!config.supports_auth_key_len(usize::MAX));
        assert_eq!(config.max_size(), 0x10_0000);
        assert_eq!(
            size_of::<Config>(),
            size_of::<crate::bindings::virtio_crypto_config>()
        );
    }

    #[test]
    fn masks_have_64_bits_and_require_their_service() {
        let mut values = QEMU;
        // `mac_algo_h`: XCBC-MAC of AES, which has number 53.
        values[7] = 1 << (53 - 32);
        // `aead_algo`: GCM, which has number 1.
        values[8] = 1 << 1;
        let config = Config::parse(&words(&values)).unwrap();
        assert!(config.advertises(Algorithm::Mac(Mac::XcbcAes)));
        assert!(!config.advertises(Algorithm::Mac(Mac::CmacAes)));
        assert!(!config.advertises(Algorithm::Aead(Aead::Gcm)));
        // `crypto_services`: only AEAD.
        values[2] = 1 << 3;
        let config = Config::parse(&words(&values)).unwrap();
        assert!(!config.advertises(Algorithm::Mac(Mac::XcbcAes)));
        assert!(config.advertises(Algorithm::Aead(Aead::Gcm)));
    }

    #[test]
    fn akcipher_mask_requires_its_service() {
        let mut values = QEMU;
        // `akcipher_algo`: RSA and ECDSA with the number of the uapi header.
        values[11] = 1 << 1 | 1 << 3;
        let config = Config::parse(&words(&values)).unwrap();
        assert!(!config.advertises(Algorithm::Akcipher(Akcipher::Rsa)));
        // `crypto_services`: public keys.
        values[2] |= 1 << 4;
        let config = Config::parse(&words(&values)).unwrap();
        assert!(config.advertises(Algorithm::Akcipher(Akcipher::Rsa)));
        assert!(config.advertises(Algorithm::Akcipher(Akcipher::EcdsaUapi)));
        assert!(!config.advertises(Algorithm::Akcipher(Akcipher::Ecdsa)));
    }

    #[test]
    fn max_size_has_64_bits() {
        let mut values = QEMU;
        // `max_size` has two words.
        values[12] = u32::MAX;
        values[13] = u32::MAX;
        assert_eq!(Config::parse(&words(&values)).unwrap().max_size(), u64::MAX);
    }

    #[test]
    fn comparison_ignores_only_the_status() {
        let config = Config::parse(&words(&QEMU)).unwrap();
        for index in 0..WORDS {
            let mut values = QEMU;
            values[index] += 1;
            let other = Config::parse(&words(&values)).unwrap();
            assert_eq!(config.same_except_status(&other), index == 0);
        }
    }

    #[test]
    fn parse_rejects_invalid_queue_counts() {
        for count in [0, 65536, u32::MAX] {
            let mut values = QEMU;
            // `max_dataqueues`.
            values[1] = count;
            assert!(Config::parse(&words(&values)).is_err());
        }
    }

    #[test]
    fn only_bit_0_means_ready() {
        assert!(Config::is_ready(1u32.to_le_bytes()));
        assert!(!Config::is_ready(0u32.to_le_bytes()));
        assert!(!Config::is_ready(0x0100_0002u32.to_le_bytes()));
    }
}
