// SPDX-License-Identifier: GPL-2.0

//! IVs, and how they go on.

/// The longest IV in bytes.
pub(super) const MAX_IV: usize = 16;

/// An IV of up to [`MAX_IV`] bytes, or none: an empty one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Iv {
    bytes: [u8; MAX_IV],
    len: u8,
}

impl Iv {
    /// No IV.
    pub(super) const EMPTY: Self = Self {
        bytes: [0; MAX_IV],
        len: 0,
    };

    /// Creates an IV of some parts, one behind the other, or of what of it there is room for.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut iv = Self::EMPTY;
        for part in parts {
            let room = &mut iv.bytes[usize::from(iv.len)..];
            let len = part.len().min(room.len());
            room[..len].copy_from_slice(&part[..len]);
            // CAST: At most `MAX_IV`.
            iv.len += len as u8;
        }
        iv
    }

    /// Creates an IV of `len` zeros, or as many as there is room for.
    pub(super) fn new(len: u32) -> Self {
        Self {
            bytes: [0; MAX_IV],
            // CAST: At most `MAX_IV`.
            len: len.min(MAX_IV as u32) as u8,
        }
    }

    /// Returns the bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Returns the bytes.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.len)]
    }

    /// Counts on by `blocks`: the whole IV is the counter, with its most significant byte first; it
    /// wraps.
    pub(super) fn count(&mut self, blocks: u32) {
        let mut carry = u64::from(blocks);
        for byte in self.bytes_mut().iter_mut().rev() {
            carry += u64::from(*byte);
            // CAST: The low byte is what is wanted.
            *byte = carry as u8;
            carry >>= 8;
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_iv)]
mod tests {
    use super::*;

    fn iv(bytes: &[u8]) -> Iv {
        Iv::of(&[bytes])
    }

    fn counted(bytes: &[u8], blocks: u32) -> Iv {
        let mut iv = iv(bytes);
        iv.count(blocks);
        iv
    }

    #[test]
    fn an_iv_has_its_own_length_and_none_is_empty() {
        assert_eq!(Iv::new(0).bytes().len(), 0);
        assert_eq!(Iv::new(8).bytes(), [0; 8]);
        assert_eq!(Iv::new(16).bytes_mut().len(), 16);
        assert_eq!(Iv::new(u32::MAX).bytes().len(), MAX_IV);
    }

    #[test]
    fn an_iv_of_parts_has_them_in_order() {
        let iv = Iv::of(&[&[1, 2], &[], &[3]]);
        assert_eq!(iv.bytes(), [1, 2, 3]);
        assert_eq!(Iv::of(&[]), Iv::EMPTY);
        assert_eq!(
            Iv::of(&[&[7; 10], &[8; 10]]).bytes()[8..],
            [7, 7, 8, 8, 8, 8, 8, 8]
        );
    }

    #[test]
    fn the_counter_is_big_endian() {
        assert_eq!(counted(&[0; 16], 1).bytes()[15], 1);
        assert_eq!(
            counted(&[0; 8], 0x0102_0304).bytes(),
            [0, 0, 0, 0, 1, 2, 3, 4]
        );
        assert_eq!(counted(&[7; 16], 0), iv(&[7; 16]));
    }

    #[test]
    fn the_carry_goes_through_the_whole_iv() {
        let mut expected = [0xff; 16];
        expected[0] = 1;
        expected[1..].fill(0);
        let mut start = [0xff; 16];
        start[0] = 0;
        assert_eq!(counted(&start, 1).bytes(), expected);
        // 2^32 - 1 more than 2^64 - 2 in 128 bits.
        let mut start = [0; 16];
        start[8..].fill(0xff);
        start[15] = 0xfe;
        let counted = counted(&start, u32::MAX);
        assert_eq!(counted.bytes()[..8], [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(counted.bytes()[8..], [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xfd]);
    }

    #[test]
    fn the_counter_wraps_at_its_own_size() {
        assert_eq!(counted(&[0xff; 16], 1), Iv::new(16));
        assert_eq!(counted(&[0xff; 8], 3).bytes(), [0, 0, 0, 0, 0, 0, 0, 2]);
    }

    #[test]
    fn counting_in_steps_is_counting_at_once() {
        let mut steps = iv(&[0xfe; 8]);
        for _ in 0..1000 {
            steps.count(3);
        }
        assert_eq!(steps, counted(&[0xfe; 8], 3000));
    }

    #[test]
    fn no_iv_does_not_count() {
        assert_eq!(counted(&[], 5), Iv::new(0));
    }
}
