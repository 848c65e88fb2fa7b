// SPDX-License-Identifier: GPL-2.0

//! A request that a device works on.

use super::{
    super::{
        area::{
            AnyArea,
            Data, //
        },
        request::{
            call_completion,
            Answer,
            Direction,
            Inflight,
            Slot,
            Submitted, //
        },
        scatterlist, //
    },
    Algorithm,
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
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
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
pub(super) struct Context<A: Algorithm> {
    slot: Slot,
    raw: NonNull<bindings::skcipher_request>,
    outcome: Result,
    waiter: MaybeUninit<Completion>,
    state: A::Request,
    area: A::Area,
}

/// What is left of a context whose request no device has.
struct Taken<S> {
    state: S,
    raw: NonNull<bindings::skcipher_request>,
    outcome: Result,
    untouched: bool,
}

impl<A: Algorithm> Context<A> {
    /// Ends a context: what the device was told is wiped, the rest is returned.
    ///
    /// # Safety
    ///
    /// `context` must be filled, and not be used by anybody else, or any more.
    unsafe fn take(context: NonNull<Self>) -> Taken<A::Request> {
        // SAFETY: By the safety requirements.
        let this = unsafe { &mut *context.as_ptr() };
        this.area.wipe();
        Taken {
            // SAFETY: The context is filled, and not used any more; nothing else in it is dropped.
            state: unsafe { core::ptr::read(&this.state) },
            raw: this.raw,
            outcome: this.outcome,
            untouched: this.slot.untouched,
        }
    }
}

impl<'a, A: Algorithm> Request<'a, A> {
    /// Makes the request ready for a device.
    ///
    /// The device reads `params`, each in a segment of its own, then the first `len` bytes of the
    /// data; it writes as many, then `result_len` bytes. It takes segments of up to `max_segment`
    /// bytes.
    ///
    /// # Errors
    ///
    /// The request comes back, to be done otherwise, with
    /// - `EINVAL`: a scatterlist is shorter than the data, or the data than `len`;
    /// - `E2BIG`: there are too many segments, or too large ones;
    /// - `EFAULT`: the request is in memory that devices cannot reach.
    pub(crate) fn prepare(
        self,
        state: A::Request,
        params: &[&[u8]],
        len: u32,
        result_len: usize,
        max_segment: usize,
    ) -> Result<Prepared<'a, A>, (Error, Self)> {
        // SAFETY: By the type invariant.
        let context = unsafe { helpers::skcipher_request_ctx_dma(self.raw.as_ptr()) };
        // SAFETY: This looks at the pointer only.
        if !unsafe { helpers::is_linear(context) } {
            return Err((EFAULT, self));
        }
        let Some(context) = NonNull::new(context.cast::<Context<A>>()) else {
            return Err((EFAULT, self));
        };
        // SAFETY: By the type invariant.
        let raw = unsafe { self.raw.as_ref() };
        if len != raw.cryptlen {
            // `fill` looks at what the device gets; the rest must be there, too.
            let has = |list| {
                // SAFETY: The framework's contract: the consumer's lists are valid.
                unsafe { scatterlist::has(list, raw.cryptlen) }
            };
            if len > raw.cryptlen || !has(raw.src) || !has(raw.dst) {
                return Err((EINVAL, self));
            }
        }
        let data = Data {
            src: raw.src,
            dst: raw.dst,
            len,
        };

        // INVARIANT: As the type wants it.
        // SAFETY: The context is unused, and `init_callback` made it large enough; it is aligned
        // for `Context<A>`, which `register` has checked.
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
                    // Our own thread waits for the answer: it may wait for room, too.
                    may_backlog: A::SYNCHRONOUS
                        || self.flags() & bindings::CRYPTO_TFM_REQ_MAY_BACKLOG != 0,
                    owes_accept: false,
                    untouched: false,
                },
                raw: self.raw,
                outcome: Ok(()),
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
        // SAFETY: The area is in linear memory and stays there until the request is finished; so
        // do the consumer's scatterlists.
        match unsafe { area.fill(params, &data, result_len, max_segment) } {
            Ok(posted) => {
                // SAFETY: As above.
                let slot = unsafe { &mut (*context.as_ptr()).slot };
                slot.lists = posted.lists;
                slot.segments = posted.segments;
                slot.result = posted.result;
                slot.result_len = posted.result_len;
                Ok(Prepared {
                    context,
                    request: self,
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
/// `context` is filled, and that of `request`; nobody else uses it.
#[must_use]
pub(crate) struct Prepared<'a, A: Algorithm> {
    context: NonNull<Context<A>>,
    request: Request<'a, A>,
}

impl<'a, A: Algorithm> Prepared<'a, A> {
    /// Returns what the driver keeps with the request.
    pub(crate) fn state(&mut self) -> &mut A::Request {
        // SAFETY: By the type invariant.
        unsafe { &mut (*self.context.as_ptr()).state }
    }

    /// Copies the last bytes of the source, as many as `bytes` has room for.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there are not so many.
    pub(crate) fn read_source_tail(&self, bytes: &mut [u8]) -> Result {
        let offset = tail(self.request.len(), bytes.len())?;
        // SAFETY: By the invariant of `Request`.
        let src = unsafe { self.request.raw.as_ref() }.src;
        // SAFETY: `prepare` has found that the source has `len` bytes.
        unsafe { scatterlist::read(src, offset, bytes) };
        Ok(())
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
    ) -> Result<Answer, (Error, Request<'a, A>)> {
        let Self { context, request } = self;
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
        let Taken {
            state,
            outcome,
            untouched,
            ..
        } = unsafe { Context::take(context) };
        let result = A::finish(state, &Finished::new(&request, untouched), outcome);
        Ok(request.done(result))
    }
}

/// A request that has come back from the device.
pub(crate) struct Finished<'a, A: Algorithm> {
    request: &'a Request<'a, A>,
    untouched: bool,
}

impl<'a, A: Algorithm> Finished<'a, A> {
    fn new(request: &'a Request<'a, A>, untouched: bool) -> Self {
        Self { request, untouched }
    }

    /// Returns true if no device has had the request, so that it may still be done otherwise.
    pub(crate) fn is_untouched(&self) -> bool {
        self.untouched
    }

    /// Has the transform's software do the request after all.
    ///
    /// # Errors
    ///
    /// `EIO`: the device has had it. Others as the software answers.
    pub(crate) fn software(&self, direction: Direction) -> Result {
        if !self.untouched {
            return Err(EIO);
        }
        self.request.run_software(direction, 0)
    }

    /// Has the transform's software do what is behind the first `offset` bytes, if there is any.
    /// `iv` is that part's, and the one to continue with afterwards.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the data is shorter than `offset`, or the IV not as long as the algorithm's. Others
    /// as the software answers.
    pub(crate) fn software_rest(&self, direction: Direction, offset: u32, iv: &mut [u8]) -> Result {
        // SAFETY: `prepare` has found that the lists are long enough.
        unsafe { self.request.run_software_rest(direction, offset, iv) }
    }

    /// Copies the last bytes of the destination, as many as `bytes` has room for.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there are not so many.
    pub(crate) fn read_destination_tail(&self, bytes: &mut [u8]) -> Result {
        let offset = tail(self.request.len(), bytes.len())?;
        // SAFETY: By the invariant of `Request`.
        let dst = unsafe { self.request.raw.as_ref() }.dst;
        // SAFETY: `prepare` has found that the destination has `len` bytes.
        unsafe { scatterlist::read(dst, offset, bytes) };
        Ok(())
    }

    /// Writes the IV that the consumer chains the next request with.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm's IV is shorter.
    pub(crate) fn set_iv(&self, iv: &[u8]) -> Result {
        if let Some(to) = self.request.raw_iv(iv.len())? {
            // SAFETY: The IV has that many bytes, in the consumer's memory, and may be written.
            unsafe { to.copy_from_nonoverlapping(iv.as_ptr(), iv.len()) };
        }
        Ok(())
    }
}

fn tail(total: u32, len: usize) -> Result<u32> {
    total.checked_sub(u32::try_from(len)?).ok_or(EINVAL)
}

/// Finishes an asynchronous request: [`Slot::finish`].
///
/// # Safety
///
/// `slot` must be that of a `Context<A>` whose request is under way; both are gone afterwards.
unsafe fn finish<A: Algorithm>(slot: NonNull<Slot>, result: Result, bh: &Bh) {
    // SAFETY: By the safety requirements; nobody else refers to the context.
    let Taken {
        state,
        raw,
        untouched,
        ..
    } = unsafe { Context::<A>::take(slot.cast()) };
    // SAFETY: The request is valid until its completion was called, and its context unused now.
    let request = unsafe { Request::<'_, A>::from_raw(raw) };
    let result = A::finish(state, &Finished::new(&request, untouched), result);
    let errno = request.done(result).into_raw();
    // SAFETY: As above.
    unsafe { call_completion(&raw mut (*raw.as_ptr()).base, errno, bh) };
}

/// Wakes the thread that waits for a synchronous request: [`Slot::finish`].
///
/// # Safety
///
/// `slot` must be that of a `Context<A>` of a synchronous algorithm whose request is under way; it
/// must not be used afterwards.
unsafe fn wake<A: Algorithm>(slot: NonNull<Slot>, result: Result, _bh: &Bh) {
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
unsafe fn accept<A: Algorithm>(slot: NonNull<Slot>, bh: &Bh) {
    if A::SYNCHRONOUS {
        // The consumer was not told that it waits.
        return;
    }
    // SAFETY: By the safety requirements.
    let raw = unsafe { (*slot.cast::<Context<A>>().as_ptr()).raw };
    // SAFETY: The request is under way.
    unsafe { call_completion(&raw mut (*raw.as_ptr()).base, EINPROGRESS.to_errno(), bh) };
}
