// SPDX-License-Identifier: GPL-2.0
//! What the device offers: services, algorithms, limits, and how it reads the
//! specification where that is open.

use serde::Serialize;

use crate::arithmetic::{aead::Aead, cipher::Cipher, ecdsa, hash, mac::Mac};
use crate::protocol::algorithm::{
    mask, AeadAlgorithm, AkcipherAlgorithm, CipherAlgorithm, Curve, HashAlgorithm, MacAlgorithm,
    Service,
};
use crate::protocol::config::Config;

/// How the numbers of new sessions are chosen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SessionIds {
    /// 0, 1, 2, ...; the lowest that is free.
    #[default]
    Sequential,
    /// Spread over all 64 bits; 0 and 2^63 are among them.
    Sparse,
}

/// Where a chained request in session mode has its associated data.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, clap::ValueEnum)]
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

/// Which requests are stateless where a stateless mode is negotiated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum StatelessBy {
    /// Those whose flag does not say session mode.
    #[default]
    Flag,
    /// All: the layout follows from the feature alone.
    Feature,
}

/// Which numbers ECDSA and DSA have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum EcdsaNumber {
    /// ECDSA is 2.
    #[default]
    Specification,
    /// ECDSA is 3, as in the kernel's header.
    Uapi,
}

impl EcdsaNumber {
    /// The number in requests, and of the bit in the mask.
    pub fn number(self) -> u32 {
        match self {
            EcdsaNumber::Specification => 2,
            EcdsaNumber::Uapi => 3,
        }
    }
}

/// All that can be chosen about a device.
#[derive(Clone, Debug, Serialize)]
pub struct Offer {
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
    /// Whether what is not offered is refused, or served nevertheless (as QEMU does).
    pub serve_unadvertised: bool,
    /// The longest cipher or AEAD key, in bytes.
    pub max_cipher_key_len: u32,
    /// The longest MAC key, in bytes.
    pub max_auth_key_len: u32,
    /// The longest request, in bytes.
    pub max_size: u64,
    /// How many sessions there can be.
    pub table_size: usize,
    /// Their numbers.
    pub session_ids: SessionIds,
    /// A decision where the specification is open: sessions outlive a reset.
    pub keep_sessions: bool,
    /// A decision where the specification is open.
    pub chain_aad: ChainAad,
    /// A decision where the specification is open.
    pub stateless_by: StatelessBy,
    /// A decision where specification and kernel differ.
    pub ecdsa_number: EcdsaNumber,
}

impl Default for Offer {
    /// One queue, no features, and all the library can do.
    fn default() -> Self {
        Offer {
            queues: 1,
            features: 0,
            services: Service::ALL.to_vec(),
            cipher_mask: u64::MAX,
            hash_mask: u32::MAX,
            mac_mask: u64::MAX,
            aead_mask: u32::MAX,
            akcipher_mask: u32::MAX,
            serve_unadvertised: false,
            max_cipher_key_len: 64,
            max_auth_key_len: 512,
            max_size: 1 << 20,
            table_size: 4096,
            session_ids: SessionIds::default(),
            keep_sessions: false,
            chain_aad: ChainAad::default(),
            stateless_by: StatelessBy::default(),
            ecdsa_number: EcdsaNumber::default(),
        }
    }
}

impl Offer {
    /// The configuration space; its status is for the device to fill in.
    pub fn config(&self) -> Config {
        let service = |service, mask| if self.services.contains(&service) { mask } else { 0 };
        let ciphers =
            CipherAlgorithm::ALL.iter().filter(|&&algorithm| Cipher::available(algorithm));
        let hashes = HashAlgorithm::ALL.iter().filter(|&&algorithm| hash::available(algorithm));
        let macs = MacAlgorithm::ALL.iter().filter(|&&algorithm| Mac::available(algorithm));
        let aeads = AeadAlgorithm::ALL.iter().filter(|&&algorithm| Aead::available(algorithm));
        let mut akciphers = vec![AkcipherAlgorithm::Rsa.number()];
        if Curve::ALL.iter().any(|&curve| ecdsa::available(curve)) {
            akciphers.push(self.ecdsa_number.number());
        }
        let cipher = service(Service::Cipher, mask(ciphers.map(|a| a.number())));
        let hash = service(Service::Hash, mask(hashes.map(|a| a.number())));
        let mac = service(Service::Mac, mask(macs.map(|a| a.number())));
        let aead = service(Service::Aead, mask(aeads.map(|a| a.number())));
        let akcipher = service(Service::Akcipher, mask(akciphers));
        let wants_auth_key = mac != 0 || cipher != 0;
        Config {
            status: 0,
            max_dataqueues: u32::from(self.queues),
            crypto_services: mask(self.services.iter().map(|service| service.number())) as u32,
            cipher_algo: cipher & self.cipher_mask,
            hash_algo: hash as u32 & self.hash_mask,
            mac_algo: mac & self.mac_mask,
            aead_algo: aead as u32 & self.aead_mask,
            max_cipher_key_len: if cipher | aead != 0 { self.max_cipher_key_len } else { 0 },
            max_auth_key_len: if wants_auth_key { self.max_auth_key_len } else { 0 },
            akcipher_algo: akcipher as u32 & self.akcipher_mask,
            max_size: self.max_size,
        }
    }

    /// Whether a service's algorithm of this number is offered, or served all the same.
    /// `config` is what [`Offer::config`] returns.
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
