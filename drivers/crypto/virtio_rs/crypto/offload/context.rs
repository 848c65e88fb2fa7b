// SPDX-License-Identifier: GPL-2.0

//! The context of a request that a device works on.

use super::{
    super::{
        area::{
            AnyArea,
            Limits, //
        },
        builder::Builder,
        request::{
            call_completion,
            Answer,
            Inflight,
            Slot,
            SlotOps,
            Submitted, //
        },
        rescue::Rescue, //
    },
    pool::Borrowed,
    Finish,
    Offload,
    Outcome,
    RawRequest,
    Request, //
};
use crate::{
    bindings,
    bindings::helpers,
    support::{
        bh::Bh,
        completion::Completion,
        lend::Lists, //
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
    prelude::*,
    time::Msecs, //
};

/// What lies in the context of a request that goes to a device.
///
/// A [`Builder`] initialises the header, and fills it when the request is ready for a device. The area is
/// memory that the device reads and writes.
#[repr(C)]
pub(in crate::crypto) struct Context<A: Offload> {
    header: Header<A>,
    area: A::Area,
}

/// What the driver keeps of a request in flight. The device has no access to it.
///
/// # Invariants
///
/// - `slot` comes first: its address is the context's.
/// - `raw` is the request the context belongs to.
/// - `waiter` is initialised if the algorithm is synchronous.
/// - While the context is filled, `filled` is initialised.
#[repr(C)]
struct Header<A: Offload> {
    slot: Slot<A::Private>,
    raw: NonNull<A::Raw>,
    outcome: Result,
    waiter: MaybeUninit<Completion>,
    filled: MaybeUninit<Filled<A>>,
}

/// What is known of a request when it is ready for a device.
///
/// # Invariants
///
/// `results` is the memory of the area's results, of at least one byte, that the device may write.
struct Filled<A: Offload> {
    rescue: Rescue,
    results: NonNull<[u8]>,
    /// The parameters include a secret.
    has_secret: bool,
    state: A::State,
}

/// Returns how much context a request of `A` needs, in bytes, where a device does it.
pub(super) const fn size<A: Offload>() -> usize {
    assert!(align_of::<Context<A>>() <= bindings::VC_CRYPTO_DMA_ALIGN as usize);
    // The end is the device's, in cache lines of its own: see `Area`.
    assert!(offset_of!(Context<A>, area) + size_of::<A::Area>() == size_of::<Context<A>>());
    size_of::<Context<A>>()
}

/// Memory for the context of a request that has none of the framework's.
pub(in crate::crypto) struct Room<A: Offload> {
    context: MaybeUninit<Context<A>>,
}

// SAFETY: A room has no value that is tied to a thread: code that uses the context gets a pointer to it.
unsafe impl<A: Offload> Send for Room<A> {}

impl<A: Offload> Room<A> {
    /// Returns memory that is not used yet.
    pub(in crate::crypto) const fn new() -> Self {
        Self {
            context: MaybeUninit::uninit(),
        }
    }

    /// Returns where the context of an unused room is.
    pub(super) fn as_context(&mut self) -> NonNull<Context<A>> {
        NonNull::from(&mut self.context).cast()
    }
}

impl<A: Offload> Context<A> {
    /// The offset of the area, in bytes.
    // CAST: `size` is that of a request context, which the framework counts with 32 bits.
    pub(in crate::crypto) const AREA: u32 = offset_of!(Self, area) as u32;

    const OPS: &'static SlotOps<A::Private> = &SlotOps {
        finish: if A::SYNCHRONOUS {
            wake::<A>
        } else {
            finish::<A>
        },
        accept: accept::<A>,
    };

    /// Initialises the header of a context.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writes, and have no other user.
    #[inline]
    pub(in crate::crypto) unsafe fn init(this: NonNull<Self>, request: &Request<'_, A, A::Raw>) {
        // Our own thread waits for a synchronous request: it may wait for room, too.
        let may_backlog =
            A::SYNCHRONOUS || request.flags() & bindings::CRYPTO_TFM_REQ_MAY_BACKLOG != 0;
        // INVARIANT: It is the context of `request`. It is not filled.
        let header = Header {
            slot: Slot::new(Self::OPS, may_backlog),
            raw: request.as_raw(),
            outcome: Ok(()),
            waiter: MaybeUninit::uninit(),
            filled: MaybeUninit::uninit(),
        };
        // SAFETY: The caller guarantees that `this` is valid for writes.
        unsafe { (&raw mut (*this.as_ptr()).header).write(header) };
        if A::SYNCHRONOUS {
            // INVARIANT: The waiter is initialised.
            // SAFETY: The header was just written. The context stays where it is.
            unsafe { Completion::init((*this.as_ptr()).header.waiter.as_mut_ptr()) };
        }
    }

    /// Returns the header.
    ///
    /// # Safety
    ///
    /// The header of `this` must be initialised, and have no other user while the result is used.
    #[inline]
    unsafe fn header<'h>(this: NonNull<Self>) -> &'h mut Header<A> {
        // SAFETY: The caller guarantees that the header is initialised and has no other user.
        unsafe { &mut (*this.as_ptr()).header }
    }

    /// Returns the lists of what the device reads and writes.
    ///
    /// # Safety
    ///
    /// The header of `this` must be initialised. Its lists must have no other user while the result
    /// is used.
    #[inline]
    pub(in crate::crypto) unsafe fn lists<'l>(this: NonNull<Self>) -> &'l mut Lists {
        // SAFETY: The caller guarantees that this field of the header is initialised and has no
        // other user.
        unsafe { &mut (*this.as_ptr()).header.slot.lists }
    }

    /// Fills a context. `results` is the memory that the device writes besides the data, `segments`
    /// the number of segments of the header's lists.
    ///
    /// # Safety
    ///
    /// - The header of `this` must be initialised, and nobody else use the context.
    /// - `results` must be in the context's area, and have at least one byte.
    /// - The header's lists must stay valid until the request is complete.
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
        // SAFETY: The caller guarantees that the header is initialised and has no other user.
        let header = unsafe { Self::header(this) };
        header.slot.segments = segments;
        // SAFETY: The caller guarantees that there is at least one byte.
        header.slot.status = unsafe { results.cast::<u8>().add(results.len() - 1) };
        // INVARIANT: The caller guarantees what `results` must be.
        let filled = header.filled.write(Filled {
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
        // SAFETY: By the safety requirements of `AnyArea` that is memory for so many bytes.
        unsafe { helpers::memzero_explicit(params.cast(), A::Area::PARAMS as usize) };
    }

    /// Ends a context whose header is initialised, and that was never filled.
    ///
    /// # Safety
    ///
    /// The header of `this` must be initialised, and nothing else use the context. It is not initialised
    /// any more afterwards.
    pub(in crate::crypto) unsafe fn abandon(this: NonNull<Self>, has_secret: bool) {
        if has_secret {
            // SAFETY: The caller guarantees that the context has no other user.
            unsafe { Self::wipe_params(this) };
        }
        // SAFETY: The caller guarantees that the header is initialised, and not used any more.
        unsafe { (&raw mut (*this.as_ptr()).header).drop_in_place() };
    }

    /// Ends a context. Wipes the secrets that the device was told, and its results.
    ///
    /// # Safety
    ///
    /// `this` must be filled, and used by nobody else. It is not filled any more afterwards.
    unsafe fn detach(this: NonNull<Self>) -> A::State {
        // SAFETY: The caller guarantees that the context is filled and has no other user.
        let filled = unsafe { Self::header(this).filled.assume_init_ref() };
        let (results, has_secret) = (filled.results, filled.has_secret);
        let state = &raw const filled.state;
        // A status alone is no secret.
        if results.len() > 1 {
            // SAFETY: By the type invariant the results are memory of the context.
            unsafe { helpers::memzero_explicit(results.as_ptr().cast(), results.len()) };
        }
        // SAFETY: The caller guarantees that the header is initialised, and not used any more: dropping it
        // does not touch what it is filled with.
        unsafe { Self::abandon(this, has_secret) };
        // Last, so that the compiler copies it only where it is used.
        // SAFETY: The state is initialised, and not used there again.
        unsafe { state.read() }
    }

    /// Has the driver finish a request that has come back with `result`. Returns the result; none if the
    /// request was taken over, and will be completed later.
    ///
    /// # Safety
    ///
    /// `this` must be filled, and used by nobody else. It is not filled any more afterwards.
    #[inline(always)]
    unsafe fn conclude(this: NonNull<Self>, result: Result) -> Option<Result> {
        // SAFETY: The caller guarantees that the header is initialised and has no other user.
        let header = unsafe { Self::header(this) };
        let raw = header.raw;
        // SAFETY: The request is valid until its completion is called. There are only shared references to
        // the result until `detach` has returned; then the context is unused.
        let request = unsafe { Request::<'_, A, A::Raw>::from_raw(raw) };
        // SAFETY: The caller guarantees that the context is filled.
        let filled = unsafe { header.filled.assume_init_ref() };
        // INVARIANT: The context is filled while `outcome` lives.
        let outcome = Outcome {
            result,
            used: header.slot.used,
            rescue: (!header.slot.untouched).then_some(&filled.rescue),
            results: filled.results,
        };
        let finish = A::finish(&filled.state, &request, &outcome);
        // SAFETY: The caller guarantees that the context is filled and has no other user. `header` is not
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
    /// Builds a device request in the request's context; see [`Builder::build`].
    ///
    /// # Errors
    ///
    /// The request comes back, to be run on the fallback, with
    /// - `EFAULT`: it is in memory that devices cannot reach;
    /// - `EINVAL`: a scatterlist is shorter than the data, or a part does not fit in the context;
    /// - `E2BIG`: there are too many segments, or too large ones.
    ///
    /// # Safety
    ///
    /// The transform must have asked for request contexts of [`context_size`] bytes.
    ///
    /// [`context_size`]: super::context_size
    #[inline(always)]
    pub(in crate::crypto) unsafe fn build_here(
        self,
        limits: Limits,
        describe: impl FnOnce(&mut Builder<'a, A, R>) -> A::State,
    ) -> Result<Prepared<'a, A, R>, (Error, Self)> {
        let context = R::context(self.raw);
        let (Some(page), Some(context)) = (linear_page(context), NonNull::new(context.cast()))
        else {
            return Err((EFAULT, self));
        };
        // SAFETY: By the type invariant the context is unused and that of the request. By the safety
        // requirements it has the size that `size` returns, which checks that its alignment is
        // sufficient, too. It is in the linear map, so all of it is; its page was just asked for.
        unsafe { Builder::build(self, context, None, page, limits, describe) }
    }

    /// Builds a device request in a context that the transform owns. The request's own context is not
    /// used.
    ///
    /// # Errors
    ///
    /// As for [`build_here`](Self::build_here).
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
        let Some(page) = linear_page(context.as_ptr().cast()) else {
            return Err((EFAULT, self));
        };
        // SAFETY: A borrowed context is heap memory of the right type, and has no other user. Its page was
        // just asked for. By the safety requirements the algorithm is synchronous.
        unsafe { Builder::build(self, context, Some(borrowed), page, limits, describe) }
    }
}

/// Returns the address of the `struct page` of a pointer, and the offset in the page; none if devices
/// cannot reach the memory.
fn linear_page(pointer: *mut c_void) -> Option<(usize, u32)> {
    let mut offset = 0;
    // SAFETY: This looks at the pointer only, and writes `offset`.
    let page = unsafe { helpers::linear_page(pointer, &mut offset) };
    (!page.is_null()).then(|| (page.addr(), offset))
}

/// A request that is ready for a device.
///
/// # Invariants
///
/// `context` is filled, and that of `request` or of `borrowed`; it is not used elsewhere. `borrowed` is
/// `None` if the algorithm is asynchronous.
#[must_use]
pub(crate) struct Prepared<'a, A: Offload<Raw = R>, R: RawRequest> {
    context: NonNull<Context<A>>,
    request: Request<'a, A, R>,
    borrowed: Option<Borrowed<A>>,
}

impl<'a, A: Offload<Raw = R>, R: RawRequest> Prepared<'a, A, R> {
    /// Creates a request that is ready.
    ///
    /// # Safety
    ///
    /// `context` must be filled, and that of `request` or of `borrowed`, and not be used elsewhere.
    /// `borrowed` must be `None` if the algorithm is asynchronous.
    pub(in crate::crypto) unsafe fn new(
        context: NonNull<Context<A>>,
        request: Request<'a, A, R>,
        borrowed: Option<Borrowed<A>>,
    ) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            context,
            request,
            borrowed,
        }
    }

    /// Hands the request to `queue`.
    ///
    /// # Errors
    ///
    /// The request comes back if `queue` gives it back, with the same error.
    #[inline]
    pub(crate) fn send(
        self,
        queue: impl FnOnce(Inflight<A::Private>) -> Result<Submitted, (Error, Inflight<A::Private>)>,
    ) -> Result<Sent<'a, A, R>, (Error, Request<'a, A, R>)> {
        let Self {
            context,
            request,
            borrowed,
        } = self;
        // SAFETY: By the type invariant; `Context` begins with the slot.
        let inflight = unsafe { Inflight::new(context.cast()) };
        let how = match queue(inflight) {
            Ok(how) => how,
            Err((err, back)) if back.is_at(context.cast()) => {
                let _ = back.into_slot();
                // SAFETY: It came back, so the context is ours again.
                drop(unsafe { Context::detach(context) });
                return Err((err, request));
            }
            // Another request came back, which ends here. Ours is on its way, then.
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

/// A request that a queue has taken. [`answer`](Self::answer) must be called.
///
/// # Invariants
///
/// If the algorithm is synchronous, `request` is in flight, or was, and `context` is its context:
/// both stay valid. If not, `request` is `None`: the request may be complete, and gone.
#[must_use]
pub(crate) struct Sent<'a, A: Offload<Raw = R>, R: RawRequest> {
    how: Submitted,
    context: NonNull<Context<A>>,
    request: Option<Request<'a, A, R>>,
    /// The device may use it until the request is complete.
    borrowed: ManuallyDrop<Option<Borrowed<A>>>,
}

impl<A: Offload<Raw = R>, R: RawRequest> Sent<'_, A, R> {
    /// Answers the request.
    ///
    /// If the algorithm is synchronous, waits until the request is back. Calls `stuck` each time
    /// `limit` milliseconds pass; `stuck` must arrange that the request comes back. Then calls
    /// `judge` with the result, because the driver may have detected a duplicate session ID since
    /// the queue evaluated it.
    ///
    /// Context: process, may sleep, if the algorithm is synchronous; else any.
    #[inline]
    pub(crate) fn answer(
        self,
        limit: Msecs,
        stuck: impl Fn(),
        judge: impl FnOnce(Result) -> Result,
    ) -> Answer {
        let Self {
            how,
            context,
            request,
            borrowed,
        } = self;
        let (true, Some(request)) = (A::SYNCHRONOUS, request) else {
            return Answer::submitted(how);
        };
        // SAFETY: By the type invariant the context is valid. `request` is `Some`, so the algorithm
        // is synchronous, and by the invariant of `Context` the waiter is initialised.
        let waiter = unsafe { (*context.as_ptr()).header.waiter.assume_init_ref() };
        while !waiter.wait(limit) {
            stuck();
        }
        // SAFETY: `wake` was the last to use it, and has written it.
        let outcome = unsafe { (*context.as_ptr()).header.outcome };
        // SAFETY: The context is filled, and `wake` was the last to use it.
        let result = unsafe { Context::conclude(context, judge(outcome)) };
        drop(ManuallyDrop::into_inner(borrowed));
        // A synchronous request cannot be taken over.
        request.done(result.unwrap_or(Err(EIO)))
    }
}

