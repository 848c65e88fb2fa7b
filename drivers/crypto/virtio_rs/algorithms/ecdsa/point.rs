// SPDX-License-Identifier: GPL-2.0

//! Public keys: points on a curve.

use crate::wire::der::strip_leading_zeros;
use kernel::prelude::*;

/// Maximum length of a point in bytes: a point on P-521.
pub(super) const MAX_LEN: usize = 1 + 2 * 66;

/// First byte of an uncompressed point (SEC 1).
const UNCOMPRESSED: u8 = 4;

/// A point in the format for devices: each coordinate has the length of the curve's field.
pub(super) struct Point {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Point {
    /// Converts a point from the kernel's format. In that format, the coordinates may be shorter
    /// than the curve's field, or have leading zeros. `field_len` is the length of the curve's
    /// field in bytes.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the point is malformed or a coordinate does not fit.
    pub(super) fn new(key: &[u8], field_len: usize) -> Result<Self> {
        let (first, coordinates) = key.split_first().ok_or(EINVAL)?;
        if *first != UNCOMPRESSED || coordinates.len() % 2 != 0 {
            return Err(EINVAL);
        }
        let len = 1 + 2 * field_len;
        let mut bytes = [0; MAX_LEN];
        let (first, rest) = bytes.get_mut(..len).ok_or(EINVAL)?.split_at_mut(1);
        first.fill(UNCOMPRESSED);
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        for (coordinate, padded) in [x, y].iter().zip(rest.chunks_exact_mut(field_len)) {
            let coordinate = strip_leading_zeros(coordinate);
            let zeros = field_len.checked_sub(coordinate.len()).ok_or(EINVAL)?;
            padded[zeros..].copy_from_slice(coordinate);
        }
        Ok(Self { bytes, len })
    }

    /// Returns the bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_ecdsa_point)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_have_field_length() {
        let equivalent_keys: [&[u8]; 3] = [
            &[4, 0, 1, 2, 0, 0, 3],
            &[4, 1, 2, 0, 3],
            &[4, 0, 0, 1, 2, 0, 0, 0, 3],
        ];
        for key in equivalent_keys {
            let point = Point::new(key, 3).unwrap();
            assert_eq!(point.bytes(), [4, 0, 1, 2, 0, 0, 3]);
        }
        let key = [4; MAX_LEN];
        assert_eq!(Point::new(&key, 66).unwrap().bytes(), key);
    }

    #[test]
    fn malformed_point_is_rejected() {
        let malformed: [(&[u8], usize); 7] = [
            (&[], 3),
            (&[4, 1], 3),
            (&[2, 1, 2], 3),
            (&[0], 3),
            (&[4, 1, 0, 0, 0, 0, 0, 0, 0], 3),
            (&[4, 1, 2, 3, 4, 5, 6, 7, 8], 3),
            (&[4; 135], 67),
        ];
        for (key, field_len) in malformed {
            assert!(Point::new(key, field_len).is_err());
        }
    }
}
