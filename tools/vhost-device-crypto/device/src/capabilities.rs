// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the device offers: services, algorithms, limits, and how it reads the
//! specification where that is open.

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
        let named = Self::ALL.iter().find(|(value, _)| *value == self);
        named.map_or("", |(_, name)| name)
    }
}

macro_rules! choice {
    ($type:ident: $($value:ident = $name:literal,)*) => {
        impl Choice for $type {
            const ALL: &'static [(Self, &'static str)] = &[$(($type::$value, $name)),*];
        }
    };
}

/// How the numbers of new sessions are chosen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionIds {
    /// 0, 1, 2, ...; the lowest that is free.
    #[default]
    Sequential,
    /// Spread over all 64 bits; 0 and 2^63 are among them.
    Sparse,
}

choice! {
    SessionIds:
    Sequential = "sequential",
    Sparse = "sparse",
}

/// Where a chained request in session mode has its associated data.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainAad {
    /// Before the source data in padded requests, as QEMU and DPDK have it; behind it
    /// under `VIRTIO_CRYPTO_F_REVISION_1`, as the specification says.
    #[default]
    Auto,
    /// Always before it.
    BeforeSrc,
    /// Always behind it.
    AfterSrc,
}

choice! {
    ChainAad:
    Auto = "auto",
    BeforeSrc = "before-src",
    AfterSrc = "after-src",
}

/// Which requests are stateless where a stateless mode is negotiated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatelessBy {
    /// Those whose flag does not say session mode.
    #[default]
    Flag,
    /// All: the layout follows from the feature alone.
    Feature,
}

choice! {
    StatelessBy:
    Flag = "flag",
    Feature = "feature",
}

/// What a session's `aad_len` of 0 means.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionAad {
    /// Nothing: each request says how much associated data it has, as with a driver that serves
    /// users who say it no earlier.
    #[default]
    Open,
    /// That there is none in any request.
    Exact,
}

choice! {
    SessionAad:
    Open = "open",
    Exact = "exact",
}

/// Where an AEAD request has its nonce.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AeadIv {
    /// The IV is the nonce, `iv_len` bytes.
    #[default]
    Nonce,
    /// CCM: the IV always takes 16 bytes, and the nonce is the `iv_len` bytes from the second one
    /// on. GCM: an IV of 16 bytes is the counter block J0, which a nonce of 12 bytes and the number
    /// 1 make.
    Block,
}

choice! {
    AeadIv:
    Nonce = "nonce",
    Block = "block",
}

/// What a chain does with the digest of data that is decrypted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainDigest {
    /// It is the result, and the driver compares it.
    #[default]
    Make,
    /// It is compared with what the result's memory holds, as DPDK's server does, in sessions that
    /// hash first and then decrypt. If the two differ the request fails before anything is written.
    Verify,
}

choice! {
    ChainDigest:
    Make = "make",
    Verify = "verify",
}

/// Which numbers ECDSA and DSA have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EcdsaNumber {
    /// ECDSA is 2, under `VIRTIO_CRYPTO_F_REVISION_1`. Without it a driver that has its numbers
    /// from the kernel's header takes 2 for DSA, so that there is no ECDSA then.
    #[default]
    Specification,
    /// ECDSA is 2, whatever the driver takes that for.
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
    /// The number in requests, and of the bit in the mask.
    pub fn number(self) -> u32 {
        match self {
            EcdsaNumber::Specification | EcdsaNumber::Always => 2,
            EcdsaNumber::Uapi => 3,
        }
    }

    /// Whether it means ECDSA to a driver with these features.
    pub fn is_clear(self, features: u64) -> bool {
        self != EcdsaNumber::Specification || features & feature::REVISION_1 != 0
    }
}

/// Bits of the cipher, hash and MAC masks whose algorithms are offered on demand only.
const LEGACY: [u64; 3] = [
    1 << CipherAlgorithm::Arc4 as u32
        | 1 << CipherAlgorithm::DesEcb as u32
        | 1 << CipherAlgorithm::DesCbc as u32,
    1 << HashAlgorithm::Md5 as u32,
    1 << MacAlgorithm::HmacMd5 as u32,
];

