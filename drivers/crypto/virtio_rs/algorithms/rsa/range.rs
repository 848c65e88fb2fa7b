// SPDX-License-Identifier: GPL-2.0

//! Which numbers RSA takes.

use crate::wire::der::shortest;
use kernel::prelude::*;

/// The numbers that RSA takes with a modulus: above 1, and below the modulus less one, as the kernel
/// has it and SP 800-56B recommends.
pub(super) struct Range {
    /// The modulus less one, as long as the modulus.
    limit: KVec<u8>,
}

impl Range {
    /// Creates the range of a modulus, which has its most significant byte first.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(super) fn new(modulus: &[u8]) -> Result<Self> {
        let mut limit = KVec::new();
        limit.extend_from_slice(shortest(modulus), GFP_KERNEL)?;
        for byte in limit.iter_mut().rev() {
            let (less, borrow) = byte.overflowing_sub(1);
            *byte = less;
            if !borrow {
                break;
            }
        }
        Ok(Self { limit })
    }

    /// Returns how many bytes the modulus has, without zeros in front.
    pub(super) fn len(&self) -> usize {
        self.limit.len()
    }

    /// Returns true if a number, which is as long as the modulus, is in the range.
    pub(super) fn has(&self, number: &[u8]) -> bool {
        let above_one = match number.split_last() {
            Some((last, others)) => *last > 1 || others.iter().any(|byte| *byte != 0),
            None => false,
        };
        above_one && number.len() == self.limit.len() && number < &self.limit[..]
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_rsa_range)]
mod tests {
    use super::*;

    #[test]
    fn zero_one_and_what_is_near_the_modulus_are_out_of_range() {
        let range = Range::new(&[0, 0, 0x81, 0x01]).unwrap();
        assert_eq!(range.len(), 2);
        for number in [
            [0, 0],
            [0, 1],
            [0x81, 0],
            [0x81, 1],
            [0x81, 2],
            [0xff, 0xff],
        ] {
            assert!(!range.has(&number));
        }
        for number in [[0, 2], [1, 0], [0x80, 0xff]] {
            assert!(range.has(&number));
        }
    }

    #[test]
    fn a_modulus_may_end_with_zeros() {
        let range = Range::new(&[2, 0, 0]).unwrap();
        assert_eq!(range.len(), 3);
        assert!(range.has(&[1, 0xff, 0xfe]));
        assert!(!range.has(&[1, 0xff, 0xff]));
        assert!(!range.has(&[2, 0, 0]));
    }

    #[test]
    fn numbers_of_another_length_are_none() {
        let range = Range::new(&[0x81, 0x01]).unwrap();
        assert!(!range.has(&[2]));
        assert!(!range.has(&[0, 0, 2]));
        assert!(!range.has(&[]));
        let range = Range::new(&[0]).unwrap();
        assert_eq!(range.len(), 0);
        assert!(!range.has(&[]));
    }
}
