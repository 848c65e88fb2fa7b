// SPDX-License-Identifier: GPL-2.0

//! The request context of a request in flight.

use super::{
    super::{
        area::{
            AnyArea,
            Limits, //
        },
        builder::Builder,
        request::{
            call_completion,
            CtxHeader,
            CtxOps,
            InFlightRequest,
            ReturnCode,
            Submission,
            Submitted, //
        },
        rescue::Rescue, //
    },
    pool::Borrowed,
    DeviceResult,
    Finish,
    Offload,
    RawRequest,
    Request, //
};
use crate::{
    bindings,
    bindings::helpers,
    support::{
        bh::BhDisabled,
        completion::Completion,
        dma::SgLists, //
    },
};
use core::{
    mem::{
        offset_of,
        ManuallyDrop,
        MaybeUninit, //
    },
    ptr::NonNull, //
};
use kernel::{
    ffi::c_void,
    page::PAGE_SIZE,
    prelude::*,
    time::Msecs, //
};

/// The request context of a request that is sent to a device.
///
/// A [`Builder`] initialises the driver's part, and *fills* the context when the request is ready for a
/// device. The device reads and writes the area.
#[repr(C)]
pub(in crate::crypto) struct RequestCtx<A: Offload> {
    driver: DriverCtx<A>,
    area: A::Area,
}

/// The driver's part of a request context. The device has no access to it.
///
/// # Invariants
///
/// - `header` comes first, so its address is that of the context.
/// - `raw` is the request of the context.
/// - `waiter` is initialised if the algorithm is synchronous.
/// - While the context is filled, `filled` is initialised.
#[repr(C)]
struct DriverCtx<A: Offload> {
    header: CtxHeader<A::Private>,
    raw: NonNull<A::Raw>,
    outcome: Result,
    waiter: MaybeUninit<Completion>,
    filled: MaybeUninit<Filled<A>>,
}

/// The fields that are set when the request is ready for a device.
///
/// # Invariants
///
/// `results` is memory in the area, of at least one byte, that the device may write.
struct Filled<A: Offload> {
    rescue: Rescue,
    results: NonNull<[u8]>,
    /// The parameters include a secret.
    has_secret: bool,
    state: A::State,
}

/// Returns the size of a request context of `A`, in bytes, for the device request.
pub(super) const fn size<A: Offload>() -> usize {
    assert!(align_of::<RequestCtx<A>>() <= bindings::VC_CRYPTO_DMA_ALIGN as usize);
    // The context ends with the area. Its end is written by the device, in cache lines of its own.
    assert!(offset_of!(RequestCtx<A>, area) + size_of::<A::Area>() == size_of::<RequestCtx<A>>());
    size_of::<RequestCtx<A>>()
}

/// Memory for a request context that does not come from the crypto API.
pub(in crate::crypto) struct CtxStorage<A: Offload> {
    context: MaybeUninit<RequestCtx<A>>,
}

// SAFETY: The memory holds no value that is tied to a thread. Users of the context get a pointer.
unsafe impl<A: Offload> Send for CtxStorage<A> {}

impl<A: Offload> CtxStorage<A> {
    /// Returns unused memory.
    pub(in crate::crypto) const fn new() -> Self {
        Self {
            context: MaybeUninit::uninit(),
        }
    }

    /// Returns the address of the context, which must be unused.
    pub(super) fn as_context(&mut self) -> NonNull<RequestCtx<A>> {
        NonNull::from(&mut self.context).cast()
    }
}

impl<A: Offload> RequestCtx<A> {
    /// The offset of the area, in bytes.
    // CAST: `size` is that of a request context, whose size the crypto API counts with 32 bits.
    pub(in crate::crypto) const AREA: u32 = offset_of!(Self, area) as u32;

