// SPDX-License-Identifier: GPL-2.0

//! Requests of any type that a device may do: what they have in common.

mod context;
mod pool;

use super::{
    area::AnyArea,
    request::Answer,
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
    Context,
    Room, //
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
        // SAFETY: As above; the request has a valid transform.
        unsafe { tfm_ctx((*base).tfm) }
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

/// Returns the context of a transform, as `crypto_tfm_ctx()` does.
///
/// # Safety
///
/// `tfm` must be valid.
pub(super) unsafe fn tfm_ctx(tfm: *mut bindings::crypto_tfm) -> *mut c_void {
    // SAFETY: The caller guarantees that `tfm` is valid; this only computes an address.
    unsafe { &raw mut (*tfm).__crt_ctx }.cast()
}

/// Aligns the context of a request for DMA, as `skcipher_request_ctx_dma()` and its like do.
pub(super) fn align_for_dma(context: *mut c_void) -> *mut c_void {
    const ALIGN: usize = if bindings::VC_CRYPTO_DMA_ALIGN <= bindings::VC_CRYPTO_MINALIGN {
        // Every context has that.
        1
    } else {
        bindings::VC_CRYPTO_DMA_ALIGN as usize
    };
    let address = context.addr();
    context.wrapping_byte_add(address.next_multiple_of(ALIGN) - address)
}

/// An algorithm whose requests a device may do.
pub(crate) trait Offload: Sized + Send + Sync + 'static {
    /// The framework's type of request.
    type Raw: RawRequest;

    /// A transform: what lies in `crypto_tfm_ctx()`. It is dropped where sleeping is not allowed.
    type Tfm: Send + Sync;

    /// What the driver keeps with a request that a device has.
    type State: Send;

    /// What a queue keeps with such a request.
    type Private: Default + Send + 'static;

    /// The memory of such a request that the device uses.
    type Area: AnyArea;

    /// Whether requests are answered before the call returns. The algorithm may then be used by
    /// those who do not take asynchronous ones; it may sleep for the device where the consumer
    /// allows it.
    const SYNCHRONOUS: bool;

    /// Finishes a request that has come back: copies the results, and decides on the result.
    ///
    /// Context: bottom half, or process where the algorithm is synchronous; may not sleep.
    fn finish(
        state: &Self::State,
        request: &Request<'_, Self, Self::Raw>,
        outcome: &Outcome<'_>,
    ) -> Finish;

    /// Runs a request on the fallback after [`Finish::Fallback`], and returns the result; or takes the
    /// request over and returns none. A synchronous request cannot be taken over.
    ///
    /// Context: bottom half, or process where the algorithm is synchronous; may not sleep.
    fn fall_back(state: Self::State, request: Request<'_, Self, Self::Raw>) -> Option<Result>;
}

/// What is to be done with a request that has come back.
pub(crate) enum Finish {
    /// It is complete, with this result.
    Done(Result),
    /// The fallback runs it.
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
///
/// # Invariants
///
/// `results` is memory that the device had for its results, and has no access to any more.
pub(crate) struct Outcome<'a> {
    result: Result,
    /// None if the device has not had the request.
    rescue: Option<&'a Rescue>,
    used: u32,
    results: NonNull<[u8]>,
}

impl Outcome<'_> {
    /// Returns true if the source is as it was before the request was sent, so that the request can
    /// be repeated. Returns false for an in-place request that the device has done, and for one that
    /// the device may have begun and whose source is longer than [`Limits::rescue_in_place`].
    ///
    /// [`Limits::rescue_in_place`]: super::Limits::rescue_in_place
    pub(crate) fn is_intact(&self) -> bool {
        self.rescue
            .is_none_or(|rescue| rescue.is_intact(self.result))
    }

    /// Returns what the device says of it.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if no device has had the request;
    /// - `EIO` if a device that had it was reset;
    /// - `ESTALE` if the device may have used another key;
    /// - others as the device reports them.
    pub(crate) fn result(&self) -> Result {
        self.result
    }

    /// Returns how many bytes the device says it has written, data and results; 0 if it is not
    /// known. It is the device's word, and devices count differently.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Copies bytes of the results that the device wrote besides the data, from byte `offset` on.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there are not so many.
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
    pub(super) unsafe fn copy_results_to(&self, offset: usize, to: *mut u8, len: usize) -> Result {
        let end = offset.checked_add(len).ok_or(EINVAL)?;
        if end > self.results.len() {
            return Err(EINVAL);
        }
        let from = self.results.cast::<u8>().as_ptr();
        // SAFETY: By the type invariant, as was just checked, and by the safety requirements. There
        // is no reference to this memory: a device that breaks the rules may still write to it.
        unsafe { to.copy_from_nonoverlapping(from.add(offset), len) };
        Ok(())
    }
}

/// A request that the framework has handed in, not answered yet.
///
/// # Invariants
///
/// `raw` is a valid request of an initialised transform of `A`. Its context is unused, but for the time
/// in which there are only shared references to this: they do not use the context.
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
    /// `raw` must be a valid request of an initialised transform of `A`, not answered yet. Its context must
    /// be unused, but for the time in which there are only shared references to the result.
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
