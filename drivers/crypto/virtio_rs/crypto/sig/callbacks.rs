// SPDX-License-Identifier: GPL-2.0

//! What the framework calls.

use super::{
    Algorithm,
    Entry, //
};
use crate::{
    bindings,
    bindings::helpers, //
};
use kernel::{
    error::from_result,
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*, //
};

/// The C callbacks of an algorithm.
pub(super) trait Callbacks: Algorithm {
    /// # Safety
    ///
    /// `tfm` must be a new transform of an algorithm registered by this layer.
    unsafe extern "C" fn init_callback(tfm: *mut bindings::crypto_sig) -> c_int {
        // SAFETY: By the safety requirements.
        let alg = unsafe { helpers::crypto_sig_alg(tfm) };
        // SAFETY: The algorithm is part of an entry, which lives as long as its transforms.
        let data = unsafe { &(*Entry::<_, Self::Data>::of(alg)).data };
        from_result(|| {
            let state = Self::init(data)?;
            // SAFETY: The context has the size and alignment of `Tfm`, and is not used yet.
            unsafe { context::<Self>(tfm).write(state) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `tfm` must be a transform that `init_callback` has initialised, in its last use.
    unsafe extern "C" fn exit_callback(tfm: *mut bindings::crypto_sig) {
        // SAFETY: By the safety requirements.
        unsafe { context::<Self>(tfm).drop_in_place() };
    }

    /// # Safety
    ///
    /// `tfm` must be an initialised transform, `key` valid for reads of `len` bytes.
    unsafe extern "C" fn set_public_key_callback(
        tfm: *mut bindings::crypto_sig,
        key: *const c_void,
        len: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let state = unsafe { &*context::<Self>(tfm) };
        // SAFETY: By the safety requirements.
        let key = unsafe { bytes(key, len) };
        from_result(|| {
            Self::set_public_key(state, key)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// As for [`set_public_key_callback`](Self::set_public_key_callback).
    unsafe extern "C" fn set_private_key_callback(
        tfm: *mut bindings::crypto_sig,
        key: *const c_void,
        len: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let state = unsafe { &*context::<Self>(tfm) };
        // SAFETY: By the safety requirements.
        let key = unsafe { bytes(key, len) };
        from_result(|| {
            Self::set_private_key(state, key)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `tfm` must be an initialised transform, `src` valid for reads of `slen` bytes, and `dst` for
    /// writes of `dlen`; they may be the same memory.
    unsafe extern "C" fn sign_callback(
        tfm: *mut bindings::crypto_sig,
        src: *const c_void,
        slen: c_uint,
        dst: *mut c_void,
        dlen: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let state = unsafe { &*context::<Self>(tfm) };
        from_result(|| {
            // SAFETY: By the safety requirements; it is not used any more when `dst` is written to.
            let signature = Self::sign(state, unsafe { bytes(src, slen) })?;
            let signature = signature.as_ref();
            let len = u32::try_from(signature.len())?;
            if len > dlen {
                return Err(EOVERFLOW);
            }
            // SAFETY: By the safety requirements there is room; the signature is memory of its own.
            unsafe {
                dst.cast::<u8>()
                    .copy_from_nonoverlapping(signature.as_ptr(), len as usize)
            };
            Ok(c_int::try_from(len)?)
        })
    }

    /// # Safety
    ///
    /// `tfm` must be an initialised transform, `src` valid for reads of `slen` bytes, and `digest` of
    /// `dlen`.
    unsafe extern "C" fn verify_callback(
        tfm: *mut bindings::crypto_sig,
        src: *const c_void,
        slen: c_uint,
        digest: *const c_void,
        dlen: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let state = unsafe { &*context::<Self>(tfm) };
        // SAFETY: By the safety requirements.
        let signature = unsafe { bytes(src, slen) };
        // SAFETY: By the safety requirements.
        let digest = unsafe { bytes(digest, dlen) };
        from_result(|| {
            Self::verify(state, signature, digest)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `tfm` must be an initialised transform.
    unsafe extern "C" fn key_size_callback(tfm: *mut bindings::crypto_sig) -> c_uint {
        // SAFETY: By the safety requirements.
        Self::key_bits(unsafe { &*context::<Self>(tfm) })
    }

    /// # Safety
    ///
    /// `tfm` must be an initialised transform.
    unsafe extern "C" fn max_size_callback(tfm: *mut bindings::crypto_sig) -> c_uint {
        // SAFETY: By the safety requirements.
        Self::max_size(unsafe { &*context::<Self>(tfm) })
    }

    /// # Safety
    ///
    /// `tfm` must be an initialised transform.
    unsafe extern "C" fn digest_size_callback(tfm: *mut bindings::crypto_sig) -> c_uint {
        // SAFETY: By the safety requirements.
        Self::digest_size(unsafe { &*context::<Self>(tfm) })
    }
}

impl<A: Algorithm> Callbacks for A {}

/// Returns the driver's part of a transform.
///
/// # Safety
///
/// `tfm` must be a transform of an algorithm registered by this layer.
unsafe fn context<A: Algorithm>(tfm: *mut bindings::crypto_sig) -> *mut A::Tfm {
    // SAFETY: By the safety requirements.
    unsafe { crate::crypto::offload::tfm_ctx(&raw mut (*tfm).base) }.cast()
}

/// Returns memory that a consumer hands in.
///
/// # Safety
///
/// `at` must be valid for reads of `len` bytes, unless that is 0, as long as the result is used.
unsafe fn bytes<'a>(at: *const c_void, len: c_uint) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: By the safety requirements.
    // CAST: Both targets of this driver have 32 bits at least.
    unsafe { core::slice::from_raw_parts(at.cast(), len as usize) }
}
