// SPDX-License-Identifier: GPL-2.0

//! The C callbacks of algorithms, for all types.
//!
//! [`RawTransform`] describes the C structures of a type. The callbacks call an algorithm by [`Adapted`] and
//! the traits after it. Each type implements these traits for all algorithms of the type.
//!
//! C header: [`include/linux/crypto.h`](srctree/include/linux/crypto.h)

use super::{
    algorithm::{
        AlgorithmObject,
        RawAlgorithm, //
    },
    key::slice,
    offload,
    request::{
        Direction,
        ReturnCode, //
    },
    Key,
    Offload, //
};
use crate::bindings;
use core::{
    mem::offset_of,
    ptr::NonNull, //
};
use kernel::{
    error::from_result,
    ffi::{
        c_char,
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*, //
};

/// A C type of transform, `struct crypto_skcipher` for example.
///
/// # Safety
///
/// - `BASE` must be the offset of the `struct crypto_tfm` embedded in the type.
/// - `Algorithm` must be the type of the algorithms of such transforms.
/// - `ALLOCATE` must be the crypto API's function for the type.
pub(crate) unsafe trait RawTransform: Sized + 'static {
    /// The type of algorithm, `struct skcipher_alg` for example.
    type Algorithm: RawAlgorithm;

    /// The offset of the `struct crypto_tfm`, in bytes.
    const BASE: usize;

    /// Allocates a transform of an algorithm: by name, type and mask.
    const ALLOCATE: unsafe extern "C" fn(*const c_char, u32, u32) -> *mut Self;

    /// Returns the address of the `struct crypto_tfm` of a transform.
    fn base(this: *mut Self) -> *mut bindings::crypto_tfm {
        this.wrapping_byte_add(Self::BASE).cast()
    }

    /// Returns the address of the transform that `base` is a part of.
    fn of_base(base: *mut bindings::crypto_tfm) -> *mut Self {
        base.wrapping_byte_sub(Self::BASE).cast()
    }
}

/// Returns the address of a transform's context, as `crypto_tfm_ctx()` does.
pub(super) fn tfm_ctx(tfm: *mut bindings::crypto_tfm) -> *mut c_void {
    tfm.wrapping_byte_add(offset_of!(bindings::crypto_tfm, __crt_ctx))
        .cast()
}

/// An algorithm of transforms `T`.
pub(super) trait Adapted<T: RawTransform>: Sized + 'static {
    /// The data that all transforms of a registration share.
    type AlgData: Send + Sync + 'static;

    /// The driver's data of a transform, in `crypto_tfm_ctx()`.
    type TfmData: Send + Sync;

    /// Creates the driver's data of a transform.
    ///
    /// Context: process, may sleep.
    fn create(data: &Self::AlgData) -> Result<Self::TfmData>;

    /// Sets the fields of a new transform that the crypto API reads, for example the size of its request
    /// contexts.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// `tfm` must be a valid, new transform of an algorithm registered for `Self`.
    unsafe fn set_up(_tfm: *mut T, _data: &Self::TfmData) -> Result {
        Ok(())
    }

    /// Releases what [`set_up`](Self::set_up) has allocated.
    ///
    /// # Safety
    ///
    /// `tfm` must be a valid transform for which `set_up` has returned `Ok`. It must not be used afterwards.
    unsafe fn tear_down(_tfm: *mut T) {}
}

/// An algorithm with a secret key.
pub(super) trait SetKey<T: RawTransform>: Adapted<T> {
    /// Sets the key. No request is in flight.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// `tfm` must be a valid transform, and `data` its data.
    unsafe fn set_key(tfm: *mut T, data: &Self::TfmData, key: &Key<'_>) -> Result;
}

/// An algorithm with a public and a private key.
pub(super) trait SetKeyPair<T: RawTransform>: Adapted<T> {
    /// Sets a public key. No request is in flight.
    ///
    /// Context: process, may sleep.
    fn set_public_key(data: &Self::TfmData, key: &[u8]) -> Result;

