// SPDX-License-Identifier: GPL-2.0

//! Bytes that leave no trace.

use crate::bindings::helpers;
use kernel::prelude::*;

/// Returns true if both are the same, in a time that tells nothing about where they differ.
pub(crate) fn are_equal(one: &[u8], other: &[u8]) -> bool {
    let len = one.len();
    if len != other.len() {
        return false;
    }
    // SAFETY: Both are valid for reads of `len` bytes.
    unsafe { helpers::memneq(one.as_ptr().cast(), other.as_ptr().cast(), len) == 0 }
}

/// Bytes in memory of their own, wiped when they are dropped.
///
/// # Invariants
///
/// The vector is never reallocated: no copy of the bytes is left behind.
pub(crate) struct Secret(KVec<u8>);

impl Secret {
    /// Makes a copy of `parts`, one behind the other.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(crate) fn new(parts: &[&[u8]]) -> Result<Self> {
        let len = parts.iter().map(|part| part.len()).sum();
        // INVARIANT: The capacity is exact.
        let mut copy = Self(KVec::with_capacity(len, GFP_KERNEL)?);
        for part in parts {
            copy.0.extend_from_slice(part, GFP_KERNEL)?;
        }
        Ok(copy)
    }

    /// Creates `len` bytes, all of them 0.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(crate) fn zeroed(len: usize) -> Result<Self> {
        // INVARIANT: It has its final length.
        Ok(Self(KVec::from_elem(0, len, GFP_KERNEL)?))
    }

    /// Returns the bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Returns true if the secret is `bytes`, in a time that tells nothing about where they differ.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        are_equal(&self.0, bytes)
    }

    fn wipe(&mut self) {
        let len = self.0.len();
        // SAFETY: The vector's memory is valid for writes of its length.
        unsafe { helpers::memzero_explicit(self.0.as_mut_ptr().cast(), len) };
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// `N` bytes on the stack, wiped when they are dropped. Where it is moved from, a copy may stay behind:
/// not for keys.
pub(crate) struct ShortSecret<const N: usize>([u8; N]);

impl<const N: usize> ShortSecret<N> {
    /// Makes a copy.
    pub(crate) fn new(bytes: &[u8; N]) -> Self {
        Self(*bytes)
    }
}

impl<const N: usize> ShortSecret<N> {
    /// Returns the bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> AsRef<[u8]> for ShortSecret<N> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> Drop for ShortSecret<N> {
    fn drop(&mut self) {
        // SAFETY: The bytes are valid for writes of their length.
        unsafe { helpers::memzero_explicit(self.0.as_mut_ptr().cast(), N) };
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_support_secret)]
mod tests {
    use super::*;
    use core::mem::MaybeUninit;

    #[test]
    fn a_secret_is_wiped() {
        let mut secret = Secret::new(&[b"one", b"", b"two"]).unwrap();
        assert!(secret.is(b"onetwo"));
        // What is dropped cannot be looked at any more.
        secret.wipe();
        assert!(secret.is(&[0; 6]));
    }

    #[test]
    fn a_short_secret_is_wiped_when_it_is_dropped() {
        let mut place = MaybeUninit::new(ShortSecret::new(b"a secret"));
        // SAFETY: It is initialised, and not used as what it is afterwards.
        unsafe { place.assume_init_drop() };
        // SAFETY: The bytes are initialised still, and need no drop.
        let bytes = unsafe { (&raw const (*place.as_ptr()).0).read() };
        assert_eq!(bytes, [0; 8]);
    }
}
