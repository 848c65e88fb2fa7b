// SPDX-License-Identifier: GPL-2.0

//! The check whether a request can be repeated: whether its source is unchanged since the request was sent.
//!
//! An out-of-place request can always be repeated. An in-place request can be repeated only while the
//! device has written nothing, which a checksum of the source shows. The time for a checksum is proportional
//! to the length, so only short sources have one.

use super::scatterlist::SgRange;
use crate::bindings;
use kernel::prelude::*;

/// The number of segments of each list that are compared before a request is sent.
const SEGMENTS: usize = 8;

/// The source of a request that was sent, and how to check that it is unchanged.
pub(super) struct Rescue {
    src: SgRange,
    aad: SgRange,
    dst: SgRange,
    check: Check,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Check {
    /// The device writes to other memory.
    OutOfPlace,
    /// The CRC32C of a source that the device may overwrite.
    Checksum(u32),
    /// The source is too long for a checksum. Only if the device fails the request, the driver checks
    /// whether source and destination overlap.
    None,
}

impl Rescue {
    /// Creates a value for ranges that were not examined yet.
    #[inline(always)]
    pub(super) fn new(src: SgRange, aad: SgRange, dst: SgRange) -> Self {
        Self {
            src,
            aad,
            dst,
            check: Check::None,
        }
    }

    /// Examines a request before it is sent. Computes the checksum of a source that the device may
    /// overwrite, if data and AAD have up to `limit` bytes each. The tag of an AEAD does not count.
    #[inline]
    pub(super) fn examine(&mut self, limit: u32) {
        // An AEAD has the tag in the source or in the destination.
        let len = self.src.len().min(self.dst.len());
        if self.dst.len() == 0 {
            self.check = Check::OutOfPlace;
        } else if len > limit || self.aad.len() > limit {
            self.check = Check::None;
        } else if self.src.len() != 0 && self.src.has_list_of(&self.dst) && self.aad.len() == 0 {
            // Source and destination of most in-place requests are one list, so they overlap.
            self.check = Check::Checksum(update_sum(u32::MAX, &self.src));
        } else {
            self.make_checksum();
        }
    }

    #[inline(never)]
    fn make_checksum(&mut self) {
        let in_place = may_overlap(&self.src, &self.dst) || may_overlap(&self.aad, &self.dst);
        self.check = if in_place {
            Check::Checksum(sum(&self.src, &self.aad))
        } else {
            Check::OutOfPlace
        };
    }

    /// Returns true if the source is unchanged, after the device has returned the request with `result`.
    /// `EOPNOTSUPP` and `ENOKEY` mean that the device has rejected the request and not begun, `ESTALE` that
    /// it may have used another key.
    #[cold]
    pub(super) fn is_intact(&self, result: Result) -> bool {
        match self.check {
            Check::OutOfPlace => true,
            // The device has written to the destination.
            Check::Checksum(_) if result.is_ok() || result == Err(ESTALE) => !self.is_in_place(),
            Check::Checksum(before) => sum(&self.src, &self.aad) == before,
            Check::None => {
                result == Err(EOPNOTSUPP) || result == Err(ENOKEY) || !self.is_in_place()
            }
        }
    }

