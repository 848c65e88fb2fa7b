// SPDX-License-Identifier: GPL-2.0

//! Keys that callers set.

use crate::bindings;
use kernel::ffi::{
    c_uint,
    c_void, //
};

/// Returns a slice of a caller's memory.
///
/// # Safety
///
/// If `len` is not 0, `address` must be valid for reads of `len` bytes as long as the result is used.
pub(super) unsafe fn slice<'a>(address: *const c_void, len: c_uint) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: The caller guarantees that the bytes are valid.
    // CAST: Both targets of this driver have 32 bits at least.
    unsafe { core::slice::from_raw_parts(address.cast(), len as usize) }
}

/// A key that a caller sets.
pub(crate) struct Key<'a> {
    bytes: &'a [u8],
    flags: u32,
}

impl<'a> Key<'a> {
    /// Creates a key without flags.
    #[cfg(CONFIG_KUNIT)]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, flags: 0 }
    }

    /// Creates a key. `flags` are the flags of the transform for which the caller sets the key.
    ///
    /// # Safety
    ///
    /// If `len` is not 0, `bytes` must be valid for reads of `len` bytes for the lifetime `'a`.
    pub(super) unsafe fn from_raw(bytes: *const u8, len: c_uint, flags: u32) -> Self {
        Self {
            // SAFETY: The caller guarantees that the bytes are valid.
            bytes: unsafe { slice(bytes.cast(), len) },
            flags: flags & bindings::CRYPTO_TFM_REQ_MASK,
        }
    }

    /// Returns the bytes.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Splits a key of `authenc()` into the key of the cipher and the key of the MAC. Returns `None` if
    /// the key is malformed.
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
        // The header is followed by the MAC key and then the cipher key, up to the end.
        // CAST: Both targets of this driver have 32 bits at least.
        let (auth_len, cipher_len) = (keys.authkeylen as usize, keys.enckeylen as usize);
        let header_len = bytes.len().checked_sub(auth_len.checked_add(cipher_len)?)?;
        let (auth, cipher) = bytes.get(header_len..)?.split_at_checked(auth_len)?;
        Some((cipher, auth))
    }

    /// Sets the flags of the key on a fallback, before the key of the fallback is set. The flags may
    /// forbid weak keys.
    ///
    /// # Safety
    ///
    /// `tfm` must be valid. Nothing else may use its flags during the call.
    pub(super) unsafe fn set_flags(&self, tfm: *mut bindings::crypto_tfm) {
        // SAFETY: The caller guarantees that the transform is valid, and its flags are not in use.
        let flags = unsafe { &mut (*tfm).crt_flags };
        *flags = *flags & !bindings::CRYPTO_TFM_REQ_MASK | self.flags;
    }
}
