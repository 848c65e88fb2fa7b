// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The capabilities of a device: services, algorithms, limits, and its interpretation of the
//! specification where the specification is ambiguous.

use serde::Serialize;

use crate::crypto::{aead::Aead, cipher::Cipher, ecdsa, hash, mac::Mac};
use crate::protocol::algorithm::{
    mask, AeadAlgorithm, AkcipherAlgorithm, CipherAlgorithm, Curve, HashAlgorithm, MacAlgorithm,
    Service,
};
use crate::protocol::config::Config;
use crate::protocol::feature;

/// A setting with a fixed set of values, each of which has a name.
pub trait Choice: Copy + Eq + 'static {
    /// The values and their names.
    const ALL: &'static [(Self, &'static str)];

    /// Returns the name of a value.
    fn name(self) -> &'static str {
        let entry = Self::ALL.iter().find(|(value, _)| *value == self);
        entry.map_or("", |(_, name)| name)
    }
}

macro_rules! choice {
    ($type:ident: $($value:ident = $name:literal,)*) => {
        impl Choice for $type {
            const ALL: &'static [(Self, &'static str)] = &[$(($type::$value, $name)),*];
        }
    };
}

/// How the device chooses session IDs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionIds {
    /// The lowest free number: 0, 1, 2, ...
    #[default]
    Sequential,
    /// Numbers spread over all 64 bits, starting with 0 and 2^63.
    Sparse,
}

choice! {
    SessionIds:
    Sequential = "sequential",
    Sparse = "sparse",
}

/// The position of the associated data in a chained request in session mode.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainAad {
    /// Before the source data in padded requests, as in QEMU and DPDK. After the source data with
    /// `VIRTIO_CRYPTO_F_REVISION_1`, as in the specification.
    #[default]
    Auto,
    /// Always before the source data.
    BeforeSrc,
    /// Always after the source data.
    AfterSrc,
}

choice! {
    ChainAad:
    Auto = "auto",
    BeforeSrc = "before-src",
    AfterSrc = "after-src",
}

/// Which requests use the stateless layout if a stateless mode is negotiated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatelessBy {
    /// Requests without `VIRTIO_CRYPTO_FLAG_SESSION_MODE`.
    #[default]
    Flag,
    /// All requests of the service. The flag only selects the session.
    Feature,
}

choice! {
    StatelessBy:
    Flag = "flag",
    Feature = "feature",
}

/// The meaning of `aad_len` 0 in the parameters of a session.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionAad {
    /// The length is open, and each request has its own length. Drivers need this if they do not
    /// know the length when they create a session.
    #[default]
    Open,
    /// No request of the session has associated data.
    Exact,
}

choice! {
    SessionAad:
    Open = "open",
    Exact = "exact",
}

/// The position of the nonce in the IV of an AEAD request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AeadIv {
    /// The IV is the nonce and has `iv_len` bytes.
    #[default]
    Nonce,
    /// CCM: the IV field always has 16 bytes, and the nonce is the `iv_len` bytes after the first
    /// byte. GCM: an IV of 16 bytes is the counter block J0, a nonce of 12 bytes and the number 1.
    Block,
}

choice! {
    AeadIv:
    Nonce = "nonce",
    Block = "block",
}

/// Use of the digest in a chained request that decrypts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainDigest {
    /// The device returns the digest, and the driver compares it.
    #[default]
    Make,
    /// The device compares the digest with the contents of the result buffer, as DPDK's server
    /// does, in sessions that hash before they decrypt. If the two differ, the request fails before
    /// anything is written.
    Verify,
}

choice! {
    ChainDigest:
    Make = "make",
    Verify = "verify",
}

/// The algorithm numbers of ECDSA and DSA.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EcdsaNumber {
    /// ECDSA is 2, and only available with `VIRTIO_CRYPTO_F_REVISION_1`. Drivers without the
    /// feature may use the numbers of the kernel's header, where 2 is DSA.
    #[default]
    Specification,
    /// ECDSA is 2, with and without `VIRTIO_CRYPTO_F_REVISION_1`.
    Always,
    /// ECDSA is 3, as in the kernel's header.
    Uapi,
}

choice! {
    EcdsaNumber:
    Specification = "specification",
    Always = "always",
    Uapi = "uapi",
}

impl EcdsaNumber {
    /// Returns the number of ECDSA in requests and in the mask.
    pub fn number(self) -> u32 {
        match self {
            EcdsaNumber::Specification | EcdsaNumber::Always => 2,
            EcdsaNumber::Uapi => 3,
        }
    }

