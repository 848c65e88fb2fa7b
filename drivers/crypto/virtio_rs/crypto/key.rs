// SPDX-License-Identifier: GPL-2.0

//! Keys as consumers set them.

use crate::bindings;
use core::marker::PhantomData;
use kernel::ffi::c_uint;

/// A key that a consumer sets.
///
/// # Invariants
///
/// `bytes` is valid for reads of `len` bytes, unless that is 0, for the lifetime.
pub(crate) struct Key<'a> {
    bytes: *const u8,
    len: usize,
    flags: u32,
    _bytes: PhantomData<&'a [u8]>,
}

impl<'a> Key<'a> {
    /// Creates a key that nobody has asked for anything special with.
    #[cfg(CONFIG_KUNIT)]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        // INVARIANT: A slice is valid for reads.
        Self {
            bytes: bytes.as_ptr(),
            len: bytes.len(),
            flags: 0,
            _bytes: PhantomData,
        }
    }

    /// Takes over a key, for a transform with `flags`.
    ///
    /// # Safety
    ///
    /// `bytes` must be valid for reads of `len` bytes, unless that is 0, for the lifetime.
    pub(super) unsafe fn from_raw(bytes: *const u8, len: c_uint, flags: u32) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            bytes,
            // CAST: Both targets of this driver have 32 bits at least.
            len: len as usize,
            flags: flags & bindings::CRYPTO_TFM_REQ_MASK,
            _bytes: PhantomData,
        }
    }

    /// Returns the bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: By the type invariant.
        unsafe { core::slice::from_raw_parts(self.bytes, self.len) }
    }

    /// Returns the key of the cipher and that of the MAC, of a key for a chain of both; nothing if it
    /// has not the form of such a key.
    pub(crate) fn authenc(&self) -> Option<(&[u8], &[u8])> {
        let bytes = self.bytes();
        let mut keys = bindings::crypto_authenc_keys::default();
        // SAFETY: `bytes` is valid for reads of its length.
        let res = unsafe {
            bindings::crypto_authenc_extractkeys(
                &mut keys,
                bytes.as_ptr(),
                c_uint::try_from(bytes.len()).ok()?,
            )
        };
        if res != 0 {
            return None;
        }
        // What is found is all that is behind the head: the one key, then the other.
        // CAST: Both targets of this driver have 32 bits at least.
        let (auth_len, cipher_len) = (keys.authkeylen as usize, keys.enckeylen as usize);
        let found = bytes.len().checked_sub(auth_len.checked_add(cipher_len)?)?;
        let (auth, cipher) = bytes.get(found..)?.split_at_checked(auth_len)?;
        Some((cipher, auth))
    }

    /// Returns the flags (weak keys) that software which stands in for the device needs.
    pub(super) fn flags(&self) -> u32 {
        self.flags
    }
}