/// Finishes an asynchronous request: [`SlotOps::finish`].
///
/// # Safety
///
/// `slot` must be that of a `Context<A>` whose request is under way; both are gone afterwards.
unsafe fn finish<A: Offload>(slot: NonNull<Slot<A::Private>>, result: Result, bh: &Bh) {
    let context = slot.cast::<Context<A>>();
    // SAFETY: By the safety requirements; nobody else refers to the context.
    let raw = unsafe { (*context.as_ptr()).header.raw };
    // SAFETY: The caller guarantees that the request is in flight, so its context is filled, and
    // ends here.
    let Some(result) = (unsafe { Context::conclude(context, result) }) else {
        return;
    };
    let errno = Answer::done(result).into_raw();
    // SAFETY: The request is valid and in flight.
    unsafe { call_completion(A::Raw::base(raw), errno, bh) };
}

/// Wakes the thread that waits for a synchronous request: [`SlotOps::finish`].
///
/// # Safety
///
/// `slot` must be that of a `Context<A>` of a synchronous algorithm whose request is under way; it
/// must not be used afterwards.
unsafe fn wake<A: Offload>(slot: NonNull<Slot<A::Private>>, result: Result, _bh: &Bh) {
    let context = slot.cast::<Context<A>>().as_ptr();
    // SAFETY: By the safety requirements; the waiter does not look before it is woken.
    unsafe { (*context).header.outcome = result };
    // SAFETY: By the type invariant the waiter is initialised. The waiter's thread goes on, and the
    // context with it, only when `complete` has let go of it.
    unsafe { (*context).header.waiter.assume_init_ref() }.complete();
}

/// Tells the consumer that a backlogged request moves on: [`SlotOps::accept`].
///
/// # Safety
///
/// `slot` must be that of a `Context<A>` whose request is under way.
unsafe fn accept<A: Offload>(slot: NonNull<Slot<A::Private>>, bh: &Bh) {
    if A::SYNCHRONOUS {
        // The consumer was not told that it waits.
        return;
    }
    // SAFETY: By the safety requirements.
    let raw = unsafe { (*slot.cast::<Context<A>>().as_ptr()).header.raw };
    // SAFETY: The request is valid and in flight.
    unsafe { call_completion(A::Raw::base(raw), EINPROGRESS.to_errno(), bh) };
}