    /// Returns whether a driver with these features can only mean ECDSA by the number.
    pub fn is_unambiguous(self, features: u64) -> bool {
        self != EcdsaNumber::Specification || features & feature::REVISION_1 != 0
    }
}

/// Bits of the cipher, hash and MAC masks for algorithms that are only offered with
/// [`Capabilities::legacy`].
const LEGACY: [u64; 3] = [
    1 << CipherAlgorithm::Arc4 as u32
        | 1 << CipherAlgorithm::DesEcb as u32
        | 1 << CipherAlgorithm::DesCbc as u32,
    1 << HashAlgorithm::Md5 as u32,
    1 << MacAlgorithm::HmacMd5 as u32,
];

/// Properties of a device that are chosen when it is created.
#[derive(Clone, Debug, Serialize)]
pub struct Capabilities {
    /// Number of data queues, 1 to 63.
    pub queues: u16,
    /// Device feature bits (0 to 5) that are offered; see [`crate::protocol::feature`].
    pub features: u64,
    /// Services that are offered.
    pub services: Vec<Service>,
    /// Mask of the ciphers that are offered. Ciphers that OpenSSL does not support are not offered,
    /// even with their bit set.
    pub cipher_mask: u64,
    /// Mask of the hashes, as for ciphers.
    pub hash_mask: u32,
    /// Mask of the MACs, as for ciphers.
    pub mac_mask: u64,
    /// Mask of the AEADs, as for ciphers.
    pub aead_mask: u32,
    /// Mask of the public-key algorithms, as for ciphers.
    pub akcipher_mask: u32,
    /// Whether DES, ARC4 and MD5 are offered.
    pub legacy: bool,
    /// Whether requests for algorithms that are not offered are served, as in QEMU, or rejected.
    pub serve_unadvertised: bool,
    /// Maximum length of a cipher or AEAD key, in bytes.
    pub max_cipher_key_len: u32,
    /// Maximum length of a MAC key, in bytes.
    pub max_auth_key_len: u32,
    /// Maximum length of a request, in bytes.
    pub max_size: u64,
    /// Maximum number of public-key operations per second; 0 means no limit.
    pub akcipher_rate: u32,
    /// Maximum number of threads for public-key operations; 0 means that the workers of the queues
    /// perform them.
    pub public_key_threads: usize,
    /// Maximum number of sessions.
    pub table_size: usize,
    /// How session IDs are chosen.
    pub session_ids: SessionIds,
    /// Whether sessions survive a reset. The specification does not define this.
    pub keep_sessions: bool,
    /// Interpretation of the specification; see the type.
    pub chain_aad: ChainAad,
    /// Interpretation of the specification; see the type.
    pub chain_digest: ChainDigest,
    /// Interpretation of the specification; see the type.
    pub session_aad: SessionAad,
    /// Interpretation of the specification: position of the nonce of CCM.
    pub ccm_iv: AeadIv,
    /// Interpretation of the specification: position of the nonce of GCM.
    pub gcm_iv: AeadIv,
    /// Interpretation of the specification; see the type.
    pub stateless_by: StatelessBy,
    /// Numbers of ECDSA and DSA, which differ between specification and kernel.
    pub ecdsa_number: EcdsaNumber,
}

impl Default for Capabilities {
    /// One queue, no features, and all algorithms that OpenSSL supports, except the legacy ones.
    fn default() -> Self {
        Capabilities {
            queues: 1,
            features: 0,
            services: Service::ALL.to_vec(),
            cipher_mask: u64::MAX,
            hash_mask: u32::MAX,
            mac_mask: u64::MAX,
            aead_mask: u32::MAX,
            akcipher_mask: u32::MAX,
            legacy: false,
            serve_unadvertised: false,
            max_cipher_key_len: 64,
            max_auth_key_len: 512,
            max_size: 1 << 20,
            akcipher_rate: 0,
            public_key_threads: 1,
            table_size: 4096,
            session_ids: SessionIds::default(),
            keep_sessions: false,
            chain_aad: ChainAad::default(),
            chain_digest: ChainDigest::default(),
            session_aad: SessionAad::default(),
            ccm_iv: AeadIv::default(),
            gcm_iv: AeadIv::default(),
            stateless_by: StatelessBy::default(),
            ecdsa_number: EcdsaNumber::default(),
        }
    }
}

