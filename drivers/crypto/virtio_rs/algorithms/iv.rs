// SPDX-License-Identifier: GPL-2.0

//! IVs and counter arithmetic.

/// Longest IV in bytes.
pub(super) const MAX_IV: usize = 16;

/// An IV of at most [`MAX_IV`] bytes. The IV is empty if the algorithm has no IV.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Iv {
    bytes: [u8; MAX_IV],
    len: u8,
}

impl Iv {
    /// The empty IV.
    pub(super) const EMPTY: Self = Self {
        bytes: [0; MAX_IV],
        len: 0,
    };

    /// Creates an IV from consecutive parts. Bytes after the first [`MAX_IV`] are dropped.
    pub(super) fn concat(parts: &[&[u8]]) -> Self {
        let mut iv = Self::EMPTY;
        for part in parts {
            let unused = &mut iv.bytes[usize::from(iv.len)..];
            let len = part.len().min(unused.len());
            unused[..len].copy_from_slice(&part[..len]);
            // CAST: `len` is at most `MAX_IV`.
            iv.len += len as u8;
        }
        iv
    }

    /// Creates an IV of `len` zero bytes, at most [`MAX_IV`].
    pub(super) fn zeroed(len: u32) -> Self {
        Self {
            bytes: [0; MAX_IV],
            // CAST: `len` is at most `MAX_IV`.
            len: len.min(MAX_IV as u32) as u8,
        }
    }

    /// Returns the bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Returns the bytes for writing.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.len)]
    }

    /// Adds a number of blocks to the counter. The whole IV is a big-endian counter, which wraps
    /// around.
    pub(super) fn advance_counter(&mut self, blocks: u32) {
        let mut carry = u64::from(blocks);
        for byte in self.bytes_mut().iter_mut().rev() {
            carry += u64::from(*byte);
            // CAST: Truncation keeps the low byte. The other bits are the carry.
            *byte = carry as u8;
            carry >>= 8;
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_iv)]
mod tests {
    use super::*;

    fn iv(bytes: &[u8]) -> Iv {
        Iv::concat(&[bytes])
    }

    fn advanced(bytes: &[u8], blocks: u32) -> Iv {
        let mut iv = iv(bytes);
        iv.advance_counter(blocks);
        iv
    }

    #[test]
    fn iv_length_is_limited() {
        assert_eq!(Iv::zeroed(0).bytes().len(), 0);
        assert_eq!(Iv::zeroed(8).bytes(), [0; 8]);
        assert_eq!(Iv::zeroed(16).bytes_mut().len(), 16);
        assert_eq!(Iv::zeroed(u32::MAX).bytes().len(), MAX_IV);
    }

    #[test]
    fn concat_keeps_order_and_truncates() {
        let iv = Iv::concat(&[&[1, 2], &[], &[3]]);
        assert_eq!(iv.bytes(), [1, 2, 3]);
        assert_eq!(Iv::concat(&[]), Iv::EMPTY);
        assert_eq!(
            Iv::concat(&[&[7; 10], &[8; 10]]).bytes()[8..],
            [7, 7, 8, 8, 8, 8, 8, 8]
        );
    }

    #[test]
    fn counter_is_big_endian() {
        assert_eq!(advanced(&[0; 16], 1).bytes()[15], 1);
        assert_eq!(
            advanced(&[0; 8], 0x0102_0304).bytes(),
            [0, 0, 0, 0, 1, 2, 3, 4]
        );
        assert_eq!(advanced(&[7; 16], 0), iv(&[7; 16]));
    }

    #[test]
    fn carry_passes_through_whole_iv() {
        let mut expected = [0xff; 16];
        expected[0] = 1;
        expected[1..].fill(0);
        let mut start = [0xff; 16];
        start[0] = 0;
        assert_eq!(advanced(&start, 1).bytes(), expected);
        // 2^64 - 2 plus 2^32 - 1 in a counter of 128 bits.
        let mut start = [0; 16];
        start[8..].fill(0xff);
        start[15] = 0xfe;
        let sum = advanced(&start, u32::MAX);
        assert_eq!(sum.bytes()[..8], [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(sum.bytes()[8..], [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xfd]);
    }

    #[test]
    fn counter_wraps_at_iv_size() {
        assert_eq!(advanced(&[0xff; 16], 1), Iv::zeroed(16));
        assert_eq!(advanced(&[0xff; 8], 3).bytes(), [0, 0, 0, 0, 0, 0, 0, 2]);
    }

    #[test]
    fn counter_steps_add_up() {
        let mut steps = iv(&[0xfe; 8]);
        for _ in 0..1000 {
            steps.advance_counter(3);
        }
        assert_eq!(steps, advanced(&[0xfe; 8], 3000));
    }

    #[test]
    fn empty_iv_has_no_counter() {
        assert_eq!(advanced(&[], 5), Iv::zeroed(0));
    }
}
