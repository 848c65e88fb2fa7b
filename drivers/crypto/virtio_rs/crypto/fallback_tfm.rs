// SPDX-License-Identifier: GPL-2.0

//! Fallbacks: transforms of the kernel's own implementations, which run what the device does not.
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

/// A fallback. Methods that depend on the type are in the module of the type.
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
    /// Allocates a transform of the best synchronous implementation of `name` that needs no fallback
    /// itself. `kind` are flags that the implementation must have if they are in `mask`, and flags in
    /// `mask` alone it must not have.
    ///
    /// Context: process, may sleep: modules may be loaded.
    ///
    /// # Errors
    ///
    /// - `ENOENT` if the kernel has no such implementation;
    /// - others as the crypto API returns them.
    pub(super) fn allocate(name: &CStr, kind: u32, mask: u32) -> Result<Self> {
        let mask = mask | bindings::CRYPTO_ALG_ASYNC;
        // SAFETY: `name` is a valid string.
        let tfm = unsafe { T::ALLOCATE(name.as_char_ptr(), kind, mask) };
        // INVARIANT: The mask excludes asynchronous implementations.
        Ok(Self {
            tfm: NonNull::new(from_err_ptr(tfm)?).ok_or(ENOENT)?,
        })
    }

    /// Takes over a transform.
    ///
    /// # Safety
    ///
    /// `tfm` must come from [`into_raw`](Self::into_raw), and have no other user any more.
    pub(super) unsafe fn from_raw(tfm: NonNull<T>) -> Self {
        // INVARIANT: `into_raw` was called on a valid value.
        Self { tfm }
    }

    /// Gives the transform away, to be taken over by [`from_raw`](Self::from_raw).
    pub(super) fn into_raw(self) -> NonNull<T> {
        ManuallyDrop::new(self).tfm
    }

    /// Returns the transform.
    pub(super) fn as_raw(&self) -> *mut T {
        self.tfm.as_ptr()
    }

    /// Sets the flags of a key that is about to be set, as callers of `setkey` do.
    pub(super) fn set_key_flags(&self, key: &Key<'_>) {
        // SAFETY: By the type invariant the transform is valid.
        unsafe { key.set_flags(T::base(self.as_raw())) };
    }
}

impl<T: RawTransform> Drop for FallbackTfm<T> {
    fn drop(&mut self) {
        let tfm = self.as_raw();
        // SAFETY: By the type invariant the transform is valid; this is the last use.
        unsafe { bindings::crypto_destroy_tfm(tfm.cast(), T::base(tfm)) };
    }
}
