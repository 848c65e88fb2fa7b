// SPDX-License-Identifier: GPL-2.0

//! A request that a device works on.

use super::{
    super::{
        area::{
            AnyArea,
            Data,
            Parts, //
        },
        request::{
            call_completion,
            Answer,
            Inflight,
            Slot,
            Submitted, //
        }, //
    },
    pool::Borrowed,
    witness::Witness,
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
/// It is written when the request is prepared, and dropped before the consumer gets it back.
///
/// # Invariants
///
/// - `slot` comes first: its address is the context's.
/// - `raw` is the request the context belongs to.
/// - `waiter` is initialised if the algorithm is synchronous.
#[repr(C)]
pub(super) struct Context<A: Offload> {
    slot: Slot,
    raw: NonNull<A::Raw>,
    outcome: Result,
    witness: Option<Witness>,
    waiter: MaybeUninit<Completion>,
    state: A::State,
    area: A::Area,
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

    /// Returns where the context is.
    ///
    /// # Safety
    ///
    /// `this` must be valid.
    pub(in crate::crypto) unsafe fn context(this: *mut Self) -> *mut c_void {
        // SAFETY: By the safety requirements.
        unsafe { &raw mut (*this).context }.cast()
    }

    /// Returns where the context of an unused room is.
    pub(super) fn as_context(&mut self) -> NonNull<Context<A>> {
        NonNull::from(&mut self.context).cast()
    }
}

/// What is left of a context whose request no device has.
struct Taken<A: Offload> {
    state: A::State,
    raw: NonNull<A::Raw>,
    outcome: Result,
    untouched: bool,
    witness: Option<Witness>,
    used: u32,
    results: <A::Area as AnyArea>::Results,
}

impl<A: Offload> Context<A> {
    /// Ends a context: what the device was told is wiped, the rest is returned.
    ///
    /// # Safety
    ///
    /// `context` must be filled, and not be used by anybody else, or any more.
    unsafe fn take(context: NonNull<Self>) -> Taken<A> {
        // SAFETY: By the safety requirements.
        let this = unsafe { &mut *context.as_ptr() };
        Taken {
            results: this.area.take(),
            // SAFETY: The context is filled, and not used any more; nothing else in it is dropped.
            state: unsafe { core::ptr::read(&this.state) },
            raw: this.raw,
            outcome: this.outcome,
            untouched: this.slot.untouched,
            witness: this.witness,
            used: this.slot.used,
        }
    }
}

impl<A: Offload> Taken<A> {
    /// Has the driver finish the request.
    ///
    /// # Safety
    ///
    /// It must be what is left of the context of `request`.
    unsafe fn finish(self, request: &Request<'_, A, A::Raw>, result: Result) -> Result {
        let intact = match self.witness {
            // The result is somewhere else.
            None => true,
            Some(_) if self.untouched => true,
            // SAFETY: By the safety requirements the lists are those of a request that is not
            // answered.
            Some(witness) => result.is_err() && unsafe { witness.agrees() },
        };
        let outcome = Outcome {
            result,
            intact,
            used: self.used,
            results: self.results.as_ref(),
        };
        A::finish(self.state, request, &outcome)
    }
}

impl<'a, A: Offload<Raw = R>, R: RawRequest> Request<'a, A, R> {
    /// Makes the request ready for a device.
    ///
    /// # Errors
    ///
    /// The request comes back, to be done otherwise, with
    /// - `EINVAL`: a scatterlist is shorter than the data;
    /// - `E2BIG`: there are too many segments, or too large ones;
    /// - `EFAULT`: the request is in memory that devices cannot reach.
    ///
    /// # Safety
    ///
    /// - The scatterlists of `data` must be the request's.
    /// - The transform must have asked for request contexts of [`context_size`] bytes.
    ///
    /// [`context_size`]: super::context_size
    pub(in crate::crypto) unsafe fn hold(
        self,
        state: A::State,
        parts: &Parts<'_>,
        data: &Data,
    ) -> Result<Prepared<'a, A, R>, (Error, Self)> {
        // SAFETY: By the type invariant.
        let context = unsafe { R::context(self.raw.as_ptr()) };
        // SAFETY: This looks at the pointer only.
        if !unsafe { helpers::is_linear(context) } {
            return Err((EFAULT, self));
        }
        let Some(context) = NonNull::new(context.cast::<Context<A>>()) else {
            return Err((EFAULT, self));
        };
        // SAFETY: By the safety requirements of this function for the lists. By the type invariant the
        // context is unused. By the safety requirements it has the size that `size` returns, which
        // checks that its alignment is sufficient, too. Nothing is borrowed.
        unsafe { self.fill(context, None, state, parts, data) }
    }

    /// Makes the request ready for a device, in a context that its transform owns. The request's own
    /// context is not used.
    ///
    /// # Errors
    ///
    /// As for [`hold`](Self::hold).
    ///
    /// # Safety
    ///
    /// - The scatterlists of `data` must be the request's.
    /// - The algorithm must be synchronous.
    pub(in crate::crypto) unsafe fn hold_in(
        self,
        mut borrowed: Borrowed<A>,
        state: A::State,
        parts: &Parts<'_>,
        data: &Data,
    ) -> Result<Prepared<'a, A, R>, (Error, Self)> {
        let Some(context) = borrowed.context() else {
            return Err((EFAULT, self));
        };
        // SAFETY: By the safety requirements of this function for the lists and the algorithm. A borrowed
        // context is heap memory of the right type, and has no other user.
        unsafe { self.fill(context, Some(borrowed), state, parts, data) }
    }

    /// Fills `context`, which is `borrowed` if it is not the request's own.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if a scatterlist is shorter than the data.
    /// - `E2BIG` if there are too many segments, or too large ones.
    ///
    /// # Safety
    ///
    /// - The scatterlists of `data` must be the request's.
    /// - `context` must be valid for writes, unused, and in the linear map. It must stay so until the
    ///   request is complete, provided that `borrowed` is not dropped before.
    /// - `borrowed` must be `None` if the algorithm is asynchronous.
    unsafe fn fill(
        self,
        context: NonNull<Context<A>>,
        borrowed: Option<Borrowed<A>>,
        state: A::State,
        parts: &Parts<'_>,
        data: &Data,
    ) -> Result<Prepared<'a, A, R>, (Error, Self)> {
        // INVARIANT: As the type wants it.
        // SAFETY: By the safety requirements `context` is valid for writes.
        unsafe {
            context.write(Context {
                slot: Slot {
                    finish: if A::SYNCHRONOUS {
                        wake::<A>
                    } else {
                        finish::<A>
                    },
                    accept: accept::<A>,
                    next: None,
                    lists: Lists::new(),
                    segments: 0,
                    result: core::ptr::null(),
                    result_len: 0,
                    mark: 0,
                    epoch: None,
                    used: 0,
                    // Our own thread waits for the answer: it may wait for room, too.
                    may_backlog: A::SYNCHRONOUS
                        || self.flags() & bindings::CRYPTO_TFM_REQ_MAY_BACKLOG != 0,
                    owes_accept: false,
                    untouched: false,
                },
                raw: self.raw,
                outcome: Ok(()),
                witness: None,
                waiter: MaybeUninit::uninit(),
                state,
                area: A::Area::empty(),
            })
        };
        if A::SYNCHRONOUS {
            // SAFETY: The context was just written, and stays where it is.
            let waiter = unsafe { (&raw mut (*context.as_ptr()).waiter).cast::<Completion>() };
            // SAFETY: `waiter` is valid for writes and stays where it is.
            unsafe { Completion::init(waiter) };
        }

        // SAFETY: The context was just written; nobody else refers to it.
        let area = unsafe { &mut (*context.as_ptr()).area };
        // SAFETY: By the safety requirements the area is in linear memory and stays there until the
        // request is complete; the crypto API's contract says so of the caller's scatterlists.
        match unsafe { area.fill(parts, data) } {
            Ok(posted) => {
                // SAFETY: As above.
                let slot = unsafe { &mut (*context.as_ptr()).slot };
                slot.lists = posted.lists;
                slot.segments = posted.segments;
                slot.result = posted.result;
                slot.result_len = posted.result_len;
                // SAFETY: By the safety requirements; `fill` has found that the lists are long enough.
                let witness = unsafe { Witness::of(data) };
                // SAFETY: As above.
                unsafe { (*context.as_ptr()).witness = witness };
                // INVARIANT: It was just filled. `borrowed` is by the safety requirements.
                Ok(Prepared {
                    context,
                    request: self,
                    borrowed,
                })
            }
            Err(err) => {
                // SAFETY: The context was written above, and is not used any more.
                drop(unsafe { Context::take(context) });
                Err((err, self))
            }
        }
    }
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
    /// Returns what the driver keeps with the request.
    pub(crate) fn state(&mut self) -> &mut A::State {
        // SAFETY: By the type invariant.
        unsafe { &mut (*self.context.as_ptr()).state }
    }

    /// Hands the request to `queue`.
    ///
    /// If the algorithm is synchronous this waits for the device; each time `limit` milliseconds
    /// pass without an answer, `stuck` is called, which must see to it that the request comes
    /// back.
    ///
    /// # Errors
    ///
    /// The request comes back if `queue` gives it back, with the same error.
    pub(crate) fn submit(
        self,
        limit: Msecs,
        queue: impl FnOnce(Inflight) -> Result<Submitted, (Error, Inflight)>,
        stuck: impl Fn(),
    ) -> Result<Answer, (Error, Request<'a, A, R>)> {
        let Self {
            context,
            request,
            // A synchronous request is complete when this function returns and drops it.
            borrowed: _borrowed,
        } = self;
        // SAFETY: By the type invariant; `Context` begins with the slot.
        let inflight = unsafe { Inflight::new(context.cast()) };
        let how = match queue(inflight) {
            Ok(how) => how,
            Err((err, back)) if back.is_at(context.cast()) => {
                let _ = back.into_slot();
                // SAFETY: It came back, so the context is ours again.
                drop(unsafe { Context::take(context) });
                return Err((err, request));
            }
            // Another request came back, which ends here. Ours is on its way, then.
            Err(_) => Submitted::QUEUED,
        };
        if !A::SYNCHRONOUS {
            return Ok(Answer::submitted(how));
        }

        // SAFETY: The context lives until this function takes it: a synchronous request is only
        // woken by `wake`. By its invariant the waiter is initialised.
        let waiter = unsafe { (*context.as_ptr()).waiter.assume_init_ref() };
        while !waiter.wait(limit) {
            stuck();
        }
        // SAFETY: `wake` was the last to use it.
        let taken = unsafe { Context::take(context) };
        let result = taken.outcome;
        // SAFETY: That was the request's context.
        let result = unsafe { taken.finish(&request, result) };
        // SAFETY: The request is valid, and about to be given back.
        unsafe { R::clear(request.raw.as_ptr()) };
        Ok(request.done(result))
    }
}

