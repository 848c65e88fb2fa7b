// SPDX-License-Identifier: GPL-2.0

//! What the framework calls.

use super::{
    offload,
    Algorithm,
    Direction,
    Entry,
    Key,
    Request, //
};
use crate::{
    bindings,
    bindings::helpers, //
};
use core::ptr::NonNull;
use kernel::{
    error::from_result,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*, //
};

/// The C callbacks of an algorithm.
pub(super) trait Callbacks: Algorithm {
    /// # Safety
    ///
    /// `tfm` must be a new transform of an algorithm registered by this layer.
    unsafe extern "C" fn init_callback(tfm: *mut bindings::crypto_aead) -> c_int {
        // SAFETY: By the safety requirements.
        let alg = unsafe { helpers::crypto_aead_alg(tfm) };
        // SAFETY: The algorithm is part of an entry, which lives as long as its transforms.
        let data = unsafe { &(*Entry::<_, Self::Data>::of(alg)).data };
        from_result(|| {
            let state = Self::init(data)?;
            let software = Self::software(&state).request_size();
            let size = offload::context_size::<Self>(software);
            // SAFETY: By the safety requirements.
            unsafe { helpers::crypto_aead_set_reqsize_dma(tfm, size) };
            // SAFETY: The context has the size and alignment of `Tfm`, and is not used yet.
            unsafe { Self::context(tfm).write(state) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `tfm` must be a transform that `init_callback` has initialised, in its last use.
    unsafe extern "C" fn exit_callback(tfm: *mut bindings::crypto_aead) {
        // SAFETY: By the safety requirements.
        unsafe { Self::context(tfm).drop_in_place() };
    }

    /// # Safety
    ///
    /// `tfm` must be an initialised transform, `key` valid for reads of `len` bytes.
    unsafe extern "C" fn set_key_callback(
        tfm: *mut bindings::crypto_aead,
        key: *const u8,
        len: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let state = unsafe { &*Self::context(tfm) };
        // SAFETY: By the safety requirements.
        let flags = unsafe { helpers::crypto_aead_get_flags(tfm) };
        // SAFETY: By the safety requirements.
        let key = unsafe { Key::from_raw(key, len, flags) };
        from_result(|| {
            Self::set_key(state, &key)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `tfm` must be an initialised transform.
    unsafe extern "C" fn set_auth_size_callback(
        tfm: *mut bindings::crypto_aead,
        size: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let state = unsafe { &*Self::context(tfm) };
        from_result(|| {
            Self::set_auth_size(state, size)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `req` must be a valid request of an initialised transform.
    unsafe extern "C" fn encrypt_callback(req: *mut bindings::aead_request) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { Self::crypt_callback(req, Direction::Encrypt) }
    }

    /// # Safety
    ///
    /// As for [`encrypt_callback`](Self::encrypt_callback).
    unsafe extern "C" fn decrypt_callback(req: *mut bindings::aead_request) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { Self::crypt_callback(req, Direction::Decrypt) }
    }

    /// # Safety
    ///
    /// As for [`encrypt_callback`](Self::encrypt_callback).
    unsafe fn crypt_callback(req: *mut bindings::aead_request, direction: Direction) -> c_int {
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
    unsafe fn context(tfm: *mut bindings::crypto_aead) -> *mut Self::Tfm {
        // SAFETY: By the safety requirements.
        unsafe { offload::tfm_ctx(&raw mut (*tfm).base) }.cast()
    }
}

impl<A: Algorithm> Callbacks for A {}
