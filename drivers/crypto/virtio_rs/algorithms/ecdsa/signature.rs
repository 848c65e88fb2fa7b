// SPDX-License-Identifier: GPL-2.0

//! Signatures, as the kernel has them and as devices want them.

use crate::{
    crypto::sig::ECDSA_SIGNATURE,
    wire::der, //
};
use kernel::prelude::*;

/// The bytes of a digit: the kernel's numbers are arrays of them, the least significant one first,
/// each as the CPU has it.
const DIGIT: usize = 8;

/// The most bytes that one of the two numbers of a signature has room for.
const MAX_NUMBER: usize = ECDSA_SIGNATURE / 2;

/// The longest signature in DER: each number with its header and a byte for the sign.
pub(super) const MAX_LEN: usize = 3 + 2 * (2 + 1 + MAX_NUMBER);

/// Encodes a signature (`struct ecdsa_raw_sig`) of a curve whose numbers have so many bits; returns
/// how many bytes of `to` it takes.
///
/// # Errors
///
/// `EINVAL`: the signature does not have the length that all of them have.
pub(super) fn encode(raw: &[u8], bits: u32, to: &mut [u8; MAX_LEN]) -> Result<usize> {
    let (r, s) = raw.split_at_checked(MAX_NUMBER).ok_or(EINVAL)?;
    if s.len() != MAX_NUMBER {
        return Err(EINVAL);
    }
    let (r, s) = (to_bytes(r, bits), to_bytes(s, bits));
    der::write_sequence(&[&r, &s], to)
}

/// Reads a signature in DER, of a curve whose numbers have so many bits; what is behind it does not
/// count.
///
/// # Errors
///
/// `EINVAL`: it is none.
pub(super) fn decode(der: &[u8], bits: u32) -> Result<[u8; ECDSA_SIGNATURE]> {
    let mut numbers = der::Reader::new(der).sequence()?;
    let mut raw = [0; ECDSA_SIGNATURE];
    for to in raw.chunks_exact_mut(MAX_NUMBER) {
        to_digits(numbers.integer()?, bits, to)?;
    }
    if numbers.is_empty() {
        Ok(raw)
    } else {
        Err(EINVAL)
    }
}

/// Writes a number, which has its most significant byte first, as digits.
fn to_digits(number: &[u8], bits: u32, to: &mut [u8]) -> Result {
    if number.len() > bits.div_ceil(8) as usize {
        return Err(EINVAL);
    }
    for (bytes, to) in number.rchunks(DIGIT).zip(to.chunks_exact_mut(DIGIT)) {
        let digit = bytes
            .iter()
            .fold(0, |digit, byte| digit << 8 | u64::from(*byte));
        to.copy_from_slice(&digit.to_ne_bytes());
    }
    Ok(())
}

/// Returns a number with its most significant byte first. Digits that the curve has no use for count
/// as 0: nobody has written them.
fn to_bytes(number: &[u8], bits: u32) -> [u8; MAX_NUMBER] {
    let mut bytes = [0; MAX_NUMBER];
    // CAST: Both targets of this driver have 32 bits at least.
    let count = bits.div_ceil(8 * DIGIT as u32) as usize;
    let digits = number.chunks_exact(DIGIT).take(count);
    for (digit, to) in digits.zip(bytes.rchunks_exact_mut(DIGIT)) {
        let digit = digit.try_into().map_or(0, u64::from_ne_bytes);
        to.copy_from_slice(&digit.to_be_bytes());
    }
    bytes
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_ecdsa_signature)]
mod tests {
    use super::*;

    /// A signature whose numbers have these digits, the least significant one first, and whose other
    /// digits were never written.
    fn raw(r: &[u64], s: &[u64]) -> [u8; ECDSA_SIGNATURE] {
        let mut raw = [0xa5; ECDSA_SIGNATURE];
        for (number, at) in [(r, 0), (s, MAX_NUMBER)] {
            for (digit, to) in number.iter().zip(raw[at..].chunks_exact_mut(DIGIT)) {
                to.copy_from_slice(&digit.to_ne_bytes());
            }
        }
        raw
    }

    #[test]
    fn digits_become_bytes_with_the_most_significant_one_first() {
        let mut der = [0; MAX_LEN];
        let raw = raw(&[0x0102_0304_0506_0708, 0x0a, 0, 0], &[0xff, 0, 0, 0]);
        let len = encode(&raw, 256, &mut der).unwrap();
        assert_eq!(
            der[..len],
            [0x30, 15, 2, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 2, 0, 0xff]
        );
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let mut der = [0xff; MAX_LEN];
        for (bits, digits) in [(192, 3), (256, 4), (384, 6), (521, 9)] {
            let mut r = [0x8102_0304_0506_0708; 9];
            let mut s = [0x18; 9];
            // The topmost digit of P-521 has 9 bits.
            r[8] = 0x1ff;
            s[digits - 1] = 0;
            let raw = raw(&r[..digits], &s[..digits]);
            encode(&raw, bits, &mut der).unwrap();
            let back = decode(&der, bits).unwrap();
            assert_eq!(back[..DIGIT * digits], raw[..DIGIT * digits]);
            assert_eq!(
                back[MAX_NUMBER..][..DIGIT * digits],
                raw[MAX_NUMBER..][..DIGIT * digits]
            );
            assert!(back[DIGIT * digits..MAX_NUMBER]
                .iter()
                .all(|byte| *byte == 0));
        }
    }

    #[test]
    fn numbers_that_are_too_long_are_not_decoded() {
        let mut der = [0; MAX_LEN];
        let long = [1; 25];
        for (numbers, good) in [
            ([&long[..24], &[1]], true),
            ([&long[..25], &[1]], false),
            ([&[1], &long[..25]], false),
        ] {
            der::write_sequence(&numbers, &mut der).unwrap();
            assert_eq!(decode(&der, 192).is_ok(), good);
        }
        assert!(decode(&[0x30, 3, 2, 1, 1], 192).is_err());
        assert!(decode(&[0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1], 192).is_err());
        assert!(decode(&[0xff; MAX_LEN], 192).is_err());
        assert!(decode(&[], 192).is_err());
    }

    #[test]
    fn only_the_digits_of_the_curve_count() {
        let mut der = [0; MAX_LEN];
        for (bits, digits) in [(192, 3), (256, 4), (384, 6), (521, 9)] {
            let number = [u64::MAX; 9];
            let raw = raw(&number[..digits], &number[..digits]);
            let len = encode(&raw, bits, &mut der).unwrap();
            let header = if digits == 9 { 3 } else { 2 };
            // A byte in front says that they are not negative.
            assert_eq!(len, header + 2 * (2 + 1 + DIGIT * digits));
        }
    }

    #[test]
    fn signatures_of_another_length_are_none() {
        let mut der = [0; MAX_LEN];
        for len in [0, 1, MAX_NUMBER, ECDSA_SIGNATURE - 1, ECDSA_SIGNATURE + 1] {
            let raw = [1; ECDSA_SIGNATURE + 1];
            assert_eq!(encode(&raw[..len], 256, &mut der), Err(EINVAL));
        }
    }
}
