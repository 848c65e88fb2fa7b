// SPDX-License-Identifier: GPL-2.0

//! A request's message, how it is made ready for a device, and what becomes of it otherwise.

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

// SAFETY: The `struct crypto_async_request` is a field. The context is at `__ctx`, and is aligned as
// `ahash_request_ctx_dma()` aligns it.
unsafe impl RawRequest for Raw {
    const BASE: usize = offset_of!(Raw, base);
    const CONTEXT: usize = offset_of!(Raw, __ctx);
}

impl<'a, A: Algorithm> Request<'a, A> {
    /// Returns the length of the message in bytes.
    pub(crate) fn len(&self) -> u32 {
        self.fields().nbytes
    }

    /// Returns true if the message is memory that only the CPU can be told of: it may be on a stack,
    /// or in no linear map.
    fn is_virtual(&self) -> bool {
        // SAFETY: By the type invariant the request is valid.
        unsafe { helpers::ahash_request_isvirt(self.as_raw().as_ptr()) }
    }

    /// Copies the digest that the device has written to the caller's memory.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the device has not so many bytes for results.
    pub(crate) fn set_digest(&self, outcome: &DeviceResult<'_>) -> Result {
        // SAFETY: By the type invariant the request has a valid transform.
        let size = unsafe { helpers::crypto_ahash_digestsize(self.raw_tfm()) };
        // CAST: Both targets of this driver have 32 bits at least.
        //
        // SAFETY: The ahash API requires `result` to be valid for the size of a digest. It is the
        // caller's memory, not the request context.
        unsafe { outcome.copy_results_to(0, self.fields().result, size as usize) }
    }

    /// Builds a device request with a [`Builder`]. `describe` appends its parts, and returns the
    /// driver's data of the request.
    ///
    /// # Errors
    ///
    /// On error the request is returned, so that the caller can run it on the fallback, with
    /// - `EINVAL` if the message is an address and not a scatterlist;
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

    /// Computes the digest on the fallback, and answers the request.
    pub(crate) fn run_fallback(mut self) -> ReturnCode {
        let result = self.digest_fallback();
        self.done(result)
    }

    /// Computes the digest on the fallback, without sleeping.
    ///
    /// # Errors
    ///
    /// As the fallback returns them.
    pub(crate) fn run_fallback_atomic(&mut self) -> Result {
        let flags = self.flags();
        self.set_flags(flags & !bindings::CRYPTO_TFM_REQ_MAY_SLEEP);
        let result = self.digest_fallback();
        self.set_flags(flags);
        result
    }

    fn set_flags(&mut self, flags: u32) {
        // SAFETY: By the type invariant the request is valid, and not complete: this is its only user.
        unsafe { (*Raw::base(self.as_raw())).flags = flags };
    }

    fn digest_fallback(&mut self) -> Result {
        // SAFETY: By the type invariant the request is valid, and its context unused.
        let scope = unsafe { FallbackScope::new(self.as_raw().as_ptr()) };
        // SAFETY: It is a valid request of the fallback, which completes it before this returns.
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
