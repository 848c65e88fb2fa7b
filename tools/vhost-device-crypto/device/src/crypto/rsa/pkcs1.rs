// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The paddings of PKCS#1 v1.5 (RFC 8017, sections 7.2 and 9.2).

use std::hint::black_box;

use crate::protocol::algorithm::RsaHash;
use crate::status::{Result, StatusError};

/// Minimum length of a padding: three fixed bytes and eight bytes of filling.
const OVERHEAD: usize = 11;

/// The DER of a `DigestInfo` without its digest.
#[derive(Clone, Copy, Debug)]
pub(super) struct DigestInfo {
    prefix: &'static [u8],
    /// Length of the digest, or `None` without a hash.
    digest_len: Option<usize>,
}

impl DigestInfo {
    /// Returns the encoding for a hash.
    ///
    /// # Errors
    ///
    /// `NotSupp` if the hash is insecure (MD2, MD4) or not defined (MD3).
    pub(super) fn new(hash: RsaHash) -> Result<Self> {
        let prefix: &[u8] = match hash {
            RsaHash::NoHash => {
                return Ok(DigestInfo { prefix: &[], digest_len: None });
            }
            RsaHash::Md2 | RsaHash::Md3 | RsaHash::Md4 => return Err(StatusError::NotSupp),
            RsaHash::Md5 => {
                b"\x30\x20\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00\x04\x10"
            }
            RsaHash::Sha1 => b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14",
            RsaHash::Sha224 => {
                b"\x30\x2d\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04\x05\x00\x04\x1c"
            }
            RsaHash::Sha256 => {
                b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
            }
            RsaHash::Sha384 => {
                b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"
            }
            RsaHash::Sha512 => {
                b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"
            }
        };
        // The last byte is the length of the digest.
        let digest_len = prefix.last().copied().map(usize::from);
        Ok(DigestInfo { prefix, digest_len })
    }

    /// Pads a digest for signing (EMSA-PKCS1-v1_5).
    ///
    /// # Errors
    ///
    /// `Generic` if the digest does not have the length of the hash or is too long for the modulus.
    pub(super) fn pad(&self, digest: &[u8], modulus_len: usize) -> Result<Vec<u8>> {
        if self.digest_len.is_some_and(|len| len != digest.len()) {
            return Err(StatusError::Generic);
        }
        let len = self.prefix.len() + digest.len();
        if len > modulus_len.saturating_sub(OVERHEAD) {
            return Err(StatusError::Generic);
        }
        let mut block = Vec::with_capacity(modulus_len);
        block.extend([0, 1]);
        block.resize(modulus_len - len - 1, 0xff);
        block.push(0);
        block.extend(self.prefix);
        block.extend(digest);
        Ok(block)
    }
}

/// Returns all bits set if both are equal, otherwise 0, without a branch.
fn mask_equal(a: u32, b: u32) -> u32 {
    let difference = a ^ b;
    // The top bit of `x | -x` is set unless `x` is 0.
    black_box(((difference | difference.wrapping_neg()) >> 31).wrapping_sub(1))
}

/// Returns all bits set if `a < b`, otherwise 0. Both must be less than 2^31.
fn mask_less(a: u32, b: u32) -> u32 {
    black_box((a.wrapping_sub(b) >> 31).wrapping_neg())
}

/// Returns the message in a decrypted block (RSAES-PKCS1-v1_5).
///
/// The time depends only on the length of the block and on whether the padding is valid, so it does
/// not reveal which part of the padding is wrong.
///
/// # Errors
///
/// `Generic` if the padding is wrong.
pub(super) fn unpad(block: &[u8]) -> Result<&[u8]> {
    let [zero, two, rest @ ..] = block else {
        return Err(StatusError::Generic);
    };
    let mut good = mask_equal(u32::from(*zero), 0) & mask_equal(u32::from(*two), 2);
    let mut found = 0;
    let mut separator = 0;
    for (at, &octet) in (0..).zip(rest) {
        let here = mask_equal(u32::from(octet), 0) & !found;
        separator |= here & at;
        found |= here;
    }
    good &= found & !mask_less(separator, OVERHEAD as u32 - 3);
    if good == 0 {
        return Err(StatusError::Generic);
    }
    Ok(&rest[separator as usize + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_all_bits_set_or_none() {
        for a in [0, 1, 2, 254, 255, 256, 0x7fff_ffff] {
            for b in [0, 1, 2, 254, 255, 256, 0x7fff_ffff] {
                assert_eq!(mask_equal(a, b), if a == b { u32::MAX } else { 0 });
                assert_eq!(mask_less(a, b), if a < b { u32::MAX } else { 0 });
            }
        }
    }

    #[test]
    fn unpad_returns_messages_of_any_length() {
        for len in 0..=53 {
            let mut block = vec![0, 2];
            block.resize(63 - len, 0xee);
            block.push(0);
            block.extend((0..len).map(|at| at as u8));
            assert_eq!(block.len(), 64);
            assert_eq!(unpad(&block), Ok(&block[64 - len..]));
            for at in 0..64 - len {
                let mut bad = block.clone();
                bad[at] ^= 0xee;
                let moved = at >= 10 && at < 63 - len;
                match unpad(&bad) {
                    // A zero after the eighth byte of filling ends the padding early.
                    Ok(message) if moved => assert_eq!(message, &bad[at + 1..]),
                    // If the separator is changed, the first zero in the message ends the padding.
                    Ok(message) => assert_eq!((at, message), (63 - len, &bad[65 - len..])),
                    Err(_) => assert!(!moved),
                }
            }
        }
        for short in [&[][..], &[0], &[0, 2], &[0, 2, 0], &[0, 2, 1, 1, 1, 1, 1, 1, 1, 0]] {
            assert_eq!(unpad(short), Err(StatusError::Generic));
        }
    }

    #[test]
    fn digests_must_have_the_length_of_the_hash() {
        for (hash, len) in [
            (RsaHash::Md5, 16),
            (RsaHash::Sha1, 20),
            (RsaHash::Sha224, 28),
            (RsaHash::Sha256, 32),
            (RsaHash::Sha384, 48),
            (RsaHash::Sha512, 64),
        ] {
            let info = DigestInfo::new(hash).unwrap();
            let digest = [0x33; 65];
            for wrong in [0, 1, len - 1, len + 1] {
                assert!(info.pad(&digest[..wrong], 128).is_err());
            }
            let block = info.pad(&digest[..len], 128).unwrap();
            assert_eq!(block.len(), 128);
            assert!(block.ends_with(&digest[..len]));
            // The length field of the DER.
            assert_eq!(usize::from(info.prefix[1]), info.prefix.len() - 2 + len);
            let exact = info.prefix.len() + len + OVERHEAD;
            assert_eq!(
                info.pad(&digest[..len], exact).unwrap()[..11],
                [0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 0]
            );
            for short in [0, 10, 11, exact - 1] {
                assert!(info.pad(&digest[..len], short).is_err());
            }
        }
    }

    #[test]
    fn without_a_hash_any_length_is_padded() {
        let info = DigestInfo::new(RsaHash::NoHash).unwrap();
        for len in 0..=53 {
            assert!(info.pad(&[0x33; 64][..len], 64).unwrap().ends_with(&[0x33; 64][..len]));
        }
        assert!(info.pad(&[0x33; 54], 64).is_err());
    }

    #[test]
    fn insecure_hashes_are_not_supported() {
        for hash in [RsaHash::Md2, RsaHash::Md3, RsaHash::Md4] {
            assert_eq!(DigestInfo::new(hash).unwrap_err(), StatusError::NotSupp);
        }
    }
}
