// SPDX-License-Identifier: GPL-2.0

//! Fallbacks of ciphers, and requests or parts of requests that run on them.
//!
//! A subrequest is the request that the driver sends to the fallback. For an asynchronous algorithm it is
//! in the context of the caller's request. A request of a synchronous algorithm has no context, so the
//! subrequest is on the stack.
//!
//! C header: [`include/crypto/skcipher.h`](srctree/include/crypto/skcipher.h)

use super::{
    super::{
        adapter::RawTransform,
        offload::RawRequest,
        request::{
            Direction,
            ReturnCode, //
        },
        scatterlist::SgTail,
        Key, //
    },
    Algorithm,
    FallbackTfm,
    Raw,
    Request,
    Tfm, //
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

impl FallbackTfm {
    /// Allocates a fallback for `name` that allocates no memory for a request.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`allocate`](Self::allocate).
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        Self::allocate(name, 0, Self::MASK)
    }

    /// Allocates a fallback for `name` whose requests may be on the stack. Like the fallback of
    /// [`new`](Self::new), it allocates no memory for a request.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - The errors of [`new`](Self::new);
    /// - `EINVAL` if a request needs a context above `MAX_SYNC_SKCIPHER_REQSIZE`.
    pub(crate) fn new_on_stack(name: &CStr) -> Result<Self> {
        let fallback = Self::allocate(name, 0, Self::MASK | bindings::VC_REQSIZE_LARGE)?;
        if fallback.request_size() > OnStack::SIZE {
            return Err(EINVAL);
        }
        Ok(fallback)
    }

    const MASK: u32 = bindings::CRYPTO_ALG_NEED_FALLBACK
        | bindings::CRYPTO_ALG_ALLOCATES_MEMORY
        | bindings::CRYPTO_ALG_KERN_DRIVER_ONLY;

    /// Returns the size of a request in bytes, `struct skcipher_request` included.
    pub(super) fn request_size(&self) -> u32 {
        // SAFETY: By the type invariant the transform is valid.
        let context = unsafe { (*self.as_raw()).reqsize };
        // CAST: `struct skcipher_request` has far less than 4 GiB.
        context.saturating_add(size_of::<Raw>() as u32)
    }

    /// Returns the size of the IV in bytes.
    fn iv_size(&self) -> u32 {
        // SAFETY: By the type invariant the transform is valid.
        unsafe { helpers::crypto_skcipher_ivsize(self.as_raw()) }
    }

    /// Sets the key.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the implementation does not accept the key, or another error of the implementation.
    pub(crate) fn set_key(&self, key: &Key<'_>) -> Result {
        self.set_key_flags(key);
        let bytes = key.bytes();
        let len = u32::try_from(bytes.len())?;
        // SAFETY: By the type invariant the transform is valid. `bytes` is valid for reads of `len` bytes.
        to_result(unsafe { bindings::crypto_skcipher_setkey(self.as_raw(), bytes.as_ptr(), len) })
    }
}

/// The data and the IV of a request, or of a part of a request, that the fallback runs.
struct Part {
    src: *mut bindings::scatterlist,
    dst: *mut bindings::scatterlist,
    len: u32,
    iv: *mut u8,
}

/// The memory of a subrequest on the stack, as `SYNC_SKCIPHER_REQUEST_ON_STACK()` reserves it.
#[repr(C)]
pub(super) struct OnStack {
    request: Raw,
    context: MaybeUninit<[u8; bindings::MAX_SYNC_SKCIPHER_REQSIZE as usize]>,
}

impl OnStack {
    /// The size of a subrequest, `struct skcipher_request` and its context, in bytes.
    // CAST: An `OnStack` has less than 1 KiB.
    pub(super) const SIZE: u32 = size_of::<Self>() as u32;

    /// Runs `part` on `fallback`, in a subrequest on the stack.
    ///
    /// # Safety
    ///
    /// - The scatterlists and the IV of `part` must be valid, and the IV as long as the fallback's.
    /// - A request of `fallback` must need at most [`SIZE`](Self::SIZE) bytes.
    // Not inlined, so that the callers, which also send requests to the device, have a small stack frame.
    #[inline(never)]
    unsafe fn run(part: &Part, fallback: &FallbackTfm, direction: Direction, flags: u32) -> Result {
        let mut subreq = MaybeUninit::<Self>::uninit();
        // SAFETY: `subreq` is valid for writes and aligned. The caller guarantees that it is large enough,
        // and that the scatterlists and the IV are valid.
        let result = unsafe { part.run(subreq.as_mut_ptr().cast(), fallback, direction, flags) };
        // SAFETY: `subreq` is valid for writes of its size. It is complete, because the fallback is
        // synchronous.
        unsafe { helpers::memzero_explicit(subreq.as_mut_ptr().cast(), size_of::<Self>()) };
        result
    }
}

