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

/// The configuration space in 32-bit words.
pub(crate) const WORDS: usize = size_of::<Config>() / 4;

/// VIRTIO_CRYPTO_S_HW_READY: the only bit of `status`.
const HW_READY: u32 = 1;

/// The most data queues the specification allows.
const MAX_DATA_QUEUES: u32 = 65535;

/// An algorithm of any service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Algorithm {
    /// Of the cipher service.
    Cipher(Cipher),
    /// Of the hash service.
    Hash(Hash),
    /// Of the MAC service.
    Mac(Mac),
    /// Of the AEAD service.
    Aead(Aead),
    /// Of the public key service.
    Akcipher(Akcipher),
}

/// `struct virtio_crypto_config`; the device writes all of it, the driver nothing.
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
    /// Takes the configuration space for what it says.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it has a number of data queues that the specification does not allow.
    pub(crate) fn parse(words: &[[u8; 4]; WORDS]) -> Result<Self> {
        let config = Self::read_from_bytes(words.as_flattened()).map_err(|_| EINVAL)?;
        match config.max_dataqueues.get() {
            1..=MAX_DATA_QUEUES => Ok(config),
            _ => Err(EINVAL),
        }
    }

    /// Returns true if `status`, the first word, says that the device is ready.
    pub(crate) fn is_ready(status: [u8; 4]) -> bool {
        u32::from_le_bytes(status) & HW_READY != 0
    }

    /// Returns true if another one says the same, but for `status`.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let clear = |config: &Self| {
            let mut config = config.clone();
            config.status = 0.into();
            config
        };
        clear(self).as_bytes() == clear(other).as_bytes()
    }

    /// Returns how many data queues the device has: 1 to 65535. The control queue comes next.
    pub(crate) fn data_queues(&self) -> usize {
        // CAST: At most 65535, by `parse`.
        self.max_dataqueues.get() as usize
    }

    /// Returns true if the device says it has a service.
    pub(crate) fn has_service(&self, service: Service) -> bool {
        self.crypto_services.get() & (1 << service.number()) != 0
    }

    /// Returns true if the device says it does an algorithm. Some do more, some less.
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
            // Before version 1.3 of the specification the field was reserved.
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

    /// Returns true if the device takes keys of `len` bytes for a cipher or an AEAD.
    pub(crate) fn takes_cipher_key(&self, len: usize) -> bool {
        u32::try_from(len).is_ok_and(|len| len <= self.max_cipher_key_len.get())
    }

    /// Returns true if the device takes keys of `len` bytes for a MAC.
    pub(crate) fn takes_auth_key(&self, len: usize) -> bool {
        u32::try_from(len).is_ok_and(|len| len <= self.max_auth_key_len.get())
    }

    /// Returns the most bytes the variable part of a request may have: parameters, data and
    /// results.
    pub(crate) fn max_size(&self) -> u64 {
        self.max_size.get()
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_config)]
mod tests {
    use super::*;

    /// What QEMU's built-in device has.
    const QEMU: [u32; WORDS] = [1, 1, 7, 8, 0, 4, 0, 0, 0, 64, 512, 0, 0x10_0000, 0];

    fn words(values: &[u32; WORDS]) -> [[u8; 4]; WORDS] {
        values.map(u32::to_le_bytes)
    }

    #[test]
    fn fields_are_where_the_specification_has_them() {
        let config = Config::parse(&words(&QEMU)).unwrap();
        assert_eq!(config.data_queues(), 1);
        assert!(config.has_service(Service::Cipher));
        assert!(config.has_service(Service::Mac));
        assert!(!config.has_service(Service::Aead));
        assert!(config.advertises(Algorithm::Cipher(Cipher::AesCbc)));
        assert!(!config.advertises(Algorithm::Cipher(Cipher::AesXts)));
        assert!(config.advertises(Algorithm::Hash(Hash::Sha1)));
        assert!(!config.advertises(Algorithm::Hash(Hash::Sha256)));
        assert!(config.takes_cipher_key(64));
        assert!(!config.takes_cipher_key(65));
        assert!(config.takes_auth_key(512));
        assert!(!config.takes_auth_key(513));
        assert!(!config.takes_auth_key(usize::MAX));
        assert_eq!(config.max_size(), 0x10_0000);
        assert_eq!(
            size_of::<Config>(),
            size_of::<crate::bindings::virtio_crypto_config>()
        );
    }

    #[test]
    fn masks_have_64_bits_and_need_their_service() {
        let mut values = QEMU;
        // XCBC of AES is number 53, GCM number 1.
        values[7] = 1 << (53 - 32);
        values[8] = 1 << 1;
        let config = Config::parse(&words(&values)).unwrap();
        assert!(config.advertises(Algorithm::Mac(Mac::XcbcAes)));
        assert!(!config.advertises(Algorithm::Mac(Mac::CmacAes)));
        assert!(!config.advertises(Algorithm::Aead(Aead::Gcm)));
        values[2] = 1 << 3;
        let config = Config::parse(&words(&values)).unwrap();
        assert!(!config.advertises(Algorithm::Mac(Mac::XcbcAes)));
        assert!(config.advertises(Algorithm::Aead(Aead::Gcm)));
    }

    #[test]
    fn public_keys_have_a_mask_only_with_their_service() {
        let mut values = QEMU;
        values[11] = 1 << 1 | 1 << 3;
        let config = Config::parse(&words(&values)).unwrap();
        assert!(!config.advertises(Algorithm::Akcipher(Akcipher::Rsa)));
        values[2] |= 1 << 4;
        let config = Config::parse(&words(&values)).unwrap();
        assert!(config.advertises(Algorithm::Akcipher(Akcipher::Rsa)));
        assert!(config.advertises(Algorithm::Akcipher(Akcipher::EcdsaOfHeader)));
        assert!(!config.advertises(Algorithm::Akcipher(Akcipher::Ecdsa)));
    }

    #[test]
    fn max_size_has_64_bits() {
        let mut values = QEMU;
        values[12] = u32::MAX;
        values[13] = u32::MAX;
        assert_eq!(Config::parse(&words(&values)).unwrap().max_size(), u64::MAX);
    }

    #[test]
    fn another_device_is_told_from_the_same() {
        let config = Config::parse(&words(&QEMU)).unwrap();
        for index in 0..WORDS {
            let mut values = QEMU;
            values[index] += 1;
            let other = Config::parse(&words(&values)).unwrap();
            assert_eq!(config.is_like(&other), index == 0);
        }
    }

    #[test]
    fn impossible_numbers_of_queues_are_refused() {
        for count in [0, 65536, u32::MAX] {
            let mut values = QEMU;
            values[1] = count;
            assert!(Config::parse(&words(&values)).is_err());
        }
    }

    #[test]
    fn ready_is_bit_0_alone() {
        assert!(Config::is_ready(1u32.to_le_bytes()));
        assert!(!Config::is_ready(0u32.to_le_bytes()));
        assert!(!Config::is_ready(0x0100_0002u32.to_le_bytes()));
    }
}
