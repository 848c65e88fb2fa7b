// SPDX-License-Identifier: GPL-2.0

//! Requests of any type that a device may do: what they have in common.

mod context;
mod pool;

use super::{
    adapter::{
        tfm_ctx,
        RawTransform, //
    },
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
/// - `BASE` must be the offset of the `struct crypto_async_request` embedded in the type.
/// - `context` must return an address in the request's context, aligned for `CRYPTO_DMA_ALIGN`, that has
///   the size which [`context_size`] has returned for the transform.
/// - `transform` must return the address of the driver's data of the request's transform.
pub(crate) unsafe trait RawRequest: Sized {
    /// The offset of the part that all types have, in bytes.
    const BASE: usize;

    /// The offset of the request's context, in bytes, before it is aligned.
    const CONTEXT: usize;

    /// Returns the address of the part that all types have.
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

    /// A request that a device had is about to be completed: releases what the type keeps in addition to
    /// the device request.
    ///
    /// Context: any; may not sleep.
    ///
    /// # Safety
    ///
    /// `this` must be valid and in flight; it is called once.
    unsafe fn clear(_this: NonNull<Self>) {}
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

/// How many bytes of a request's context the alignment for DMA may take.
pub(super) const DMA_PADDING: u32 = bindings::VC_CRYPTO_DMA_PADDING;

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

/// Returns the size of the request context that [`RawRequest::context`] returns, in bytes. The fallback
/// needs `fallback` bytes.
pub(super) fn context_size<A: Offload>(fallback: u32) -> u32 {
    let own = const {
        assert!(context::size::<A>() <= u32::MAX as usize);
        context::size::<A>() as u32
    };
    own.max(fallback)
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

    /// Returns true if the consumer allows the call to sleep.
    pub(crate) fn may_sleep(&self) -> bool {
        self.flags() & bindings::CRYPTO_TFM_REQ_MAY_SLEEP != 0
    }

    /// Returns the consumer's flags (`CRYPTO_TFM_REQ_*`).
    pub(super) fn flags(&self) -> u32 {
        // SAFETY: By the type invariant the request is valid.
        unsafe { (*R::base(self.raw)).flags }
    }

    /// Answers it.
    pub(crate) fn done(self, result: Result) -> Answer {
        Answer::done(result)
    }
}
