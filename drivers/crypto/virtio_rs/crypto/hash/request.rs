// SPDX-License-Identifier: GPL-2.0

//! A request's message, how it is made ready for a device, and what becomes of it otherwise.

use super::{
    super::{
        area::{
            Data,
            Parts,
            Span, //
        },
        offload::{
            Prepared,
            RawRequest, //
        },
        request::Answer, //
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

// SAFETY: Both are the framework's own functions for the type.
unsafe impl RawRequest for Raw {
    unsafe fn base(this: *mut Self) -> *mut bindings::crypto_async_request {
        // SAFETY: By the safety requirements.
        unsafe { &raw mut (*this).base }
    }

    unsafe fn context(this: *mut Self) -> *mut c_void {
        // SAFETY: By the safety requirements.
        unsafe { helpers::ahash_request_ctx_dma(this) }
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

    /// Gives the consumer the digest.
    ///
    /// # Errors
    ///
    /// `EINVAL`: `digest` has not the size that the algorithm's have.
    pub(crate) fn set_digest(&self, digest: &[u8]) -> Result {
        // SAFETY: By the type invariant.
        let tfm = unsafe { helpers::crypto_ahash_reqtfm(self.as_raw().as_ptr()) };
        // SAFETY: As above.
        let size = unsafe { helpers::crypto_ahash_digestsize(tfm) };
        if size != u32::try_from(digest.len())? {
            return Err(EINVAL);
        }
        let to = self.fields().result;
        // SAFETY: The framework's contract: the consumer wants a digest, and has room for one.
        unsafe { to.copy_from_nonoverlapping(digest.as_ptr(), digest.len()) };
        Ok(())
    }

    /// Makes the request ready for a device.
    ///
    /// # Errors
    ///
    /// The request comes back, to be done otherwise, with
    /// - `EINVAL`: the message is virtual;
    /// - the errors that [`hold`](super::offload::Request::hold) has.
    pub(crate) fn prepare(
        self,
        state: A::State,
        parts: &Parts<'_>,
    ) -> Result<Prepared<'a, A, Raw>, (Error, Self)> {
        if self.is_virtual() {
            return Err((EINVAL, self));
        }
        // SAFETY: It is not virtual, so that is what the union has.
        let list = unsafe { self.fields().__bindgen_anon_1.src };
        let data = Data {
            src: Span {
                list,
                offset: 0,
                len: self.len(),
            },
            aad: Span::NONE,
            aad_first: false,
            dst: Span::NONE,
        };
        // SAFETY: That is the request's list. `register` has set the size of the context.
        unsafe { self.hold(state, parts, &data) }
    }

    /// Has the transform's software make the digest, and answers the request.
    pub(crate) fn software(self) -> Answer {
        let result = self.run_software();
        self.done(result)
    }

    /// Has the transform's software make the digest, in the request's context. It does not sleep.
    ///
    /// # Errors
    ///
    /// As the software answers.
    pub(crate) fn software_all(&self) -> Result {
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

    fn run_software(&self) -> Result {
        // SAFETY: By the type invariant the context is in no use.
        let req = unsafe { Delegated::new(self.as_raw().as_ptr()) };
        // SAFETY: It is a valid request, which is answered when this returns.
        to_result(unsafe { bindings::crypto_ahash_digest(req.as_raw()) })
    }
}
