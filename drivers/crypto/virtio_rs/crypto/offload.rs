// SPDX-License-Identifier: GPL-2.0

//! Requests that a device may perform: the parts that are common to all types of algorithms.

mod context;
mod pool;

use super::{
    adapter::{
        tfm_ctx,
        RawTransform, //
    },
    area::AnyArea,
    request::ReturnCode,
    rescue::Rescue, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    ffi::c_void,
    prelude::*, //
};

pub(super) use self::context::{
    CtxStorage,
    RequestCtx, //
};
pub(crate) use self::{
    context::{
        Prepared,
        Sent, //
    },
    pool::{
        Borrowed,
        Pool, //
    },
};

/// A C type of request, `struct skcipher_request` for example.
///
/// # Safety
///
/// - `BASE` must be the offset of the `struct crypto_async_request` embedded in the type.
/// - `context` must return an address in the request's context, aligned for `CRYPTO_DMA_ALIGN`, that has
///   the size which [`context_size`] has returned for the transform.
/// - `transform` must return the address of the driver's data of the request's transform.
pub(crate) unsafe trait RawRequest: Sized {
    /// The offset of the `struct crypto_async_request`, in bytes.
    const BASE: usize;

    /// The offset of the request's context, in bytes, before it is aligned.
    const CONTEXT: usize;

    /// Returns the address of the `struct crypto_async_request` of a request.
    fn base(this: NonNull<Self>) -> *mut bindings::crypto_async_request {
        this.as_ptr().wrapping_byte_add(Self::BASE).cast()
    }

    /// Returns the address of the request's context that a device request is built in.
    #[inline]
    fn context(this: NonNull<Self>) -> *mut c_void {
        align_for_dma(this.as_ptr().wrapping_byte_add(Self::CONTEXT).cast())
    }

    /// Returns the address of the driver's data of the request's transform.
    ///
    /// # Safety
    ///
    /// `this` must be valid.
    unsafe fn transform(this: NonNull<Self>) -> *mut c_void {
        // SAFETY: The caller guarantees that the request is valid.
        tfm_ctx(unsafe { (*Self::base(this)).tfm })
    }

    /// Called before a request is completed that a device had. Clears data of the type outside the device
    /// request.
    ///
    /// Context: any; may not sleep.
    ///
    /// # Safety
    ///
    /// `this` must be valid and in flight; it is called once.
    unsafe fn clear(_this: NonNull<Self>) {}
}

/// Aligns the context of a request for DMA, as `skcipher_request_ctx_dma()` does.
pub(super) fn align_for_dma(context: *mut c_void) -> *mut c_void {
    const ALIGN: usize = if bindings::VC_CRYPTO_DMA_ALIGN <= bindings::VC_CRYPTO_MINALIGN {
        // The crypto API aligns every context to `MINALIGN`.
        1
    } else {
        bindings::VC_CRYPTO_DMA_ALIGN as usize
    };
    let address = context.addr();
    context.wrapping_byte_add(address.next_multiple_of(ALIGN) - address)
}

/// The number of bytes of a request context that the alignment for DMA may take.
pub(super) const DMA_PADDING: u32 = bindings::VC_CRYPTO_DMA_PADDING;

/// An algorithm whose requests a device may perform.
pub(crate) trait Offload: Sized + Send + Sync + 'static {
    /// The C type of requests.
    type Raw: RawRequest;

    /// The driver's data of a transform, in `crypto_tfm_ctx()`. It may be dropped in a softirq, so `drop`
    /// must not sleep.
    type Tfm: Send + Sync;

    /// The driver's data of a request in flight.
    type State: Send;

    /// The queue's data of a request in flight.
    type Private: Default + Send + 'static;

    /// The memory of a request in flight that the device uses.
    type Area: AnyArea;

    /// True if a request is complete when the call returns, so that users that exclude asynchronous
    /// algorithms can use the algorithm. The call sleeps until the device has returned the request, if the
    /// caller allows that.
    const SYNCHRONOUS: bool;

    /// Evaluates a request that the device has returned: copies the results, and decides how the request
    /// is completed.
    ///
    /// Context: bottom half, or process where the algorithm is synchronous; may not sleep.
    fn finalize(
        state: &Self::State,
        request: &Request<'_, Self, Self::Raw>,
        outcome: &DeviceResult<'_>,
    ) -> Finish;

    /// Runs a request on the fallback after [`Finish::Fallback`], and returns the result. Returns `None` if
    /// it has taken the request over to complete it later; a synchronous request cannot be taken over.
    ///
    /// Context: bottom half, or process where the algorithm is synchronous; may not sleep.
    fn fall_back(state: Self::State, request: Request<'_, Self, Self::Raw>) -> Option<Result>;
}

/// How a request that the device has returned is completed.
pub(crate) enum Finish {
    /// With this result.
    Done(Result),
    /// With the result of the fallback.
    Fallback,
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

/// Returns the size of a transform's context, in bytes.
pub(super) const fn transform_size<A: Offload>() -> u32 {
    const {
        assert!(align_of::<A::Tfm>() <= bindings::VC_CRYPTO_MINALIGN as usize);
        assert!(size_of::<A::Tfm>() <= u32::MAX as usize);
    }
    size_of::<A::Tfm>() as u32
}

/// Returns the size of the request context that [`RawRequest::context`] returns, in bytes. The fallback
/// needs `fallback` bytes.
pub(super) fn context_size<A: Offload>(fallback: u32) -> u32 {
    let own = const {
        assert!(context::size::<A>() <= u32::MAX as usize);
        context::size::<A>() as u32
    };
    own.max(fallback)
}

/// The result of a request that the device has returned.
///
/// # Invariants
///
/// `results` is the memory for results, to which the device has no access any more.
pub(crate) struct DeviceResult<'a> {
    result: Result,
    /// `None` if the device never had the request.
    rescue: Option<&'a Rescue>,
    used: u32,
    results: NonNull<[u8]>,
}

