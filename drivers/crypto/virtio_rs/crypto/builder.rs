// SPDX-License-Identifier: GPL-2.0

//! A device request, built in the request context.

use super::{
    area::{
        AnyArea,
        Limits, //
    },
    offload::{
        Borrowed,
        Context,
        Offload,
        Prepared,
        RawRequest,
        Request, //
    },
    rescue::{
        Part,
        Rescue, //
    },
    scatterlist,
    scatterlist::{
        Exact,
        Pool,
        Span, //
    },
};
use crate::bindings;
use core::{
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::prelude::*;
use zerocopy::{
    Immutable,
    IntoBytes, //
};

/// Builds a device request where the device reads it. The calls are in the order of the descriptors:
/// what the device reads, then what it writes. The status comes last, by itself. An empty part has no
/// descriptor. The error of a part shows when the request is ended.
///
/// # Invariants
///
/// - `context` is a context of `A` whose header is initialised, and is used by nobody else. It is that
///   of `request`, or that of `borrowed`, and lies in the page `page` and those behind it, from byte
///   `page_offset` on.
/// - `borrowed` is `None` if the algorithm is asynchronous.
/// - The first `entries` scatterlist entries of the context's area are in use; the first `params` bytes
///   for parameters, and the first `results` bytes for results, have such entries.
#[must_use]
pub(crate) struct Builder<'a, A: Offload<Raw = R>, R: RawRequest> {
    request: Request<'a, A, R>,
    borrowed: Option<Borrowed<A>>,
    context: NonNull<Context<A>>,
    page: usize,
    page_offset: u32,
    params: u32,
    results: u32,
    entries: u32,
    has_secret: bool,
    limits: Limits,
    exact_src: Option<Exact>,
    result: Result,
}

