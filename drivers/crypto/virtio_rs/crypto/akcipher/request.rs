// SPDX-License-Identifier: GPL-2.0

//! A request, the number it is about, and who does it.

use super::{
    super::{
        area::Limits,
        builder::Builder,
        later::Waiting,
        offload,
        offload::{
            align_for_dma,
            RawRequest, //
        },
        request::{
            call_completion,
            Inflight,
            Submitted, //
        },
        Later, //
    },
    operand::{
        About,
        Operand, //
    },
    Algorithm,
    Answer,
    Direction,
    Raw,
    Request, //
};
use crate::support::{
    bh::Bh,
    secret::Secret, //
};
use core::{
    mem::offset_of,
    ptr::NonNull, //
};
use kernel::{
    ffi::c_void,
    prelude::*,
    sync::Arc, //
};

/// Returns the address of a request's operand.
fn operand(raw: NonNull<Raw>) -> NonNull<Operand> {
    let context = align_for_dma(raw.as_ptr().wrapping_byte_add(Raw::CONTEXT).cast());
    // SAFETY: It is a part of the request, whose address is not null.
    unsafe { NonNull::new_unchecked(context) }.cast()
}

// SAFETY: The `struct crypto_async_request` is a field. The context that a device request is built in
// follows the operand: `set_up` has asked for as much more, and `Operand` has the alignment.
unsafe impl RawRequest for Raw {
    const BASE: usize = offset_of!(Raw, base);
    const CONTEXT: usize = offset_of!(Raw, __ctx);

    fn context(this: NonNull<Self>) -> *mut c_void {
        operand(this).as_ptr().wrapping_add(1).cast()
    }

    unsafe fn clear(this: NonNull<Self>) {
        // SAFETY: A request that a device had was a `Loaded`, whose operand is filled.
        unsafe { Operand::clear(operand(this)) };
    }
}

/// A request with its operand in its context.
///
/// # Invariants
///
/// The operand of `request` is filled, and is used by nobody else.
#[must_use]
pub(crate) struct Loaded<'a, A: Algorithm> {
    request: Request<'a, A>,
}

impl<'a, A: Algorithm> Request<'a, A> {
    /// Copies the source into the context: the number that it is, of `len` bytes, with zeros in
    /// front. The result is to have `size` bytes, some more of them 0 if that is more.
    ///
    /// # Errors
    ///
    /// The request comes back with `EINVAL`: the number has more bytes, or the source is shorter than
    /// it is said to be.
    pub(crate) fn load(
        self,
        direction: Direction,
        len: usize,
        size: usize,
    ) -> Result<Loaded<'a, A>, (Error, Self)> {
        let raw = self.as_raw();
        let about = About::new(raw, direction, do_later::<A>, len, size);
        let operand = operand(raw);
        // SAFETY: By the type invariant the context, which begins with the operand, is unused. The
        // framework's contract: the consumer's lists are valid.
        let loaded = about.and_then(|about| unsafe { Operand::load(operand, about) });
        match loaded {
            // INVARIANT: It was just filled.
            Ok(()) => Ok(Loaded { request: self }),
            Err(err) => Err((err, self)),
        }
    }

    /// Takes the first `written` bytes of what a device has written for the result, and moves them
    /// to where the consumer expects them. For requests that a device has done.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there cannot be so many.
    pub(crate) fn place_result(&self, written: usize) -> Result {
        let mut operand = operand(self.as_raw());
        // SAFETY: A request that a device had was a `Loaded`, whose operand nobody uses now.
        unsafe { operand.as_mut() }.place(written)
    }

    /// Runs a request that a device has not done on the fallback, in process context. For
    /// [`fall_back`](offload::Offload::fall_back).
    pub(crate) fn defer_to_fallback(self) {
        // INVARIANT: As a device has had it, it was a `Loaded`.
        Loaded { request: self }.wait();
    }
}

impl<'a, A: Algorithm> Loaded<'a, A> {
    fn raw_operand(&self) -> NonNull<Operand> {
        operand(self.request.as_raw())
    }

    fn operand(&self) -> &Operand {
        // SAFETY: By the type invariant.
        unsafe { self.raw_operand().as_ref() }
    }

    fn operand_mut(&mut self) -> &mut Operand {
        // SAFETY: By the type invariant.
        unsafe { self.raw_operand().as_mut() }
    }

    /// Returns the transform.
    pub(crate) fn tfm(&self) -> &A::Tfm {
        self.request.tfm()
    }

    /// Returns the number.
    pub(crate) fn number(&self) -> &[u8] {
        self.operand().number()
    }