    /// Returns true if the device may have overwritten the source. Takes time in proportion to the
    /// product of the numbers of segments.
    fn is_in_place(&self) -> bool {
        overlap(&self.src, &self.dst) || overlap(&self.aad, &self.dst)
    }
}

/// Returns the CRC32C of a source and its associated data.
fn sum(src: &SgRange, aad: &SgRange) -> u32 {
    let sum = update_sum(u32::MAX, src);
    if aad.len() == 0 {
        sum
    } else {
        update_sum(sum, aad)
    }
}

/// Returns a CRC32C to which the bytes of a range were added.
#[inline]
fn update_sum(sum: u32, range: &SgRange) -> u32 {
    match range.bytes() {
        // CAST: Both targets of this driver have 32 bits at least.
        //
        // SAFETY: The bytes are a part of a valid scatterlist.
        Some(bytes) => unsafe { bindings::crc32c(sum, bytes.cast(), range.len() as usize) },
        None => update_sum_of_segments(sum, range),
    }
}

/// Returns a CRC32C to which the bytes of a range of several segments were added.
#[inline(never)]
fn update_sum_of_segments(mut sum: u32, range: &SgRange) -> u32 {
    range.for_each(|bytes, len| {
        // SAFETY: The bytes are a part of a valid scatterlist.
        sum = unsafe { bindings::crc32c(sum, bytes.cast(), len) };
        true
    });
    sum
}

/// Returns true if two ranges have memory in common. Takes time in proportion to the product of the
/// numbers of segments.
fn overlap(one: &SgRange, other: &SgRange) -> bool {
    if one.len() == 0 || other.len() == 0 {
        return false;
    }
    if one.has_list_of(other) {
        return true;
    }
    !one.for_each(|start, len| {
        let (start, end) = (start.addr(), start.addr() + len);
        other.for_each(|bytes, len| bytes.addr() >= end || start >= bytes.addr() + len)
    })
}

/// Returns false if two ranges have no memory in common. Ranges of many segments are not compared.
#[inline]
fn may_overlap(one: &SgRange, other: &SgRange) -> bool {
    if one.len() == 0 || other.len() == 0 {
        return false;
    }
    one.has_list_of(other) || !(is_short(one) && is_short(other)) || overlap(one, other)
}

/// Returns true if a range has at most [`SEGMENTS`] segments.
fn is_short(range: &SgRange) -> bool {
    let mut left = SEGMENTS;
    range.for_each(|_, _| {
        let more = left != 0;
        left = left.saturating_sub(1);
        more
    })
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_crypto_rescue)]
mod tests {
    use super::*;
    use crate::bindings::helpers;

    /// A list of parts of a buffer.
    fn list(buffer: &mut [u8], parts: &[core::ops::Range<usize>]) -> KVec<bindings::scatterlist> {
        let mut list = KVec::new();
        for _ in parts {
            list.push(Default::default(), GFP_KERNEL).unwrap();
        }
        // SAFETY: There are as many entries.
        unsafe { bindings::sg_init_table(list.as_mut_ptr(), parts.len() as u32) };
        for (entry, part) in list.iter_mut().zip(parts) {
            let bytes = &mut buffer[part.clone()];
            let len = bytes.len() as u32;
            // SAFETY: The entry is valid; the buffer is heap memory.
            unsafe { helpers::sg_set_buf(entry, bytes.as_mut_ptr().cast(), len) };
        }
        list
    }

    fn span(list: &mut KVec<bindings::scatterlist>, offset: u32, len: u32) -> SgRange {
        // SAFETY: The list is valid, and outlives what the test does with it.
        unsafe { SgRange::new(list.as_mut_ptr(), offset, len) }
    }

    /// The ranges of a request.
    struct Data {
        src: SgRange,
        aad: SgRange,
        dst: SgRange,
    }

    fn data(src: SgRange, dst: SgRange) -> Data {
        Data {
            src,
            aad: SgRange::EMPTY,
            dst,
        }
    }

