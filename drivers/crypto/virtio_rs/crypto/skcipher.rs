// SPDX-License-Identifier: GPL-2.0

//! Symmetric key ciphers.
//!
//! C header: [`include/crypto/internal/skcipher.h`](srctree/include/crypto/internal/skcipher.h)

mod callbacks;
mod fallback;
mod request;
mod software;

use self::callbacks::Callbacks as _;
use super::{
    algorithm::{
        Entry,
        Names,
        RawAlgorithm,
        Registration, //
    },
    offload,
    request::{
        Answer,
        Direction, //
    },
    Key,
    Offload, //
};
use crate::bindings;
use core::mem::offset_of;
use kernel::{
    ffi::c_int,
    prelude::*,
    sync::Arc, //
};

pub(crate) use self::software::Software;
pub(crate) use super::offload::Pool;

/// The framework's type of request.
pub(crate) type Raw = bindings::skcipher_request;

/// A request to encrypt or decrypt.
pub(crate) type Request<'a, A> = offload::Request<'a, A, Raw>;

/// What a driver does for a cipher.
pub(crate) trait Algorithm: Offload<Raw = Raw> {
    /// What all transforms of a registration share.
    type Data: Send + Sync;

    /// Creates a transform, without a key.
    ///
    /// Context: process, may sleep.
    fn init(data: &Self::Data) -> Result<Self::Tfm>;

    /// Returns the software that stands in for the device.
    fn software(tfm: &Self::Tfm) -> &Software;

    /// Returns the request contexts of a transform of a synchronous algorithm; without them the
    /// fallback runs its requests. Asynchronous algorithms use the requests' own contexts, and have
    /// `None`.
    fn pool(tfm: &Self::Tfm) -> Option<&Arc<Pool<Self>>>;

    /// Sets the key, whose length is in the algorithm's range. No request is under way.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm does not take this key.
    fn set_key(tfm: &Self::Tfm, key: &Key<'_>) -> Result;

    /// Encrypts or decrypts.
    ///
    /// Context: process or bottom half; may sleep only if [`Request::may_sleep`] says so.
    fn crypt(request: Request<'_, Self>, direction: Direction) -> Answer;
}

/// What describes a cipher to the framework.
#[derive(Clone, Copy)]
pub(crate) struct Description {
    /// Names, priority, block size.
    pub(crate) names: Names,
    /// In bytes.
    pub(crate) min_key_size: u32,
    /// In bytes.
    pub(crate) max_key_size: u32,
    /// In bytes; 0 if the mode has none.
    pub(crate) iv_size: u32,
    /// In bytes: a request that is continued by another has a multiple of it. The block size, but
    /// for ciphers that take data of any length.
    pub(crate) chunk_size: u32,
}

// SAFETY: That is where the `struct crypto_alg` of a `struct skcipher_alg` is; the functions are its.
unsafe impl RawAlgorithm for bindings::skcipher_alg {
    const BASE: usize = offset_of!(bindings::skcipher_alg, __bindgen_anon_1)
        + offset_of!(bindings::skcipher_alg_common, base);

    unsafe fn register(alg: *mut Self) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_register_skcipher(alg) }
    }

    unsafe fn unregister(alg: *mut Self) {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_unregister_skcipher(alg) }
    }
}

/// Returns the fields that all kinds of ciphers have: the union of `struct skcipher_alg`.
///
/// # Safety
///
/// `alg` must be valid.
unsafe fn common(alg: *mut bindings::skcipher_alg) -> *mut bindings::skcipher_alg_common {
    // SAFETY: By the safety requirements.
    unsafe { &raw mut (*alg).__bindgen_anon_1 }.cast()
}

kernel::static_assert!(
    size_of::<bindings::skcipher_alg_common>() == size_of::<bindings::skcipher_alg__bindgen_ty_1>()
);

/// Registers cipher `A`.
///
/// # Errors
///
/// As [`Registration`] has them.
// The description takes several hundred bytes of stack.
#[inline(never)]
pub(crate) fn register<A: Algorithm>(
    description: &Description,
    data: A::Data,
    module: &'static ThisModule,
) -> Result<Registration> {
    let mut raw = bindings::skcipher_alg {
        setkey: Some(A::set_key_callback),
        encrypt: Some(A::encrypt_callback),
        decrypt: Some(A::decrypt_callback),
        init: Some(A::init_callback),
        exit: Some(A::exit_callback),
        ..Default::default()
    };
    // SAFETY: `raw` is valid, and nobody else refers to it.
    let common = unsafe { &mut *common(&mut raw) };
    common.min_keysize = description.min_key_size;
    common.max_keysize = description.max_key_size;
    common.ivsize = description.iv_size;
    common.chunksize = description.chunk_size;
    common.base.cra_ctxsize = offload::transform_size::<A>();
    common.base.cra_flags = offload::flags::<A>()
        | if A::SYNCHRONOUS {
            // Requests on the stack work, but callers that use them do not get the device by priority:
            // `crypto_alloc_sync_skcipher()` masks this flag. Such callers encrypt a few bytes at a
            // time, and waiting for a device costs them more than the cipher does. Templates do not
            // inherit the flag, so a template over this algorithm may still serve them.
            bindings::VC_REQSIZE_LARGE
        } else {
            0
        };

    Registration::new(Entry::new(raw, data, &description.names, module)?)
}
