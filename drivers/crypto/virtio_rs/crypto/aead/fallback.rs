// SPDX-License-Identifier: GPL-2.0

//! Requests that software does in the device's place.

use super::{
    super::{
        offload::RawRequest,
        request::{
            Answer,
            Direction, //
        }, //
    },
    Algorithm,
    Request, //
};
use crate::{
    bindings,
    bindings::helpers, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

impl<A: Algorithm> Request<'_, A> {
    /// Has the transform's software do it, and answers it.
    #[inline(never)]
    pub(crate) fn software(mut self, direction: Direction) -> Answer {
        let flags = self.flags() & bindings::CRYPTO_TFM_REQ_MAY_SLEEP;
        let result = self.run_software(direction, flags);
        self.done(result)
    }

    /// Has the transform's software do it, in the request's context. It does not sleep.
    ///
    /// # Errors
    ///
    /// As the software answers: `EBADMSG` if the data is not authentic.
    pub(crate) fn software_all(&mut self, direction: Direction) -> Result {
        self.run_software(direction, 0)
    }

    #[inline(never)]
    fn run_software(&mut self, direction: Direction, flags: u32) -> Result {
        let software = A::software(self.tfm());
        // SAFETY: By the type invariant.
        let room = unsafe { helpers::crypto_aead_reqsize(self.raw_tfm()) };
        if software.request_size() > room {
            // Not the one that `init_callback` has seen.
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant the request is valid.
        let sub = unsafe { bindings::aead_request::context(self.as_raw().as_ptr()) };
        let sub = sub.cast::<bindings::aead_request>();
        let raw = self.fields();
        // SAFETY: `sub` is valid for writes, and `software` a valid transform.
        unsafe { helpers::aead_request_set_tfm(sub, software.as_raw()) };
        // SAFETY: As above.
        unsafe { helpers::aead_request_set_callback(sub, flags) };
        // SAFETY: As above; that is what the consumer gave.
        unsafe { helpers::aead_request_set_crypt(sub, raw.src, raw.dst, raw.cryptlen, raw.iv) };
        // SAFETY: As above.
        unsafe { helpers::aead_request_set_ad(sub, raw.assoclen) };
        to_result(match direction {
            // SAFETY: `sub` is a complete request; it is answered when this returns.
            Direction::Encrypt => unsafe { bindings::crypto_aead_encrypt(sub) },
            // SAFETY: As above.
            Direction::Decrypt => unsafe { bindings::crypto_aead_decrypt(sub) },
        })
    }
}
