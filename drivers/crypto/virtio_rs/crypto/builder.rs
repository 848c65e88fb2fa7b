// SPDX-License-Identifier: GPL-2.0

//! A device request, built in the request context.

use super::{
    area::{
        AnyArea,
        Limits, //
    },
    offload::{
        Borrowed,
        Offload,
        Prepared,
        RawRequest,
        Request,
        RequestCtx, //
    },
    rescue::Rescue,
    scatterlist::{
        self,
        ExactSgl,
        SgPool,
        SgRange, //
    }, //
};
use crate::{
    bindings,
    support::dma::SgListsWriter, //
};
use core::{
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::prelude::*;
use zerocopy::{
    Immutable,
    IntoBytes, //
};

/// Builds a device request in the request context, where the device reads it. Callers append parts in
/// the order of the descriptors: parts that the device reads, then parts that it writes. The builder
/// appends the status itself. An empty part has no descriptor. [`end`](Self::end) returns the first
/// error of a part.
///
/// # Invariants
///
/// - `context` is a context of `A` whose header is initialised, and has no other user. It is the
///   context of `request` or of `borrowed`. It starts at byte `page_offset` of the page `page`, and
///   may extend to the following pages.
/// - `borrowed` is `None` if the algorithm is asynchronous.
/// - The first `entries` scatterlist entries of the context's area are in use; the first `params` bytes
///   for parameters, and the first `results` bytes for results, have such entries.
/// - `lists` writes to the lists of the context's header.
#[must_use]
pub(crate) struct Builder<'a, A: Offload<Raw = R>, R: RawRequest> {
    request: Request<'a, A, R>,
    borrowed: Option<Borrowed<A>>,
    context: NonNull<RequestCtx<A>>,
    page: usize,
    page_offset: u32,
    params: u32,
    results: u32,
    entries: u32,
    segments: u32,
    has_secret: bool,
    limits: Limits,
    lists: SgListsWriter<'a>,
    src: SgRange,
    aad: SgRange,
    dst: SgRange,
    exact_src: Option<ExactSgl>,
    result: Result,
}

