// SPDX-License-Identifier: GPL-2.0

//! Fallbacks of AEADs, and requests that run on them.
//!
//! C header: [`include/crypto/aead.h`](srctree/include/crypto/aead.h)

use super::{
    super::{
        adapter::RawTransform,
        offload::RawRequest,
        request::{
            Direction,
            ReturnCode, //
        },
        Key, //
    },
    Algorithm,
    FallbackTfm,
    Raw,
    Request,
    Tfm, //
};
use crate::bindings;
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
        let mask = bindings::CRYPTO_ALG_NEED_FALLBACK
            | bindings::CRYPTO_ALG_ALLOCATES_MEMORY
            | bindings::CRYPTO_ALG_KERN_DRIVER_ONLY;
        Self::allocate(name, 0, mask)
    }

    /// Returns the size of a request in bytes, `struct aead_request` included.
    pub(super) fn request_size(&self) -> u32 {
        // SAFETY: By the type invariant the transform is valid.
        let context = unsafe { (*self.as_raw()).reqsize };
        // CAST: `struct aead_request` has far less than 4 GiB.
        context.saturating_add(size_of::<Raw>() as u32)
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
        to_result(unsafe { bindings::crypto_aead_setkey(self.as_raw(), bytes.as_ptr(), len) })
    }

    /// Sets the length of tags in bytes.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the implementation does not support the length.
    pub(crate) fn set_auth_size(&self, size: u32) -> Result {
        // SAFETY: By the type invariant the transform is valid.
        to_result(unsafe { bindings::crypto_aead_setauthsize(self.as_raw(), size) })
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
    /// Returns the errors of the fallback, for example `EBADMSG` if the data is not authentic.
    pub(crate) fn run_fallback_atomic(&mut self, direction: Direction) -> Result {
        self.crypt_fallback(direction, 0)
    }

    #[inline(never)]
    fn crypt_fallback(&mut self, direction: Direction, flags: u32) -> Result {
        let fallback = A::fallback(self.tfm());
        // SAFETY: By the type invariant the request has a valid transform.
        let context_size = unsafe { (*self.raw_tfm::<Tfm>()).reqsize };
        if fallback.request_size() > context_size {
            // `set_up` has set the size for another implementation.
            return Err(EINVAL);
        }
        let caller = self.fields();
        let request = Raw {
            base: bindings::crypto_async_request {
                tfm: Tfm::base(fallback.as_raw()),
                flags,
                ..Default::default()
            },
            assoclen: caller.assoclen,
            cryptlen: caller.cryptlen,
            iv: caller.iv,
            src: caller.src,
            dst: caller.dst,
            ..Default::default()
        };
        let subreq = Raw::context(self.as_raw()).cast::<Raw>();
        // SAFETY: By the type invariant the context is unused. The check above has shown that it is large
        // enough. It has the alignment of DMA memory, which suffices for a request.
        unsafe { subreq.write(request) };
        let crypt = match direction {
            Direction::Encrypt => bindings::crypto_aead_encrypt,
            Direction::Decrypt => bindings::crypto_aead_decrypt,
        };
        // SAFETY: `subreq` is initialised, and names the caller's lists and IV. The fallback is
        // synchronous: it completes `subreq` before `crypt` returns.
        to_result(unsafe { crypt(subreq) })
    }
}
