// SPDX-License-Identifier: GPL-2.0

//! The part of a request's context that a device uses.

use super::scatterlist::Pool;
use crate::{
    bindings,
    bindings::helpers,
    support::{
        lend::{
            Line,
            Lists, //
        },
        secret::ShortSecret, //
    },
};
use core::mem::offset_of;
use kernel::prelude::*;

/// How many segments a request may have that are not the consumer's own, if nothing else is said.
const USUAL: usize = 10;

/// Memory for what a device reads and writes besides the data: up to `PARAMS` bytes of parameters
/// and up to `RESULT` bytes of results, and the scatterlists that describe all of it: up to
/// `ENTRIES` segments, those that are cut out of the consumer's lists included.
///
/// It refers to itself, and so must not be moved once it was filled.
#[repr(C)]
pub(crate) struct Area<const PARAMS: usize, const RESULT: usize, const ENTRIES: usize = USUAL> {
    params: [u8; PARAMS],
    entries: [bindings::scatterlist; ENTRIES],
    result: Line<[u8; RESULT]>,
}

/// What goes to and comes from a device besides the data. Each part is a segment of its own; empty
/// ones are left out: devices do not take them.
pub(crate) struct Parts<'a> {
    /// What the device reads before the data: one part at least.
    pub(crate) before: &'a [&'a [u8]],
    /// What it reads behind the data.
    pub(crate) after: &'a [u8],
    /// How many bytes of results it writes behind the data, part by part; the last one is the
    /// status.
    pub(crate) results: &'a [usize],
    /// The most bytes that a segment may have.
    pub(crate) max_segment: usize,
}

/// What is posted for the device.
pub(crate) struct Posted {
    pub(super) lists: Lists,
    pub(super) segments: u32,
    pub(super) result: *mut u8,
    pub(super) result_len: usize,
}

/// A part of a scatterlist: `len` bytes behind the first `offset` ones. None if `len` is 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) list: *mut bindings::scatterlist,
    pub(super) offset: u32,
    pub(super) len: u32,
}

impl Span {
    /// No bytes.
    pub(super) const NONE: Self = Self {
        list: core::ptr::null_mut(),
        offset: 0,
        len: 0,
    };
}

/// The data of a request. What has no bytes is left out.
pub(crate) struct Data {
    /// What the device reads: the data to work on.
    pub(super) src: Span,
    /// What it reads besides.
    pub(super) aad: Span,
    /// Whether it reads that before the source, or behind all that comes with the source.
    pub(super) aad_first: bool,
    /// What it writes.
    pub(super) dst: Span,
}

/// An [`Area`] of any size.
pub(crate) trait AnyArea {
    /// Copies of the results.
    type Results: AsRef<[u8]>;

    /// Returns an empty area.
    fn empty() -> Self;

