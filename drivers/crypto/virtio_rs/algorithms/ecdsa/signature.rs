// SPDX-License-Identifier: GPL-2.0

//! Conversion of signatures between the kernel's format and DER, which devices use.

use crate::{
    crypto::sig::ECDSA_SIGNATURE,
    wire::der, //
};
use kernel::prelude::*;

/// Length of a digit in bytes. The kernel stores an integer as an array of digits in the CPU's byte
/// order, least significant digit first.
const DIGIT_LEN: usize = 8;

/// Length of each of the two integers in the kernel's format, in bytes.
const MAX_INTEGER_LEN: usize = ECDSA_SIGNATURE / 2;

/// Longest signature in DER, in bytes. Each integer has a header and a byte for the sign.
pub(super) const MAX_LEN: usize = 3 + 2 * (2 + 1 + MAX_INTEGER_LEN);

/// Encodes a signature (`struct ecdsa_raw_sig`) in DER. The curve's integers have `bits` bits.
/// Returns the number of bytes written to `der`.
///
/// # Errors
///
/// `EINVAL` if `raw` does not have the length of the structure.
pub(super) fn encode(raw: &[u8], bits: u32, der: &mut [u8; MAX_LEN]) -> Result<usize> {
    let (r, s) = raw.split_at_checked(MAX_INTEGER_LEN).ok_or(EINVAL)?;
    if s.len() != MAX_INTEGER_LEN {
        return Err(EINVAL);
    }
    let (r, s) = (to_bytes(r, bits), to_bytes(s, bits));
    der::write_sequence(&[&r, &s], der)
}

/// Decodes a signature in DER. The curve's integers have `bits` bits. Ignores bytes after the
/// signature.
///
/// # Errors
///
/// `EINVAL` if the signature is malformed or an integer is too long.
pub(super) fn decode(der: &[u8], bits: u32) -> Result<[u8; ECDSA_SIGNATURE]> {
    let mut integers = der::Reader::new(der).sequence()?;
    let mut raw = [0; ECDSA_SIGNATURE];
    for digits in raw.chunks_exact_mut(MAX_INTEGER_LEN) {
        to_digits(integers.integer()?, bits, digits)?;
    }
    if integers.is_empty() {
        Ok(raw)
    } else {
        Err(EINVAL)
    }
}

/// Converts a big-endian integer to digits.
///
/// # Errors
///
/// `EINVAL` if the integer has more bytes than `bits` bits need.
fn to_digits(integer: &[u8], bits: u32, digits: &mut [u8]) -> Result {
    if integer.len() > bits.div_ceil(8) as usize {
        return Err(EINVAL);
    }
    for (bytes, digit) in integer
        .rchunks(DIGIT_LEN)
        .zip(digits.chunks_exact_mut(DIGIT_LEN))
    {
        let value = bytes
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        digit.copy_from_slice(&value.to_ne_bytes());
    }
    Ok(())
}

/// Converts digits to a big-endian integer. The kernel's format has digits for the largest curve.
/// For a smaller curve, the most significant digits are uninitialized. They are replaced by 0.
fn to_bytes(digits: &[u8], bits: u32) -> [u8; MAX_INTEGER_LEN] {
    let mut bytes = [0; MAX_INTEGER_LEN];
    // CAST: `usize` has at least 32 bits on the supported architectures.
    let count = bits.div_ceil(8 * DIGIT_LEN as u32) as usize;
    let digits = digits.chunks_exact(DIGIT_LEN).take(count);
    for (digit, target) in digits.zip(bytes.rchunks_exact_mut(DIGIT_LEN)) {
        let value = digit.try_into().map_or(0, u64::from_ne_bytes);
        target.copy_from_slice(&value.to_be_bytes());
    }
    bytes
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_ecdsa_signature)]
mod tests {
    use super::*;

    /// Returns a signature with the given digits, least significant digit first. All other digits
    /// have arbitrary values.
    fn raw(r: &[u64], s: &[u64]) -> [u8; ECDSA_SIGNATURE] {
        let mut raw = [0xa5; ECDSA_SIGNATURE];
        for (integer, start) in [(r, 0), (s, MAX_INTEGER_LEN)] {
            let slots = raw[start..].chunks_exact_mut(DIGIT_LEN);
            for (digit, slot) in integer.iter().zip(slots) {
                slot.copy_from_slice(&digit.to_ne_bytes());
            }
        }
        raw
    }

    #[test]
    fn encode_writes_big_endian_integers() {
        let mut der = [0; MAX_LEN];
        let raw = raw(&[0x0102_0304_0506_0708, 0x0a, 0, 0], &[0xff, 0, 0, 0]);
        let len = encode(&raw, 256, &mut der).unwrap();
        assert_eq!(
            der[..len],
            [0x30, 15, 2, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 2, 0, 0xff]
        );
    }

    #[test]
    fn signature_round_trips() {
        let mut der = [0xff; MAX_LEN];
        for (bits, digits) in [(192, 3), (256, 4), (384, 6), (521, 9)] {
            let mut r = [0x8102_0304_0506_0708; 9];
            let mut s = [0x18; 9];
            // The most significant digit of P-521 has 9 bits.
            r[8] = 0x1ff;
            s[digits - 1] = 0;
            let raw = raw(&r[..digits], &s[..digits]);
            encode(&raw, bits, &mut der).unwrap();
            let decoded = decode(&der, bits).unwrap();
            assert_eq!(decoded[..DIGIT_LEN * digits], raw[..DIGIT_LEN * digits]);
            assert_eq!(
                decoded[MAX_INTEGER_LEN..][..DIGIT_LEN * digits],
                raw[MAX_INTEGER_LEN..][..DIGIT_LEN * digits]
            );
            assert!(decoded[DIGIT_LEN * digits..MAX_INTEGER_LEN]
                .iter()
                .all(|byte| *byte == 0));
        }
    }

    #[test]
    fn decode_rejects_long_integers_and_malformed_der() {
        let mut der = [0; MAX_LEN];
        let long = [1; 25];
        for (integers, is_valid) in [
            ([&long[..24], &[1]], true),
            ([&long[..25], &[1]], false),
            ([&[1], &long[..25]], false),
        ] {
            der::write_sequence(&integers, &mut der).unwrap();
            assert_eq!(decode(&der, 192).is_ok(), is_valid);
        }
        assert!(decode(&[0x30, 3, 2, 1, 1], 192).is_err());
        assert!(decode(&[0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1], 192).is_err());
        assert!(decode(&[0xff; MAX_LEN], 192).is_err());
        assert!(decode(&[], 192).is_err());
    }

    #[test]
    fn encode_ignores_unused_digits() {
        let mut der = [0; MAX_LEN];
        for (bits, digits) in [(192, 3), (256, 4), (384, 6), (521, 9)] {
            let integer = [u64::MAX; 9];
            let raw = raw(&integer[..digits], &integer[..digits]);
            let len = encode(&raw, bits, &mut der).unwrap();
            let header = if digits == 9 { 3 } else { 2 };
            // A leading zero byte makes each integer non-negative.
            assert_eq!(len, header + 2 * (2 + 1 + DIGIT_LEN * digits));
        }
    }

    #[test]
    fn encode_rejects_other_lengths() {
        let mut der = [0; MAX_LEN];
        for len in [
            0,
            1,
            MAX_INTEGER_LEN,
            ECDSA_SIGNATURE - 1,
            ECDSA_SIGNATURE + 1,
        ] {
            let raw = [1; ECDSA_SIGNATURE + 1];
            assert_eq!(encode(&raw[..len], 256, &mut der), Err(EINVAL));
        }
    }
}
