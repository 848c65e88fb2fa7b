// SPDX-License-Identifier: GPL-2.0

//! Memory that is wiped on drop, and comparison in constant time.

use crate::bindings::helpers;
use kernel::prelude::*;

/// Compares two byte strings. The time only depends on their lengths.
pub(crate) fn constant_time_eq(one: &[u8], other: &[u8]) -> bool {
    let len = one.len();
    if len != other.len() {
        return false;
    }
    // SAFETY: Both slices have `len` bytes, so the pointers are valid for reads of `len` bytes.
    unsafe { helpers::memneq(one.as_ptr().cast(), other.as_ptr().cast(), len) == 0 }
}

/// Bytes on the heap that are wiped on drop.
///
/// # Invariants
///
/// The vector is never reallocated, because a reallocation would leave a copy of the bytes behind.
pub(crate) struct Secret(KVec<u8>);

impl Secret {
    /// Creates a copy of the concatenation of `parts`.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if memory is exhausted.
    pub(crate) fn new(parts: &[&[u8]]) -> Result<Self> {
        let len = parts.iter().map(|part| part.len()).sum();
        // INVARIANT: The capacity is the total length, so the loop does not reallocate.
        let mut secret = Self(KVec::with_capacity(len, GFP_KERNEL)?);
        for part in parts {
            secret.0.extend_from_slice(part, GFP_KERNEL)?;
        }
        Ok(secret)
    }

    /// Creates a secret of `len` zero bytes.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if memory is exhausted.
    pub(crate) fn zeroed(len: usize) -> Result<Self> {
        // INVARIANT: The length of the vector never changes.
        Ok(Self(KVec::from_elem(0, len, GFP_KERNEL)?))
    }

    /// Returns the bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the bytes for writing.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Compares the secret with `bytes` in constant time.
    pub(crate) fn constant_time_eq(&self, bytes: &[u8]) -> bool {
        constant_time_eq(&self.0, bytes)
    }

    fn wipe(&mut self) {
        let len = self.0.len();
        // SAFETY: The memory of the vector is valid for writes of `len` bytes.
        unsafe { helpers::memzero_explicit(self.0.as_mut_ptr().cast(), len) };
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// `N` bytes on the stack that are wiped on drop. A move may leave a copy behind, so keys must not
/// be stored in this type.
pub(crate) struct StackSecret<const N: usize>([u8; N]);

impl<const N: usize> StackSecret<N> {
    /// Creates a copy of `bytes`.
    pub(crate) fn new(bytes: &[u8; N]) -> Self {
        Self(*bytes)
    }
}

impl<const N: usize> StackSecret<N> {
    /// Returns the bytes for writing.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> AsRef<[u8]> for StackSecret<N> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> Drop for StackSecret<N> {
    fn drop(&mut self) {
        // SAFETY: The array is valid for writes of `N` bytes.
        unsafe { helpers::memzero_explicit(self.0.as_mut_ptr().cast(), N) };
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_support_secret)]
mod tests {
    use super::*;
    use core::mem::MaybeUninit;

    #[test]
    fn secret_is_wiped() {
        let mut secret = Secret::new(&[b"one", b"", b"two"]).unwrap();
        assert!(secret.constant_time_eq(b"onetwo"));
        // `drop` only calls `wipe`. The test cannot read the memory after a drop.
        secret.wipe();
        assert!(secret.constant_time_eq(&[0; 6]));
    }

    #[test]
    fn stack_secret_is_wiped_on_drop() {
        let mut slot = MaybeUninit::new(StackSecret::new(b"a secret"));
        // SAFETY: `slot` is initialised, and the test does not use the dropped value as a
        // `StackSecret` again.
        unsafe { slot.assume_init_drop() };
        // SAFETY: The bytes are still initialised after the drop, and `[u8; 8]` is `Copy`.
        let bytes = unsafe { (&raw const (*slot.as_ptr()).0).read() };
        assert_eq!(bytes, [0; 8]);
    }
}