impl Part {
    /// Runs the part on `fallback`, in the subrequest `subreq`.
    ///
    /// # Safety
    ///
    /// - The scatterlists and the IV must be valid, and the IV as long as the fallback's.
    /// - `subreq` must be valid for writes of `fallback.request_size()` bytes, and aligned for a
    ///   `struct skcipher_request`.
    unsafe fn run(
        &self,
        subreq: *mut Raw,
        fallback: &FallbackTfm,
        direction: Direction,
        flags: u32,
    ) -> Result {
        let request = Raw {
            base: bindings::crypto_async_request {
                tfm: Tfm::base(fallback.as_raw()),
                flags,
                ..Default::default()
            },
            src: self.src,
            dst: self.dst,
            cryptlen: self.len,
            iv: self.iv,
            ..Default::default()
        };
        // SAFETY: The caller guarantees that `subreq` is valid for writes.
        unsafe { subreq.write(request) };
        let crypt = match direction {
            Direction::Encrypt => bindings::crypto_skcipher_encrypt,
            Direction::Decrypt => bindings::crypto_skcipher_decrypt,
        };
        // SAFETY: `subreq` is initialised, and has space for the context of `fallback`. The fallback is
        // synchronous: it completes `subreq` before `crypt` returns.
        to_result(unsafe { crypt(subreq) })
    }
}

impl<A: Algorithm> Request<'_, A> {
    /// Runs the request on the fallback, and completes it.
    #[inline(never)]
    pub(crate) fn run_fallback(mut self, direction: Direction) -> ReturnCode {
        let flags = self.flags() & bindings::CRYPTO_TFM_REQ_MAY_SLEEP;
        let result = self.crypt_fallback(direction, flags);
        self.done(result)
    }

    /// Runs the request on the fallback, without sleeping.
    ///
    /// # Errors
    ///
    /// Returns the errors of the fallback.
    pub(crate) fn run_fallback_atomic(&mut self, direction: Direction) -> Result {
        self.crypt_fallback(direction, 0)
    }

    /// Runs the first `len` bytes on the fallback. `iv` is the IV of these bytes. The fallback replaces it
    /// with the IV of the remaining bytes.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the data is shorter than `len`, or if the length of `iv` is not the algorithm's;
    /// - another error of the fallback.
    #[inline(never)]
    pub(crate) fn run_fallback_prefix(
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
        // SAFETY: The crypto API requires that the caller's lists are valid. `check_iv` has checked the
        // length of the IV.
        unsafe { self.run_part(&head, direction, flags) }
    }

    /// Runs the bytes from `offset` to the end on the fallback, without sleeping. `iv` is the IV of these
    /// bytes. The fallback replaces it with the IV of the caller's next request.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the data is shorter than `offset`, or if the length of `iv` is not the algorithm's;
    /// - another error of the fallback.
    #[inline(never)]
    pub(crate) fn run_fallback_suffix(
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
        let in_place = self.fields().src == self.fields().dst;
        let (mut src_tail, mut dst_tail) = (SgTail::new(), SgTail::new());
        let src = src_tail.of(&self.source(offset, len))?;
        let dst = if in_place {
            src
        } else {
            dst_tail.of(&self.destination(offset, len))?
        };
        let tail = Part { src, dst, len, iv };
        // SAFETY: The lists live until this function returns. `check_iv` has checked the length of the IV.
        unsafe { self.run_part(&tail, direction, 0) }
    }

    /// Checks that the length of `iv` is that of the fallback, and returns the address of `iv`.
    fn check_iv(&self, iv: &mut [u8]) -> Result<*mut u8> {
        if A::fallback(self.tfm()).iv_size() != u32::try_from(iv.len())? {
            return Err(EINVAL);
        }
        Ok(iv.as_mut_ptr())
    }

    #[inline(never)]
    fn crypt_fallback(&mut self, direction: Direction, flags: u32) -> Result {
        let raw = self.fields();
        let whole = Part {
            src: raw.src,
            dst: raw.dst,
            len: raw.cryptlen,
            iv: raw.iv.cast(),
        };
        // SAFETY: The crypto API requires that the caller's lists and IV are valid.
        unsafe { self.run_part(&whole, direction, flags) }
    }

    /// Runs a part on the fallback. The subrequest is in the request's context, or on the stack if the
    /// algorithm is synchronous.
    ///
    /// # Safety
    ///
    /// The scatterlists and the IV of `part` must be valid, and the IV as long as the fallback's.
    unsafe fn run_part(&mut self, part: &Part, direction: Direction, flags: u32) -> Result {
        let fallback = A::fallback(self.tfm());
        let available = if A::SYNCHRONOUS {
            OnStack::SIZE
        } else {
            // SAFETY: By the type invariant the request has a valid transform.
            unsafe { (*self.raw_tfm::<Tfm>()).reqsize }
        };
        if fallback.request_size() > available {
            // `set_up` has set the size for another implementation.
            return Err(EINVAL);
        }
        if A::SYNCHRONOUS {
            // SAFETY: The caller guarantees that the part is valid. The check above has shown that an
            // `OnStack` is large enough.
            return unsafe { OnStack::run(part, fallback, direction, flags) };
        }
        let subreq = Raw::context(self.as_raw()).cast();
        // SAFETY: The caller guarantees that the part is valid. By the type invariant the context is
        // unused. The check above has shown that it is large enough. It has the alignment of DMA memory,
        // which suffices for a request.
        unsafe { part.run(subreq, fallback, direction, flags) }
    }
}
