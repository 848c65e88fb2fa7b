// SPDX-License-Identifier: GPL-2.0

//! Fallbacks of public key ciphers.
//!
//! C headers: [`include/crypto/akcipher.h`](srctree/include/crypto/akcipher.h),
//! [`include/crypto/internal/akcipher.h`](srctree/include/crypto/internal/akcipher.h)

use super::{
    Direction,
    FallbackTfm, //
};
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
        let mask = bindings::CRYPTO_ALG_NEED_FALLBACK | bindings::CRYPTO_ALG_KERN_DRIVER_ONLY;
        Self::allocate(name, 0, mask)
    }

    /// Sets a public key. Returns the length of results in bytes.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` or `EBADMSG` if the implementation does not accept the key. The fallback then has no key.
    pub(crate) fn set_public_key(&self, key: &[u8]) -> Result<u32> {
        let (key, len) = (key.as_ptr().cast(), u32::try_from(key.len())?);
        // SAFETY: By the type invariant the transform is valid. The key is valid for reads of `len` bytes.
        to_result(unsafe { helpers::crypto_akcipher_set_pub_key(self.as_raw(), key, len) })?;
        Ok(self.max_size())
    }

    /// Sets a private key. Returns the length of results in bytes.
    ///
    /// Context and errors: as for [`set_public_key`](Self::set_public_key).
    pub(crate) fn set_private_key(&self, key: &[u8]) -> Result<u32> {
        let (key, len) = (key.as_ptr().cast(), u32::try_from(key.len())?);
        // SAFETY: By the type invariant the transform is valid. The key is valid for reads of `len` bytes.
        to_result(unsafe { helpers::crypto_akcipher_set_priv_key(self.as_raw(), key, len) })?;
        Ok(self.max_size())
    }

    /// Returns the length of results. The transform must have a key: the kernel's RSA dereferences a null
    /// pointer otherwise.
    fn max_size(&self) -> u32 {
        // SAFETY: By the type invariant the transform is valid. The callers have just set a key.
        unsafe { helpers::crypto_akcipher_maxsize(self.as_raw()) }
    }

    /// Encrypts or decrypts `data` in place. The result has the length of `data`.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the fallback has no key, or if the input is out of range for the key;
    /// - `EOVERFLOW` if the result is longer than `data`;
    /// - `ENOMEM` if memory is exhausted.
    ///
    /// The content of `data` is undefined after an error.
    pub(super) fn crypt(&self, direction: Direction, data: &mut [u8]) -> Result {
        let len = u32::try_from(data.len())?;
        let data = data.as_mut_ptr().cast();
        let crypt = match direction {
            Direction::Encrypt => bindings::crypto_akcipher_sync_encrypt,
            Direction::Decrypt => bindings::crypto_akcipher_sync_decrypt,
        };
        // SAFETY: By the type invariant the transform is valid. `data` is valid for reads and writes of
        // `len` bytes. `crypt` works on a copy, so source and destination may be the same.
        to_result(unsafe { crypt(self.as_raw(), data, len, data, len) })
    }
}
