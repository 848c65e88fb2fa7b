// SPDX-License-Identifier: GPL-2.0

//! Bytes that leave no trace.

use crate::bindings::helpers;
use kernel::prelude::*;

/// A key in memory of its own, wiped when it is dropped.
pub(crate) struct Secret(KVec<u8>);

impl Secret {
    /// Makes a copy of `bytes`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self> {
        // The capacity is exact: nothing is moved, so no copy is left behind.
        let mut copy = KVec::with_capacity(bytes.len(), GFP_KERNEL)?;
        copy.extend_from_slice(bytes, GFP_KERNEL)?;
        Ok(Self(copy))
    }

    /// Returns true if the secret is `bytes`, in a time that tells nothing about where they differ.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        let len = self.0.len();
        // SAFETY: Both are valid for reads of `len` bytes.
        len == bytes.len()
            && unsafe { helpers::memneq(self.0.as_ptr().cast(), bytes.as_ptr().cast(), len) } == 0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let len = self.0.len();
        // SAFETY: The vector's memory is valid for writes of its length.
        unsafe { helpers::memzero_explicit(self.0.as_mut_ptr().cast(), len) };
    }
}
