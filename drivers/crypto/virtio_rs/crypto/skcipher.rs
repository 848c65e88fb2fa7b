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

    /// Returns the request contexts of a transform of a synchronous algorithm. If it returns `None`, all
    /// requests of the transform run on the fallback. Asynchronous algorithms use the contexts of the
    /// caller's requests, and return `None`.
    fn pool(tfm: &Self::Tfm) -> Option<&Arc<Pool<Self>>>;

    /// Sets the key. The length of the key is in the algorithm's range. No request is in flight.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the algorithm does not accept the key.
    fn set_key(tfm: &Self::Tfm, key: &Key<'_>) -> Result;

    /// Encrypts or decrypts.
    ///
    /// Context: process or bottom half; may sleep only if [`Request::may_sleep`] returns true.
    fn crypt(request: Request<'_, Self>, direction: Direction) -> ReturnCode;
}

/// The properties of a cipher.
#[derive(Clone, Copy)]
pub(crate) struct Description {
    /// Names, priority and block size.
    pub(crate) info: AlgorithmInfo,
    /// The minimum length of keys, in bytes.
    pub(crate) min_key_size: u32,
    /// The maximum length of keys, in bytes.
    pub(crate) max_key_size: u32,
    /// The length of IVs, in bytes; 0 if the mode has no IV.
    pub(crate) iv_size: u32,
    /// The block size of the underlying cipher, in bytes, also for modes that accept data of any length.
    /// If the length of a request is a multiple of this size, the next request can continue with the IV
    /// that the request has returned.
    pub(crate) chunk_size: u32,
}

// SAFETY: `BASE` is the offset of the `struct crypto_alg` in a `struct skcipher_alg`. The functions
// register and unregister a `struct skcipher_alg`.
unsafe impl RawAlgorithm for bindings::skcipher_alg {
    const BASE: usize = offset_of!(bindings::skcipher_alg, __bindgen_anon_1)
        + offset_of!(bindings::skcipher_alg_common, base);
    const REGISTER: unsafe extern "C" fn(*mut Self) -> c_int = bindings::crypto_register_skcipher;
    const UNREGISTER: unsafe extern "C" fn(*mut Self) = bindings::crypto_unregister_skcipher;
}

// SAFETY: `BASE` is the offset of the `struct crypto_tfm` in a `struct crypto_skcipher`. `ALLOCATE`
// returns a `struct crypto_skcipher`.
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
        // A request of a synchronous transform has no context: the device request is in the pool, and the
        // fallback's request is on the stack. So the requests of a template over this algorithm are not
        // larger than over the fallback. `crypto_alloc_sync_skcipher()` fails if a context is larger than
        // `MAX_SYNC_SKCIPHER_REQSIZE`.
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

/// Returns the `struct skcipher_alg_common` that is embedded in `alg`.
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
// Not inlined, because `raw` takes several hundred bytes of stack.
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
            // `crypto_alloc_sync_skcipher()` excludes algorithms with this flag. Its callers have their
            // requests on the stack, which would work. But they encrypt a few bytes at a time, and would
            // wait longer for the device than the cipher takes. Templates do not inherit the flag, so such
            // callers may still get a template over this algorithm.
            bindings::VC_REQSIZE_LARGE
        } else {
            0
        };

    Registration::new(AlgorithmObject::new(raw, data, &description.info, module)?)
}
