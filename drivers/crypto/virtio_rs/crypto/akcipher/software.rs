// SPDX-License-Identifier: GPL-2.0

//! A software cipher that does what the device does not.
//!
//! C header: [`include/crypto/akcipher.h`](srctree/include/crypto/akcipher.h)

use super::Direction;
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

/// A synchronous software transform.
///
/// # Invariants
///
/// `tfm` is a valid transform that answers every request before the call returns.
pub(crate) struct Software {
    tfm: NonNull<bindings::crypto_akcipher>,
}

// SAFETY: A transform is not tied to a thread.
unsafe impl Send for Software {}

// SAFETY: Requests on one transform may be made concurrently.
unsafe impl Sync for Software {}

impl Software {
    /// Finds the best software implementation of `name` that is synchronous and needs no fallback
    /// itself.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `ENOENT`: the kernel has none. Others as the framework has them.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        let mask = bindings::CRYPTO_ALG_ASYNC
            | bindings::CRYPTO_ALG_NEED_FALLBACK
            | bindings::CRYPTO_ALG_KERN_DRIVER_ONLY;
        // SAFETY: `name` is a string.
        let tfm = unsafe { bindings::crypto_alloc_akcipher(name.as_char_ptr(), 0, mask) };
        let tfm = from_err_ptr(tfm)?;
        // INVARIANT: The mask excludes asynchronous implementations.
        Ok(Self {
            tfm: NonNull::new(tfm).ok_or(ENOENT)?,
        })
    }

    /// Sets a public key; returns how long results are, in bytes.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// What the implementation answers: `EINVAL` or `EBADMSG` for a key it does not take. It has
    /// none then.
    pub(crate) fn set_public_key(&self, key: &[u8]) -> Result<u32> {
        let (key, len) = (key.as_ptr().cast(), u32::try_from(key.len())?);
        // SAFETY: By the type invariant; the key is valid for reads of its length.
        to_result(unsafe { helpers::crypto_akcipher_set_pub_key(self.tfm.as_ptr(), key, len) })?;
        Ok(self.max_size())
    }

    /// Sets a private key; returns how long results are, in bytes.
    ///
    /// Context and errors: as for [`set_public_key`](Self::set_public_key).
    pub(crate) fn set_private_key(&self, key: &[u8]) -> Result<u32> {
        let (key, len) = (key.as_ptr().cast(), u32::try_from(key.len())?);
        // SAFETY: By the type invariant; the key is valid for reads of its length.
        to_result(unsafe { helpers::crypto_akcipher_set_priv_key(self.tfm.as_ptr(), key, len) })?;
        Ok(self.max_size())
    }

    /// Returns how long results are. For transforms that have a key: the kernel's RSA follows a null
    /// pointer if it has none.
    fn max_size(&self) -> u32 {
        // SAFETY: By the type invariant; the callers have just set a key.
        unsafe { helpers::crypto_akcipher_maxsize(self.tfm.as_ptr()) }
    }

    /// Encrypts or decrypts `data`, in place: the result has as many bytes.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there is no key, or the data is not in its range. `EOVERFLOW`: the result is longer.
    /// `ENOMEM`: no memory. What is in `data` then is of no use.
    pub(super) fn crypt(&self, direction: Direction, data: &mut [u8]) -> Result {
        let len = u32::try_from(data.len())?;
        let data = data.as_mut_ptr().cast();
        let crypt = match direction {
            Direction::Encrypt => bindings::crypto_akcipher_sync_encrypt,
            Direction::Decrypt => bindings::crypto_akcipher_sync_decrypt,
        };
        // SAFETY: By the type invariant; `data` is valid for reads and writes of `len` bytes, and
        // the function, which works on a copy, lets source and destination be the same.
        to_result(unsafe { crypt(self.tfm.as_ptr(), data, len, data, len) })
    }
}

impl Drop for Software {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; this is the last use.
        unsafe { helpers::crypto_free_akcipher(self.tfm.as_ptr()) };
    }
}
