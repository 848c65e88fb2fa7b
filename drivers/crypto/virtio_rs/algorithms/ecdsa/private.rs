// SPDX-License-Identifier: GPL-2.0

//! Private keys (RFC 5915).

use crate::wire::der::{
    explicit,
    Reader,
    BIT_STRING,
    OCTET_STRING, //
};
use kernel::prelude::*;

/// Maximum length of a private key in bytes. The longest key is a P-521 key that names its curve.
pub(super) const MAX_LEN: usize = 256;

/// Returns the public point in an `ECPrivateKey`. The point is mandatory, because the fallback
/// needs the public key to verify signatures.
///
/// # Errors
///
/// `EINVAL` if the key is malformed, too long or without a point.
pub(super) fn public_point(key: &[u8]) -> Result<&[u8]> {
    if key.len() > MAX_LEN {
        return Err(EINVAL);
    }
    let mut outer = Reader::new(key);
    let mut fields = outer.sequence()?;
    if !outer.is_empty() || fields.integer()? != [1] {
        return Err(EINVAL);
    }
    fields.element(OCTET_STRING)?;
    let _curve = fields.optional(explicit(0))?;
    let mut public = Reader::new(fields.element(explicit(1))?);
    let bits = public.element(BIT_STRING)?;
    match bits.split_first() {
        // 0: the BIT STRING has no unused bits.
        Some((0, point)) if public.is_empty() && fields.is_empty() => Ok(point),
        _ => Err(EINVAL),
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_ecdsa_private)]
mod tests {
    use super::*;

    const KEY: [u8; 22] = [
        0x30, 20, //
        2, 1, 1, //
        4, 2, 7, 8, //
        0xa0, 4, 6, 2, 1, 2, //
        0xa1, 5, 3, 3, 0, 4, 9, //
    ];

    #[test]
    fn public_point_is_found_with_and_without_curve() {
        assert_eq!(public_point(&KEY), Ok(&[4, 9][..]));
        let mut key = [0; 16];
        key[..9].copy_from_slice(&KEY[..9]);
        key[9..].copy_from_slice(&KEY[15..]);
        key[1] = 14;
        assert_eq!(public_point(&key), Ok(&[4, 9][..]));
    }

    #[test]
    fn malformed_private_key_is_rejected() {
        for len in 0..KEY.len() {
            assert!(public_point(&KEY[..len]).is_err());
        }
        // Invalid values of the version, of the number of unused bits, and of tags.
        for (offset, value) in [(4, 0), (19, 1), (5, 3), (15, 0xa2), (17, 4), (0, 0x31)] {
            let mut key = KEY;
            key[offset] = value;
            assert!(public_point(&key).is_err());
        }
        let mut longer = [0; 23];
        longer[..22].copy_from_slice(&KEY);
        assert!(public_point(&longer).is_err());
        // A key without a public point.
        assert!(public_point(&[0x30, 7, 2, 1, 1, 4, 2, 7, 8]).is_err());
    }
}
