// SPDX-License-Identifier: GPL-2.0

//! Requests, or parts of them, that software does in the device's place.

use super::{
    super::{
        request::{
            Answer,
            Direction, //
        },
        scatterlist, //
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

/// What software is to do.
struct Part {
    src: *mut bindings::scatterlist,
    dst: *mut bindings::scatterlist,
    len: u32,
    iv: *mut u8,
}

impl<A: Algorithm> Request<'_, A> {
    /// Has the transform's software do it, and answers it.
    pub(crate) fn software(self, direction: Direction) -> Answer {
        let flags = self.flags() & bindings::CRYPTO_TFM_REQ_MAY_SLEEP;
        let result = self.run_software(direction, flags);
        self.done(result)
    }

    /// Has the transform's software do it, in the request's context. It does not sleep.
    ///
    /// # Errors
    ///
    /// As the software answers.
    pub(crate) fn software_all(&self, direction: Direction) -> Result {
        self.run_software(direction, 0)
    }

    /// Has the transform's software do the first `len` bytes, in the request's context. `iv` is the
    /// one to begin with, and becomes the one to continue with.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the data is shorter than `len`, or the IV not as long as the algorithm's. Others as
    /// the software answers.
    pub(crate) fn software_head(&self, direction: Direction, len: u32, iv: &mut [u8]) -> Result {
        if len > self.len() {
            return Err(EINVAL);
        }
        let head = Part {
            src: self.fields().src,
            dst: self.fields().dst,
            len,
            iv: self.check_iv(iv)?,
        };
        let flags = self.flags() & bindings::CRYPTO_TFM_REQ_MAY_SLEEP;
        // SAFETY: These are the consumer's lists, and the IV has the size that the software wants.
        unsafe { self.run_software_on(&head, direction, flags) }
    }

    /// Has the transform's software do what is behind the first `offset` bytes, if there is any, in
    /// the request's context. `iv` is that part's, and becomes the one to continue with. It does not
    /// sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the data is shorter than `offset`, or the IV not as long as the algorithm's. Others
    /// as the software answers.
    pub(crate) fn software_tail(&self, direction: Direction, offset: u32, iv: &mut [u8]) -> Result {
        let len = self.len().checked_sub(offset).ok_or(EINVAL)?;
        if len == 0 {
            return Ok(());
        }
        let iv = self.check_iv(iv)?;
        let raw = self.fields();
        let mut src = scatterlist::Rest::new();
        let mut dst = scatterlist::Rest::new();
        // SAFETY: The framework's contract: the consumer's lists are valid.
        let src = unsafe { src.of(raw.src, offset)? };
        let dst = if raw.src == raw.dst {
            src
        } else {
            // SAFETY: As above.
            unsafe { dst.of(raw.dst, offset)? }
        };
        let tail = Part { src, dst, len, iv };
        // SAFETY: The lists live until this function returns; the IV has the size that the software
        // wants.
        unsafe { self.run_software_on(&tail, direction, 0) }
    }

    fn check_iv(&self, iv: &mut [u8]) -> Result<*mut u8> {
        if A::software(self.tfm()).iv_size() != u32::try_from(iv.len())? {
            return Err(EINVAL);
        }
        Ok(iv.as_mut_ptr())
    }

    fn run_software(&self, direction: Direction, flags: u32) -> Result {
        let raw = self.fields();
        let whole = Part {
            src: raw.src,
            dst: raw.dst,
            len: raw.cryptlen,
            iv: raw.iv.cast(),
        };
        // SAFETY: That is what the consumer gave.
        unsafe { self.run_software_on(&whole, direction, flags) }
    }

    /// Has the transform's software do `part`, in the request's context.
    ///
    /// # Safety
    ///
    /// Scatterlists and IV of `part` must be valid, and the IV as long as the software's.
    unsafe fn run_software_on(&self, part: &Part, direction: Direction, flags: u32) -> Result {
        let software = A::software(self.tfm());
        // SAFETY: By the type invariant.
        let room = unsafe { helpers::crypto_skcipher_reqsize(self.raw_tfm()) };
        if software.request_size() > room {
            // Not the one that `init_callback` has seen.
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant the context is unused; it is large enough.
        let sub = unsafe { helpers::skcipher_request_ctx_dma(self.as_raw().as_ptr()) };
        let sub = sub.cast::<bindings::skcipher_request>();
        // SAFETY: `sub` is valid for writes, and `software` a valid transform.
        unsafe { helpers::skcipher_request_set_tfm(sub, software.as_raw()) };
        // SAFETY: As above.
        unsafe { helpers::skcipher_request_set_callback(sub, flags) };
        // SAFETY: As above; the rest by the safety requirements.
        unsafe {
            helpers::skcipher_request_set_crypt(sub, part.src, part.dst, part.len, part.iv.cast())
        };
        to_result(match direction {
            // SAFETY: `sub` is a complete request; it is answered when this returns.
            Direction::Encrypt => unsafe { bindings::crypto_skcipher_encrypt(sub) },
            // SAFETY: As above.
            Direction::Decrypt => unsafe { bindings::crypto_skcipher_decrypt(sub) },
        })
    }
}
