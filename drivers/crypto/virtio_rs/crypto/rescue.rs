// SPDX-License-Identifier: GPL-2.0

//! Whether the source of a request is as it was before the request was sent, so that the request can
//! be repeated.
//!
//! An out-of-place request can always be repeated. An in-place request can be repeated only while the
//! device has written nothing, which a checksum of the source tells. A checksum costs time in
//! proportion to the data, so only short sources have one.

use super::{
    scatterlist,
    scatterlist::Span, //
};
use crate::bindings;
use kernel::prelude::*;

/// How many segments of each list are compared before a request is sent.
const SEGMENTS: usize = 8;

/// What is known of the source of a request that was sent.
///
/// # Invariants
///
/// The scatterlists of the ranges are valid until the request is complete, and as long as the ranges.
pub(super) struct Rescue {
    src: Span,
    aad: Span,
    dst: Span,
    check: Check,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Check {
    /// The device writes to other memory.
    OutOfPlace,
    /// The CRC32C of a source that the device may overwrite.
    Checksum(u32),
    /// The source is too long for a checksum. Whether the device may overwrite it is found out when it
    /// matters.
    None,
}

impl Rescue {
    /// Creates one for a source, associated data and a destination that were not examined.
    ///
    /// # Safety
    ///
    /// The scatterlists must be valid until the request is complete, and as long as the spans.
    #[inline(always)]
    pub(super) unsafe fn new(src: Span, aad: Span, dst: Span) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            src,
            aad,
            dst,
            check: Check::None,
        }
    }

    /// Examines a request before it is sent. A source that the device may overwrite gets a checksum if
    /// the data has up to `limit` bytes, and the AAD, too. The tag of an AEAD does not count.
    #[inline]
    pub(super) fn examine(&mut self, limit: u32) {
        // An AEAD has the tag in the source or in the destination.
        let len = self.src.len.min(self.dst.len);
        if self.dst.len == 0 {
            self.check = Check::OutOfPlace;
        } else if len > limit || self.aad.len > limit {
            self.check = Check::None;
        } else {
            self.make_checksum();
        }
    }

    fn make_checksum(&mut self) {
        // SAFETY: By the type invariant.
        let in_place =
            unsafe { may_overlap(&self.src, &self.dst) || may_overlap(&self.aad, &self.dst) };
        self.check = if in_place {
            // SAFETY: By the type invariant.
            Check::Checksum(unsafe { sum(&self.src, &self.aad) })
        } else {
            Check::OutOfPlace
        };
    }

    /// Returns true if the source is as it was, after the device has returned the request with
    /// `result`. `EOPNOTSUPP` and `ENOKEY` say that the device has refused the request and not
    /// begun, `ESTALE` that it may have done the request with another key.
    pub(super) fn is_intact(&self, result: Result) -> bool {
        match self.check {
            Check::OutOfPlace => true,
            // The device has written to the destination.
            Check::Checksum(_) if result.is_ok() || result == Err(ESTALE) => !self.is_in_place(),
            // SAFETY: By the type invariant.
            Check::Checksum(before) => unsafe { sum(&self.src, &self.aad) == before },
            Check::None => {
                result == Err(EOPNOTSUPP) || result == Err(ENOKEY) || !self.is_in_place()
            }
        }
    }
}

impl Rescue {
    /// Returns true if the device may have overwritten the source. Takes time in proportion to the
    /// product of the numbers of segments.
    fn is_in_place(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { overlap(&self.src, &self.dst) || overlap(&self.aad, &self.dst) }
    }
}

/// # Safety
///
/// The scatterlists must be valid.
unsafe fn sum(src: &Span, aad: &Span) -> u32 {
    let mut sum = u32::MAX;
    for span in [src, aad] {
        if span.len == 0 {
            continue;
        }
        // Most requests have one segment.
        // SAFETY: The caller guarantees that the list is valid.
        if let Some(bytes) = unsafe { scatterlist::single(span) } {
            // SAFETY: These are bytes of the list, as many.
            sum = unsafe { bindings::crc32c(sum, bytes.cast(), span.len as usize) };
            continue;
        }
        // SAFETY: The caller guarantees that the list is valid.
        unsafe {
            scatterlist::for_each(span, |bytes, len| {
                // SAFETY: These are bytes of the list, as many.
                sum = bindings::crc32c(sum, bytes.cast(), len);
                true
            })
        };
    }
    sum
}

/// Returns true if two lists describe memory in common. Takes time in proportion to the product of the
/// numbers of segments.
///
/// # Safety
///
/// The scatterlists must be valid.
unsafe fn overlap(one: &Span, other: &Span) -> bool {
    if one.len == 0 || other.len == 0 {
        return false;
    }
    if one.list == other.list {
        return true;
    }
    let apart = |start: *const u8, len: usize| {
        let (start, end) = (start.addr(), start.addr() + len);
        // SAFETY: The caller guarantees that `other` is a valid list.
        unsafe {
            scatterlist::for_each(other, |bytes, len| {
                bytes.addr() >= end || start >= bytes.addr() + len
            })
        }
    };
    // SAFETY: The caller guarantees that `one` is a valid list.
    !unsafe { scatterlist::for_each(one, apart) }
}

/// Returns false if two lists describe no memory in common. Lists of many segments are not compared.
///
/// # Safety
///
/// The scatterlists must be valid.
#[inline]
unsafe fn may_overlap(one: &Span, other: &Span) -> bool {
    if one.len == 0 || other.len == 0 {
        return false;
    }
    if one.list == other.list {
        return true;
    }
    // SAFETY: The caller guarantees that both lists are valid.
    if !unsafe { is_short(one) && is_short(other) } {
        return true;
    }
    // SAFETY: The caller guarantees that both lists are valid.
    unsafe { overlap(one, other) }
}

/// Returns true if a range has at most [`SEGMENTS`] segments.
///
/// # Safety
///
/// The scatterlist must be valid.
unsafe fn is_short(span: &Span) -> bool {
    let mut left = SEGMENTS;
    // SAFETY: The caller guarantees that the list is valid.
    unsafe {
        scatterlist::for_each(span, |_, _| {
            let more = left != 0;
            left = left.saturating_sub(1);
            more
        })
    }
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

    fn span(list: &mut KVec<bindings::scatterlist>, offset: u32, len: u32) -> Span {
        Span {
            list: list.as_mut_ptr(),
            offset,
            len,
        }
    }

    /// The ranges of a request.
    struct Data {
        src: Span,
        aad: Span,
        dst: Span,
    }

    fn data(src: Span, dst: Span) -> Data {
        Data {
            src,
            aad: Span::NONE,
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
        // SAFETY: The lists are valid, and as long as the spans.
        let mut rescue = unsafe { Rescue::new(data.src, data.aad, data.dst) };
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
        let both = both.as_mut_ptr();
        let range = |offset, len| Span {
            list: both,
            offset,
            len,
        };
        let aead = |aad, src, dst| Data {
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
            rescue(&data(range(0, 256), Span::NONE), 0).check,
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
