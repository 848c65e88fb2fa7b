// SPDX-License-Identifier: GPL-2.0

//! Requests of any type that a device may do: what they have in common.

mod context;
mod pool;
mod witness;

use super::{
    area::AnyArea,
    request::Answer, //
};
use crate::{
    bindings,
    bindings::helpers, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    ffi::c_void,
    prelude::*, //
};

pub(super) use self::context::Room;
pub(crate) use self::{
    context::Prepared,
    pool::Pool, //
};

/// A C type of request, `struct skcipher_request` for example.
///
/// # Safety
///
/// `base` must return the `struct crypto_async_request` embedded in the request, `context` its
/// context, aligned for `CRYPTO_DMA_ALIGN`, of the size that its transform asked for, and
/// `transform` what the driver keeps for that transform.
pub(crate) unsafe trait RawRequest: Sized {
    /// Returns the part that all types have.
    ///
    /// # Safety
    ///
    /// `this` must be valid.
    unsafe fn base(this: *mut Self) -> *mut bindings::crypto_async_request;

    /// Returns the request's context.
    ///
    /// # Safety
    ///
    /// `this` must be valid.
    unsafe fn context(this: *mut Self) -> *mut c_void;

    /// Returns the driver's part of the request's transform.
    ///
    /// # Safety
    ///
    /// `this` must be valid.
    unsafe fn transform(this: *mut Self) -> *mut c_void {
        // SAFETY: By the safety requirements.
        let base = unsafe { Self::base(this) };
        // SAFETY: As above, and of what is embedded in it.
        unsafe { helpers::crypto_tfm_ctx((*base).tfm) }
    }

    /// A request that a device had is about to be given back to its consumer: does away with what
    /// the type keeps besides the context.
    ///
    /// Context: any; may not sleep.
    ///
    /// # Safety
    ///
    /// `this` must be valid and under way; it is called once.
    unsafe fn clear(_this: *mut Self) {}
}

/// An algorithm whose requests a device may do.
pub(crate) trait Offload: Sized + Send + Sync + 'static {
    /// The framework's type of request.
    type Raw: RawRequest;

    /// A transform: what lies in `crypto_tfm_ctx()`. It is dropped where sleeping is not allowed.
    type Tfm: Send + Sync;

    /// What the driver keeps with a request that a device has.
    type State: Send;

    /// The memory of such a request that the device uses.
    type Area: AnyArea;

    /// Whether requests are answered before the call returns. The algorithm may then be used by
    /// those who do not take asynchronous ones; it may sleep for the device where the consumer
    /// allows it.
    const SYNCHRONOUS: bool;

    /// A request has come back: does what is left to be done, and has the last word on the result.
    ///
    /// Context: bottom half, or process where the algorithm is synchronous; may not sleep.
    fn finish(
        state: Self::State,
        request: &Request<'_, Self, Self::Raw>,
        outcome: &Outcome<'_>,
    ) -> Result;

    /// Takes over a request that [`finish`](Self::finish) has an error for, to have it done
    /// otherwise; or gives it back, which is the rule, and its consumer gets the error.
    ///
    /// Context: bottom half; may not sleep. Requests of synchronous algorithms do not get here.
    fn take_over<'a>(
        request: Request<'a, Self, Self::Raw>,
        _error: Error,
    ) -> Result<(), Request<'a, Self, Self::Raw>> {
        Err(request)
    }
}

/// Returns the flags of an algorithm (`CRYPTO_ALG_*`).
pub(super) const fn flags<A: Offload>() -> u32 {
    bindings::CRYPTO_ALG_NEED_FALLBACK
        | if A::SYNCHRONOUS {
            0
        } else {
            bindings::CRYPTO_ALG_ASYNC | bindings::CRYPTO_ALG_KERN_DRIVER_ONLY
        }
}

/// Returns how much context a transform needs, in bytes.
pub(super) const fn transform_size<A: Offload>() -> u32 {
    const {
        assert!(align_of::<A::Tfm>() <= bindings::VC_CRYPTO_MINALIGN as usize);
        assert!(size_of::<A::Tfm>() <= u32::MAX as usize);
    }
    size_of::<A::Tfm>() as u32
}

/// Returns how much context a request needs, in bytes, where software needs `software` bytes to do
/// it.
pub(super) fn context_size<A: Offload>(software: u32) -> u32 {
    let own = const {
        assert!(context::size::<A>() <= u32::MAX as usize);
        context::size::<A>() as u32
    };
    own.max(software)
}

/// What has become of a request that was sent, or was to be.
pub(crate) struct Outcome<'a> {
    result: Result,
    intact: bool,
    used: u32,
    results: &'a [u8],
}

impl Outcome<'_> {
    /// Returns true if what the request's source says is what it said before it was sent, so that
    /// it can still be done otherwise. Of one that the device has done, in place, that is not told.
    pub(crate) fn is_intact(&self) -> bool {
        self.intact
    }

    /// Returns what the device says of it.
    ///
    /// # Errors
    ///
    /// `ENODEV`: no device has had it. `EIO`: a device that had it was reset. Others are the
    /// device's own.
    pub(crate) fn result(&self) -> Result {
        self.result
    }

    /// Returns how many bytes the device says it has written, data and results; 0 if it is not
    /// known. It is the device's word, and devices count differently.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Returns the first `len` bytes of the results that it wrote besides the data.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there are not so many.
    pub(crate) fn results(&self, len: usize) -> Result<&[u8]> {
        self.results.get(..len).ok_or(EINVAL)
    }
}

/// A request that the framework has handed in, not answered yet.
///
/// # Invariants
///
/// `raw` is a valid request of an initialised transform of `A`, whose context is unused.
#[must_use]
pub(crate) struct Request<'a, A: Offload<Raw = R>, R: RawRequest> {
    raw: NonNull<R>,
    _algorithm: PhantomData<&'a A>,
}

impl<'a, A: Offload<Raw = R>, R: RawRequest> Request<'a, A, R> {
    /// Takes a request for what it is.
    ///
    /// # Safety
    ///
    /// `raw` must be a valid request of an initialised transform of `A`, not answered yet, and its
    /// context unused.
    pub(super) unsafe fn from_raw(raw: NonNull<R>) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _algorithm: PhantomData,
        }
    }

    /// Returns the request.
    pub(super) fn as_raw(&self) -> NonNull<R> {
        self.raw
    }

    /// Returns the transform.
    pub(crate) fn tfm(&self) -> &A::Tfm {
        // SAFETY: By the type invariant.
        let tfm = unsafe { R::transform(self.raw.as_ptr()) }.cast::<A::Tfm>();
        // SAFETY: By the type invariant the transform is initialised; it outlives its requests.
        unsafe { &*tfm }
    }

    /// Returns true if the consumer allows the call to sleep.
    pub(crate) fn may_sleep(&self) -> bool {
        self.flags() & bindings::CRYPTO_TFM_REQ_MAY_SLEEP != 0
    }

    /// Returns the consumer's flags (`CRYPTO_TFM_REQ_*`).
    pub(super) fn flags(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { (*R::base(self.raw.as_ptr())).flags }
    }

    /// Answers it.
    pub(crate) fn done(self, result: Result) -> Answer {
        Answer::done(result)
    }
}
