// SPDX-License-Identifier: GPL-2.0

//! The part of a request's context that a device uses.

use super::scatterlist::{
    Exact,
    Pool, //
};
use crate::{
    bindings,
    bindings::helpers,
    support::{
        lend::Lists,
        secret::ShortSecret, //
    },
};
use kernel::prelude::*;

/// How many parts may come before the data, a segment each.
const BEFORE: usize = 3;

/// How many results there may be, a segment each.
const RESULTS: usize = 2;

/// How many segments of lists that are not exact fit in a request.
const POOL: usize = 4;

/// Memory that a device writes, in cache lines of its own where caches are not coherent.
#[cfg_attr(target_arch = "x86_64", repr(C, align(8)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(128)))]
struct Line<T>(T);

kernel::static_assert!(align_of::<Line<u8>>() >= bindings::VC_CRYPTO_DMA_ALIGN as usize);

/// Memory for what a device reads and writes besides the data: up to `PARAMS` bytes of parameters
/// and up to `RESULT` bytes of results, and the scatterlists that describe all of it.
///
/// It refers to itself, and so must not be moved once it was filled.
#[repr(C)]
pub(crate) struct Area<const PARAMS: usize, const RESULT: usize> {
    params: [u8; PARAMS],
    before: [bindings::scatterlist; BEFORE],
    after: bindings::scatterlist,
    results: [bindings::scatterlist; RESULTS],
    pool: [bindings::scatterlist; POOL],
    result: Line<[u8; RESULT]>,
}

/// What goes to and comes from a device besides the data. Each part is a segment of its own; empty
/// ones are left out: devices do not take them.
pub(crate) struct Parts<'a> {
    /// What the device reads before the data: three parts at most.
    pub(crate) before: &'a [&'a [u8]],
    /// What it reads behind the data.
    pub(crate) after: &'a [u8],
    /// How many bytes of results it writes behind the data: in up to two parts, of which the last is
    /// the status.
    pub(crate) results: &'a [usize],
    /// The most bytes that a segment may have.
    pub(crate) max_segment: usize,
}

/// What is posted for the device.
pub(super) struct Posted {
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

/// The data of a request.
pub(super) struct Data {
    /// What the device reads.
    pub(super) src: Span,
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

/// Hands out memory, part by part, and describes each by an entry of a list.
struct Cutter<'a> {
    memory: &'a mut [u8],
    segments: u32,
    bytes: usize,
}

impl<'a> Cutter<'a> {
    fn new(memory: &'a mut [u8]) -> Self {
        Self {
            memory,
            segments: 0,
            bytes: 0,
        }
    }

    /// Takes `len` bytes, which `entry` is to describe; returns them.
    ///
    /// # Safety
    ///
    /// The memory must be such that it may be mapped for a device.
    unsafe fn cut(
        &mut self,
        entry: Option<&mut bindings::scatterlist>,
        len: usize,
    ) -> Result<&mut [u8]> {
        let entry = entry.ok_or(EINVAL)?;
        let memory = core::mem::take(&mut self.memory);
        let (bytes, rest) = memory.split_at_mut_checked(len).ok_or(EINVAL)?;
        self.memory = rest;
        self.segments += 1;
        self.bytes += len;
        *entry = Default::default();
        // SAFETY: `entry` is valid; by the safety requirements the bytes may be mapped.
        unsafe { helpers::sg_set_buf(entry, bytes.as_mut_ptr().cast(), u32::try_from(len)?) };
        Ok(bytes)
    }
}

/// Ends a list with the last of its first `count` entries; returns false if that is none.
fn end(entries: &mut [bindings::scatterlist], count: u32) -> bool {
    // CAST: Both targets of this driver have 32 bits at least.
    let last = (count as usize).checked_sub(1);
    let Some(last) = last.and_then(|last| entries.get_mut(last)) else {
        return false;
    };
    // SAFETY: `last` is a valid entry.
    unsafe { helpers::sg_mark_end(last) };
    true
}

impl<const PARAMS: usize, const RESULT: usize> AnyArea for Area<PARAMS, RESULT> {
    type Results = ShortSecret<RESULT>;

    fn empty() -> Self {
        Self {
            params: [0; PARAMS],
            before: Default::default(),
            after: Default::default(),
            results: Default::default(),
            pool: Default::default(),
            // Not what a device that leaves it alone would like it to say.
            result: Line([0xff; RESULT]),
        }
    }

    unsafe fn fill(&mut self, parts: &Parts<'_>, data: &Data) -> Result<Posted> {
        let mut params = Cutter::new(&mut self.params);
        let mut entries = self.before.iter_mut();
        for part in parts.before.iter().filter(|part| !part.is_empty()) {
            // SAFETY: By the safety requirements the area may be mapped.
            let bytes = unsafe { params.cut(entries.next(), part.len())? };
            bytes.copy_from_slice(part);
        }
        let before = params.segments;
        if !parts.after.is_empty() {
            // SAFETY: As above.
            let bytes = unsafe { params.cut(Some(&mut self.after), parts.after.len())? };
            bytes.copy_from_slice(parts.after);
        }
        let mut segments = params.segments;

        let mut results = Cutter::new(&mut self.result.0);
        let mut entries = self.results.iter_mut();
        for len in parts.results.iter().filter(|len| **len != 0) {
            // SAFETY: As above.
            unsafe { results.cut(entries.next(), *len)? };
        }
        let (result_segments, result_len) = (results.segments, results.bytes);
        segments += result_segments;

        let mut pool = Pool::new(&mut self.pool);
        let mut exact = |span: &Span| {
            if span.len == 0 {
                return Ok(None);
            }
            // SAFETY: By the safety requirements.
            unsafe { pool.exact(span.list, span.offset, span.len, parts.max_segment) }.map(Some)
        };
        let src = exact(&data.src)?;
        let dst = if data.src == data.dst {
            src
        } else {
            exact(&data.dst)?
        };

        let mut lists = Lists::new();
        if !end(&mut self.before, before) {
            return Err(EINVAL);
        }
        lists.push_readable(self.before.as_mut_ptr())?;
        let mut count = |exact: Exact| segments = segments.saturating_add(exact.segments);
        if let Some(src) = src {
            count(src);
            lists.push_readable(src.first)?;
        }
        if !parts.after.is_empty() {
            end(core::slice::from_mut(&mut self.after), 1);
            lists.push_readable(&mut self.after)?;
        }
        if let Some(dst) = dst {
            count(dst);
            lists.push_writable(dst.first)?;
        }
        if !end(&mut self.results, result_segments) {
            return Err(EINVAL);
        }
        lists.push_writable(self.results.as_mut_ptr())?;
        Ok(Posted {
            lists,
            segments,
            result: self.result.0.as_mut_ptr(),
            result_len,
        })
    }

    fn take(&mut self) -> ShortSecret<RESULT> {
        let results = ShortSecret::all(&self.result.0);
        // SAFETY: The parameters are valid for writes of their length.
        unsafe { helpers::memzero_explicit(self.params.as_mut_ptr().cast(), PARAMS) };
        // SAFETY: As above, the results.
        unsafe { helpers::memzero_explicit(self.result.0.as_mut_ptr().cast(), RESULT) };
        results
    }
}
