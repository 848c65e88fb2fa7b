// SPDX-License-Identifier: GPL-2.0

//! RSA keys: parsing, encoding for devices, and the choice between device and fallback.

use super::{
    super::{
        akcipher_key::{
            AkcipherKey,
            AkcipherKind, //
        },
        AlgorithmId,
        Devices, //
    },
    InputRange, //
};
use crate::{
    crypto::{
        akcipher::MAX_LEN,
        rsa,
        Direction, //
    },
    support::secret::Secret,
    wire::{
        algorithm::KeyType,
        der, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Minimum length of the modulus, in bytes, of a key that only devices support.
const MIN_LEN: usize = 512 / 8;

/// An RSA key: a key pair or a public key.
pub(super) struct RsaKey {
    range: InputRange,
    /// Length of results in bytes. The kernel's implementation rounds the length of the modulus up
    /// to a multiple of its word size.
    size: usize,
    fallback_has_key: bool,
    public: AkcipherKey,
    private: Option<AkcipherKey>,
}

impl RsaKey {
    /// Parses a public key. `fallback_size` is the result of setting the same key on the fallback:
    /// the length of results in bytes, or an error.
    ///
    /// # Errors
    ///
    /// - `EINVAL`, `EBADMSG` if the key is malformed;
    /// - the error in `fallback_size`, unless the fallback does not support the length of the key
    ///   and a device does;
    /// - `ENOMEM` if memory is exhausted.
    pub(super) fn public(
        id: AlgorithmId,
        devices: &Arc<Devices>,
        key: &[u8],
        fallback_size: Result<u32>,
    ) -> Result<Self> {
        let [n, e] = rsa::public_key(key)?;
        let create_key = |key_type, key: &Secret| {
            AkcipherKey::new(id, devices, AkcipherKind::Rsa, key_type, key.bytes())
        };
        let public = create_key(KeyType::Public, &encode(&[n, e])?)?;
        Self::new(InputRange::new(n)?, fallback_size, public, None)
    }

    /// Parses a private key. Parameters and errors are those of [`public`](Self::public).
    pub(super) fn private(
        id: AlgorithmId,
        devices: &Arc<Devices>,
        key: &[u8],
        fallback_size: Result<u32>,
    ) -> Result<Self> {
        let [n, e, d, p, q, dp, dq, qinv] = rsa::private_key(key)?;
        let create_key = |key_type, key: &Secret| {
            AkcipherKey::new(id, devices, AkcipherKind::Rsa, key_type, key.bytes())
        };
        // The first integer is the version. 0 means two primes.
        let private = encode(&[&[0], n, e, d, p, q, dp, dq, qinv])?;
        let private = create_key(KeyType::Private, &private)?;
        let public = create_key(KeyType::Public, &encode(&[n, e])?)?;
        Self::new(InputRange::new(n)?, fallback_size, public, Some(private))
    }

    fn new(
        range: InputRange,
        fallback_size: Result<u32>,
        public: AkcipherKey,
        private: Option<AkcipherKey>,
    ) -> Result<Self> {
        let len = range.len();
        let (size, fallback_has_key) = match fallback_size {
            // CAST: `usize` has at least 32 bits on the supported architectures.
            Ok(size) => (size as usize, true),
            // The key is well-formed, so the fallback does not support the length of the key.
            // Accept the key only if it is bound to a device, because devices must process every
            // request.
            Err(err) if err == EINVAL && !rsa::fips_enabled() => {
                let mut keys = [Some(&public), private.as_ref()].into_iter().flatten();
                let all_bound = keys.all(|key| key.is_bound());
                if !all_bound || !(MIN_LEN..=MAX_LEN).contains(&len) {
                    return Err(err);
                }
                (len, false)
            }
            Err(err) => return Err(err),
        };
        if len > size || size > MAX_LEN {
            return Err(EINVAL);
        }
        Ok(Self {
            range,
            size,
            fallback_has_key,
            public,
            private,
        })
    }

    /// Returns the length of the modulus in bytes.
    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    /// Returns the length of results in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Returns true if the fallback also has the key.
    pub(super) fn fallback_has_key(&self) -> bool {
        self.fallback_has_key
    }

    /// Returns true if the key supports the direction and `input` is in range. `input` must have
    /// the length of the modulus.
    pub(super) fn accepts(&self, input: &[u8], direction: Direction) -> bool {
        self.key_for(direction).is_some() && self.range.contains(input)
    }

    /// Returns the public key for encryption, and the private key for decryption. Returns `None` if
    /// the private key is needed but not set.
    pub(super) fn key_for(&self, direction: Direction) -> Option<&AkcipherKey> {
        match direction {
            Direction::Encrypt => Some(&self.public),
            Direction::Decrypt => self.private.as_ref(),
        }
    }
}

/// Encodes the integers of a key in DER, which devices expect. The caller's key may have any BER
/// encoding.
///
/// # Errors
///
/// `ENOMEM` if memory is exhausted.
fn encode(integers: &[&[u8]]) -> Result<Secret> {
    let mut key = Secret::zeroed(der::sequence_len(integers))?;
    der::write_sequence(integers, key.bytes_mut())?;
    Ok(key)
}

/// Encodes a public key of modulus `n` and exponent `e`.
///
/// # Errors
///
/// `ENOMEM` if memory is exhausted.
pub(super) fn encode_public(n: &[u8], e: &[u8]) -> Result<Secret> {
    encode(&[n, e])
}