/// Finishes an asynchronous request: [`Slot::finish`].
///
/// # Safety
///
/// `slot` must be that of a `Context<A>` whose request is under way; both are gone afterwards.
unsafe fn finish<A: Offload>(slot: NonNull<Slot>, result: Result, bh: &Bh) {
    // SAFETY: By the safety requirements; nobody else refers to the context.
    let taken = unsafe { Context::<A>::take(slot.cast()) };
    let raw = taken.raw;
    // SAFETY: The request is valid until its completion was called, and its context unused now.
    let request = unsafe { Request::<'_, A, A::Raw>::from_raw(raw) };
    // SAFETY: That was the request's context.
    let result = unsafe { taken.finish(&request, result) };
    let request = match result {
        Ok(()) => request,
        Err(err) => match A::take_over(request, err) {
            Ok(()) => return,
            Err(request) => request,
        },
    };
    // SAFETY: The request is valid, and about to be given back.
    unsafe { A::Raw::clear(raw.as_ptr()) };
    let errno = request.done(result).into_raw();
    // SAFETY: The request is valid.
    let base = unsafe { A::Raw::base(raw.as_ptr()) };
    // SAFETY: It is under way.
    unsafe { call_completion(base, errno, bh) };
}

/// Wakes the thread that waits for a synchronous request: [`Slot::finish`].
///
/// # Safety
///
/// `slot` must be that of a `Context<A>` of a synchronous algorithm whose request is under way; it
/// must not be used afterwards.
unsafe fn wake<A: Offload>(slot: NonNull<Slot>, result: Result, _bh: &Bh) {
    let context = slot.cast::<Context<A>>().as_ptr();
    // SAFETY: By the safety requirements; the waiter does not look before it is woken.
    unsafe { (*context).outcome = result };
    // SAFETY: By the type invariant the waiter is initialised. The waiter's thread goes on, and the
    // context with it, only when `complete` has let go of it.
    unsafe { (*context).waiter.assume_init_ref() }.complete();
}

/// Tells the consumer that a backlogged request moves on: [`Slot::accept`].
///
/// # Safety
///
/// `slot` must be that of a `Context<A>` whose request is under way.
unsafe fn accept<A: Offload>(slot: NonNull<Slot>, bh: &Bh) {
    if A::SYNCHRONOUS {
        // The consumer was not told that it waits.
        return;
    }
    // SAFETY: By the safety requirements.
    let raw = unsafe { (*slot.cast::<Context<A>>().as_ptr()).raw };
    // SAFETY: As above: the request is valid.
    let base = unsafe { A::Raw::base(raw.as_ptr()) };
    // SAFETY: The request is under way.
    unsafe { call_completion(base, EINPROGRESS.to_errno(), bh) };
}