impl<'a, A: Offload<Raw = R>, R: RawRequest> Builder<'a, A, R> {
    /// Builds a request. `describe` appends all parts but the status, and returns what the driver keeps
    /// with the request.
    ///
    /// # Errors
    ///
    /// As [`end`](Self::end) has them.
    ///
    /// # Safety
    ///
    /// - `context` must be valid for writes, unused, and the context of `request` or of `borrowed`.
    /// - It must stay so until the request is complete, provided that `borrowed` is not dropped before.
    /// - It must lie in the linear map, from byte `page_offset` of the page on whose `struct page` has
    ///   the address `page`.
    /// - `borrowed` must be `None` if the algorithm is asynchronous.
    #[inline(always)]
    pub(super) unsafe fn build(
        request: Request<'a, A, R>,
        context: NonNull<Context<A>>,
        borrowed: Option<Borrowed<A>>,
        (page, page_offset): (usize, u32),
        limits: Limits,
        describe: impl FnOnce(&mut Self) -> A::State,
    ) -> Result<Prepared<'a, A, R>, (Error, Request<'a, A, R>)> {
        // SAFETY: By the safety requirements.
        unsafe { Context::init(context, &request) };
        // INVARIANT: The header was just initialised, and nothing is in use. The rest is by the safety
        // requirements.
        let mut builder = Self {
            request,
            borrowed,
            context,
            page,
            page_offset,
            params: 0,
            results: 0,
            entries: 0,
            has_secret: false,
            limits,
            exact_src: None,
            result: Ok(()),
        };
        let state = describe(&mut builder);
        builder.end(state)
    }

    /// Returns the request.
    pub(super) fn request(&self) -> &Request<'a, A, R> {
        &self.request
    }

    /// Appends bytes that the device reads.
    #[inline]
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Some(to) = self.params(bytes.len()) {
            // SAFETY: `to` is valid for writes of that many bytes, which has no other user.
            unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        }
    }

    /// Appends a structure that the device reads.
    #[inline]
    pub(crate) fn read_value<T: IntoBytes + Immutable>(&mut self, value: T) {
        if let Some(to) = self.params(size_of::<T>()) {
            // SAFETY: `to` is valid for writes of that many bytes, which has no other user.
            unsafe { to.cast::<T>().write_unaligned(value) };
        }
    }

    /// Appends `len` bytes that the device reads, at least one. Returns where to write them.
    #[inline(always)]
    fn params(&mut self, len: usize) -> Option<*mut u8> {
        if len > (A::Area::PARAMS - self.params) as usize {
            self.fail(EINVAL);
            return None;
        }
        // CAST: There is room for it.
        let len = len as u32;
        let offset = Context::<A>::AREA + A::Area::PARAMS_AT + self.params;
        let list = self.own(offset, len)?;
        // INVARIANT: The bytes have an entry.
        self.params += len;
        self.push_readable(list);
        // SAFETY: By the type invariant and the safety requirements of `AnyArea` that is a part of the
        // context: there is room.
        Some(unsafe { self.context.cast::<u8>().add(offset as usize) }.as_ptr())
    }

    /// Appends secret bytes that the device reads. They are wiped when the request is complete.
    #[inline]
    pub(crate) fn read_secret(&mut self, bytes: &[u8]) {
        self.has_secret |= !bytes.is_empty();
        self.read(bytes);
    }

    /// Appends memory that the device reads. It must not change while the request is in flight.
    ///
    /// # Safety
    ///
    /// The scatterlist must be valid until the request is complete.
    #[inline]
    pub(super) unsafe fn read_list(&mut self, span: Span) {
        // SAFETY: By the safety requirements.
        if let Some(exact) = unsafe { self.exact(span) } {
            self.push_readable(exact.first);
        }
    }

    /// Appends the source.
    ///
    /// # Safety
    ///
    /// The scatterlist must be valid until the request is complete.
    #[inline(always)]
    pub(super) unsafe fn read_source(&mut self, span: Span) {
        // SAFETY: By the safety requirements.
        let exact = unsafe { self.exact(span) };
        self.exact_src = exact;
        if let Some(exact) = exact {
            // SAFETY: By the safety requirements; `exact` has found that the list is long enough.
            unsafe { self.rescue().set(Part::Source, span) };
            self.push_readable(exact.first);
        }
    }

    /// Appends the associated data.
    ///
    /// # Safety
    ///
    /// The scatterlist must be valid until the request is complete.
    #[inline]
    pub(super) unsafe fn read_aad(&mut self, span: Span) {
        // SAFETY: By the safety requirements.
        if let Some(exact) = unsafe { self.exact(span) } {
            // SAFETY: By the safety requirements; `exact` has found that the list is long enough.
            unsafe { self.rescue().set(Part::Aad, span) };
            self.push_readable(exact.first);
        }
    }

    /// Appends the destination.
    ///
    /// # Safety
    ///
    /// The scatterlist must be valid until the request is complete.
    #[inline(always)]
    pub(super) unsafe fn write_destination(&mut self, span: Span) {
        let in_place = span == *self.rescue().src();
        let exact = match self.exact_src {
            // The list is known.
            Some(exact) if in_place => {
                self.add_segments(exact.segments);
                Some(exact)
            }
            // SAFETY: By the safety requirements.
            _ => unsafe { self.exact(span) },
        };
        if let Some(exact) = exact {
            // SAFETY: By the safety requirements; `exact` has found that the list is long enough.
            unsafe { self.rescue().set(Part::Destination, span) };
            self.push_writable(exact.first);
        }
    }

    /// Appends `len` bytes of a result that the device writes behind the data. The results are wiped
    /// when the request is complete.
    #[inline]
    pub(crate) fn write(&mut self, len: usize) {
        if len == 0 {
            return;
        }
        if len > (A::Area::RESULT - self.results) as usize {
            self.fail(EINVAL);
            return;
        }
        // CAST: There is room for it.
        let len = len as u32;
        let offset = Context::<A>::AREA + A::Area::RESULT_AT + self.results;
        // SAFETY: By the type invariant and the safety requirements of `AnyArea` that is a part of the
        // context: there is room.
        let to = unsafe { self.context.cast::<u8>().add(offset as usize) };
        // Poison: a status byte that the device does not write is not VIRTIO_CRYPTO_OK, and a result
        // that it does not write is not what was in this memory before.
        if len == 1 {
            // SAFETY: `to` is valid for writes of a byte, which has no other user.
            unsafe { to.as_ptr().write(0xff) };
        } else {
            // SAFETY: `to` is valid for writes of `len` bytes, which has no other user.
            unsafe { to.as_ptr().write_bytes(0xff, len as usize) };
        }
        // INVARIANT: `own` has an entry for the bytes, or the builder has failed.
        self.results += len;
        if let Some(list) = self.own(offset, len) {
            self.push_writable(list);
        }
    }

    /// Appends the status, which is the last byte that the device writes, and ends the request. The
    /// driver keeps `state` with it.
    ///
    /// # Errors
    ///
    /// The request comes back, to be run on the fallback, with
    /// - `EINVAL`: a scatterlist is shorter than the data, or a part does not fit in the context;
    /// - `E2BIG`: there are too many segments, or too large ones.
    #[inline(always)]
    fn end(mut self, state: A::State) -> Result<Prepared<'a, A, R>, (Error, Request<'a, A, R>)> {
        self.write(1);
        if let Err(err) = self.result {
            if self.has_secret {
                // SAFETY: By the type invariant.
                unsafe { Context::wipe_params(self.context) };
            }
            return Err((err, self.request));
        }
        let limit = self.limits.rescue_in_place;
        self.rescue().examine(limit);
        // SAFETY: By the type invariant and the safety requirements of `AnyArea`.
        let result = unsafe {
            let offset = Context::<A>::AREA + A::Area::RESULT_AT;
            self.context.cast::<u8>().add(offset as usize)
        };
        let result = NonNull::slice_from_raw_parts(result, self.results as usize);
        // SAFETY: By the type invariant. The status is a result, so there is one.
        unsafe { Context::fill(self.context, state, result, self.has_secret) };
        let Self {
            request,
            borrowed,
            context,
            ..
        } = self;
        // SAFETY: The context was just filled. The rest is by the type invariant.
        Ok(unsafe { Prepared::new(context, request, borrowed) })
    }

    /// Remembers the first error.
    fn fail(&mut self, err: Error) {
        self.result = self.result.and(Err(err));
    }

    /// Returns the area's scatterlist entries.
    fn entries(&mut self) -> &mut [MaybeUninit<bindings::scatterlist>] {
        // SAFETY: By the type invariant and the safety requirements of `AnyArea`.
        let entries = unsafe {
            let offset = Context::<A>::AREA + A::Area::ENTRIES_AT;
            self.context.cast::<u8>().add(offset as usize)
        };
        // SAFETY: By the safety requirements of `AnyArea` there are so many entries, aligned. They need
        // not be initialised, and nobody else uses them.
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
        let (page, at, next) = (self.page, self.page_offset + offset, self.entries);
        let Some(entry) = self.entries().get_mut(next as usize) else {
            self.fail(EINVAL);
            return None;
        };
        let list = entry.write(scatterlist::entry(page, bindings::SG_END, at, len));
        let list = &raw mut *list;
        // INVARIANT: The entry was written.
        self.entries += 1;
        self.add_segments(1);
        Some(list)
    }

    /// Returns an exact list; none if the span is empty.
    ///
    /// # Safety
    ///
    /// The scatterlist must be valid until the request is complete.
    #[inline(always)]
    unsafe fn exact(&mut self, span: Span) -> Option<Exact> {
        if span.len == 0 {
            return None;
        }
        // SAFETY: By the safety requirements.
        if let Some(exact) = unsafe { Exact::single(&span, self.limits.max_segment) } {
            self.add_segments(1);
            return Some(exact);
        }
        // SAFETY: By the safety requirements.
        unsafe { self.make_exact(&span) }
    }

    /// Returns an exact list of a list that is not a single entry.
    ///
    /// # Safety
    ///
    /// The scatterlist must be valid until the request is complete.
    #[inline(never)]
    unsafe fn make_exact(&mut self, span: &Span) -> Option<Exact> {
        let (max, next) = (self.limits.max_segment, self.entries as usize);
        let mut pool = Pool::new(self.entries(), next);
        // SAFETY: By the safety requirements.
        let exact = unsafe { pool.exact(span.list, span.offset, span.len, max) };
        // CAST: There are few entries.
        let entries = pool.used() as u32;
        match exact {
            Ok(exact) => {
                // INVARIANT: The pool has written these entries.
                self.entries = entries;
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
        // SAFETY: By the type invariant.
        let (lists, ..) = unsafe { Context::description(self.context) };
        if let Err(err) = lists.push_readable(list) {
            self.fail(err);
        }
    }

    #[inline(always)]
    fn push_writable(&mut self, list: *mut bindings::scatterlist) {
        // SAFETY: By the type invariant.
        let (lists, ..) = unsafe { Context::description(self.context) };
        if let Err(err) = lists.push_writable(list) {
            self.fail(err);
        }
    }

    #[inline(always)]
    fn add_segments(&mut self, count: u32) {
        // SAFETY: By the type invariant.
        let (_, segments, _) = unsafe { Context::description(self.context) };
        *segments = segments.saturating_add(count);
    }

    #[inline(always)]
    fn rescue(&mut self) -> &mut Rescue {
        // SAFETY: By the type invariant.
        let (_, _, rescue) = unsafe { Context::description(self.context) };
        rescue
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_crypto_builder)]
mod tests {
    use super::*;
    use crate::{
        bindings::helpers,
        crypto::{
            call::Call,
            Area,
            Finish,
            Inflight,
            Outcome,
            Submitted, //
        },
        support::{
            bh::Bh,
            lend::Lend, //
        },
    };

    const LIMITS: Limits = Limits {
        max_segment: usize::MAX,
        rescue_in_place: 0,
    };

    type Memory = Area<16, 8, 6>;

    type TestBuilder<'a> = Builder<'a, Test, Call<Test, 8>>;

    struct Test;

    impl Offload for Test {
        type Raw = Call<Self, 8>;
        type Tfm = ();
        /// Whether the fallback runs the request.
        type State = bool;
        type Private = ();
        type Area = Memory;
        const SYNCHRONOUS: bool = true;

        fn finish(
            state: &bool,
            request: &Request<'_, Self, Self::Raw>,
            outcome: &Outcome<'_>,
        ) -> Finish {
            if *state {
                return Finish::Fallback;
            }
            let mut output = [0; 8];
            assert!(outcome.copy_results(6, &mut [0]).is_err());
            assert!(outcome.copy_results(0, &mut output[..6]).is_ok());
            Call::keep(request, &output);
            Finish::Done(outcome.result())
        }

        fn fall_back(_state: bool, request: Request<'_, Self, Self::Raw>) -> Option<Result> {
            // SAFETY: The request is valid.
            let context = unsafe { Self::Raw::context(request.as_raw().as_ptr()) }.cast::<u8>();
            let area = context.wrapping_add(Context::<Self>::AREA as usize);
            let is_wiped = |at: u32, len: u32| {
                (0..len).all(|index| {
                    // SAFETY: Parameters and results are in the context, and were wiped.
                    unsafe { area.add((at + index) as usize).read() == 0 }
                })
            };
            let wiped = is_wiped(Memory::PARAMS_AT, Memory::PARAMS)
                // As many results as the request has.
                && is_wiped(Memory::RESULT_AT, 6);
            Some(wiped.then_some(()).ok_or(EIO))
        }
    }

    /// Runs a request on a device that is a function: it gets the segments to read and the segments
    /// to write.
    fn run(
        fallback: bool,
        describe: impl FnOnce(&mut TestBuilder<'_>),
        device: impl FnOnce(KVec<&[u8]>, KVec<&mut [u8]>),
    ) -> Result<[u8; 8]> {
        let queue = |mut inflight: Inflight<()>| {
            let (lists, readable, writable) = inflight.lists().unwrap().as_raw();
            let (mut reads, mut writes) = (KVec::new(), KVec::new());
            for index in 0..readable + writable {
                // SAFETY: There are so many lists, of an entry each, of heap memory.
                let (bytes, len, last) = unsafe {
                    let list = *lists.add(index as usize);
                    let bytes = helpers::sg_virt(list).cast::<u8>();
                    (bytes, (*list).length as usize, helpers::sg_is_last(list))
                };
                assert!(last);
                if index < readable {
                    // SAFETY: The memory is valid as long as the request is in flight.
                    let bytes = unsafe { core::slice::from_raw_parts(bytes, len) };
                    reads.push(bytes, GFP_KERNEL).unwrap();
                } else {
                    // SAFETY: As for what is read; nothing else refers to it.
                    let bytes = unsafe { core::slice::from_raw_parts_mut(bytes, len) };
                    writes.push(bytes, GFP_KERNEL).unwrap();
                }
            }
            assert_eq!(inflight.segments(), readable + writable);
            device(reads, writes);
            let status = inflight.last_result_byte();
            let result = if status == 0 { Ok(()) } else { Err(EIO) };
            inflight.complete(result, &Bh::disable());
            Ok(Submitted::QUEUED)
        };
        let call = Call::<Test, 8>::new()?;
        let output = call.run(fallback, LIMITS, describe, 1000, queue, || ())?;
        Ok(*output.as_ref())
    }

    #[test]
    fn descriptors_are_in_the_order_of_the_calls_and_empty_parts_have_none() {
        let output = run(
            false,
            |builder| {
                builder.read(b"header");
                builder.read_secret(b"");
                builder.read(b"iv");
                builder.write(2);
                builder.write(0);
                builder.write(3);
            },
            |reads, mut writes| {
                assert_eq!(&reads[..], &[&b"header"[..], b"iv"]);
                assert_eq!(writes.len(), 3);
                writes[0].copy_from_slice(b"ab");
                writes[1].copy_from_slice(b"cde");
                writes[2].copy_from_slice(&[0]);
            },
        );
        assert_eq!(output.unwrap(), *b"abcde\0\0\0");
    }

    #[test]
    fn the_results_are_poisoned_until_the_device_writes_them() {
        let output = run(
            false,
            |builder| {
                builder.read(b"header");
                builder.write(5);
            },
            |_, writes| {
                assert_eq!(writes[0], [0xff; 5]);
                assert_eq!(writes[1], [0xff]);
            },
        );
        // The status is no success.
        assert_eq!(output, Err(EIO));
    }

    #[test]
    fn secrets_and_results_are_wiped() {
        let output = run(
            true,
            |builder| {
                builder.read(b"header");
                builder.read_secret(b"the key");
                builder.write(5);
            },
            |_, mut writes| writes[0].copy_from_slice(b"a tag"),
        );
        assert!(output.is_ok());
    }

    #[test]
    fn a_part_that_does_not_fit_is_an_error() {
        let refused = |describe: &dyn Fn(&mut TestBuilder<'_>)| {
            let device = |_: KVec<&[u8]>, _: KVec<&mut [u8]>| unreachable_device();
            assert_eq!(run(false, describe, device), Err(EINVAL));
        };
        // Bytes to read, bytes to write, with the status, and entries.
        refused(&|builder| builder.read(&[0; 17]));
        refused(&|builder| {
            builder.read(&[0; 9]);
            builder.read_secret(&[0; 8]);
        });
        refused(&|builder| builder.write(8));
        refused(&|builder| (0..6).for_each(|_| builder.read(b"a")));
        // What is read comes first.
        refused(&|builder| {
            builder.write(1);
            builder.read(b"late");
        });
    }

    fn unreachable_device() {
        // The request was sent, which must not happen.
        assert!(false);
    }

    #[test]
    fn a_list_in_place_is_used_twice() {
        let mut data = KVec::from_elem(7u8, 32, GFP_KERNEL).unwrap();
        let mut list = bindings::scatterlist::default();
        // SAFETY: The entry is valid, and the data is heap memory.
        unsafe { bindings::sg_init_one(&mut list, data.as_mut_ptr().cast(), 32) };
        let list = &raw mut list;
        let span = Span {
            list,
            offset: 0,
            len: 32,
        };
        let output = run(
            false,
            |builder| {
                builder.read(b"header");
                // SAFETY: The list outlives the request.
                unsafe { builder.read_source(span) };
                // SAFETY: The list outlives the request.
                unsafe { builder.write_destination(span) };
                builder.write(5);
            },
            |reads, mut writes| {
                assert!(reads[1].as_ptr().cast_mut() == writes[0].as_mut_ptr());
                assert_eq!((reads[1].len(), writes[0].len()), (32, 32));
                writes[2][0] = 0;
            },
        );
        assert!(output.is_ok());
    }

    #[test]
    fn a_list_without_its_beginning_takes_two_entries() {
        let mut data = KVec::from_elem(7u8, 64, GFP_KERNEL).unwrap();
        let mut list = [bindings::scatterlist::default(); 4];
        // SAFETY: There are as many entries.
        unsafe { bindings::sg_init_table(list.as_mut_ptr(), 4) };
        for (entry, bytes) in list.iter_mut().zip(data.chunks_exact_mut(16)) {
            // SAFETY: The entry is valid, and the bytes are heap memory.
            unsafe { helpers::sg_set_buf(entry, bytes.as_mut_ptr().cast(), 16) };
        }
        let span = Span {
            list: list.as_mut_ptr(),
            offset: 4,
            len: 60,
        };
        let call = Call::<Test, 8>::new().unwrap();
        // Of the six entries two are for the list: header, result and status have room.
        let describe = |builder: &mut TestBuilder<'_>| {
            builder.read(b"header");
            // SAFETY: The list outlives the request.
            unsafe { builder.read_source(span) };
            // SAFETY: The list outlives the request.
            unsafe { builder.write_destination(span) };
            builder.write(5);
        };
        let queue = |inflight: Inflight<()>| {
            assert_eq!(inflight.segments(), 1 + 4 + 4 + 2);
            inflight.complete(Ok(()), &Bh::disable());
            Ok(Submitted::QUEUED)
        };
        let output = call.run(false, LIMITS, describe, 1000, queue, || ());
        assert!(output.is_ok());
    }
}
