// SPDX-License-Identifier: GPL-2.0

//! What the framework calls.

use super::{
    super::Key,
    operand::Operand,
    Algorithm,
    Direction,
    Entry,
    Raw,
    Request, //
};
use crate::{
    bindings,
    bindings::helpers,
    crypto::offload, //
};
use core::ptr::NonNull;
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
    unsafe extern "C" fn init_callback(tfm: *mut bindings::crypto_akcipher) -> c_int {
        // SAFETY: By the safety requirements.
        let alg = unsafe { helpers::crypto_akcipher_alg(tfm) };
        // SAFETY: The algorithm is part of an entry, which lives as long as its transforms.
        let data = unsafe { &(*Entry::<_, Self::Data>::of(alg)).data };
        from_result(|| {
            let state = Self::init(data)?;
            // CAST: The struct has a few thousand bytes.
            let size = offload::context_size::<Self>(0) + size_of::<Operand>() as u32;
            // SAFETY: By the safety requirements.
            unsafe { helpers::akcipher_set_reqsize_dma(tfm, size) };
            // SAFETY: The context has the size and alignment of `Tfm`, and is not used yet.
            unsafe { Self::context(tfm).write(state) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `tfm` must be a transform that `init_callback` has initialised, in its last use.
    unsafe extern "C" fn exit_callback(tfm: *mut bindings::crypto_akcipher) {
        // SAFETY: By the safety requirements.
        unsafe { Self::context(tfm).drop_in_place() };
    }

    /// # Safety
    ///
    /// `tfm` must be an initialised transform, `key` valid for reads of `len` bytes.
    unsafe extern "C" fn set_public_key_callback(
        tfm: *mut bindings::crypto_akcipher,
        key: *const c_void,
        len: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { Self::set_key_callback(tfm, key, len, Self::set_public_key) }
    }

    /// # Safety
    ///
    /// As for [`set_public_key_callback`](Self::set_public_key_callback).
    unsafe extern "C" fn set_private_key_callback(
        tfm: *mut bindings::crypto_akcipher,
        key: *const c_void,
        len: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { Self::set_key_callback(tfm, key, len, Self::set_private_key) }
    }

    /// # Safety
    ///
    /// As for [`set_public_key_callback`](Self::set_public_key_callback).
    unsafe fn set_key_callback(
        tfm: *mut bindings::crypto_akcipher,
        key: *const c_void,
        len: c_uint,
        set_key: fn(&Self::Tfm, &[u8]) -> Result,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let state = unsafe { &*Self::context(tfm) };
        // SAFETY: By the safety requirements.
        let key = unsafe { Key::from_raw(key.cast(), len, 0) };
        from_result(|| {
            set_key(state, key.bytes())?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `tfm` must be an initialised transform.
    unsafe extern "C" fn max_size_callback(tfm: *mut bindings::crypto_akcipher) -> c_uint {
        // SAFETY: By the safety requirements.
        Self::max_size(unsafe { &*Self::context(tfm) })
    }

    /// # Safety
    ///
    /// `req` must be a valid request of an initialised transform.
    unsafe extern "C" fn encrypt_callback(req: *mut Raw) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { Self::crypt_callback(req, Direction::Encrypt) }
    }

    /// # Safety
    ///
    /// As for [`encrypt_callback`](Self::encrypt_callback).
    unsafe extern "C" fn decrypt_callback(req: *mut Raw) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { Self::crypt_callback(req, Direction::Decrypt) }
    }

    /// # Safety
    ///
    /// As for [`encrypt_callback`](Self::encrypt_callback).
    unsafe fn crypt_callback(req: *mut Raw, direction: Direction) -> c_int {
        let Some(raw) = NonNull::new(req) else {
            return EINVAL.to_errno();
        };
        // SAFETY: By the safety requirements; the framework has just handed it in.
        let request = unsafe { Request::<'_, Self>::from_raw(raw) };
        Self::crypt(request, direction).into_raw()
    }

    /// Returns the driver's part of a transform.
    ///
    /// # Safety
    ///
    /// `tfm` must be a transform of an algorithm registered by this layer.
    unsafe fn context(tfm: *mut bindings::crypto_akcipher) -> *mut Self::Tfm {
        // SAFETY: By the safety requirements.
        unsafe { offload::tfm_ctx(&raw mut (*tfm).base) }.cast()
    }
}

impl<A: Algorithm> Callbacks for A {}
