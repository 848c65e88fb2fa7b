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
            Submission,
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
    // SAFETY: The context is a part of the request, whose address is not null.
    unsafe { NonNull::new_unchecked(context) }.cast()
}

// SAFETY: `BASE` is the offset of the `struct crypto_async_request`. `context` returns the memory after
// the operand. `set_up` has added the size of the operand, and an `Operand` is aligned for DMA.
unsafe impl RawRequest for Raw {
    const BASE: usize = offset_of!(Raw, base);
    const CONTEXT: usize = offset_of!(Raw, __ctx);

    fn context(this: NonNull<Self>) -> *mut c_void {
        operand(this).as_ptr().wrapping_add(1).cast()
    }

    unsafe fn clear(this: NonNull<Self>) {
        // SAFETY: A request that was posted was a `LoadedRequest`, whose operand is loaded.
        unsafe { Operand::clear(operand(this)) };
    }
}

/// A request whose input was copied to its context.
///
/// # Invariants
///
/// The operand of `request` is loaded, and has no other user.
#[must_use]
pub(crate) struct LoadedRequest<'a, A: Algorithm> {
    request: Request<'a, A>,
}

impl<'a, A: Algorithm> Request<'a, A> {
    /// Copies the input to the context, extended with leading zeros to `modulus_len` bytes. If
    /// `result_len` is above `modulus_len`, the result has leading zeros, too.
    ///
    /// # Errors
    ///
    /// On error the request is returned, with `EINVAL` if
    /// - the input without leading zeros is longer than `modulus_len`;
    /// - the scatterlist is shorter than the input;
    /// - `result_len` is above [`MAX_LEN`](super::MAX_LEN), or `modulus_len` above `result_len`.
    pub(crate) fn load(
        self,
        direction: Direction,
        modulus_len: usize,
        result_len: usize,
    ) -> Result<LoadedRequest<'a, A>, (Error, Self)> {
        let raw = self.as_raw();
        let header = OperandHeader::new(raw, direction, run_deferred::<A>, modulus_len, result_len);
        let operand = operand(raw);
        // SAFETY: By the type invariant the context, which begins with the operand, is unused. The akcipher
        // API requires that the caller's lists are valid.
        let loaded = header.and_then(|header| unsafe { Operand::load(operand, header) });
        match loaded {
            // INVARIANT: The operand was just loaded.
            Ok(()) => Ok(LoadedRequest { request: self }),
            Err(err) => Err((err, self)),
        }
    }

    /// Moves the device's result of `written` bytes to the end of the destination, and writes leading
    /// zeros before it. The device must have completed the request.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `written` is above the length of the modulus.
    pub(crate) fn align_result(&self, written: usize) -> Result {
        let mut operand = operand(self.as_raw());
        // SAFETY: A request that was posted was a `LoadedRequest`. Its operand has no other user now.
        unsafe { operand.as_mut() }.align_result(written)
    }

    /// Runs the request on the fallback, later and in process context.
    /// [`Offload::fall_back`](offload::Offload::fall_back) calls this for a request that the device did
    /// not complete.
    pub(crate) fn defer_to_fallback(self) {
        // INVARIANT: A request that was posted was a `LoadedRequest`, whose operand is still loaded.
        LoadedRequest { request: self }.defer();
    }
}

impl<'a, A: Algorithm> LoadedRequest<'a, A> {
    fn raw_operand(&self) -> NonNull<Operand> {
        operand(self.request.as_raw())
    }

    fn operand(&self) -> &Operand {
        // SAFETY: By the type invariant the request has a loaded operand.
        unsafe { self.raw_operand().as_ref() }
    }

    fn operand_mut(&mut self) -> &mut Operand {
        // SAFETY: By the type invariant the request has a loaded operand.
        unsafe { self.raw_operand().as_mut() }
    }

    /// Returns the transform.
    pub(crate) fn tfm(&self) -> &A::Tfm {
        self.request.tfm()
    }

    /// Returns the input, extended to the length of the modulus.
    pub(crate) fn input(&self) -> &[u8] {
        self.operand().input()
    }

    /// Checks the length of the destination. If it is too short, sets the caller's `dst_len` to the
    /// length of the result.
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

    /// Completes the request with `result`.
    pub(crate) fn done(self, result: Result) -> ReturnCode {
        // SAFETY: By the type invariant the operand is loaded. It is not used any more.
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
        // SAFETY: By the type invariant the operand is loaded, and has no other user.
        let operand = unsafe { operand.as_mut() };
        A::fallback(self.request.tfm()).crypt(operand.direction(), operand.result_mut())?;
        operand.copy_result()
    }

    /// Runs the request on the fallback, later and in process context.
    fn defer(self) {
        let request = Operand::deferred(self.raw_operand());
        // SAFETY: The operand is loaded, so `request` is initialised, and calls `run_deferred`. Nothing
        // here uses the request afterwards. The transform owns the work item, and lives until the request
        // is complete.
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
        // SAFETY: `build_here` checks that the context, which contains the operand, may be mapped before
        // it uses the ranges. The operand does not change before the device returns the request.
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
            // INVARIANT: `build_here` has not changed the operand.
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
    /// Passes the request to `queue`, as [`Prepared::send`](offload::Prepared::send) does.
    ///
    /// # Errors
    ///
    /// Returns the error and the request if `queue` returns them.
    pub(crate) fn send(
        self,
        queue: impl FnOnce(InFlightRequest<A::Private>) -> Submission<A::Private>,
    ) -> Result<offload::Sent<'a, A, Raw>, (Error, LoadedRequest<'a, A>)> {
        self.inner
            .send(queue)
            // INVARIANT: The request was not posted, and its operand is unchanged.
            .map_err(|(err, request)| (err, LoadedRequest { request }))
    }
}

/// Runs a deferred request on the fallback, and completes it.
///
/// Context: process, may sleep.
///
/// # Safety
///
/// `deferred` must be the first field of the operand of a request of `A`, and must have been passed to
/// [`DeferredRequests::add`].
unsafe fn run_deferred<A: Algorithm>(deferred: NonNull<DeferredRequest>) {
    // SAFETY: The caller guarantees that `deferred` is the first field of a loaded operand.
    let raw = unsafe { deferred.cast::<Operand>().as_ref() }.raw();
    // INVARIANT: The operand is loaded, and has no other user.
    let mut loaded = LoadedRequest::<A> {
        // SAFETY: The caller guarantees that the request was passed to `DeferredRequests::add`. It is
        // therefore valid, not complete, and used by nothing else.
        request: unsafe { Request::from_raw(raw) },
    };
    let result = loaded.crypt_fallback();
    let errno = loaded.done(result).into_raw();
    let bh = BhDisabled::disable();
    // SAFETY: The request is valid. Its caller waits for the completion, which was not called yet.
    unsafe { call_completion(Raw::base(raw), errno, &bh) };
}
