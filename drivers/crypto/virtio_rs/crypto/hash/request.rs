// SPDX-License-Identifier: GPL-2.0

//! A request's message, how it is made ready for a device, and what becomes of it otherwise.

use super::{
    super::{
        area::Limits,
        builder::Builder,
        offload::{
            align_for_dma,
            Outcome,
            Prepared,
            RawRequest, //
        },
        request::Answer,
        scatterlist::Span, //
    },
    software::Delegated,
    Algorithm,
    Raw,
    Request, //
};
use crate::{
    bindings,
    bindings::helpers, //
};
use kernel::{
    error::to_result,
    ffi::c_void,
    prelude::*, //
};

// SAFETY: `base` is a field of the request. `__ctx` is where its context begins, which `align_for_dma`
// aligns as the framework does for `CRYPTO_DMA_ALIGN`.
unsafe impl RawRequest for Raw {
    unsafe fn base(this: *mut Self) -> *mut bindings::crypto_async_request {
        // SAFETY: By the safety requirements.
        unsafe { &raw mut (*this).base }
    }

    unsafe fn context(this: *mut Self) -> *mut c_void {
        // SAFETY: By the safety requirements.
        align_for_dma(unsafe { &raw mut (*this).__ctx }.cast())
    }
}

impl<'a, A: Algorithm> Request<'a, A> {
    fn fields(&self) -> &Raw {
        // SAFETY: By the type invariant.
        unsafe { self.as_raw().as_ref() }
    }

    /// Returns the length of the message in bytes.
    pub(crate) fn len(&self) -> u32 {
        self.fields().nbytes
    }

    /// Returns true if the message is memory that only the CPU can be told of: it may be on a stack,
    /// or in no linear map.
    fn is_virtual(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { helpers::ahash_request_isvirt(self.as_raw().as_ptr()) }
    }

    /// Copies the digest that the device has written to the caller's memory.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the device has not so many bytes for results.
    pub(crate) fn set_digest(&self, outcome: &Outcome<'_>) -> Result {
        // SAFETY: By the type invariant.
        let tfm = unsafe { helpers::crypto_ahash_reqtfm(self.as_raw().as_ptr()) };
        // SAFETY: By the type invariant the request has a valid transform.
        let size = unsafe { helpers::crypto_ahash_digestsize(tfm) };
        // CAST: Both targets of this driver have 32 bits at least.
        //
        // SAFETY: The ahash API requires `result` to be valid for the size of a digest. It is the
        // caller's memory, not the request context.
        unsafe { outcome.copy_results_to(0, self.fields().result, size as usize) }
    }

    /// Builds a device request; see [`Builder`]. `describe` returns what the driver keeps with it.
    ///
    /// # Errors
    ///
    /// The request comes back, to be run on the fallback, with
    /// - `EINVAL`: the message is virtual;
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

    /// Has the transform's software make the digest, and answers the request.
    pub(crate) fn software(mut self) -> Answer {
        let result = self.run_software();
        self.done(result)
    }

    /// Has the transform's software make the digest, in the request's context. It does not sleep.
    ///
    /// # Errors
    ///
    /// As the software answers.
    pub(crate) fn software_all(&mut self) -> Result {
        // SAFETY: By the type invariant.
        let base = unsafe { Raw::base(self.as_raw().as_ptr()) };
        let flags = self.flags();
        // SAFETY: As above; until it is answered only this has the request.
        unsafe { (*base).flags = flags & !bindings::CRYPTO_TFM_REQ_MAY_SLEEP };
        let result = self.run_software();
        // SAFETY: As above.
        unsafe { (*base).flags = flags };
        result
    }

    fn run_software(&mut self) -> Result {
        // SAFETY: By the type invariant the context is in no use.
        let req = unsafe { Delegated::new(self.as_raw().as_ptr()) };
        // SAFETY: It is a valid request, which is answered when this returns.
        to_result(unsafe { bindings::crypto_ahash_digest(req.as_raw()) })
    }
}

impl<A: Algorithm> Builder<'_, A, Raw> {
    /// Appends the message.
    pub(crate) fn message(&mut self) {
        let raw = self.request().fields();
        let message = Span {
            // SAFETY: It is not virtual, as `build` has checked, so that is what the union has.
            list: unsafe { raw.__bindgen_anon_1.src },
            offset: 0,
            len: raw.nbytes,
        };
        // SAFETY: The framework's contract: the caller's list is valid until the request is complete.
        unsafe { self.read_source(message) };
    }
}
