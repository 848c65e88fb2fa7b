// SPDX-License-Identifier: GPL-2.0

//! Fallbacks: transforms of the kernel's own implementations. They run the requests that the device does
//! not run.
//!
//! C header: [`include/linux/crypto.h`](srctree/include/linux/crypto.h)

use super::{
    adapter::RawTransform,
    Key, //
};
use crate::bindings;
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

/// A fallback of any algorithm type. The modules `aead`, `akcipher`, `hash`, `sig` and `skcipher` add
/// methods for their types.
///
/// # Invariants
///
/// `tfm` is a valid transform of a synchronous implementation: a request is complete when the call
/// returns.
pub(crate) struct FallbackTfm<T: RawTransform> {
    tfm: NonNull<T>,
}

// SAFETY: A transform is not tied to a thread.
unsafe impl<T: RawTransform> Send for FallbackTfm<T> {}

// SAFETY: Requests on one transform may be made concurrently.
unsafe impl<T: RawTransform> Sync for FallbackTfm<T> {}

impl<T: RawTransform> FallbackTfm<T> {
    /// Allocates a transform of the synchronous implementation of `name` with the highest priority. The
    /// implementation must have the flags that are in `kind` and in `mask`, and must not have the flags
    /// that are only in `mask`.
    ///
    /// Context: process, may sleep: modules may be loaded.
    ///
    /// # Errors
    ///
    /// - `ENOENT` if the kernel has no such implementation;
    /// - another error of the crypto API.
    pub(super) fn allocate(name: &CStr, kind: u32, mask: u32) -> Result<Self> {
        let mask = mask | bindings::CRYPTO_ALG_ASYNC;
        // SAFETY: `name` is a valid string.
        let tfm = unsafe { T::ALLOCATE(name.as_char_ptr(), kind, mask) };
        // INVARIANT: The mask excludes asynchronous implementations.
        Ok(Self {
            tfm: NonNull::new(from_err_ptr(tfm)?).ok_or(ENOENT)?,
        })
    }

    /// Creates a fallback from a transform that [`into_raw`](Self::into_raw) returned.
    ///
    /// # Safety
    ///
    /// [`into_raw`](Self::into_raw) must have returned `tfm`, and `tfm` must have no other user.
    pub(super) unsafe fn from_raw(tfm: NonNull<T>) -> Self {
        // INVARIANT: The transform of the original fallback was valid and synchronous.
        Self { tfm }
    }

    /// Returns the transform without freeing it. [`from_raw`](Self::from_raw) reverses this.
    pub(super) fn into_raw(self) -> NonNull<T> {
        ManuallyDrop::new(self).tfm
    }

    /// Returns the transform.
    pub(super) fn as_raw(&self) -> *mut T {
        self.tfm.as_ptr()
    }

    /// Sets the flags of `key` on the transform. Must be called before the key is set.
    pub(super) fn set_key_flags(&self, key: &Key<'_>) {
        // SAFETY: By the type invariant the transform is valid.
        unsafe { key.set_flags(T::base(self.as_raw())) };
    }
}

impl<T: RawTransform> Drop for FallbackTfm<T> {
    fn drop(&mut self) {
        let tfm = self.as_raw();
        // SAFETY: By the type invariant the transform is valid. It is not used afterwards.
        unsafe { bindings::crypto_destroy_tfm(tfm.cast(), T::base(tfm)) };
    }
}
