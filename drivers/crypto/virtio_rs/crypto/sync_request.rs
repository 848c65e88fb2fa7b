// SPDX-License-Identifier: GPL-2.0

//! Requests of the driver itself, which waits for them: for callers of synchronous functions such as
//! signatures, and for known-answer tests.

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
        Submitted, //
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

/// A [`SyncRequest`] as the crypto API's requests are passed.
pub(crate) type Request<'a, A, const OUTPUT: usize> =
    offload::Request<'a, A, SyncRequest<A, OUTPUT>>;

/// A request of the driver itself, with the memory that the device reads and writes, and a copy of the first
/// `OUTPUT` bytes of the results.
pub(crate) struct SyncRequest<A: Offload, const OUTPUT: usize> {
    base: bindings::crypto_async_request,
    output: [u8; OUTPUT],
    room: CtxStorage<A>,
}

// SAFETY: The `struct crypto_async_request` is a field. The context is a `CtxStorage`, which has its size and
// alignment. There is no transform, and the driver keeps nothing for one.
unsafe impl<A: Offload<Raw = Self, Tfm = ()>, const OUTPUT: usize> RawRequest
    for SyncRequest<A, OUTPUT>
{
    const BASE: usize = offset_of!(Self, base);
    const CONTEXT: usize = offset_of!(Self, room);

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
        let mut call = KBox::<Self>::new_uninit(GFP_KERNEL)?;
        let this = call.as_mut_ptr();
        let base = bindings::crypto_async_request {
            flags: bindings::CRYPTO_TFM_REQ_MAY_SLEEP,
            ..Default::default()
        };
        // Field by field: a request is too large for the stack.
        // SAFETY: `this` is valid for writes.
        unsafe { (&raw mut (*this).base).write(base) };
        // SAFETY: `this` is valid for writes.
        unsafe { (&raw mut (*this).output).write([0; OUTPUT]) };
        // SAFETY: The other fields were just written. A `CtxStorage` needs no initialisation.
        Ok(unsafe { call.assume_init() })
    }

    /// Sends the request, which `describe` builds, to `queue`.
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
        queue: impl FnOnce(
            InFlightRequest<A::Private>,
        ) -> Result<Submitted, (Error, InFlightRequest<A::Private>)>,
    ) -> Result<SentCall<A, OUTPUT>> {
        const {
            assert!(A::SYNCHRONOUS);
        }
        // SAFETY: The call is valid, needs no transform, and has no other user. The call stays in
        // place on the heap until the request is complete: `SentCall` does not release it before.
        let request = unsafe { Request::<'_, A, OUTPUT>::from_raw(NonNull::from(&mut *self)) };
        // SAFETY: A `CtxStorage` has the size of a context.
        let prepared = unsafe { request.build_here(limits, describe) };
        let prepared = prepared.map_err(|(err, _)| err)?;
        let sent = prepared.send(queue).map_err(|(err, _)| err)?;
        Ok(SentCall {
            sent,
            call: ManuallyDrop::new(self),
        })
    }
}

/// A [`SyncRequest`] that a queue has taken. [`wait`](Self::wait) must be called; otherwise the memory is
/// never released.
#[must_use]
pub(crate) struct SentCall<A: Offload<Raw = SyncRequest<A, OUTPUT>, Tfm = ()>, const OUTPUT: usize>
{
    sent: Sent<'static, A, SyncRequest<A, OUTPUT>>,
    /// The device may use it until the request is complete.
    call: ManuallyDrop<KBox<SyncRequest<A, OUTPUT>>>,
}

impl<A: Offload<Raw = SyncRequest<A, OUTPUT>, Tfm = ()>, const OUTPUT: usize> SentCall<A, OUTPUT> {
    /// Waits until the request has returned. `limit`, `on_timeout` and `evaluate` are those of
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
        let call = ManuallyDrop::into_inner(self.call);
        result.map(|()| Output(call))
    }
}

impl<A: Offload<Raw = Self, Tfm = ()>, const OUTPUT: usize> SyncRequest<A, OUTPUT>
where
    Self: RawRequest,
{
    /// Sets the copy of the results. For [`finalize`](Offload::finalize).
    pub(crate) fn keep(request: &Request<'_, A, OUTPUT>, output: &[u8; OUTPUT]) {
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