impl<'a, A: Offload<Raw = R>, R: RawRequest> Builder<'a, A, R> {
    /// Builds a request. `describe` appends all parts except the status, and returns the driver's data
    /// of the request.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`end`](Self::end), and the request, so that the caller can run it on the
    /// fallback.
    ///
    /// # Safety
    ///
    /// - `context` must be valid for writes, unused, and the context of `request` or of `borrowed`.
    /// - `context` must stay valid until the request is complete, provided that `borrowed` is not
    ///   dropped before.
    /// - `context` must lie in the linear map, and start at byte `page_offset` of a page. `page` must be
    ///   the address of the `struct page` of that page.
    /// - `borrowed` must be `None` if the algorithm is asynchronous.
    #[inline(always)]
    pub(super) unsafe fn build(
        request: Request<'a, A, R>,
        context: NonNull<RequestCtx<A>>,
        borrowed: Option<Borrowed<A>>,
        (page, page_offset): (usize, u32),
        limits: Limits,
        describe: impl FnOnce(&mut Self) -> A::State,
    ) -> Result<Prepared<'a, A, R>, (Error, Request<'a, A, R>)> {
        // SAFETY: The caller guarantees that `context` is valid for writes and unused.
        unsafe { RequestCtx::init(context, &request) };
        // Poison: a status byte that the device does not write is not VIRTIO_CRYPTO_OK, and a result
        // that the device does not write is not earlier content of this memory. The whole area is
        // poisoned, because its size is constant.
        //
        // SAFETY: The implementer of `AnyArea` guarantees that the offset is inside the context.
        let results = unsafe {
            let offset = RequestCtx::<A>::AREA + A::Area::RESULT_AT;
            context.cast::<u8>().add(offset as usize)
        };
        // SAFETY: The caller guarantees that the context is valid for writes, and unused. The
        // implementer of `AnyArea` guarantees that `A::Area::RESULT` bytes of it start at `results`.
        unsafe { results.as_ptr().write_bytes(0xff, A::Area::RESULT as usize) };
        // INVARIANT: The header was just initialised, and no entry, parameter or result is in use. The
        // caller guarantees what the type requires of `context`, `page` and `borrowed`.
        let mut builder = Self {
            request,
            borrowed,
            context,
            page,
            page_offset,
            params: 0,
            results: 0,
            entries: 0,
            segments: 0,
            has_secret: false,
            limits,
            // SAFETY: The header was just initialised, and nothing else uses its lists.
            lists: unsafe { RequestCtx::lists(context) }.fill(),
            src: SgRange::EMPTY,
            aad: SgRange::EMPTY,
            dst: SgRange::EMPTY,
            exact_src: None,
            result: Ok(()),
        };
        let state = describe(&mut builder);
        let result = builder.end(state);
        let Self {
            request, borrowed, ..
        } = builder;
        match result {
            // SAFETY: `end` has filled the context. By the type invariant it is the context of `request`
            // or of `borrowed`, and has no other user.
            Ok(()) => Ok(unsafe { Prepared::new(context, request, borrowed) }),
            Err(err) => Err((err, request)),
        }
    }

    /// Returns the request.
    pub(super) fn request(&self) -> &Request<'a, A, R> {
        &self.request
    }

    /// Appends bytes that the device reads.
    #[inline(always)]
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Some(to) = self.params(bytes.len()) {
            // SAFETY: `to` is valid for writes of that many bytes, which have no other user.
            unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        }
    }

    /// Appends a structure that the device reads.
    #[inline]
    pub(crate) fn read_value<T: IntoBytes + Immutable>(&mut self, value: T) {
        if let Some(to) = self.params(size_of::<T>()) {
            // SAFETY: `to` is valid for writes of that many bytes, which have no other user.
            unsafe { to.cast::<T>().write_unaligned(value) };
        }
    }

    /// Appends `len` bytes that the device reads, at least one. Returns the address to write the bytes to.
    #[inline(always)]
    fn params(&mut self, len: usize) -> Option<*mut u8> {
        if len > (A::Area::PARAMS - self.params) as usize {
            self.fail(EINVAL);
            return None;
        }
        // CAST: `len` is at most a `u32`, as was just checked.
        let len = len as u32;
        let offset = RequestCtx::<A>::AREA + A::Area::PARAMS_AT + self.params;
        let list = self.own(offset, len)?;
        // INVARIANT: `own` has written an entry for the bytes.
        self.params += len;
        self.push_readable(list);
        // SAFETY: By the type invariant the context is valid. The implementer of `AnyArea` guarantees
        // that it has `A::Area::PARAMS` bytes for parameters, and `len` of them are left.
        Some(unsafe { self.context.cast::<u8>().add(offset as usize) }.as_ptr())
    }

    /// Appends secret bytes that the device reads. They are wiped when the request is complete.
    #[inline]
    pub(crate) fn read_secret(&mut self, bytes: &[u8]) {
        self.has_secret |= !bytes.is_empty();
        self.read(bytes);
    }

    /// Appends memory that the device reads. It must not change while the request is in flight.
    #[inline]
    pub(super) fn read_list(&mut self, range: SgRange) {
        if let Some(exact) = self.exact(range) {
            self.push_readable(exact.first);
        }
    }

    /// Appends the source.
    #[inline(always)]
    pub(super) fn read_source(&mut self, range: SgRange) {
        let exact = self.exact(range);
        self.exact_src = exact;
        if let Some(exact) = exact {
            self.src = range;
            self.push_readable(exact.first);
        }
    }

    /// Appends the associated data.
    #[inline]
    pub(super) fn read_aad(&mut self, range: SgRange) {
        if let Some(exact) = self.exact(range) {
            self.aad = range;
            self.push_readable(exact.first);
        }
    }

    /// Appends the destination.
    #[inline(always)]
    pub(super) fn write_destination(&mut self, range: SgRange) {
        let in_place = range == self.src;
        let exact = match self.exact_src {
            // Source and destination are the same list.
            Some(exact) if in_place => {
                self.add_segments(exact.segments);
                Some(exact)
            }
            _ => self.exact(range),
        };
        if let Some(exact) = exact {
            self.dst = range;
            self.push_writable(exact.first);
        }
    }

    /// Appends `len` bytes for a result that the device writes after the data. The driver wipes the
    /// results when the request is complete.
    #[inline]
    pub(crate) fn write(&mut self, len: usize) {
        if len == 0 {
            return;
        }
        if len > (A::Area::RESULT - self.results) as usize {
            self.fail(EINVAL);
            return;
        }
        // CAST: `len` is at most a `u32`, as was just checked.
        let len = len as u32;
        let offset = RequestCtx::<A>::AREA + A::Area::RESULT_AT + self.results;
        // INVARIANT: `own` has an entry for the bytes, or the builder has failed.
        self.results += len;
        if let Some(list) = self.own(offset, len) {
            self.push_writable(list);
        }
    }

    /// Appends the status, which is the last byte that the device writes, and stores `state` in the
    /// request context.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if a scatterlist is shorter than the data, or a part does not fit in the context;
    /// - `E2BIG` if there are too many segments, or too large ones.
    #[inline(always)]
    fn end(&mut self, state: A::State) -> Result {
        self.write(1);
        if let Err(err) = self.result {
            // SAFETY: By the type invariant the header is initialised, and the context has no other
            // user: `lists` is not used any more.
            unsafe { RequestCtx::abandon(self.context, self.has_secret) };
            return Err(err);
        }
        self.lists.finish();
        // SAFETY: By the type invariant the context is valid. The implementer of `AnyArea` guarantees
        // that the offset is inside the context.
        let results = unsafe {
            let offset = RequestCtx::<A>::AREA + A::Area::RESULT_AT;
            self.context.cast::<u8>().add(offset as usize)
        };
        // SAFETY: By the type invariant the header is initialised. `lists` is not used any more, so the
        // context has no other user. The status is a result, so `results` has at least one byte.
        unsafe {
            RequestCtx::fill(
                self.context,
                state,
                NonNull::slice_from_raw_parts(results, self.results as usize),
                self.has_secret,
                self.segments,
                Rescue::new(self.src, self.aad, self.dst),
                self.limits.rescue_in_place,
            )
        };
        Ok(())
    }

    /// Remembers the first error.
    fn fail(&mut self, err: Error) {
        self.result = self.result.and(Err(err));
    }

    /// Returns the area's scatterlist entries.
    fn entries(&mut self) -> &mut [MaybeUninit<bindings::scatterlist>] {
        // SAFETY: By the type invariant the context is valid. The implementer of `AnyArea` guarantees
        // that the offset is inside the context.
        let entries = unsafe {
            let offset = RequestCtx::<A>::AREA + A::Area::ENTRIES_AT;
            self.context.cast::<u8>().add(offset as usize)
        };
        // SAFETY: The implementer of `AnyArea` guarantees that `A::Area::ENTRIES` aligned entries start
        // here. `MaybeUninit` entries need not be initialised. By the type invariant the context has no
        // other user.
        unsafe {
            core::slice::from_raw_parts_mut(
                entries.cast::<MaybeUninit<_>>().as_ptr(),
                A::Area::ENTRIES as usize,
            )
        }
    }

    /// Returns a list of `len` bytes of the context from byte `offset` on.
    #[inline(always)]
    fn own(&mut self, offset: u32, len: u32) -> Option<*mut bindings::scatterlist> {
        // The sum is less than the size of a page and of a context, and cannot overflow.
        let list = self.entry(self.page, self.page_offset.wrapping_add(offset), len);
        if list.is_none() {
            self.fail(EINVAL);
        }
        list
    }

    /// Returns a list of `len` bytes that start at byte `at` of a page. `page` is the address of the
    /// `struct page` of that page. Returns `None` if no entry is left.
    #[inline(always)]
    fn entry(&mut self, page: usize, at: u32, len: u32) -> Option<*mut bindings::scatterlist> {
        let next = self.entries;
        let entry = self.entries().get_mut(next as usize)?;
        let list = entry.write(scatterlist::entry(page, bindings::SG_END, at, len));
        let list = &raw mut *list;
        // INVARIANT: The entry was written.
        self.entries += 1;
        self.add_segments(1);
        Some(list)
    }

    /// Returns an exact list of a range. Returns `None` if the range is empty, or after an error.
    #[inline(always)]
    fn exact(&mut self, range: SgRange) -> Option<ExactSgl> {
        if range.len() == 0 {
            return None;
        }
        let max = self.limits.max_segment_size;
        if let Some(exact) = ExactSgl::single(&range, max) {
            self.add_segments(1);
            return Some(exact);
        }
        // CAST: Both targets of this driver have 32 bits at least.
        if let (Some((page, at)), true) = (range.page(), range.len() as usize <= max) {
            if let Some(first) = self.entry(page, at, range.len()) {
                // INVARIANT: One entry, terminated and not empty.
                return Some(ExactSgl { first, segments: 1 });
            }
        }
        let used = self.entries;
        match make_exact(self.entries(), used, range, max) {
            Ok((exact, used)) => {
                // INVARIANT: `make_exact` has written these entries.
                self.entries = used;
                self.add_segments(exact.segments);
                Some(exact)
            }
            Err(err) => {
                self.fail(err);
                None
            }
        }
    }

    #[inline(always)]
    fn push_readable(&mut self, list: *mut bindings::scatterlist) {
        if let Err(err) = self.lists.push_readable(list) {
            self.fail(err);
        }
    }

    #[inline(always)]
    fn push_writable(&mut self, list: *mut bindings::scatterlist) {
        if let Err(err) = self.lists.push_writable(list) {
            self.fail(err);
        }
    }

    #[inline(always)]
    fn add_segments(&mut self, count: u32) {
        // A list of 2^32 entries does not fit in memory.
        self.segments = self.segments.wrapping_add(count);
    }
}

/// Returns an exact list of a range that has several entries, and the number of `entries` that are in
/// use then. The first `used` entries are already in use.
///
/// # Errors
///
/// Returns the errors of [`SgPool::exact`].
#[inline(never)]
fn make_exact(
    entries: &mut [MaybeUninit<bindings::scatterlist>],
    used: u32,
    range: SgRange,
    max_segment_size: usize,
) -> Result<(ExactSgl, u32)> {
    // CAST: Both targets of this driver have 32 bits at least.
    let mut pool = SgPool::new(entries, used as usize);
    let exact = pool.exact(&range, max_segment_size)?;
    // CAST: The number of entries of an area is a `u32`.
    Ok((exact, pool.used() as u32))
}

#[cfg(CONFIG_KUNIT = "y")]
mod tests;
