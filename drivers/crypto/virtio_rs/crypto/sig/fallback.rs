// SPDX-License-Identifier: GPL-2.0

//! Fallbacks of signatures.
//!
//! C header: [`include/crypto/sig.h`](srctree/include/crypto/sig.h)

use super::FallbackTfm;
use crate::{
    bindings,
    bindings::helpers, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

impl FallbackTfm {
    /// Allocates a fallback for `name`.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`allocate`](Self::allocate).
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        Self::allocate(name, 0, bindings::CRYPTO_ALG_NEED_FALLBACK)
    }

    /// Sets a public key.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the implementation does not accept the key. The fallback then has no key.
    pub(crate) fn set_public_key(&self, key: &[u8]) -> Result {
        let (key, len) = (key.as_ptr().cast(), u32::try_from(key.len())?);
        // SAFETY: By the type invariant the transform is valid. The key is valid for reads of `len` bytes.
        to_result(unsafe { helpers::crypto_sig_set_pubkey(self.as_raw(), key, len) })
    }

    /// Verifies the signature of a digest.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// Returns the errors of the implementation.
    pub(crate) fn verify(&self, signature: &[u8], digest: &[u8]) -> Result {
        let len = u32::try_from(signature.len())?;
        let digest_len = u32::try_from(digest.len())?;
        let (signature, digest) = (signature.as_ptr().cast(), digest.as_ptr().cast());
        // SAFETY: By the type invariant the transform is valid. The signature and the digest are valid for
        // reads of their lengths.
        to_result(unsafe {
            helpers::crypto_sig_verify(self.as_raw(), signature, len, digest, digest_len)
        })
    }
}