    const OPS: &'static CtxOps<A::Private> = &CtxOps {
        complete: if A::SYNCHRONOUS {
            complete_sync::<A>
        } else {
            complete_async::<A>
        },
        in_progress: notify_in_progress::<A>,
    };

    /// Initialises the driver's part of a context.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writes, and have no other user.
    #[inline]
    pub(in crate::crypto) unsafe fn init(this: NonNull<Self>, request: &Request<'_, A, A::Raw>) {
        // The driver waits for a synchronous request, so the request may always be backlogged.
        let may_backlog =
            A::SYNCHRONOUS || request.flags() & bindings::CRYPTO_TFM_REQ_MAY_BACKLOG != 0;
        // INVARIANT: `this` is the context of `request`, and not filled.
        let driver = DriverCtx {
            header: CtxHeader::new(Self::OPS, may_backlog),
            raw: request.as_raw(),
            outcome: Ok(()),
            waiter: MaybeUninit::uninit(),
            filled: MaybeUninit::uninit(),
        };
        // SAFETY: The caller guarantees that `this` is valid for writes.
        unsafe { (&raw mut (*this.as_ptr()).driver).write(driver) };
        if A::SYNCHRONOUS {
            // INVARIANT: The waiter is initialised.
            // SAFETY: The driver's part was just written. The context stays where it is.
            unsafe { Completion::init((*this.as_ptr()).driver.waiter.as_mut_ptr()) };
        }
    }

    /// Returns the driver's part.
    ///
    /// # Safety
    ///
    /// The driver's part of `this` must be initialised, and have no other user while the result is used.
    #[inline]
    unsafe fn driver<'h>(this: NonNull<Self>) -> &'h mut DriverCtx<A> {
        // SAFETY: The caller guarantees that it is initialised and has no other user.
        unsafe { &mut (*this.as_ptr()).driver }
    }

    /// Returns the lists that the device reads and writes.
    ///
    /// # Safety
    ///
    /// The driver's part of `this` must be initialised. Its lists must have no other user while the result
    /// is used.
    #[inline]
    pub(in crate::crypto) unsafe fn lists<'l>(this: NonNull<Self>) -> &'l mut SgLists {
        // SAFETY: The caller guarantees that this field is initialised and has no other user.
        unsafe { &mut (*this.as_ptr()).driver.header.lists }
    }

    /// Fills a context. `results` is the memory that the device writes in addition to the data. `segments`
    /// is the number of segments of the lists.
    ///
    /// # Safety
    ///
    /// - The driver's part of `this` must be initialised, and the context have no other user.
    /// - `results` must be in the area, and have at least one byte.
    /// - The lists must stay valid until the request is complete.
    #[inline(always)]
    pub(in crate::crypto) unsafe fn fill(
        this: NonNull<Self>,
        state: A::State,
        results: NonNull<[u8]>,
        has_secret: bool,
        segments: u32,
        rescue: Rescue,
        rescue_in_place: u32,
    ) {
        // SAFETY: The caller guarantees that the driver's part is initialised and has no other user.
        let driver = unsafe { Self::driver(this) };
        driver.header.segments = segments;
        // SAFETY: The caller guarantees that there is at least one byte.
        driver.header.status = unsafe { results.cast::<u8>().add(results.len() - 1) };
        // INVARIANT: The caller guarantees that `results` is in the area, and has at least one byte.
        let filled = driver.filled.write(Filled {
            rescue,
            results,
            has_secret,
            state,
        });
        filled.rescue.examine(rescue_in_place);
    }

    /// Wipes the parameters.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writes, and have no other user.
    unsafe fn wipe_params(this: NonNull<Self>) {
        let params = this.as_ptr().wrapping_byte_add(offset_of!(Self, area));
        let params = params.wrapping_byte_add(A::Area::PARAMS_AT as usize);
        // SAFETY: The implementer of `AnyArea` guarantees that `A::Area::PARAMS` bytes of the area start
        // at `params`. The caller guarantees that they are valid for writes.
        unsafe { helpers::memzero_explicit(params.cast(), A::Area::PARAMS as usize) };
    }

    /// Ends a context that was not filled.
    ///
    /// # Safety
    ///
    /// The driver's part of `this` must be initialised, and the context have no other user. It is not
    /// initialised any more afterwards.
    pub(in crate::crypto) unsafe fn abandon(this: NonNull<Self>, has_secret: bool) {
        if has_secret {
            // SAFETY: The caller guarantees that the context has no other user.
            unsafe { Self::wipe_params(this) };
        }
        // SAFETY: The caller guarantees that the driver's part is initialised, and not used any more.
        unsafe { (&raw mut (*this.as_ptr()).driver).drop_in_place() };
    }

    /// Ends a context. Wipes the secrets among the parameters, and the results.
    ///
    /// # Safety
    ///
    /// `this` must be filled, and have no other user. It is not filled any more afterwards.
    unsafe fn detach(this: NonNull<Self>) -> A::State {
        // SAFETY: The caller guarantees that the context is filled and has no other user.
        let filled = unsafe { Self::driver(this).filled.assume_init_ref() };
        let (results, has_secret) = (filled.results, filled.has_secret);
        let state = &raw const filled.state;
        // Results of one byte are the status alone, which is not secret.
        if results.len() > 1 {
            // SAFETY: By the type invariant the results are memory of the context.
            unsafe { helpers::memzero_explicit(results.as_ptr().cast(), results.len()) };
        }
        // SAFETY: The caller guarantees that the driver's part is initialised, and not used any more.
        // Dropping it does not touch `filled`.
        unsafe { Self::abandon(this, has_secret) };
        // Read the state last. The compiler then copies the state only where it is used.
        // SAFETY: By the type invariant the state is initialised. It is not read again.
        unsafe { state.read() }
    }

    /// Evaluates a request that was returned with `result`. Returns the result for the caller. Returns
    /// `None` if the driver completes the request later.
    ///
    /// # Safety
    ///
    /// `this` must be filled, and have no other user. It is not filled any more afterwards.
    #[inline(always)]
    unsafe fn conclude(this: NonNull<Self>, result: Result) -> Option<Result> {
        // SAFETY: The caller guarantees that the driver's part is initialised and has no other user.
        let driver = unsafe { Self::driver(this) };
        let raw = driver.raw;
        // SAFETY: The request is valid until its completion is called. Until `detach` has returned there
        // are only shared references to `request`. Afterwards the context is unused.
        let request = unsafe { Request::<'_, A, A::Raw>::from_raw(raw) };
        // SAFETY: The caller guarantees that the context is filled.
        let filled = unsafe { driver.filled.assume_init_ref() };
        // INVARIANT: The context is filled while `outcome` lives.
        let outcome = DeviceResult {
            result,
            used: driver.header.used,
            rescue: (!driver.header.never_posted).then_some(&filled.rescue),
            results: filled.results,
        };
        let finish = A::finalize(&filled.state, &request, &outcome);
        // SAFETY: The caller guarantees that the context is filled and has no other user. `driver` is not
        // used any more.
        let state = unsafe { Self::detach(this) };
        let result = match finish {
            Finish::Done(result) => result,
            Finish::Fallback => A::fall_back(state, request)?,
        };
        // SAFETY: The request is valid, and about to be completed.
        unsafe { A::Raw::clear(raw) };
        Some(result)
    }
}

