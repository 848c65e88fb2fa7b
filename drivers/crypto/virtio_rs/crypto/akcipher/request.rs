// SPDX-License-Identifier: GPL-2.0

//! Requests of public key ciphers: the copy of the input, the device request, and the fallback.

use super::{
    super::{
        area::Limits,
        builder::Builder,
        deferred::DeferredRequest,
        offload,
        offload::{
            align_for_dma,
            RawRequest, //
        },
        request::{
            call_completion,
            InFlightRequest,
            Submitted, //
        },
        DeferredRequests, //
    },
    operand::{
        Operand,
        OperandHeader, //
    },
    Algorithm,
    Direction,
    Raw,
    Request,
    ReturnCode, //
};
use crate::support::{
    bh::BhDisabled,
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
        // SAFETY: A request that a device had was a `LoadedRequest`, whose operand is filled.
        unsafe { Operand::clear(operand(this)) };
    }
}

/// A request whose input was copied to its context.
///
/// # Invariants
///
/// The operand of `request` is filled, and has no other user.
#[must_use]
pub(crate) struct LoadedRequest<'a, A: Algorithm> {
    request: Request<'a, A>,
}

impl<'a, A: Algorithm> Request<'a, A> {
    /// Copies the input to the context, extended with leading zeros to `len` bytes, the length of the
    /// modulus. The result has `size` bytes: leading zeros if that is more, then as many bytes as the
    /// modulus.
    ///
    /// # Errors
    ///
    /// The request comes back with `EINVAL` if the input without leading zeros is longer than `len`, or if
    /// the scatterlist is shorter than the input.
    pub(crate) fn load(
        self,
        direction: Direction,
        len: usize,
        size: usize,
    ) -> Result<LoadedRequest<'a, A>, (Error, Self)> {
        let raw = self.as_raw();
        let header = OperandHeader::new(raw, direction, run_deferred::<A>, len, size);
        let operand = operand(raw);
        // SAFETY: By the type invariant the context, which begins with the operand, is unused. The akcipher
        // API requires that the caller's lists are valid.
        let loaded = header.and_then(|header| unsafe { Operand::load(operand, header) });
        match loaded {
            // INVARIANT: It was just filled.
            Ok(()) => Ok(LoadedRequest { request: self }),
            Err(err) => Err((err, self)),
        }
    }

    /// Moves the result, of which the device has written `written` bytes, to where the caller expects it:
    /// at the end of the destination, with leading zeros. For requests that the device has completed.
    ///
    /// # Errors
    ///
    /// `EINVAL` if that is more than the length of the modulus.
    pub(crate) fn align_result(&self, written: usize) -> Result {
        let mut operand = operand(self.as_raw());
        // SAFETY: A request that a device had was a `LoadedRequest`, whose operand has no other user now.
        unsafe { operand.as_mut() }.align_result(written)
    }

    /// Runs a request that a device has not done on the fallback, in process context. For
    /// [`fall_back`](offload::Offload::fall_back).
    pub(crate) fn defer_to_fallback(self) {
        // INVARIANT: A request that a device had was a `LoadedRequest`.
        LoadedRequest { request: self }.defer();
    }
}

impl<'a, A: Algorithm> LoadedRequest<'a, A> {
    fn raw_operand(&self) -> NonNull<Operand> {
        operand(self.request.as_raw())
    }

    fn operand(&self) -> &Operand {
        // SAFETY: By the type invariant the request has a filled operand.
        unsafe { self.raw_operand().as_ref() }
    }

    fn operand_mut(&mut self) -> &mut Operand {
        // SAFETY: By the type invariant the request has a filled operand.
        unsafe { self.raw_operand().as_mut() }
    }

    /// Returns the transform.
    pub(crate) fn tfm(&self) -> &A::Tfm {
        self.request.tfm()
    }

    /// Returns the input, as long as the modulus.
    pub(crate) fn input(&self) -> &[u8] {
        self.operand().input()
    }

