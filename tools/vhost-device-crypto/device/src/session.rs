// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a session, or a stateless request, computes with.

use crate::capabilities::{AeadIv, Capabilities};
use crate::chaining::{Chaining, Digest};
use crate::crypto::aead::Aead;
use crate::crypto::cipher::Cipher;
use crate::crypto::ecdsa::Ecdsa;
use crate::crypto::hash;
use crate::crypto::mac::{self, Mac};
use crate::crypto::rsa::Rsa;
use crate::protocol::algorithm::{
    defined, supported, AeadAlgorithm, ChainOrder, CipherAlgorithm, Direction, HashAlgorithm,
    HashMode, KeyType, MacAlgorithm, RsaHash, RsaPadding, Service, RSA,
};
use crate::protocol::config::Config;
use crate::protocol::control::{Chain, Parameters};
use crate::status::{Result, StatusError};

/// The longest key of a public-key session, in bytes; the specification has no limit. An
/// RSA key of 8192 bits has some 5000.
pub const MAX_AKCIPHER_KEY_LEN: u32 = 16384;

/// A session: its parameters as the driver gave them, and what they come to.
pub struct Session {
    /// As the driver gave them.
    pub parameters: Parameters,
    /// The algorithm's name, for counters.
    pub algorithm: &'static str,
    /// What serves requests.
    pub engine: Engine,
}

/// What serves a session's requests.
pub enum Engine {
    /// A cipher in one direction.
    Cipher(Cipher),
    /// A cipher and a digest.
    Chaining(Chaining),
    /// A hash, and its result's length.
    Hash(HashAlgorithm, usize),
    /// A MAC, and its result's length.
    Mac(Mac, usize),
    /// Authenticated encryption in one direction, and its tag's length.
    Aead(Aead, usize),
    /// An RSA key.
    Rsa(Rsa),
    /// A key on an elliptic curve.
    Ecdsa(Ecdsa),
}

/// What an IV takes that holds a whole counter block, in bytes.
const IV_BLOCK_LEN: u32 = 16;

impl Session {
    /// How many bytes a request's IV takes that says to have so many.
    pub fn iv_field_len(&self, capabilities: &Capabilities, iv_len: u32) -> u32 {
        match &self.engine {
            Engine::Aead(aead, _)
                if aead.algorithm() == AeadAlgorithm::Ccm
                    && capabilities.ccm_iv == AeadIv::Block =>
            {
                IV_BLOCK_LEN
            }
            _ => iv_len,
        }
    }

    /// An AEAD's nonce, in an IV that says to have so many bytes. `Err`: there is none in it.
    pub fn nonce<'iv>(
        &self,
        capabilities: &Capabilities,
        iv: &'iv [u8],
        iv_len: u32,
    ) -> Result<&'iv [u8]> {
        let Engine::Aead(aead, _) = &self.engine else { return Ok(iv) };
        match aead.algorithm() {
            AeadAlgorithm::Ccm if capabilities.ccm_iv == AeadIv::Block => {
                iv.get(1..).and_then(|iv| iv.get(..iv_len as usize)).ok_or(StatusError::Generic)
            }
            AeadAlgorithm::Gcm
                if capabilities.gcm_iv == AeadIv::Block && iv_len == IV_BLOCK_LEN =>
            {
                iv.strip_suffix(&[0, 0, 0, 1]).ok_or(StatusError::Generic)
            }
            _ => Ok(iv),
        }
    }

    /// Makes a session of its parameters and keys, for a driver with these features. `NotSupp`: an algorithm that is not
    /// offered or not known; `Err`: anything else that is not right.
    pub fn new(
        parameters: Parameters,
        key: &[u8],
        auth_key: &[u8],
        capabilities: &Capabilities,
        config: &Config,
        features: u64,
    ) -> Result<Self> {
        let serves = |service, number| match capabilities.serves(config, service, number) {
            true => Ok(()),
            false => Err(StatusError::NotSupp),
        };
        let (algorithm, engine) = match parameters {
            Parameters::Cipher { algo, op, .. } => {
                serves(Service::Cipher, algo)?;
                let algorithm: CipherAlgorithm = supported(algo)?;
                let cipher = Cipher::new(algorithm, defined(op)?, key)?;
                (algorithm.name(), Engine::Cipher(cipher))
            }
            Parameters::Chain(chain) => {
                serves(Service::Cipher, chain.cipher_algo)?;
                let algorithm: CipherAlgorithm = supported(chain.cipher_algo)?;
                match supported(chain.hash_mode)? {
                    HashMode::Plain => serves(Service::Hash, chain.hash_algo)?,
                    HashMode::Auth => serves(Service::Mac, chain.hash_algo)?,
                }
                let chaining = chaining(algorithm, chain, key, auth_key)?;
                (algorithm.name(), Engine::Chaining(chaining))
            }
            Parameters::Hash { algo, hash_result_len } => {
                serves(Service::Hash, algo)?;
                let algorithm = supported(algo)?;
                let len = hash_len(algorithm, hash_result_len)?;
                (algorithm.name(), Engine::Hash(algorithm, len))
            }
            Parameters::Mac { algo, hash_result_len, .. } => {
                serves(Service::Mac, algo)?;
                let algorithm = supported(algo)?;
                let mac = Mac::new(algorithm, key)?;
                (algorithm.name(), Engine::Mac(mac, mac_len(algorithm, hash_result_len)?))
            }
            Parameters::Aead { algo, tag_len, op, .. } => {
                serves(Service::Aead, algo)?;
                let algorithm: AeadAlgorithm = supported(algo)?;
                let tag_len = tag_len as usize;
                let aead = Aead::new(algorithm, defined(op)?, key, tag_len)?;
                (algorithm.name(), Engine::Aead(aead, tag_len))
            }
            Parameters::Akcipher { algo, key_type, detail, .. } => {
                serves(Service::Akcipher, algo)?;
                akcipher(algo, defined(key_type)?, detail, key, capabilities, features)?
            }
        };
        Ok(Session { parameters, algorithm, engine })
    }
}