impl<'a, A: Offload<Raw = R>, R: RawRequest> Request<'a, A, R> {
    /// Builds a device request in the context of this request, as [`Builder::build`] does.
    ///
    /// # Errors
    ///
    /// On error the request is returned, so that the caller can run it on the fallback, with
    /// - `EFAULT` if the context is in memory that devices cannot access;
    /// - `EINVAL` if a scatterlist is shorter than the data, or a part does not fit in the context;
    /// - `E2BIG` if there are too many segments, or too large ones.
    ///
    /// # Safety
    ///
    /// The transform must have requested contexts of [`context_size`] bytes from the crypto API.
    ///
    /// [`context_size`]: super::context_size
    #[inline(always)]
    pub(in crate::crypto) unsafe fn build_here(
        self,
        limits: Limits,
        describe: impl FnOnce(&mut Builder<'a, A, R>) -> A::State,
    ) -> Result<Prepared<'a, A, R>, (Error, Self)> {
        let Some(context) = NonNull::new(R::context(self.raw).cast()) else {
            return Err((EFAULT, self));
        };
        let Some(page) = linear_page(context) else {
            return Err((EFAULT, self));
        };
        // SAFETY: By the type invariant the context of the request is unused. The caller guarantees that it
        // has the size that `size` returns. `size` checks the alignment. `linear_page` has returned the
        // page of its first byte, so all of it is in the linear map.
        unsafe { Builder::build(self, context, None, page, limits, describe) }
    }

