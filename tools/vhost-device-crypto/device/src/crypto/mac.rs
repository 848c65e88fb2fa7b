// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Message authentication codes.
//!
//! GMAC is not supported. A GMAC needs an IV, and a MAC request has no field for an IV.

use std::ffi::CStr;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use super::cbc_mac::CbcMac;
use super::{is_available, pieces, Pool};
use crate::memory::Span;
use crate::openssl_ffi::{Hmac, MAX_DIGEST_LEN};
use crate::protocol::algorithm::MacAlgorithm;
use crate::status::{Result, StatusError};

#[cfg(test)]
mod tests;

/// Returns the length of the MAC, in bytes, or 0 if the algorithm is not supported.
pub fn mac_len(algorithm: MacAlgorithm) -> usize {
    use MacAlgorithm::*;
    match algorithm {
        HmacMd5 => 16,
        HmacSha1 => 20,
        HmacSha224 => 28,
        HmacSha256 => 32,
        HmacSha384 => 48,
        HmacSha512 => 64,
        Cmac3des => 8,
        CmacAes | CbcMacAes | XcbcAes => 16,
        KasumiF9 | Snow3gUia2 | GmacAes | GmacTwofish | CbcMacKasumiF9 | ZucEia3 => 0,
    }
}

/// The implementation of a MAC.
enum Mode {
    Hmac { digest: &'static CStr, key: Zeroizing<Vec<u8>>, pool: Pool<Hmac> },
    Cbc(CbcMac),
}

/// A MAC with a key. The key is wiped on drop.
pub struct Mac {
    mode: Mode,
    len: usize,
}

impl Mac {
    /// Returns whether OpenSSL can perform the algorithm.
    pub fn available(algorithm: MacAlgorithm) -> bool {
        static AVAILABLE: OnceLock<Vec<MacAlgorithm>> = OnceLock::new();
        is_available(&AVAILABLE, MacAlgorithm::ALL, algorithm, |algorithm| {
            let key: Vec<u8> = (0..24).collect();
            let key_len = if algorithm == MacAlgorithm::Cmac3des { 24 } else { 16 };
            let mac = Self::with_key(algorithm, &key[..key_len])?;
            mac.run(&[], &mut [0])
        })
    }

    /// Creates a MAC with a key. Returns `NotSupp` if the algorithm is not available, and `Generic`
    /// if the length of the key is invalid.
    pub fn new(algorithm: MacAlgorithm, key: &[u8]) -> Result<Self> {
        if !Self::available(algorithm) {
            return Err(StatusError::NotSupp);
        }
        Self::with_key(algorithm, key)
    }

    /// Creates a MAC without checking that the algorithm is available.
    fn with_key(algorithm: MacAlgorithm, key: &[u8]) -> Result<Self> {
        use MacAlgorithm::*;
        let hmac = |digest| -> Result<Mode> {
            let pool = Pool::new();
            pool.with(|| Hmac::new(digest, key), |_| Ok(()))?;
            Ok(Mode::Hmac { digest, key: Zeroizing::new(key.to_vec()), pool })
        };
        let mode = match algorithm {
            HmacMd5 => hmac(c"MD5")?,
            HmacSha1 => hmac(c"SHA1")?,
            HmacSha224 => hmac(c"SHA2-224")?,
            HmacSha256 => hmac(c"SHA2-256")?,
            HmacSha384 => hmac(c"SHA2-384")?,
            HmacSha512 => hmac(c"SHA2-512")?,
            Cmac3des => Mode::Cbc(CbcMac::cmac_3des(key)?),
            CmacAes => Mode::Cbc(CbcMac::cmac_aes(key)?),
            CbcMacAes => Mode::Cbc(CbcMac::plain(key)?),
            XcbcAes => Mode::Cbc(CbcMac::xcbc(key)?),
            KasumiF9 | Snow3gUia2 | GmacAes | GmacTwofish | CbcMacKasumiF9 | ZucEia3 => {
                return Err(StatusError::NotSupp)
            }
        };
        Ok(Mac { mode, len: mac_len(algorithm) })
    }

    /// Computes the MAC of the concatenated parts and writes its first bytes to `out`. Returns
    /// `Generic` if `out` is empty or longer than the MAC.
    pub fn run(&self, parts: &[&Span<'_>], out: &mut [u8]) -> Result<()> {
        if out.is_empty() || out.len() > self.len {
            return Err(StatusError::Generic);
        }
        let mut mac = [0; MAX_DIGEST_LEN];
        match &self.mode {
            Mode::Hmac { digest, key, pool } => pool.with(
                || Hmac::new(digest, key),
                |hmac| {
                    hmac.start()?;
                    pieces(parts).try_for_each(|piece| hmac.update(piece))?;
                    mac = hmac.finish()?;
                    Ok(())
                },
            )?,
            Mode::Cbc(cbc) => mac[..16].copy_from_slice(&cbc.run(parts)?),
        }
        out.copy_from_slice(&mac[..out.len()]);
        Ok(())
    }
}