fn akcipher(
    algo: u32,
    key_type: KeyType,
    detail: [u32; 2],
    key: &[u8],
    capabilities: &Capabilities,
    features: u64,
) -> Result<(&'static str, Engine)> {
    if algo == capabilities.ecdsa_number.number() && capabilities.ecdsa_number.is_clear(features) {
        let ecdsa = Ecdsa::new(key_type, key, supported(detail[0])?)?;
        Ok(("Ecdsa", Engine::Ecdsa(ecdsa)))
    } else if algo == RSA {
        let padding: RsaPadding = supported(detail[0])?;
        // The hash is for signatures alone, which a session without one may never be asked for.
        let hash = RsaHash::try_from(detail[1]).ok();
        let hash = hash.filter(|&hash| capabilities.legacy || hash != RsaHash::Md5);
        let name = match padding {
            RsaPadding::Raw => "Rsa",
            RsaPadding::Pkcs1 => "RsaPkcs1",
        };
        Ok((name, Engine::Rsa(Rsa::new(key_type, key, padding, hash)?)))
    } else {
        Err(StatusError::NotSupp)
    }
}

fn chaining(
    algorithm: CipherAlgorithm,
    chain: Chain,
    key: &[u8],
    auth_key: &[u8],
) -> Result<Chaining> {
    let order: ChainOrder = supported(chain.alg_chain_order)?;
    let direction: Direction = defined(chain.op)?;
    let (digest, len) = match supported(chain.hash_mode)? {
        HashMode::Plain => {
            let algorithm = supported(chain.hash_algo)?;
            if !hash::available(algorithm) {
                return Err(StatusError::NotSupp);
            }
            (Digest::Plain(algorithm), hash_len(algorithm, chain.hash_result_len)?)
        }
        HashMode::Auth => {
            let algorithm = supported(chain.hash_algo)?;
            let mac = Mac::new(algorithm, auth_key)?;
            (Digest::Auth(mac), mac_len(algorithm, chain.hash_result_len)?)
        }
    };
    Ok(Chaining::new(order, Cipher::new(algorithm, direction, key)?, digest, len))
}

/// A result may be cut short, but not be empty; the extendable ones may have any length.
fn hash_len(algorithm: HashAlgorithm, len: u32) -> Result<usize> {
    let len = len as usize;
    match hash::digest_len(algorithm) {
        Some(whole) if len > whole => Err(StatusError::Generic),
        _ if len == 0 => Err(StatusError::Generic),
        _ => Ok(len),
    }
}

fn mac_len(algorithm: MacAlgorithm, len: u32) -> Result<usize> {
    let len = len as usize;
    match len == 0 || len > mac::mac_len(algorithm) {
        true => Err(StatusError::Generic),
        false => Ok(len),
    }
}
