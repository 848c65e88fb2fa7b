// SPDX-License-Identifier: GPL-2.0

//! Whether a device that has not done a request has left its source as it was.
//!
//! What is not done in place can always be done again. What is done in place cannot, once the device
//! has written a part of the result: the checksum of the source tells.

use super::super::{
    area::{
        Data,
        Span, //
    },
    scatterlist, //
};
use crate::bindings;

/// How many segments of each list are compared to find out whether lists overlap.
const SEGMENTS: usize = 8;

/// The checksum of a source that the device may write over.
#[derive(Clone, Copy)]
pub(super) struct Witness {
    src: Span,
    aad: Span,
    sum: u32,
}

impl Witness {
    /// Looks at the source of a request, before it is sent. None if the device writes elsewhere.
    ///
    /// # Safety
    ///
    /// The scatterlists must be valid, and as long as `data` says.
    pub(super) unsafe fn of(data: &Data) -> Option<Self> {
        // SAFETY: By the safety requirements.
        if !unsafe { overlap(&data.src, &data.dst) || overlap(&data.aad, &data.dst) } {
            return None;
        }
        Some(Self {
            src: data.src,
            aad: data.aad,
            // SAFETY: By the safety requirements.
            sum: unsafe { sum(&data.src, &data.aad) },
        })
    }

    /// Returns true if the source is what it was.
    ///
    /// # Safety
    ///
    /// The scatterlists must still be valid, and no device have access to what they describe.
    pub(super) unsafe fn agrees(&self) -> bool {
        // SAFETY: By the safety requirements.
        unsafe { sum(&self.src, &self.aad) == self.sum }
    }
}

/// # Safety
///
/// The scatterlists must be valid.
unsafe fn sum(src: &Span, aad: &Span) -> u32 {
    let mut sum = u32::MAX;
    for span in [src, aad] {
        // SAFETY: By the safety requirements.
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

/// Returns true if two lists describe memory in common, or may do so.
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
    // SAFETY: By the safety requirements.
    let (Some(one), Some(other)) = (unsafe { Map::of(one) }, unsafe { Map::of(other) }) else {
        return true;
    };
    let overlaps = |(start, end)| other.segments().any(|(from, to)| start < to && from < end);
    let any = one.segments().any(overlaps);
    any
}

/// Where the first segments of a list are.
struct Map {
    segments: [(usize, usize); SEGMENTS],
    count: usize,
}

impl Map {
    /// Returns none if there are too many.
    ///
    /// # Safety
    ///
    /// The scatterlist must be valid.
    unsafe fn of(span: &Span) -> Option<Self> {
        let mut map = Self {
            segments: [(0, 0); SEGMENTS],
            count: 0,
        };
        // SAFETY: By the safety requirements.
        let all = unsafe {
            scatterlist::for_each(span, |bytes, len| {
                let Some(segment) = map.segments.get_mut(map.count) else {
                    return false;
                };
                *segment = (bytes.addr(), bytes.addr() + len);
                map.count += 1;
                true
            })
        };
        all.then_some(map)
    }

    fn segments(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.segments.iter().take(self.count).copied()
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_crypto_witness)]
mod tests {
    use super::*;
    use crate::bindings::helpers;
    use kernel::prelude::*;

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

    fn data(src: Span, dst: Span) -> Data {
        Data {
            src,
            aad: Span::NONE,
            aad_first: false,
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

    #[test]
    fn what_is_not_done_in_place_needs_no_witness() {
        let mut buffer = buffer();
        let mut src = list(&mut buffer, &[0..64, 128..192]);
        let mut dst = list(&mut buffer, &[64..128, 192..256]);
        let data = data(span(&mut src, 0, 128), span(&mut dst, 0, 128));
        // SAFETY: The lists are valid.
        assert!(unsafe { Witness::of(&data) }.is_none());
    }

    #[test]
    fn what_is_done_in_place_is_seen_to_change() {
        let mut buffer = buffer();
        let mut both = list(&mut buffer, &[0..100, 120..200]);
        let both = span(&mut both, 10, 150);
        // SAFETY: The list is valid.
        let witness = unsafe { Witness::of(&data(both, both)) }.unwrap();
        // SAFETY: As above.
        assert!(unsafe { witness.agrees() });
        for at in [10, 99, 120, 179] {
            buffer[at] ^= 1;
            // SAFETY: As above.
            assert!(!unsafe { witness.agrees() });
            buffer[at] ^= 1;
        }
        for at in [9, 110, 180] {
            buffer[at] ^= 1;
            // SAFETY: As above.
            assert!(unsafe { witness.agrees() });
        }
    }

    #[test]
    fn other_lists_of_the_same_memory_are_found() {
        let mut buffer = buffer();
        let mut src = list(&mut buffer, core::slice::from_ref(&(0..64)));
        let mut dst = list(&mut buffer, &[128..160, 63..95]);
        let data = data(span(&mut src, 0, 64), span(&mut dst, 0, 64));
        // SAFETY: The lists are valid.
        assert!(unsafe { Witness::of(&data) }.is_some());
    }

    #[test]
    fn lists_that_are_too_long_to_compare_have_a_witness() {
        let mut buffer = buffer();
        let parts: [_; SEGMENTS + 1] = core::array::from_fn(|index| index * 2..index * 2 + 1);
        let mut src = list(&mut buffer, &parts);
        let mut dst = list(&mut buffer, core::slice::from_ref(&(128..160)));
        let data = data(
            span(&mut src, 0, parts.len() as u32),
            span(&mut dst, 0, parts.len() as u32),
        );
        // SAFETY: The lists are valid.
        assert!(unsafe { Witness::of(&data) }.is_some());
    }
}