impl Capabilities {
    /// Returns the configuration space with a status of 0. The device sets the status.
    pub fn config(&self) -> Config {
        let if_offered = |service, mask| if self.services.contains(&service) { mask } else { 0 };
        let ciphers =
            CipherAlgorithm::ALL.iter().filter(|&&algorithm| Cipher::available(algorithm));
        let hashes = HashAlgorithm::ALL.iter().filter(|&&algorithm| hash::available(algorithm));
        let macs = MacAlgorithm::ALL.iter().filter(|&&algorithm| Mac::available(algorithm));
        let aeads = AeadAlgorithm::ALL.iter().filter(|&&algorithm| Aead::available(algorithm));
        let mut akciphers = vec![AkcipherAlgorithm::Rsa.number()];
        let has_curve = Curve::ALL.iter().any(|&curve| ecdsa::available(curve));
        if has_curve && self.ecdsa_number.is_unambiguous(self.features) {
            akciphers.push(self.ecdsa_number.number());
        }
        let [legacy_ciphers, legacy_hashes, legacy_macs] = match self.legacy {
            true => [0; 3],
            false => LEGACY,
        };
        let cipher_mask = self.cipher_mask & !legacy_ciphers;
        let hash_mask = u64::from(self.hash_mask) & !legacy_hashes;
        let mac_mask = self.mac_mask & !legacy_macs;
        let (aead_mask, akcipher_mask) = (u64::from(self.aead_mask), u64::from(self.akcipher_mask));
        let cipher = if_offered(Service::Cipher, mask(ciphers.map(|a| a.number())) & cipher_mask);
        let hash = if_offered(Service::Hash, mask(hashes.map(|a| a.number())) & hash_mask);
        let mac = if_offered(Service::Mac, mask(macs.map(|a| a.number())) & mac_mask);
        let aead = if_offered(Service::Aead, mask(aeads.map(|a| a.number())) & aead_mask);
        let akcipher = if_offered(Service::Akcipher, mask(akciphers) & akcipher_mask);
        // A service without algorithms is not offered.
        let services = [
            (Service::Cipher, cipher),
            (Service::Hash, hash),
            (Service::Mac, mac),
            (Service::Aead, aead),
            (Service::Akcipher, akcipher),
        ];
        let services = services.iter().filter(|(_, mask)| *mask != 0);
        // Algorithm chaining also uses a MAC key.
        let has_auth_keys = mac != 0 || cipher != 0;
        Config {
            status: 0,
            max_dataqueues: u32::from(self.queues),
            crypto_services: mask(services.map(|(service, _)| service.number())) as u32,
            cipher_algo: cipher,
            hash_algo: hash as u32,
            mac_algo: mac,
            aead_algo: aead as u32,
            max_cipher_key_len: if cipher | aead != 0 { self.max_cipher_key_len } else { 0 },
            max_auth_key_len: if has_auth_keys { self.max_auth_key_len } else { 0 },
            akcipher_algo: akcipher as u32,
            max_size: self.max_size,
        }
    }

    /// Returns whether requests for an algorithm are served: it is offered, or the device also
    /// serves algorithms that are not offered. `config` is the return value of
    /// [`Capabilities::config`].
    pub fn serves(&self, config: &Config, service: Service, number: u32) -> bool {
        if self.serve_unadvertised {
            return true;
        }
        let mask = match service {
            Service::Cipher => config.cipher_algo,
            Service::Hash => config.hash_algo.into(),
            Service::Mac => config.mac_algo,
            Service::Aead => config.aead_algo.into(),
            Service::Akcipher => config.akcipher_algo.into(),
        };
        mask.checked_shr(number).is_some_and(|mask| mask & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_algorithms_are_offered_only_if_enabled() {
        let legacy = Capabilities { legacy: true, ..Capabilities::default() }.config();
        let default = Capabilities::default().config();
        let masks =
            |config: &Config| [config.cipher_algo, config.hash_algo.into(), config.mac_algo];
        for ((with, without), bits) in masks(&legacy).into_iter().zip(masks(&default)).zip(LEGACY) {
            assert_eq!(with & !bits, without);
            assert_ne!(without, 0);
        }
        assert_ne!(legacy.hash_algo, default.hash_algo);
        assert_ne!(legacy.mac_algo, default.mac_algo);
    }

    #[test]
    fn choices_have_distinct_names() {
        fn names<T: Choice>() -> Vec<&'static str> {
            T::ALL.iter().map(|(value, _)| value.name()).collect()
        }
        assert_eq!(names::<ChainAad>(), ["auto", "before-src", "after-src"]);
        assert_eq!(names::<EcdsaNumber>(), ["specification", "always", "uapi"]);
    }
}
