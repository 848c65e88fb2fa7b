// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Sessions: parameters, keys and algorithm.

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

/// Maximum length of a public key or private key, in bytes. The specification has no limit. An RSA
/// private key of 8192 bits has about 5000 bytes.
pub const MAX_AKCIPHER_KEY_LEN: u32 = 16384;

/// A session, also the temporary session of a stateless request.
pub struct Session {
    /// The parameters from the driver.
    pub parameters: Parameters,
    /// The algorithm's name, for counters.
    pub algorithm: &'static str,
    /// The algorithm with its keys.
    pub engine: Engine,
}

/// An algorithm with its keys.
pub enum Engine {
    /// A cipher in one direction.
    Cipher(Cipher),
    /// A cipher and a digest.
    Chaining(Chaining),
    /// A hash and the length of its result.
    Hash(HashAlgorithm, usize),
    /// A MAC and the length of its result.
    Mac(Mac, usize),
    /// An AEAD in one direction and the length of its tag.
    Aead(Aead, usize),
    /// An RSA key.
    Rsa(Rsa),
    /// An ECDSA key.
    Ecdsa(Ecdsa),
}

/// Length of an IV field that contains a counter block, in bytes.
const IV_BLOCK_LEN: u32 = 16;

impl Session {
    /// Returns the length of the IV field of a request whose `iv_len` has this value.
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

    /// Returns the nonce of an AEAD in its IV field. Returns `Generic` if the field is too short or
    /// is not a counter block.
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

    /// Creates a session for a driver with these features. Returns `NotSupp` if an algorithm is
    /// unknown or not offered, and another error if a parameter or a key is invalid.
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
    if algo == capabilities.ecdsa_number.number()
        && capabilities.ecdsa_number.is_unambiguous(features)
    {
        let ecdsa = Ecdsa::new(key_type, key, supported(detail[0])?)?;
        Ok(("Ecdsa", Engine::Ecdsa(ecdsa)))
    } else if algo == RSA {
        let padding: RsaPadding = supported(detail[0])?;
        // Only signatures need the hash. A session without a supported hash can still encrypt.
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

/// Checks the length of a digest. A digest may be truncated, but not empty. The digest of an
/// extendable-output function may have any other length.
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