    /// Makes sure that the consumer has room for the result.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW`: it has not; it is told how much that takes.
    pub(crate) fn check_room(&self) -> Result {
        if self.operand().has_room() {
            return Ok(());
        }
        self.operand().set_result_len();
        Err(EOVERFLOW)
    }

    /// Answers the request.
    pub(crate) fn done(self, result: Result) -> Answer {
        // SAFETY: By the type invariant, which ends here.
        unsafe { Operand::clear(self.raw_operand()) };
        self.request.done(result)
    }

    /// Runs the request on the fallback: at once if the caller allows it to sleep, else in process context.
    pub(crate) fn run_fallback(mut self) -> Answer {
        if !self.request.may_sleep() {
            self.wait();
            return Answer::submitted(Submitted::QUEUED);
        }
        let result = self.crypt_fallback();
        self.done(result)
    }

    fn crypt_fallback(&mut self) -> Result {
        let mut operand = self.raw_operand();
        // SAFETY: By the type invariant the operand is filled, and this has the only reference to it.
        let operand = unsafe { operand.as_mut() };
        A::fallback(self.request.tfm()).crypt(operand.direction(), operand.result_mut())?;
        operand.deliver()
    }

    /// Has it done in process context.
    fn wait(self) {
        let waiting = Operand::waiting(self.raw_operand());
        let later = A::later(self.request.tfm());
        // SAFETY: The operand is filled, so that `waiting` is, and runs `do_later`; the request is
        // given up here. Its transform, and so `later`, lives until it is done.
        unsafe { Later::add(later, waiting) };
    }

    /// Makes the request ready for a device, which reads `header`, a key if there is one, and the
    /// number.
    ///
    /// # Errors
    ///
    /// The request comes back, to be run on the fallback, with
    /// - `EFAULT`: it is in memory that devices cannot reach;
    /// - `EINVAL`, `E2BIG`: as [`build_here`](super::offload::Request::build_here) has them, or the number or the key is empty.
    pub(crate) fn prepare(
        mut self,
        state: A::State,
        header: &[u8],
        key: Option<Arc<Secret>>,
        limits: Limits,
    ) -> Result<Prepared<'a, A>, (Error, Self)> {
        // SAFETY: `build_here` makes sure that the context, the operand in it, may be mapped, before the
        // lists are used. The operand does not change before the request comes back.
        let ranges = match unsafe { self.operand_mut().describe(key) } {
            Ok(ranges) => ranges,
            Err(err) => return Err((err, self)),
        };
        let describe = |builder: &mut Builder<'a, A, Raw>| {
            builder.read(header);
            builder.read_list(ranges.key);
            builder.read_list(ranges.number);
            builder.write_destination(ranges.destination);
            state
        };
        // SAFETY: `set_up` has set the size of the context.
        match unsafe { self.request.build_here(limits, describe) } {
            Ok(inner) => Ok(Prepared { inner }),
            // INVARIANT: The operand is as it was.
            Err((err, request)) => Err((err, Self { request })),
        }
    }
}

/// A request that is ready for a device.
#[must_use]
pub(crate) struct Prepared<'a, A: Algorithm> {
    inner: offload::Prepared<'a, A, Raw>,
}

impl<'a, A: Algorithm> Prepared<'a, A> {
    /// Hands the request to `queue`, as [`Prepared::send`](offload::Prepared::send) does.
    ///
    /// # Errors
    ///
    /// The request comes back if `queue` gives it back, with the same error.
    pub(crate) fn send(
        self,
        queue: impl FnOnce(Inflight<A::Private>) -> Result<Submitted, (Error, Inflight<A::Private>)>,
    ) -> Result<offload::Sent<'a, A, Raw>, (Error, Loaded<'a, A>)> {
        self.inner
            .send(queue)
            // INVARIANT: No device has had it, and the operand is as it was.
            .map_err(|(err, request)| (err, Loaded { request }))
    }
}

/// Does a request that has waited, and gives it back.
///
/// Context: process, may sleep.
///
/// # Safety
///
/// `waiting` must begin the operand of a request of `A` that was given up to [`Later`].
unsafe fn do_later<A: Algorithm>(waiting: NonNull<Waiting>) {
    // SAFETY: By the safety requirements.
    let raw = unsafe { waiting.cast::<Operand>().as_ref() }.raw();
    // INVARIANT: The operand is filled, and nobody else uses it.
    let mut loaded = Loaded::<A> {
        // SAFETY: By the safety requirements the request is valid; no device has it.
        request: unsafe { Request::from_raw(raw) },
    };
    let result = loaded.crypt_fallback();
    let errno = loaded.done(result).into_raw();
    let bh = Bh::disable();
    // SAFETY: The request is valid and in flight: its caller waits for the completion.
    unsafe { call_completion(Raw::base(raw), errno, &bh) };
}
