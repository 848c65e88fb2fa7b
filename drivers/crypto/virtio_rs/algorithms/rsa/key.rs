// SPDX-License-Identifier: GPL-2.0

//! A key pair, or the public half of one, and who has it.

use super::{
    super::{
        public_key::{
            Family,
            Half, //
        },
        Devices,
        Place, //
    },
    Range, //
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

/// The shortest modulus that is worth a try, in bytes.
const MIN_LEN: usize = 512 / 8;

/// A key.
pub(super) struct Pair {
    range: Range,
    /// How long results are in bytes, which the kernel's software rounds up.
    size: usize,
    in_software: bool,
    public: Half,
    private: Option<Half>,
}

impl Pair {
    /// Reads a public key; `software` is what software has said to it: how long results are.
    ///
    /// # Errors
    ///
    /// As software answers, if it does not take the key, and no device does either: it knows fewer
    /// lengths of keys. `ENOMEM`: no memory.
    pub(super) fn public(
        place: Place,
        devices: &Arc<Devices>,
        key: &[u8],
        software: Result<u32>,
    ) -> Result<Self> {
        let [n, e] = rsa::public_key(key)?;
        let half =
            |key_type, key: &Secret| Half::new(place, devices, Family::Rsa, key_type, key.bytes());
        let public = half(KeyType::Public, &encode(&[n, e])?)?;
        Self::new(Range::new(n)?, software, public, None)
    }

    /// Reads a private key; as [`public`](Self::public).
    pub(super) fn private(
        place: Place,
        devices: &Arc<Devices>,
        key: &[u8],
        software: Result<u32>,
    ) -> Result<Self> {
        let [n, e, d, p, q, dp, dq, qinv] = rsa::private_key(key)?;
        let half =
            |key_type, key: &Secret| Half::new(place, devices, Family::Rsa, key_type, key.bytes());
        // The version, 0, says that there are two primes.
        let private = encode(&[&[0], n, e, d, p, q, dp, dq, qinv])?;
        let private = half(KeyType::Private, &private)?;
        let public = half(KeyType::Public, &encode(&[n, e])?)?;
        Self::new(Range::new(n)?, software, public, Some(private))
    }

    fn new(
        range: Range,
        software: Result<u32>,
        public: Half,
        private: Option<Half>,
    ) -> Result<Self> {
        let len = range.len();
        let (size, in_software) = match software {
            // CAST: Both targets of this driver have 32 bits at least.
            Ok(size) => (size as usize, true),
            // The key could be read, so its length is not one that software takes. A device that
            // does has to do everything.
            Err(err) if err == EINVAL && !rsa::fips_enabled() => {
                let mut halves = [Some(&public), private.as_ref()].into_iter().flatten();
                let taken = halves.all(|half| half.is_bound());
                if !taken || !(MIN_LEN..=MAX_LEN).contains(&len) {
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
            in_software,
            public,
            private,
        })
    }

    /// Returns how many bytes the modulus has.
    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    /// Returns how long results are, in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Returns true if software has the key, too.
    pub(super) fn is_in_software(&self) -> bool {
        self.in_software
    }

    /// Returns true if the key can do this with that number, which is as long as the modulus.
    pub(super) fn takes(&self, number: &[u8], direction: Direction) -> bool {
        self.half(direction).is_some() && self.range.has(number)
    }

    /// Returns the half that does this, if there is one.
    pub(super) fn half(&self, direction: Direction) -> Option<&Half> {
        match direction {
            Direction::Encrypt => Some(&self.public),
            Direction::Decrypt => self.private.as_ref(),
        }
    }
}

/// Encodes a key as devices want it: in DER, whatever kind of BER it came in.
fn encode(numbers: &[&[u8]]) -> Result<Secret> {
    let mut key = Secret::zeroed(der::sequence_len(numbers))?;
    der::write_sequence(numbers, key.bytes_mut())?;
    Ok(key)
}

/// Encodes a public key.
///
/// # Errors
///
/// `ENOMEM`: no memory.
pub(super) fn encode_public(n: &[u8], e: &[u8]) -> Result<Secret> {
    encode(&[n, e])
}