/// All that can be chosen about a device.
#[derive(Clone, Debug, Serialize)]
pub struct Capabilities {
    /// How many data queues, 1 to 63.
    pub queues: u16,
    /// The device's own feature bits, 0 to 5; see [`crate::protocol::feature`].
    pub features: u64,
    /// The services.
    pub services: Vec<Service>,
    /// Bits of the cipher mask that are offered, of those the library can do.
    pub cipher_mask: u64,
    /// The same for hashes.
    pub hash_mask: u32,
    /// The same for MACs.
    pub mac_mask: u64,
    /// The same for AEADs.
    pub aead_mask: u32,
    /// The same for public keys.
    pub akcipher_mask: u32,
    /// Whether DES, ARC4 and MD5 are offered, too.
    pub legacy: bool,
    /// Whether what is not offered is refused, or served nevertheless (as QEMU does).
    pub serve_unadvertised: bool,
    /// The longest cipher or AEAD key, in bytes.
    pub max_cipher_key_len: u32,
    /// The longest MAC key, in bytes.
    pub max_auth_key_len: u32,
    /// The longest request, in bytes.
    pub max_size: u64,
    /// The most public-key operations a second; 0 is no limit.
    pub akcipher_rate: u32,
    /// How many sessions there can be.
    pub table_size: usize,
    /// Their numbers.
    pub session_ids: SessionIds,
    /// A decision where the specification is open: sessions outlive a reset.
    pub keep_sessions: bool,
    /// A decision where the specification is open.
    pub chain_aad: ChainAad,
    /// A decision where the specification is open.
    pub chain_digest: ChainDigest,
    /// A decision where the specification is open.
    pub session_aad: SessionAad,
    /// A decision where the specification is open: CCM's nonce.
    pub ccm_iv: AeadIv,
    /// A decision where the specification is open: GCM's.
    pub gcm_iv: AeadIv,
    /// A decision where the specification is open.
    pub stateless_by: StatelessBy,
    /// A decision where specification and kernel differ.
    pub ecdsa_number: EcdsaNumber,
}

impl Default for Capabilities {
    /// One queue, no features, and all algorithms of the library except the legacy ones.
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
    /// The configuration space; its status is for the device to fill in.
    pub fn config(&self) -> Config {
        let service = |service, mask| if self.services.contains(&service) { mask } else { 0 };
        let ciphers =
            CipherAlgorithm::ALL.iter().filter(|&&algorithm| Cipher::available(algorithm));
        let hashes = HashAlgorithm::ALL.iter().filter(|&&algorithm| hash::available(algorithm));
        let macs = MacAlgorithm::ALL.iter().filter(|&&algorithm| Mac::available(algorithm));
        let aeads = AeadAlgorithm::ALL.iter().filter(|&&algorithm| Aead::available(algorithm));
        let mut akciphers = vec![AkcipherAlgorithm::Rsa.number()];
        let has_curve = Curve::ALL.iter().any(|&curve| ecdsa::available(curve));
        if has_curve && self.ecdsa_number.is_clear(self.features) {
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
        let cipher = service(Service::Cipher, mask(ciphers.map(|a| a.number())) & cipher_mask);
        let hash = service(Service::Hash, mask(hashes.map(|a| a.number())) & hash_mask);
        let mac = service(Service::Mac, mask(macs.map(|a| a.number())) & mac_mask);
        let aead = service(Service::Aead, mask(aeads.map(|a| a.number())) & aead_mask);
        let akcipher = service(Service::Akcipher, mask(akciphers) & akcipher_mask);
        // A service without an algorithm is none.
        let services = [
            (Service::Cipher, cipher),
            (Service::Hash, hash),
            (Service::Mac, mac),
            (Service::Aead, aead),
            (Service::Akcipher, akcipher),
        ];
        let services = services.iter().filter(|(_, mask)| *mask != 0);
        let wants_auth_key = mac != 0 || cipher != 0;
        Config {
            status: 0,
            max_dataqueues: u32::from(self.queues),
            crypto_services: mask(services.map(|(service, _)| service.number())) as u32,
            cipher_algo: cipher,
            hash_algo: hash as u32,
            mac_algo: mac,
            aead_algo: aead as u32,
            max_cipher_key_len: if cipher | aead != 0 { self.max_cipher_key_len } else { 0 },
            max_auth_key_len: if wants_auth_key { self.max_auth_key_len } else { 0 },
            akcipher_algo: akcipher as u32,
            max_size: self.max_size,
        }
    }

    /// Whether a service's algorithm of this number is offered, or served all the same.
    /// `config` is what [`Capabilities::config`] returns.
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
    fn legacy_algorithms_are_offered_on_demand() {
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
    fn every_choice_has_a_name_of_its_own() {
        fn names<T: Choice>() -> Vec<&'static str> {
            T::ALL.iter().map(|(value, _)| value.name()).collect()
        }
        assert_eq!(names::<ChainAad>(), ["auto", "before-src", "after-src"]);
        assert_eq!(names::<EcdsaNumber>(), ["specification", "always", "uapi"]);
    }
}
