// SPDX-License-Identifier: GPL-2.0

//! Authenticated encryption with associated data.
//!
//! The source of a request contains the AAD, then the plaintext or the ciphertext, and for decryption
//! the tag. The destination starts with space for the AAD, which need not be written. The ciphertext
//! and the tag, or the plaintext, follow.
//!
//! C header: [`include/crypto/internal/aead.h`](srctree/include/crypto/internal/aead.h)

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
    error::from_result,
    ffi::{
        c_char,
        c_int,
        c_uint, //
    },
    prelude::*, //
};

pub(crate) use self::request::Lengths;

/// The C type of requests.
pub(crate) type Raw = bindings::aead_request;

/// The C type of transforms.
type Tfm = bindings::crypto_aead;

/// A fallback.
pub(crate) type FallbackTfm = super::fallback_tfm::FallbackTfm<Tfm>;

/// A request to encrypt or decrypt.
pub(crate) type Request<'a, A> = offload::Request<'a, A, Raw>;

/// An AEAD algorithm of a driver.
pub(crate) trait Algorithm: Offload<Raw = Raw> {
    /// The data that all transforms of a registration share.
    type Data: Send + Sync;

    /// Creates a transform without a key. Its tags have the algorithm's full length.
    ///
    /// Context: process, may sleep.
    fn init(data: &Self::Data) -> Result<Self::Tfm>;

    /// Returns the fallback of a transform.
    fn fallback(tfm: &Self::Tfm) -> &FallbackTfm;

    /// Sets the key, which may have any length. No request is in flight.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the algorithm does not accept the key.
    fn set_key(tfm: &Self::Tfm, key: &Key<'_>) -> Result;

    /// Sets the length of tags in bytes: from 1 to the algorithm's full length. No request is in flight.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the algorithm does not support the length.
    fn set_auth_size(tfm: &Self::Tfm, size: u32) -> Result;

    /// Encrypts or decrypts.
    ///
    /// Context: process or bottom half; may sleep only if [`Request::may_sleep`] returns true.
    fn crypt(request: Request<'_, Self>, direction: Direction) -> ReturnCode;
}

/// The properties of an algorithm.
#[derive(Clone, Copy)]
pub(crate) struct Description {
    /// Names, priority and block size.
    pub(crate) info: AlgorithmInfo,
    /// The length of IVs, in bytes.
    pub(crate) iv_size: u32,
    /// The full length of tags, in bytes.
    pub(crate) max_auth_size: u32,
    /// The block size of the underlying cipher, in bytes.
    pub(crate) chunk_size: u32,
}

// SAFETY: `BASE` is the offset of the `struct crypto_alg` in a `struct aead_alg`. The functions register
// and unregister a `struct aead_alg`.
unsafe impl RawAlgorithm for bindings::aead_alg {
    const BASE: usize = offset_of!(bindings::aead_alg, base);
    const REGISTER: unsafe extern "C" fn(*mut Self) -> c_int = bindings::crypto_register_aead;
    const UNREGISTER: unsafe extern "C" fn(*mut Self) = bindings::crypto_unregister_aead;
}

// SAFETY: `BASE` is the offset of the `struct crypto_tfm` in a `struct crypto_aead`. `ALLOCATE` returns a
// `struct crypto_aead`.
unsafe impl RawTransform for Tfm {
    type Algorithm = bindings::aead_alg;
    const BASE: usize = offset_of!(Tfm, base);
    const ALLOCATE: unsafe extern "C" fn(*const c_char, u32, u32) -> *mut Self =
        bindings::crypto_alloc_aead;
}

impl<A: Algorithm> Adapted<Tfm> for A {
    type AlgData = A::Data;
    type TfmData = A::Tfm;

    fn create(data: &A::Data) -> Result<A::Tfm> {
        A::init(data)
    }

    unsafe fn set_up(tfm: *mut Tfm, data: &A::Tfm) -> Result {
        let size = offload::context_size::<A>(A::fallback(data).request_size());
        // SAFETY: The caller guarantees that the transform is valid and new.
        unsafe { (*tfm).reqsize = size + offload::DMA_PADDING };
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

/// # Safety
///
/// `tfm` must be an initialised transform of an algorithm registered for `A`.
unsafe extern "C" fn set_auth_size<A: Algorithm>(tfm: *mut Tfm, size: c_uint) -> c_int {
    // SAFETY: The caller guarantees that the transform is initialised.
    let data = unsafe { adapter::data::<Tfm, A>(tfm) };
    from_result(|| A::set_auth_size(data, size).map(|()| 0))
}

/// Registers algorithm `A`.
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
    let mut raw = bindings::aead_alg {
        setkey: Some(adapter::set_key::<Tfm, A>),
        setauthsize: Some(set_auth_size::<A>),
        encrypt: Some(adapter::encrypt::<Tfm, A>),
        decrypt: Some(adapter::decrypt::<Tfm, A>),
        init: Some(adapter::init::<Tfm, A>),
        exit: Some(adapter::exit::<Tfm, A>),
        ivsize: description.iv_size,
        maxauthsize: description.max_auth_size,
        chunksize: description.chunk_size,
        ..Default::default()
    };
    raw.base.cra_ctxsize = offload::transform_size::<A>();
    raw.base.cra_flags = offload::flags::<A>();

    Registration::new(AlgorithmObject::new(raw, data, &description.info, module)?)
}
