// SPDX-License-Identifier: GPL-2.0

//! Range of valid RSA inputs.

use crate::wire::der::strip_leading_zeros;
use kernel::prelude::*;

/// The valid inputs for a modulus: 2 to the modulus minus 2, as in the kernel's implementation and
/// as SP 800-56B recommends.
pub(super) struct InputRange {
    /// The modulus minus 1, with the length of the modulus.
    limit: KVec<u8>,
}

impl InputRange {
    /// Creates the range of a big-endian modulus.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(super) fn new(modulus: &[u8]) -> Result<Self> {
        let mut limit = KVec::new();
        limit.extend_from_slice(strip_leading_zeros(modulus), GFP_KERNEL)?;
        for byte in limit.iter_mut().rev() {
            let (difference, borrow) = byte.overflowing_sub(1);
            *byte = difference;
            if !borrow {
                break;
            }
        }
        Ok(Self { limit })
    }

    /// Returns the length of the modulus in bytes, without leading zeros.
    pub(super) fn len(&self) -> usize {
        self.limit.len()
    }

    /// Returns true if the big-endian `input` is in the range and has the length of the modulus.
    pub(super) fn contains(&self, input: &[u8]) -> bool {
        let above_one = match input.split_last() {
            Some((lowest, higher)) => *lowest > 1 || higher.iter().any(|byte| *byte != 0),
            None => false,
        };
        above_one && input.len() == self.limit.len() && input < &self.limit[..]
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_rsa_range)]
mod tests {
    use super::*;

    #[test]
    fn range_is_2_to_modulus_minus_2() {
        let range = InputRange::new(&[0, 0, 0x81, 0x01]).unwrap();
        assert_eq!(range.len(), 2);
        for input in [
            [0, 0],
            [0, 1],
            [0x81, 0],
            [0x81, 1],
            [0x81, 2],
            [0xff, 0xff],
        ] {
            assert!(!range.contains(&input));
        }
        for input in [[0, 2], [1, 0], [0x80, 0xff]] {
            assert!(range.contains(&input));
        }
    }

    #[test]
    fn modulus_with_trailing_zeros_is_decremented() {
        let range = InputRange::new(&[2, 0, 0]).unwrap();
        assert_eq!(range.len(), 3);
        assert!(range.contains(&[1, 0xff, 0xfe]));
        assert!(!range.contains(&[1, 0xff, 0xff]));
        assert!(!range.contains(&[2, 0, 0]));
    }

    #[test]
    fn range_excludes_other_lengths() {
        let range = InputRange::new(&[0x81, 0x01]).unwrap();
        assert!(!range.contains(&[2]));
        assert!(!range.contains(&[0, 0, 2]));
        assert!(!range.contains(&[]));
        let range = InputRange::new(&[0]).unwrap();
        assert_eq!(range.len(), 0);
        assert!(!range.contains(&[]));
    }
}
