// SPDX-License-Identifier: GPL-2.0

//! The message of a hash request, the device request that is built from it, and the fallback.

use super::{
    super::{
        area::Limits,
        builder::Builder,
        offload::{
            DeviceResult,
            Prepared,
            RawRequest, //
        },
        request::ReturnCode,
        scatterlist::SgRange, //
    },
    fallback::FallbackScope,
    Algorithm,
    Raw,
    Request, //
};
use crate::{
    bindings,
    bindings::helpers, //
};
use core::mem::offset_of;
use kernel::{
    error::to_result,
    prelude::*, //
};

// SAFETY: `BASE` is the offset of the `struct crypto_async_request`. `CONTEXT` is the offset of `__ctx`,
// the context that `ahash_request_ctx_dma()` aligns.
unsafe impl RawRequest for Raw {
    const BASE: usize = offset_of!(Raw, base);
    const CONTEXT: usize = offset_of!(Raw, __ctx);
}

impl<'a, A: Algorithm> Request<'a, A> {
    /// Returns the length of the message in bytes.
    pub(crate) fn len(&self) -> u32 {
        self.fields().nbytes
    }

    /// Returns true if the message is a virtual address instead of a scatterlist. Such memory may be on a
    /// stack or outside the linear map, so it cannot be mapped for a device.
    fn is_virtual(&self) -> bool {
        // SAFETY: By the type invariant the request is valid.
        unsafe { helpers::ahash_request_isvirt(self.as_raw().as_ptr()) }
    }

    /// Copies the digest that the device has written to the caller's memory.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the device request has less space for results than a digest needs.
    pub(crate) fn set_digest(&self, device_result: &DeviceResult<'_>) -> Result {
        // SAFETY: By the type invariant the request has a valid transform.
        let size = unsafe { helpers::crypto_ahash_digestsize(self.raw_tfm()) };
        // CAST: Both targets of this driver have 32 bits at least.
        //
        // SAFETY: The ahash API requires that `result` is valid for the size of a digest. `result` is the
        // caller's memory, not the request context.
        unsafe { device_result.copy_results_to(0, self.fields().result, size as usize) }
    }

    /// Builds a device request with a [`Builder`]. `describe` appends the segments, and returns the
    /// driver's data for the request.
    ///
    /// # Errors
    ///
    /// On error the request is returned, so that the caller can run it on the fallback, with
    /// - `EINVAL` if the message is a virtual address instead of a scatterlist;
    /// - the errors of [`build_here`](super::offload::Request::build_here).
    #[inline(always)]
    pub(crate) fn build(
        self,
        limits: Limits,
        describe: impl FnOnce(&mut Builder<'a, A, Raw>) -> A::State,
    ) -> Result<Prepared<'a, A, Raw>, (Error, Self)> {
        if self.is_virtual() {
            return Err((EINVAL, self));
        }
        // SAFETY: `register` has set the size of the context.
        unsafe { self.build_here(limits, describe) }
    }

    /// Computes the digest on the fallback, and completes the request.
    pub(crate) fn run_fallback(mut self) -> ReturnCode {
        let result = self.digest_fallback();
        self.done(result)
    }

    /// Computes the digest on the fallback, without sleeping.
    ///
    /// # Errors
    ///
    /// Returns the errors of the fallback.
    pub(crate) fn run_fallback_atomic(&mut self) -> Result {
        let flags = self.flags();
        self.set_flags(flags & !bindings::CRYPTO_TFM_REQ_MAY_SLEEP);
        let result = self.digest_fallback();
        self.set_flags(flags);
        result
    }

    fn set_flags(&mut self, flags: u32) {
        // SAFETY: By the type invariant the request is valid, and has no other user.
        unsafe { (*Raw::base(self.as_raw())).flags = flags };
    }

    fn digest_fallback(&mut self) -> Result {
        // SAFETY: By the type invariant the request is valid, and its context unused.
        let scope = unsafe { FallbackScope::new(self.as_raw().as_ptr()) };
        // SAFETY: The request is valid and names the fallback. The fallback is synchronous: it completes
        // the request before `crypto_ahash_digest` returns.
        to_result(unsafe { bindings::crypto_ahash_digest(scope.as_raw()) })
    }
}

impl<A: Algorithm> Builder<'_, A, Raw> {
    /// Appends the message.
    pub(crate) fn message(&mut self) {
        let raw = self.request().fields();
        // SAFETY: The message is not virtual, as `build` has checked, so the union holds a list. The
        // ahash API requires that it is valid until the request is complete.
        let range = unsafe { SgRange::new(raw.__bindgen_anon_1.src, 0, raw.nbytes) };
        self.read_source(range);
    }
}
