// SPDX-License-Identifier: GPL-2.0

//! Symmetric key ciphers.
//!
//! C header: [`include/crypto/internal/skcipher.h`](srctree/include/crypto/internal/skcipher.h)

mod fallback;
mod request;

use super::{
    adapter,
    adapter::{
        Adapted,
        Crypt,
        RawTransform,
        SetKey, //
    },
    algorithm::{
        AlgorithmInfo,
        AlgorithmObject,
        RawAlgorithm,
        Registration, //
    },
    offload,
    request::{
        Direction,
        ReturnCode, //
    },
    Key,
    Offload, //
};
use crate::bindings;
use core::mem::offset_of;
use kernel::{
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*,
    sync::Arc, //
};

pub(crate) use super::offload::Pool;

/// The C type of requests.
pub(crate) type Raw = bindings::skcipher_request;

/// The C type of transforms.
type Tfm = bindings::crypto_skcipher;

/// A fallback.
pub(crate) type FallbackTfm = super::fallback_tfm::FallbackTfm<Tfm>;

/// A request to encrypt or decrypt.
pub(crate) type Request<'a, A> = offload::Request<'a, A, Raw>;

/// A cipher of a driver.
pub(crate) trait Algorithm: Offload<Raw = Raw> {
    /// The data that all transforms of a registration share.
    type Data: Send + Sync;

    /// Creates a transform, without a key.
    ///
    /// Context: process, may sleep.
    fn init(data: &Self::Data) -> Result<Self::Tfm>;

    /// Returns the fallback of a transform.
    fn fallback(tfm: &Self::Tfm) -> &FallbackTfm;

    /// Returns the request contexts of a transform of a synchronous algorithm. Without them its requests run
    /// on the fallback. Asynchronous algorithms use the requests' own contexts, and return `None`.
    fn pool(tfm: &Self::Tfm) -> Option<&Arc<Pool<Self>>>;

    /// Sets the key, whose length is in the algorithm's range. No request is in flight.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the algorithm does not accept the key.
    fn set_key(tfm: &Self::Tfm, key: &Key<'_>) -> Result;

    /// Encrypts or decrypts.
    ///
    /// Context: process or bottom half; may sleep only if [`Request::may_sleep`] says so.
    fn crypt(request: Request<'_, Self>, direction: Direction) -> ReturnCode;
}

/// The properties of a cipher.
#[derive(Clone, Copy)]
pub(crate) struct Description {
    /// Names, priority and block size.
    pub(crate) info: AlgorithmInfo,
    /// In bytes.
    pub(crate) min_key_size: u32,
    /// In bytes.
    pub(crate) max_key_size: u32,
    /// In bytes; 0 if the mode has none.
    pub(crate) iv_size: u32,
    /// In bytes: a request that the next one continues has a multiple of it. This is the block size also
    /// for ciphers that accept data of any length.
    pub(crate) chunk_size: u32,
}

// SAFETY: That is where the `struct crypto_alg` of a `struct skcipher_alg` is. The functions are those
// of the type.
unsafe impl RawAlgorithm for bindings::skcipher_alg {
    const BASE: usize = offset_of!(bindings::skcipher_alg, __bindgen_anon_1)
        + offset_of!(bindings::skcipher_alg_common, base);
    const REGISTER: unsafe extern "C" fn(*mut Self) -> c_int = bindings::crypto_register_skcipher;
    const UNREGISTER: unsafe extern "C" fn(*mut Self) = bindings::crypto_unregister_skcipher;
}

// SAFETY: The `struct crypto_tfm` is a field. The function is that of the type.
unsafe impl RawTransform for Tfm {
    type Algorithm = bindings::skcipher_alg;
    const BASE: usize = offset_of!(Tfm, base);
    const ALLOCATE: unsafe extern "C" fn(*const c_char, u32, u32) -> *mut Self =
        bindings::crypto_alloc_skcipher;
}

impl<A: Algorithm> Adapted<Tfm> for A {
    type AlgData = A::Data;
    type TfmData = A::Tfm;

    fn create(data: &A::Data) -> Result<A::Tfm> {
        A::init(data)
    }

    unsafe fn set_up(tfm: *mut Tfm, data: &A::Tfm) -> Result {
        // A request of a synchronous transform has no context, so that a template over it needs no more
        // than over the fallback: `crypto_alloc_sync_skcipher()` fails if that is above
        // `MAX_SYNC_SKCIPHER_REQSIZE`. Its device request is in the pool, that of its fallback on the
        // stack.
        if !A::SYNCHRONOUS {
            let size = offload::context_size::<A>(A::fallback(data).request_size());
            // SAFETY: The caller guarantees that the transform is valid and new.
            unsafe { (*tfm).reqsize = size + offload::DMA_PADDING };
        }
        Ok(())
    }
}

impl<A: Algorithm> SetKey<Tfm> for A {
    unsafe fn set_key(_tfm: *mut Tfm, data: &A::Tfm, key: &Key<'_>) -> Result {
        <A as Algorithm>::set_key(data, key)
    }
}

impl<A: Algorithm> Crypt<Tfm> for A {
    fn crypt(request: Request<'_, A>, direction: Direction) -> ReturnCode {
        <A as Algorithm>::crypt(request, direction)
    }
}

/// Returns the fields that all kinds of ciphers have: the union of `struct skcipher_alg`.
///
/// # Safety
///
/// `alg` must be valid.
unsafe fn common(alg: *mut bindings::skcipher_alg) -> *mut bindings::skcipher_alg_common {
    // SAFETY: The caller guarantees that `alg` is valid.
    unsafe { &raw mut (*alg).__bindgen_anon_1 }.cast()
}

kernel::static_assert!(
    size_of::<bindings::skcipher_alg_common>() == size_of::<bindings::skcipher_alg__bindgen_ty_1>()
);

/// Registers cipher `A`.
///
/// # Errors
///
/// Returns the errors of [`Registration`].
// The description takes several hundred bytes of stack.
#[inline(never)]
pub(crate) fn register<A: Algorithm>(
    description: &Description,
    data: A::Data,
    module: &'static ThisModule,
) -> Result<Registration> {
    let mut raw = bindings::skcipher_alg {
        setkey: Some(adapter::set_key::<Tfm, A>),
        encrypt: Some(adapter::encrypt::<Tfm, A>),
        decrypt: Some(adapter::decrypt::<Tfm, A>),
        init: Some(adapter::init::<Tfm, A>),
        exit: Some(adapter::exit::<Tfm, A>),
        ..Default::default()
    };
    // SAFETY: `raw` is valid, and this is the only reference to its fields.
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

    Registration::new(AlgorithmObject::new(raw, data, &description.info, module)?)
}