    /// Builds a device request in a context that the transform owns. The context of this request stays
    /// unused.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`build_here`](Self::build_here).
    ///
    /// # Safety
    ///
    /// The algorithm must be synchronous.
    pub(in crate::crypto) unsafe fn build_in(
        self,
        mut borrowed: Borrowed<A>,
        limits: Limits,
        describe: impl FnOnce(&mut Builder<'a, A, R>) -> A::State,
    ) -> Result<Prepared<'a, A, R>, (Error, Self)> {
        let Some(context) = borrowed.context() else {
            return Err((EFAULT, self));
        };
        let Some(page) = linear_page(context) else {
            return Err((EFAULT, self));
        };
        // SAFETY: A borrowed context is heap memory of this type, and has no other user. `linear_page` has
        // returned its page. The caller guarantees that the algorithm is synchronous.
        unsafe { Builder::build(self, context, Some(borrowed), page, limits, describe) }
    }
}

/// Returns the address of the `struct page` of a pointer, and the offset in the page. Returns `None` if
/// devices cannot access the memory.
#[inline(always)]
fn linear_page<T>(pointer: NonNull<T>) -> Option<(usize, u32)> {
    let pointer = pointer.cast::<c_void>().as_ptr();
    // SAFETY: The helper does not dereference `pointer`.
    let page = unsafe { helpers::linear_page(pointer) };
    // CAST: The offset is less than the size of a page.
    (!page.is_null()).then(|| (page.addr(), (pointer.addr() % PAGE_SIZE) as u32))
}

/// A request that is ready for a device.
///
/// # Invariants
///
/// `context` is the filled context of `request` or of `borrowed`, and has no other user. `borrowed` is
/// `None` if the algorithm is asynchronous.
#[must_use]
pub(crate) struct Prepared<'a, A: Offload<Raw = R>, R: RawRequest> {
    context: NonNull<RequestCtx<A>>,
    request: Request<'a, A, R>,
    borrowed: Option<Borrowed<A>>,
}

impl<'a, A: Offload<Raw = R>, R: RawRequest> Prepared<'a, A, R> {
    /// Creates a request that is ready.
    ///
    /// # Safety
    ///
    /// `context` must be the filled context of `request` or of `borrowed`, and have no other user.
    /// `borrowed` must be `None` if the algorithm is asynchronous.
    pub(in crate::crypto) unsafe fn new(
        context: NonNull<RequestCtx<A>>,
        request: Request<'a, A, R>,
        borrowed: Option<Borrowed<A>>,
    ) -> Self {
        // INVARIANT: The caller guarantees the requirements on `context` and `borrowed`.
        Self {
            context,
            request,
            borrowed,
        }
    }

    /// Passes the request to `queue`.
    ///
    /// # Errors
    ///
    /// Returns the error of `queue` and the request.
    #[inline]
    pub(crate) fn send(
        self,
        queue: impl FnOnce(InFlightRequest<A::Private>) -> Submission<A::Private>,
    ) -> Result<Sent<'a, A, R>, (Error, Request<'a, A, R>)> {
        let Self {
            context,
            request,
            borrowed,
        } = self;
        // SAFETY: By the type invariant the context is filled and has no other user. A context begins with
        // its header.
        let inflight = unsafe { InFlightRequest::new(context.cast()) };
        let how = match queue(inflight).into_result() {
            Ok(how) => how,
            Err((err, back)) if back.is_at(context.cast()) => {
                let _ = back.into_header();
                // SAFETY: The queue has returned this request, so its context has no other user.
                drop(unsafe { RequestCtx::detach(context) });
                return Err((err, request));
            }
            // The queue returned a different request. Dropping it completes it with `EIO`. Our request is
            // still queued.
            Err(_) => Submitted::QUEUED,
        };
        // INVARIANT: The queue has taken the request.
        Ok(Sent {
            how,
            context,
            request: A::SYNCHRONOUS.then_some(request),
            borrowed: ManuallyDrop::new(borrowed),
        })
    }
}

/// A request that a queue has taken. [`into_return_code`](Self::into_return_code) must be called.
///
/// # Invariants
///
/// If the algorithm is synchronous, `request` is in flight or returned, and `context` is its context.
/// Both stay valid. Otherwise `request` is `None`, because the request may be complete and freed.
#[must_use]
pub(crate) struct Sent<'a, A: Offload<Raw = R>, R: RawRequest> {
    how: Submitted,
    context: NonNull<RequestCtx<A>>,
    request: Option<Request<'a, A, R>>,
    /// The device may access the borrowed context until the request is complete.
    borrowed: ManuallyDrop<Option<Borrowed<A>>>,
}