    /// Posts parameters, data and results.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a scatterlist is shorter than the data, or something does not fit in the area.
    /// `E2BIG`: the data has more segments than fit, or one that is too large.
    ///
    /// # Safety
    ///
    /// - The area must lie in memory that may be mapped for a device, and stay there.
    /// - The scatterlists of `data` must be valid and stay so as long as the result is used.
    unsafe fn fill(&mut self, parts: &Parts<'_>, data: &Data) -> Result<Posted>;

    /// Wipes parameters and results, which may be secret; returns the results. The device must be
    /// done with them.
    fn take(&mut self) -> Self::Results;
}

impl<const PARAMS: usize, const RESULT: usize, const ENTRIES: usize> Area<PARAMS, RESULT, ENTRIES> {
    /// What the device writes has nothing in its cache lines that the CPU writes: it begins one, and
    /// nothing is behind it.
    const LAYOUT: () = {
        let line = bindings::VC_CRYPTO_DMA_ALIGN as usize;
        let begin = offset_of!(Self, result);
        assert!(begin % line == 0 && align_of::<Self>() % line == 0);
        assert!(begin + size_of::<Line<[u8; RESULT]>>() == size_of::<Self>());
        assert!(size_of::<Self>() % line == 0);
    };
}

impl<const PARAMS: usize, const RESULT: usize, const ENTRIES: usize> AnyArea
    for Area<PARAMS, RESULT, ENTRIES>
{
    type Results = ShortSecret<RESULT>;

    fn empty() -> Self {
        let () = Self::LAYOUT;
        Self {
            params: [0; PARAMS],
            entries: [Default::default(); ENTRIES],
            // Not what a device that leaves it alone would like it to say.
            result: Line([0xff; RESULT]),
        }
    }

    unsafe fn fill(&mut self, parts: &Parts<'_>, data: &Data) -> Result<Posted> {
        let mut params = &mut self.params[..];
        let mut put = |part: &[u8]| {
            let (bytes, rest) = core::mem::take(&mut params)
                .split_at_mut_checked(part.len())
                .ok_or(EINVAL)?;
            params = rest;
            bytes.copy_from_slice(part);
            Ok::<_, Error>(part.len())
        };
        let mut front = 0;
        for part in parts.before {
            front += put(part)?;
        }
        put(parts.after)?;
        let (before, after) = self.params.split_at_mut(front);
        let mut pool = Pool::new(&mut self.entries);
        let lens = parts.before.iter().map(|part| part.len());
        // SAFETY: By the safety requirements the area may be mapped.
        let before = unsafe { pool.describe(before, lens)? }.ok_or(EINVAL)?;
        // SAFETY: As above.
        let after = unsafe { pool.describe(after, [parts.after.len()])? };
        let lens = parts.results.iter().copied();
        // SAFETY: As above.
        let results = unsafe { pool.describe(&mut self.result.0, lens)? }.ok_or(EINVAL)?;

        let mut exact = |span: &Span| {
            if span.len == 0 {
                return Ok(None);
            }
            // SAFETY: By the safety requirements.
            unsafe { pool.exact(span.list, span.offset, span.len, parts.max_segment) }.map(Some)
        };
        let src = exact(&data.src)?;
        let aad = exact(&data.aad)?;
        let dst = if data.src == data.dst {
            src
        } else {
            exact(&data.dst)?
        };

        let mut lists = Lists::new();
        let mut segments = before.segments;
        let readable = if data.aad_first {
            [aad, src, after]
        } else {
            [src, after, aad]
        };
        lists.push_readable(before.first)?;
        for list in readable.into_iter().flatten() {
            lists.push_readable(list.first)?;
            segments = segments.saturating_add(list.segments);
        }
        for list in [dst, Some(results)].into_iter().flatten() {
            lists.push_writable(list.first)?;
            segments = segments.saturating_add(list.segments);
        }
        Ok(Posted {
            lists,
            segments,
            result: self.result.0.as_mut_ptr(),
            result_len: parts.results.iter().sum(),
        })
    }

    fn take(&mut self) -> ShortSecret<RESULT> {
        let results = ShortSecret::new(&self.result.0);
        // SAFETY: The parameters are valid for writes of their length.
        unsafe { helpers::memzero_explicit(self.params.as_mut_ptr().cast(), PARAMS) };
        // SAFETY: As above, the results.
        unsafe { helpers::memzero_explicit(self.result.0.as_mut_ptr().cast(), RESULT) };
        results
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_crypto_area)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_poisoned_until_the_device_writes_it() {
        let mut area = KBox::new(Area::<16, 8>::empty(), GFP_KERNEL).unwrap();
        let parts = Parts {
            before: &[b"header"],
            after: b"",
            results: &[7, 1],
            max_segment: usize::MAX,
        };
        let data = Data {
            src: Span::NONE,
            aad: Span::NONE,
            aad_first: false,
            dst: Span::NONE,
        };
        // SAFETY: `area` is heap memory, which `KBox` keeps in place. The spans of `data` are empty.
        unsafe { area.fill(&parts, &data) }.unwrap();
        assert_eq!(area.result.0, [0xff; 8]);
        assert_eq!(area.take().as_ref(), [0xff; 8]);
    }

    #[test]
    fn what_was_sent_and_what_came_back_is_wiped() {
        let mut area = KBox::new(Area::<16, 8>::empty(), GFP_KERNEL).unwrap();
        let parts = Parts {
            before: &[b"header", b"iv"],
            after: b"key",
            results: &[4, 1],
            max_segment: usize::MAX,
        };
        let data = Data {
            src: Span::NONE,
            aad: Span::NONE,
            aad_first: false,
            dst: Span::NONE,
        };
        // SAFETY: The area is heap memory; there is no data.
        let posted = unsafe { area.fill(&parts, &data) }.unwrap();
        assert_eq!((posted.segments, posted.result_len), (5, 5));
        assert_eq!(&area.params[..12], b"headerivkey\0");
        area.result.0.copy_from_slice(b"digest\0\0");

        assert_eq!(area.take().as_ref(), b"digest\0\0");
        assert_eq!(area.params, [0; 16]);
        assert_eq!(area.result.0, [0; 8]);
    }
}
