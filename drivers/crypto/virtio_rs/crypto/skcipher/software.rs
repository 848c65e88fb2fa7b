// SPDX-License-Identifier: GPL-2.0

//! A software cipher that does what the device does not.
//!
//! C header: [`include/crypto/skcipher.h`](srctree/include/crypto/skcipher.h)

use super::{
    super::Key,
    fallback::OnStack, //
};
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
    tfm: NonNull<bindings::crypto_skcipher>,
}

// SAFETY: A transform is not tied to a thread.
unsafe impl Send for Software {}

// SAFETY: Requests on one transform may be made concurrently.
unsafe impl Sync for Software {}

impl Software {
    /// Finds the best software implementation of `name` that is synchronous, allocates nothing for
    /// a request, and needs no fallback itself.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `ENOENT`: the kernel has none. Others as the framework has them.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        Self::find(name, 0)
    }

    /// Finds an implementation as [`new`](Self::new) does, whose requests may be on the stack.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new). `EINVAL` if the implementation needs more request context than
    /// `MAX_SYNC_SKCIPHER_REQSIZE`.
    pub(crate) fn new_on_stack(name: &CStr) -> Result<Self> {
        let software = Self::find(name, bindings::VC_REQSIZE_LARGE)?;
        if software.request_size() > OnStack::SIZE {
            return Err(EINVAL);
        }
        Ok(software)
    }

    fn find(name: &CStr, also_without: u32) -> Result<Self> {
        let mask = bindings::CRYPTO_ALG_ASYNC
            | bindings::CRYPTO_ALG_NEED_FALLBACK
            | bindings::CRYPTO_ALG_ALLOCATES_MEMORY
            | bindings::CRYPTO_ALG_KERN_DRIVER_ONLY
            | also_without;
        // SAFETY: `name` is a string.
        let tfm = unsafe { bindings::crypto_alloc_skcipher(name.as_char_ptr(), 0, mask) };
        let tfm = from_err_ptr(tfm)?;
        // INVARIANT: The mask excludes asynchronous implementations.
        Ok(Self {
            tfm: NonNull::new(tfm).ok_or(ENOENT)?,
        })
    }

    /// Returns how much request context the implementation wants, `struct skcipher_request`
    /// included.
    pub(super) fn request_size(&self) -> u32 {
        // SAFETY: By the type invariant.
        let context = unsafe { helpers::crypto_skcipher_reqsize(self.tfm.as_ptr()) };
        // CAST: The struct is small.
        context.saturating_add(size_of::<bindings::skcipher_request>() as u32)
    }

    /// Returns the size of the IV in bytes.
    pub(super) fn iv_size(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { helpers::crypto_skcipher_ivsize(self.tfm.as_ptr()) }
    }

    /// Sets the key.
    ///
    /// # Errors
    ///
    /// What the implementation answers: `EINVAL` for a key it does not take.
    pub(crate) fn set_key(&self, key: &Key<'_>) -> Result {
        let tfm = self.tfm.as_ptr();
        let bytes = key.bytes();
        // SAFETY: By the type invariant.
        unsafe { helpers::crypto_skcipher_set_req_flags(tfm, key.flags()) };
        // SAFETY: By the type invariant; `bytes` is valid for reads of its length.
        to_result(unsafe {
            bindings::crypto_skcipher_setkey(tfm, bytes.as_ptr(), u32::try_from(bytes.len())?)
        })
    }

    /// Returns the transform.
    pub(super) fn as_raw(&self) -> *mut bindings::crypto_skcipher {
        self.tfm.as_ptr()
    }
}

impl Drop for Software {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; this is the last use.
        unsafe { helpers::crypto_free_skcipher(self.tfm.as_ptr()) };
    }
}