impl DeviceResult<'_> {
    /// Returns true if the source is as it was before the request was sent, so that the request can
    /// be repeated. Returns false for an in-place request that the device has done, and for one that
    /// the device may have begun and whose source is longer than [`Limits::rescue_in_place`].
    ///
    /// [`Limits::rescue_in_place`]: super::Limits::rescue_in_place
    #[inline(always)]
    pub(crate) fn is_intact(&self) -> bool {
        self.rescue
            .is_none_or(|rescue| rescue.is_intact(self.result))
    }

    /// Returns the status of the request.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if no device had the request;
    /// - `EIO` if the device was reset while it had the request;
    /// - `ESTALE` if the device may have used another key;
    /// - others for the status codes of the device.
    pub(crate) fn result(&self) -> Result {
        self.result
    }

    /// Returns the number of bytes that the device claims to have written, data and results; 0 if it is
    /// not known. The number may be wrong, and devices count differently.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Copies bytes of the results that the device has written besides the data, from byte `offset` on.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the results have fewer than `offset + to.len()` bytes.
    #[inline(always)]
    pub(crate) fn copy_results(&self, offset: usize, to: &mut [u8]) -> Result {
        // SAFETY: A reference is valid for writes, and there is none to the request context.
        unsafe { self.copy_results_to(offset, to.as_mut_ptr(), to.len()) }
    }

    /// Copies `len` bytes of the results, as [`copy_results`](Self::copy_results) does.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the results have fewer than `offset + len` bytes.
    ///
    /// # Safety
    ///
    /// `to` must be valid for writes of `len` bytes, and not overlap the request context.
    #[inline(always)]
    pub(super) unsafe fn copy_results_to(&self, offset: usize, to: *mut u8, len: usize) -> Result {
        let end = offset.checked_add(len).ok_or(EINVAL)?;
        if end > self.results.len() {
            return Err(EINVAL);
        }
        let from = self.results.cast::<u8>().as_ptr();
        // SAFETY: By the type invariant the results are memory of that length, as was just checked. The
        // caller guarantees that `to` is valid. There is no reference to the results: a faulty device may
        // still write to them.
        unsafe { to.copy_from_nonoverlapping(from.add(offset), len) };
        Ok(())
    }
}

/// A request of the crypto API that is not complete.
///
/// # Invariants
///
/// `raw` is a valid request of an initialised transform of `A`. Its context is unused. The context may be
/// in use while there are only shared references to this, which do not use the context.
#[must_use]
pub(crate) struct Request<'a, A: Offload<Raw = R>, R: RawRequest> {
    raw: NonNull<R>,
    _algorithm: PhantomData<&'a A>,
}

impl<'a, A: Offload<Raw = R>, R: RawRequest> Request<'a, A, R> {
    /// Creates a request.
    ///
    /// # Safety
    ///
    /// `raw` must be a valid request of an initialised transform of `A` that is not complete. Its context
    /// must be unused, except while there are only shared references to the result.
    pub(super) unsafe fn from_raw(raw: NonNull<R>) -> Self {
        // INVARIANT: The caller guarantees that the request is valid and its context unused.
        Self {
            raw,
            _algorithm: PhantomData,
        }
    }

    /// Returns the request.
    pub(super) fn as_raw(&self) -> NonNull<R> {
        self.raw
    }

    /// Returns the fields of the C structure.
    pub(super) fn fields(&self) -> &R {
        // SAFETY: By the type invariant the request is valid. The device and this driver write to its
        // context alone, which is no field.
        unsafe { self.raw.as_ref() }
    }

    /// Returns the transform, for requests of a type of transform `T`.
    pub(super) fn raw_tfm<T: RawTransform>(&self) -> *mut T {
        // SAFETY: By the type invariant the request is valid.
        T::of_base(unsafe { (*R::base(self.raw)).tfm })
    }

    /// Returns the transform.
    pub(crate) fn tfm(&self) -> &A::Tfm {
        // SAFETY: By the type invariant the request is valid, and its transform is initialised. A transform
        // outlives its requests.
        unsafe { &*R::transform(self.raw).cast::<A::Tfm>() }
    }

    /// Returns true if the caller allows the request to sleep.
    pub(crate) fn may_sleep(&self) -> bool {
        self.flags() & bindings::CRYPTO_TFM_REQ_MAY_SLEEP != 0
    }

    /// Returns the caller's flags (`CRYPTO_TFM_REQ_*`).
    pub(super) fn flags(&self) -> u32 {
        // SAFETY: By the type invariant the request is valid.
        unsafe { (*R::base(self.raw)).flags }
    }

    /// Completes the request when the callback returns.
    pub(crate) fn done(self, result: Result) -> ReturnCode {
        ReturnCode::done(result)
    }
}
