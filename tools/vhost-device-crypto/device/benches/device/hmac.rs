// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! OpenSSL's HMAC with a key that is set once. The openssl crate has no wrapper for this.

use std::ptr::{self, NonNull};

use openssl::error::ErrorStack;
use openssl_sys as ffi;

/// A context that keeps its key.
pub struct Hmac(NonNull<ffi::HMAC_CTX>);

fn check(code: i32) -> Result<(), ErrorStack> {
    if code == 1 {
        Ok(())
    } else {
        Err(ErrorStack::get())
    }
}

impl Hmac {
    /// Creates a context of HMAC with SHA-256.
    pub fn sha256(key: &[u8]) -> Result<Self, ErrorStack> {
        openssl::init();
        // SAFETY: The call has no requirements.
        let context = unsafe { ffi::HMAC_CTX_new() };
        let hmac = Hmac(NonNull::new(context).ok_or_else(ErrorStack::get)?);
        // SAFETY: The context is valid, `key` has `key.len()` bytes, and the digest is static.
        check(unsafe {
            ffi::HMAC_Init_ex(
                hmac.0.as_ptr(),
                key.as_ptr().cast(),
                key.len() as i32,
                ffi::EVP_sha256(),
                ptr::null_mut(),
            )
        })?;
        Ok(hmac)
    }

    /// Computes the MAC of a message.
    pub fn mac(&mut self, message: &[u8], mac: &mut [u8; 32]) -> Result<(), ErrorStack> {
        let context = self.0.as_ptr();
        // SAFETY: The context is valid, and keeps key and digest if both are null. `message` has
        // `message.len()` bytes. A MAC with SHA-256 has 32 bytes.
        unsafe {
            check(ffi::HMAC_Init_ex(context, ptr::null(), 0, ptr::null(), ptr::null_mut()))?;
            check(ffi::HMAC_Update(context, message.as_ptr(), message.len()))?;
            check(ffi::HMAC_Final(context, mac.as_mut_ptr(), ptr::null_mut()))
        }
    }
}

impl Drop for Hmac {
    fn drop(&mut self) {
        // SAFETY: `self` owns the context.
        unsafe { ffi::HMAC_CTX_free(self.0.as_ptr()) }
    }
}