    /// Checks the length of the destination. If it is too short, tells the caller the length that the
    /// result needs.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW` if the destination is shorter than the result.
    pub(crate) fn check_dst_len(&self) -> Result {
        if self.operand().fits_dst() {
            return Ok(());
        }
        self.operand().set_result_len();
        Err(EOVERFLOW)
    }

    /// Answers the request.
    pub(crate) fn done(self, result: Result) -> ReturnCode {
        // SAFETY: By the type invariant the operand is filled. It is not used any more.
        unsafe { Operand::clear(self.raw_operand()) };
        self.request.done(result)
    }

    /// Runs the request on the fallback: at once if the caller allows it to sleep, else in process context.
    pub(crate) fn run_fallback(mut self) -> ReturnCode {
        if !self.request.may_sleep() {
            self.defer();
            return ReturnCode::submitted(Submitted::QUEUED);
        }
        let result = self.crypt_fallback();
        self.done(result)
    }

    fn crypt_fallback(&mut self) -> Result {
        let mut operand = self.raw_operand();
        // SAFETY: By the type invariant the operand is filled, and this has the only reference to it.
        let operand = unsafe { operand.as_mut() };
        A::fallback(self.request.tfm()).crypt(operand.direction(), operand.result_mut())?;
        operand.copy_result()
    }

    /// Runs the request on the fallback in process context, later.
    fn defer(self) {
        let request = Operand::deferred(self.raw_operand());
        // SAFETY: The operand is filled, so `request` is, and runs `run_deferred`. This gives the request
        // up. Its transform, and so the work item, live until it is complete.
        unsafe { DeferredRequests::add(A::deferred(self.request.tfm()), request) };
    }

    /// Builds the device request: the device reads `header`, the key in stateless mode, and the input.
    ///
    /// # Errors
    ///
    /// On error the request is returned, so that the caller can run it on the fallback, with
    /// - `EINVAL` if the input or the key is empty;
    /// - the errors of [`build_here`](super::offload::Request::build_here).
    pub(crate) fn prepare(
        mut self,
        state: A::State,
        header: &[u8],
        key: Option<Arc<Secret>>,
        limits: Limits,
    ) -> Result<Prepared<'a, A>, (Error, Self)> {
        // SAFETY: `build_here` checks that the context, and so the operand, may be mapped before the lists
        // are used. The operand does not change before the request comes back.
        let ranges = match unsafe { self.operand_mut().describe(key) } {
            Ok(ranges) => ranges,
            Err(err) => return Err((err, self)),
        };
        let describe = |builder: &mut Builder<'a, A, Raw>| {
            builder.read(header);
            builder.read_list(ranges.key);
            builder.read_list(ranges.input);
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
        queue: impl FnOnce(
            InFlightRequest<A::Private>,
        ) -> Result<Submitted, (Error, InFlightRequest<A::Private>)>,
    ) -> Result<offload::Sent<'a, A, Raw>, (Error, LoadedRequest<'a, A>)> {
        self.inner
            .send(queue)
            // INVARIANT: No device has had it, and the operand is as it was.
            .map_err(|(err, request)| (err, LoadedRequest { request }))
    }
}

/// Runs a deferred request on the fallback, and completes it.
///
/// Context: process, may sleep.
///
/// # Safety
///
/// `deferred` must be the first field of the operand of a request of `A` that was given to
/// [`DeferredRequests::add`].
unsafe fn run_deferred<A: Algorithm>(deferred: NonNull<DeferredRequest>) {
    // SAFETY: The caller guarantees that it is the first field of a filled operand.
    let raw = unsafe { deferred.cast::<Operand>().as_ref() }.raw();
    // INVARIANT: The operand is filled, and has no other user.
    let mut loaded = LoadedRequest::<A> {
        // SAFETY: The caller guarantees that the request was given up, so it is valid and in flight.
        request: unsafe { Request::from_raw(raw) },
    };
    let result = loaded.crypt_fallback();
    let errno = loaded.done(result).into_raw();
    let bh = BhDisabled::disable();
    // SAFETY: The request is valid and in flight: its caller waits for the completion.
    unsafe { call_completion(Raw::base(raw), errno, &bh) };
}
