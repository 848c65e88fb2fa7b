// SPDX-License-Identifier: GPL-2.0

//! Software that does what the device does not.
//!
//! C header: [`include/crypto/sig.h`](srctree/include/crypto/sig.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*, //
};

/// A software transform.
///
/// # Invariants
///
/// `tfm` is a valid transform.
pub(crate) struct Software {
    tfm: NonNull<bindings::crypto_sig>,
}

// SAFETY: A transform is not tied to a thread.
unsafe impl Send for Software {}

// SAFETY: One transform may be used concurrently.
unsafe impl Sync for Software {}

impl Software {
    /// Finds the best implementation of `name` that needs no fallback itself.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `ENOENT`: the kernel has none. Others as the framework has them.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        let mask = bindings::CRYPTO_ALG_ASYNC | bindings::CRYPTO_ALG_NEED_FALLBACK;
        // SAFETY: `name` is a string.
        let tfm = unsafe { bindings::crypto_alloc_sig(name.as_char_ptr(), 0, mask) };
        // INVARIANT: It was just allocated.
        Ok(Self {
            tfm: NonNull::new(from_err_ptr(tfm)?).ok_or(ENOENT)?,
        })
    }

    /// Sets a public key.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// What the implementation answers: `EINVAL` for a key it does not take. It has none then.
    pub(crate) fn set_public_key(&self, key: &[u8]) -> Result {
        let (key, len) = (key.as_ptr().cast(), u32::try_from(key.len())?);
        // SAFETY: By the type invariant; the key is valid for reads of its length.
        to_result(unsafe { helpers::crypto_sig_set_pubkey(self.tfm.as_ptr(), key, len) })
    }

    /// Verifies the signature of a digest.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// What the implementation answers.
    pub(crate) fn verify(&self, signature: &[u8], digest: &[u8]) -> Result {
        let len = u32::try_from(signature.len())?;
        let digest_len = u32::try_from(digest.len())?;
        // SAFETY: By the type invariant; both are valid for reads of their length.
        to_result(unsafe {
            helpers::crypto_sig_verify(
                self.tfm.as_ptr(),
                signature.as_ptr().cast(),
                len,
                digest.as_ptr().cast(),
                digest_len,
            )
        })
    }
}

impl Drop for Software {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; this is the last use.
        unsafe { helpers::crypto_free_sig(self.tfm.as_ptr()) };
    }
}
