// SPDX-License-Identifier: GPL-2.0

//! Requests that the driver itself creates and waits for. They serve synchronous functions of the crypto
//! API, for example signatures, and known-answer tests.

use super::{
    area::Limits,
    builder::Builder,
    offload::{
        self,
        CtxStorage,
        Offload,
        RawRequest,
        Sent, //
    },
    request::{
        InFlightRequest,
        Submission, //
    },
};
use crate::bindings;
use core::{
    mem::{
        offset_of,
        ManuallyDrop, //
    },
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    ffi::c_void,
    prelude::*,
    time::Msecs, //
};

/// A reference to a [`SyncRequest`], like the reference to a request of the crypto API.
pub(crate) type Request<'a, A, const OUTPUT: usize> =
    offload::Request<'a, A, SyncRequest<A, OUTPUT>>;

/// A request of the driver itself. It contains the memory that the device reads and writes, and `OUTPUT`
/// bytes for a copy of the results.
pub(crate) struct SyncRequest<A: Offload, const OUTPUT: usize> {
    base: bindings::crypto_async_request,
    output: [u8; OUTPUT],
    context: CtxStorage<A>,
}

// SAFETY: `BASE` is the offset of the `struct crypto_async_request`. `CONTEXT` is the offset of a
// `CtxStorage`, which has the size and the alignment of a context. `A::Tfm` is `()`, so a dangling pointer
// to it is valid.
unsafe impl<A: Offload<Raw = Self, Tfm = ()>, const OUTPUT: usize> RawRequest
    for SyncRequest<A, OUTPUT>
{
    const BASE: usize = offset_of!(Self, base);
    const CONTEXT: usize = offset_of!(Self, context);

    unsafe fn transform(_this: NonNull<Self>) -> *mut c_void {
        NonNull::<()>::dangling().as_ptr().cast()
    }
}

impl<A: Offload<Raw = Self, Tfm = ()>, const OUTPUT: usize> SyncRequest<A, OUTPUT> {
    /// Creates a request.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(crate) fn new() -> Result<KBox<Self>> {
        let mut request = KBox::<Self>::new_uninit(GFP_KERNEL)?;
        let this = request.as_mut_ptr();
        let base = bindings::crypto_async_request {
            flags: bindings::CRYPTO_TFM_REQ_MAY_SLEEP,
            ..Default::default()
        };
        // Written field by field, because a request is too large for the stack.
        // SAFETY: `this` is valid for writes.
        unsafe { (&raw mut (*this).base).write(base) };
        // SAFETY: `this` is valid for writes.
        unsafe { (&raw mut (*this).output).write([0; OUTPUT]) };
        // SAFETY: The other fields were just written. A `CtxStorage` needs no initialisation.
        Ok(unsafe { request.assume_init() })
    }

    /// Builds the device request with `describe`, and passes it to `queue`.
    ///
    /// Context: as for `queue`.
    ///
    /// # Errors
    ///
    /// - The errors of [`build_here`](offload::Request::build_here);
    /// - the error of `queue` if the queue rejects the request.
    pub(crate) fn send(
        mut self: KBox<Self>,
        limits: Limits,
        describe: impl FnOnce(&mut Builder<'_, A, Self>) -> A::State,
        queue: impl FnOnce(InFlightRequest<A::Private>) -> Submission<A::Private>,
    ) -> Result<SentRequest<A, OUTPUT>> {
        const {
            assert!(A::SYNCHRONOUS);
        }
        // SAFETY: The request is valid, needs no transform, and has no other user. `SentRequest` does not
        // free it before it is complete, so it stays in place on the heap.
        let request = unsafe { Request::<'_, A, OUTPUT>::from_raw(NonNull::from(&mut *self)) };
        // SAFETY: A `CtxStorage` has the size of a context.
        let prepared = unsafe { request.build_here(limits, describe) };
        let prepared = prepared.map_err(|(err, _)| err)?;
        let sent = prepared.send(queue).map_err(|(err, _)| err)?;
        Ok(SentRequest {
            sent,
            request: ManuallyDrop::new(self),
        })
    }
}

/// A [`SyncRequest`] that a queue has taken. If [`wait`](Self::wait) is not called, the memory of the
/// request is never freed, because the device may still use it.
#[must_use]
pub(crate) struct SentRequest<
    A: Offload<Raw = SyncRequest<A, OUTPUT>, Tfm = ()>,
    const OUTPUT: usize,
> {
    sent: Sent<'static, A, SyncRequest<A, OUTPUT>>,
    /// The device may use this memory until the request is complete.
    request: ManuallyDrop<KBox<SyncRequest<A, OUTPUT>>>,
}

impl<A: Offload<Raw = SyncRequest<A, OUTPUT>, Tfm = ()>, const OUTPUT: usize>
    SentRequest<A, OUTPUT>
{
    /// Waits until the request is complete. `limit`, `on_timeout` and `evaluate` are passed to
    /// [`Sent::into_return_code`].
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Offload::finalize`].
    pub(crate) fn wait(
        self,
        limit: Msecs,
        on_timeout: impl Fn(),
        evaluate: impl FnOnce(Result) -> Result,
    ) -> Result<Output<A, OUTPUT>> {
        let result = to_result(
            self.sent
                .into_return_code(limit, on_timeout, evaluate)
                .into_raw(),
        );
        let request = ManuallyDrop::into_inner(self.request);
        result.map(|()| Output(request))
    }
}

impl<A: Offload<Raw = Self, Tfm = ()>, const OUTPUT: usize> SyncRequest<A, OUTPUT>
where
    Self: RawRequest,
{
    /// Sets the copy of the results. [`finalize`](Offload::finalize) calls this function.
    pub(crate) fn set_output(request: &Request<'_, A, OUTPUT>, output: &[u8; OUTPUT]) {
        // SAFETY: By the type invariant the request is valid. There is no reference to its output.
        unsafe { (*request.as_raw().as_ptr()).output = *output };
    }
}

/// A complete [`SyncRequest`], with the copy of the results.
pub(crate) struct Output<A: Offload<Raw = SyncRequest<A, OUTPUT>, Tfm = ()>, const OUTPUT: usize>(
    KBox<SyncRequest<A, OUTPUT>>,
);

impl<A: Offload<Raw = SyncRequest<A, OUTPUT>, Tfm = ()>, const OUTPUT: usize> AsRef<[u8; OUTPUT]>
    for Output<A, OUTPUT>
{
    fn as_ref(&self) -> &[u8; OUTPUT] {
        &self.0.output
    }
}