    /// Sets a private key, which includes the public one. No request is in flight.
    ///
    /// Context: process, may sleep.
    fn set_private_key(data: &Self::TfmData, key: &[u8]) -> Result;
}

/// An algorithm that encrypts and decrypts.
pub(super) trait Crypt<T: RawTransform>: Adapted<T> + Offload {
    /// Encrypts or decrypts.
    ///
    /// Context: process or bottom half; may sleep only if the request allows it.
    fn crypt(request: super::OffloadRequest<'_, Self>, direction: Direction) -> ReturnCode;
}

/// Returns the address of the driver's data of a transform.
fn context<T: RawTransform, A: Adapted<T>>(tfm: *mut T) -> *mut A::TfmData {
    tfm_ctx(T::base(tfm)).cast()
}

/// Returns the driver's data of a transform.
///
/// # Safety
///
/// `tfm` must be a transform that [`init()`] of the same algorithm has initialised, and stay so as long as
/// the result is used.
pub(super) unsafe fn data<'a, T: RawTransform, A: Adapted<T>>(tfm: *mut T) -> &'a A::TfmData {
    // SAFETY: The caller guarantees that `init` has written it.
    unsafe { &*context::<T, A>(tfm) }
}

/// # Safety
///
/// `tfm` must be a new transform of an algorithm that this layer has registered for `A`.
pub(super) unsafe extern "C" fn init<T: RawTransform, A: Adapted<T>>(tfm: *mut T) -> c_int {
    // SAFETY: The caller guarantees that the transform is valid, and that its algorithm is part of such
    // an object, which lives as long as its transforms.
    let alg_data = unsafe {
        let alg = (*T::base(tfm)).__crt_alg;
        &(*AlgorithmObject::<T::Algorithm, A::AlgData>::of_base(alg)).data
    };
    from_result(|| {
        let data = A::create(alg_data)?;
        // SAFETY: The caller guarantees that the transform is valid and new.
        unsafe { A::set_up(tfm, &data)? };
        // SAFETY: The context has the size and alignment of `TfmData`, and is not used yet.
        unsafe { context::<T, A>(tfm).write(data) };
        Ok(0)
    })
}

/// # Safety
///
/// `tfm` must be a transform that [`init()`] has initialised. It must not be used afterwards.
pub(super) unsafe extern "C" fn exit<T: RawTransform, A: Adapted<T>>(tfm: *mut T) {
    // SAFETY: The caller guarantees that `init` has written it, and that this is the last use.
    unsafe { context::<T, A>(tfm).drop_in_place() };
    // SAFETY: `init` has returned 0, so `set_up` has returned `Ok`.
    unsafe { A::tear_down(tfm) };
}

/// # Safety
///
/// `tfm` must be an initialised transform, `key` valid for reads of `len` bytes.
pub(super) unsafe extern "C" fn set_key<T: RawTransform, A: SetKey<T>>(
    tfm: *mut T,
    key: *const u8,
    len: c_uint,
) -> c_int {
    // SAFETY: The caller guarantees that the transform is initialised.
    let (data, flags) = unsafe { (data::<T, A>(tfm), (*T::base(tfm)).crt_flags) };
    // SAFETY: The caller guarantees that the key is valid for reads of its length.
    let key = unsafe { Key::from_raw(key, len, flags) };
    // SAFETY: The transform is valid, and `data` is its data.
    from_result(|| unsafe { A::set_key(tfm, data, &key) }.map(|()| 0))
}

/// # Safety
///
/// `tfm` must be an initialised transform, `key` valid for reads of `len` bytes.
pub(super) unsafe extern "C" fn set_public_key<T: RawTransform, A: SetKeyPair<T>>(
    tfm: *mut T,
    key: *const c_void,
    len: c_uint,
) -> c_int {
    // SAFETY: The caller guarantees that the transform is initialised.
    let data = unsafe { data::<T, A>(tfm) };
    // SAFETY: The caller guarantees that the key is valid for reads of its length.
    let key = unsafe { slice(key, len) };
    from_result(|| A::set_public_key(data, key).map(|()| 0))
}

/// # Safety
///
/// `tfm` must be an initialised transform, `key` valid for reads of `len` bytes.
pub(super) unsafe extern "C" fn set_private_key<T: RawTransform, A: SetKeyPair<T>>(
    tfm: *mut T,
    key: *const c_void,
    len: c_uint,
) -> c_int {
    // SAFETY: The caller guarantees that the transform is initialised.
    let data = unsafe { data::<T, A>(tfm) };
    // SAFETY: The caller guarantees that the key is valid for reads of its length.
    let key = unsafe { slice(key, len) };
    from_result(|| A::set_private_key(data, key).map(|()| 0))
}

/// Passes a request of the crypto API to `f`, and returns what the C callback returns.
///
/// # Safety
///
/// `req` must be a valid request of an initialised transform of `A`. Its context must be unused.
#[inline(always)]
pub(super) unsafe fn handle_request<A: Offload>(
    req: *mut A::Raw,
    f: impl FnOnce(super::OffloadRequest<'_, A>) -> ReturnCode,
) -> c_int {
    let Some(raw) = NonNull::new(req) else {
        return EINVAL.to_errno();
    };
    // SAFETY: The caller guarantees what `from_raw` requires.
    f(unsafe { offload::Request::from_raw(raw) }).into_raw()
}

/// # Safety
///
/// `req` must be a valid request of an initialised transform. Its context must be unused.
pub(super) unsafe extern "C" fn encrypt<T: RawTransform, A: Crypt<T>>(req: *mut A::Raw) -> c_int {
    // SAFETY: The caller guarantees what `handle_request` requires.
    unsafe { handle_request::<A>(req, |request| A::crypt(request, Direction::Encrypt)) }
}

/// # Safety
///
/// `req` must be a valid request of an initialised transform. Its context must be unused.
pub(super) unsafe extern "C" fn decrypt<T: RawTransform, A: Crypt<T>>(req: *mut A::Raw) -> c_int {
    // SAFETY: The caller guarantees what `handle_request` requires.
    unsafe { handle_request::<A>(req, |request| A::crypt(request, Direction::Decrypt)) }
}
