// SPDX-License-Identifier: GPL-2.0

//! Requests, or parts of them, that software does in the device's place.
//!
//! An asynchronous algorithm has the fallback's request in the context of its own. A request of a
//! synchronous one has no context, so the fallback's request is on the stack.

use super::{
    super::{
        offload::RawRequest,
        request::{
            Answer,
            Direction, //
        },
        scatterlist, //
    },
    Algorithm,
    Request,
    Software, //
};
use crate::{
    bindings,
    bindings::helpers, //
};
use core::mem::MaybeUninit;
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

/// A request on the stack, as `SYNC_SKCIPHER_REQUEST_ON_STACK()` makes it.
#[repr(C)]
pub(super) struct OnStack {
    request: bindings::skcipher_request,
    context: MaybeUninit<[u8; bindings::MAX_SYNC_SKCIPHER_REQSIZE as usize]>,
}

impl OnStack {
    /// The room that an implementation has, `struct skcipher_request` included, in bytes.
    // CAST: The struct is small.
    pub(super) const SIZE: u32 = size_of::<Self>() as u32;

    /// Runs `part` on `software` in a request on the stack. It has a stack frame of its own, which the
    /// functions that send a request to a device do not carry.
    ///
    /// # Safety
    ///
    /// The scatterlists and the IV of `part` must be valid, and the IV as long as the software's.
    #[inline(never)]
    unsafe fn run(part: &Part, software: &Software, direction: Direction, flags: u32) -> Result {
        let mut sub = MaybeUninit::<Self>::uninit();
        // SAFETY: `sub` is valid for writes and has the size and alignment that `run` wants. The rest is
        // by the safety requirements.
        let result = unsafe { part.run(sub.as_mut_ptr().cast(), software, direction, flags) };
        // SAFETY: `sub` is valid for writes of its size. The request is complete, for `software` is
        // synchronous.
        unsafe { helpers::memzero_explicit(sub.as_mut_ptr().cast(), size_of::<Self>()) };
        result
    }
}

impl Part {
    /// Runs the part on `software`, in the request `sub`.
    ///
    /// # Safety
    ///
    /// - Scatterlists and IV must be valid, and the IV as long as the software's.
    /// - `sub` must be valid for writes of as many bytes as `software` wants, and aligned for a
    ///   `struct skcipher_request`.
    unsafe fn run(
        &self,
        sub: *mut bindings::skcipher_request,
        software: &Software,
        direction: Direction,
        flags: u32,
    ) -> Result {
        // SAFETY: The caller guarantees that `sub` is valid for writes; `software` is a valid transform.
        unsafe { helpers::skcipher_request_set_tfm(sub, software.as_raw()) };
        // SAFETY: The caller guarantees that `sub` is valid for writes.
        unsafe { helpers::skcipher_request_set_callback(sub, flags) };
        // SAFETY: The caller guarantees that `sub`, the scatterlists and the IV are valid.
        unsafe {
            helpers::skcipher_request_set_crypt(sub, self.src, self.dst, self.len, self.iv.cast())
        };
        to_result(match direction {
            // SAFETY: `sub` is a complete request; `software` is synchronous and completes it before this
            // returns.
            Direction::Encrypt => unsafe { bindings::crypto_skcipher_encrypt(sub) },
            // SAFETY: `sub` is a complete request; `software` is synchronous and completes it before this
            // returns.
            Direction::Decrypt => unsafe { bindings::crypto_skcipher_decrypt(sub) },
        })
    }
}

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
    /// As the software answers.
    pub(crate) fn software_all(&mut self, direction: Direction) -> Result {
        self.run_software(direction, 0)
    }

    /// Has the transform's software do the first `len` bytes, in the request's context. `iv` is the
    /// one to begin with, and becomes the one to continue with.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the data is shorter than `len`, or the IV not as long as the algorithm's. Others as
    /// the software answers.
    #[inline(never)]
    pub(crate) fn software_head(
        &mut self,
        direction: Direction,
        len: u32,
        iv: &mut [u8],
    ) -> Result {
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
    #[inline(never)]
    pub(crate) fn software_tail(
        &mut self,
        direction: Direction,
        offset: u32,
        iv: &mut [u8],
    ) -> Result {
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

    #[inline(never)]
    fn run_software(&mut self, direction: Direction, flags: u32) -> Result {
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

    /// Has the transform's software do `part`, in the request's context, or on the stack if the
    /// algorithm is synchronous.
    ///
    /// # Safety
    ///
    /// Scatterlists and IV of `part` must be valid, and the IV as long as the software's.
    unsafe fn run_software_on(&mut self, part: &Part, direction: Direction, flags: u32) -> Result {
        let software = A::software(self.tfm());
        let room = if A::SYNCHRONOUS {
            OnStack::SIZE
        } else {
            // SAFETY: By the type invariant.
            unsafe { helpers::crypto_skcipher_reqsize(self.raw_tfm()) }
        };
        if software.request_size() > room {
            // Not the one that `init_callback` has seen.
            return Err(EINVAL);
        }
        if A::SYNCHRONOUS {
            // SAFETY: By the safety requirements. An `OnStack` is large enough, as was just checked.
            return unsafe { OnStack::run(part, software, direction, flags) };
        }
        // SAFETY: By the type invariant the request is valid.
        let sub = unsafe { bindings::skcipher_request::context(self.as_raw().as_ptr()) };
        // SAFETY: By the safety requirements for `part`. By the type invariant the context is unused; it
        // is large enough, as was just checked, and aligned for DMA, which is more than a request needs.
        unsafe { part.run(sub.cast(), software, direction, flags) }
    }
}