impl<A: Offload<Raw = R>, R: RawRequest> Sent<'_, A, R> {
    /// Returns the return value of the crypto API's callback.
    ///
    /// If the algorithm is synchronous, waits until the request has returned. Calls `on_timeout` each
    /// time `limit` milliseconds have passed, which must make the request return. Then calls `evaluate`
    /// with the result, because the driver may have detected a duplicate session ID since the queue
    /// evaluated it.
    ///
    /// Context: process, may sleep, if the algorithm is synchronous; otherwise any.
    #[inline]
    pub(crate) fn into_return_code(
        self,
        limit: Msecs,
        on_timeout: impl Fn(),
        evaluate: impl FnOnce(Result) -> Result,
    ) -> ReturnCode {
        let Self {
            how,
            context,
            request,
            borrowed,
        } = self;
        let (true, Some(request)) = (A::SYNCHRONOUS, request) else {
            return ReturnCode::submitted(how);
        };
        // SAFETY: By the type invariant the context is valid. `request` is `Some`, so the algorithm
        // is synchronous, and by the invariant of `RequestCtx` the waiter is initialised.
        let waiter = unsafe { (*context.as_ptr()).driver.waiter.assume_init_ref() };
        while !waiter.wait(limit) {
            on_timeout();
        }
        // SAFETY: `complete_sync` was the last user of the field, and has written it.
        let outcome = unsafe { (*context.as_ptr()).driver.outcome };
        // SAFETY: The context is filled, and `complete_sync` was its last other user.
        let result = unsafe { RequestCtx::conclude(context, evaluate(outcome)) };
        drop(ManuallyDrop::into_inner(borrowed));
        // A synchronous request cannot be taken over.
        request.done(result.unwrap_or(Err(EIO)))
    }
}

/// Completes an asynchronous request: [`CtxOps::complete`].
///
/// # Safety
///
/// `header` must be that of a `RequestCtx<A>` whose request is in flight. Both are invalid afterwards.
unsafe fn complete_async<A: Offload>(
    header: NonNull<CtxHeader<A::Private>>,
    result: Result,
    bh: &BhDisabled,
) {
    let context = header.cast::<RequestCtx<A>>();
    // SAFETY: The caller guarantees that the request is in flight, so the context is initialised.
    let raw = unsafe { (*context.as_ptr()).driver.raw };
    // SAFETY: The caller guarantees that the request is in flight, so its context is filled, and
    // ends here.
    let Some(result) = (unsafe { RequestCtx::conclude(context, result) }) else {
        return;
    };
    let errno = ReturnCode::done(result).into_raw();
    // SAFETY: The request is valid and in flight.
    unsafe { call_completion(A::Raw::base(raw), errno, bh) };
}

/// Wakes the thread that waits for a synchronous request: [`CtxOps::complete`].
///
/// # Safety
///
/// `header` must be that of a `RequestCtx<A>` of a synchronous algorithm whose request is in flight. It
/// must not be used afterwards.
unsafe fn complete_sync<A: Offload>(
    header: NonNull<CtxHeader<A::Private>>,
    result: Result,
    _bh: &BhDisabled,
) {
    let context = header.cast::<RequestCtx<A>>().as_ptr();
    // SAFETY: The caller guarantees that the request is in flight. The thread does not read the field
    // before it is woken.
    unsafe { (*context).driver.outcome = result };
    // SAFETY: By the type invariant the waiter is initialised. The thread ends the context only after
    // `complete` has used it.
    unsafe { (*context).driver.waiter.assume_init_ref() }.complete();
}

/// Tells the caller that a request has left the backlog: [`CtxOps::in_progress`].
///
/// # Safety
///
/// `header` must be that of a `RequestCtx<A>` whose request is in flight.
unsafe fn notify_in_progress<A: Offload>(header: NonNull<CtxHeader<A::Private>>, bh: &BhDisabled) {
    if A::SYNCHRONOUS {
        // The caller was not told that the request was backlogged.
        return;
    }
    // SAFETY: The caller guarantees that the request is in flight, so the context is initialised.
    let raw = unsafe { (*header.cast::<RequestCtx<A>>().as_ptr()).driver.raw };
    // SAFETY: The request is valid and in flight.
    unsafe { call_completion(A::Raw::base(raw), EINPROGRESS.to_errno(), bh) };
}