    fn buffer() -> KVec<u8> {
        let mut buffer = KVec::from_elem(0, 256, GFP_KERNEL).unwrap();
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = index as u8;
        }
        buffer
    }

    /// Returns what is known of a request whose lists outlive the result.
    fn rescue(data: &Data, limit: u32) -> Rescue {
        let mut rescue = Rescue::new(data.src, data.aad, data.dst);
        rescue.examine(limit);
        rescue
    }

    #[test]
    fn an_out_of_place_request_is_repeatable() {
        let mut buffer = buffer();
        let mut src = list(&mut buffer, &[0..64, 128..192]);
        let mut dst = list(&mut buffer, &[64..128, 192..256]);
        let data = data(span(&mut src, 0, 128), span(&mut dst, 0, 128));
        for (limit, check) in [(128, Check::OutOfPlace), (127, Check::None)] {
            let rescue = rescue(&data, limit);
            assert_eq!(rescue.check, check);
            assert!(rescue.is_intact(Ok(())) && rescue.is_intact(Err(EIO)));
        }
    }

    #[test]
    fn a_change_of_an_in_place_source_is_noticed() {
        let mut buffer = buffer();
        let mut both = list(&mut buffer, &[0..100, 120..200]);
        let both = span(&mut both, 10, 150);
        let rescue = rescue(&data(both, both), 150);
        assert!(rescue.is_intact(Err(EIO)));
        assert!(!rescue.is_intact(Ok(())) && !rescue.is_intact(Err(ESTALE)));
        for at in [10, 99, 120, 179] {
            buffer[at] ^= 1;
            assert!(!rescue.is_intact(Err(EIO)));
            buffer[at] ^= 1;
        }
        for at in [9, 110, 180] {
            buffer[at] ^= 1;
            assert!(rescue.is_intact(Err(EIO)));
        }
    }

    #[test]
    fn a_long_in_place_request_is_repeatable_only_if_refused() {
        let mut buffer = buffer();
        let mut both = list(&mut buffer, &[0..100, 120..200]);
        let both = span(&mut both, 10, 150);
        for limit in [0, 149] {
            let rescue = rescue(&data(both, both), limit);
            assert_eq!(rescue.check, Check::None);
            for result in [Ok(()), Err(EIO), Err(EBADMSG), Err(ENODEV)] {
                assert!(!rescue.is_intact(result));
            }
            assert!(rescue.is_intact(Err(EOPNOTSUPP)) && rescue.is_intact(Err(ENOKEY)));
        }
    }

    #[test]
    fn a_refusal_does_not_replace_the_checksum() {
        let mut buffer = buffer();
        let mut both = list(&mut buffer, core::slice::from_ref(&(0..64)));
        let both = span(&mut both, 0, 64);
        let rescue = rescue(&data(both, both), 64);
        buffer[3] ^= 1;
        assert!(!rescue.is_intact(Err(EOPNOTSUPP)));
    }

    #[test]
    fn other_lists_of_the_same_memory_are_in_place() {
        let mut buffer = buffer();
        let mut src = list(&mut buffer, core::slice::from_ref(&(0..64)));
        let mut dst = list(&mut buffer, &[128..160, 63..95]);
        let data = data(span(&mut src, 0, 64), span(&mut dst, 0, 64));
        assert!(matches!(rescue(&data, 64).check, Check::Checksum(_)));
        assert!(!rescue(&data, 63).is_intact(Err(EIO)));
    }

    #[test]
    fn the_aad_is_part_of_the_source() {
        let mut buffer = buffer();
        let mut src = list(&mut buffer, core::slice::from_ref(&(0..64)));
        let mut aad = list(&mut buffer, core::slice::from_ref(&(64..96)));
        let mut dst = list(&mut buffer, core::slice::from_ref(&(90..154)));
        let data = Data {
            aad: span(&mut aad, 0, 32),
            ..data(span(&mut src, 0, 64), span(&mut dst, 0, 64))
        };
        assert_eq!(rescue(&data, 63).check, Check::None);
        let rescue = rescue(&data, 64);
        assert!(matches!(rescue.check, Check::Checksum(_)));
        for at in [0, 95] {
            buffer[at] ^= 1;
            assert!(!rescue.is_intact(Err(EIO)));
            buffer[at] ^= 1;
        }
        assert!(rescue.is_intact(Err(EIO)));
    }

    #[test]
    fn a_tag_does_not_count_and_long_aad_does() {
        let mut buffer = buffer();
        let mut both = list(&mut buffer, core::slice::from_ref(&(0..256)));
        let mut range = |offset, len| span(&mut both, offset, len);
        let mut aead = |aad, src, dst| Data {
            aad: range(0, aad),
            ..data(range(aad, src), range(aad, dst))
        };
        for aead in [aead(20, 64, 80), aead(20, 80, 64), aead(64, 64, 64)] {
            assert!(matches!(rescue(&aead, 64).check, Check::Checksum(_)));
            assert_eq!(rescue(&aead, 63).check, Check::None);
        }
        assert_eq!(rescue(&aead(65, 64, 64), 64).check, Check::None);
        // A digest has no destination.
        assert_eq!(
            rescue(&data(range(0, 256), SgRange::EMPTY), 0).check,
            Check::OutOfPlace
        );
    }

    #[test]
    fn lists_of_many_segments_are_compared_only_when_it_matters() {
        let mut buffer = buffer();
        let parts: [_; SEGMENTS + 1] = core::array::from_fn(|index| index * 2..index * 2 + 1);
        let len = parts.len() as u32;
        let mut src = list(&mut buffer, &parts);
        let mut dst = list(&mut buffer, core::slice::from_ref(&(128..160)));
        let data = data(span(&mut src, 0, len), span(&mut dst, 0, len));
        assert!(matches!(rescue(&data, len).check, Check::Checksum(_)));
        for limit in [0, len] {
            assert!(rescue(&data, limit).is_intact(Err(EIO)));
            assert!(rescue(&data, limit).is_intact(Ok(())));
        }
    }
}
