// SPDX-License-Identifier: GPL-2.0

//! Public key signatures.
//!
//! The sig API is synchronous. Its buffers may be on a stack, and cannot be mapped for a device, so the
//! driver sends copies to the device.
//!
//! C header: [`include/crypto/internal/sig.h`](srctree/include/crypto/internal/sig.h)

mod fallback;

use super::{
    adapter,
    adapter::{
        Adapted,
        RawTransform,
        SetKeyPair, //
    },
    algorithm::{
        AlgorithmInfo,
        AlgorithmObject,
        RawAlgorithm,
        Registration, //
    },
    key::slice, //
};
use crate::bindings;
use core::mem::offset_of;
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

/// The C type of transforms.
type Tfm = bindings::crypto_sig;

/// A fallback.
pub(crate) type FallbackTfm = super::fallback_tfm::FallbackTfm<Tfm>;

/// The length of an ECDSA signature of any curve in the format of the sig API (`struct ecdsa_raw_sig`), in
/// bytes.
pub(crate) const ECDSA_SIGNATURE: usize = size_of::<bindings::ecdsa_raw_sig>();

/// A signature algorithm of a driver.
///
/// All functions are called in process context, and may sleep.
pub(crate) trait Algorithm: Sized + Send + Sync + 'static {
    /// The data that all transforms of a registration share.
    type Data: Send + Sync;

    /// The driver's data of a transform, in `crypto_tfm_ctx()`. It may be dropped in a context in which
    /// sleeping is not allowed.
    type Tfm: Send + Sync;

    /// A signature in the format of the sig API.
    type Signature: AsRef<[u8]>;

    /// Creates a transform, without a key.
    fn init(data: &Self::Data) -> Result<Self::Tfm>;

    /// Sets a public key. No other function runs for the transform at the same time.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the algorithm does not accept the key. The transform has no key then.
    fn set_public_key(tfm: &Self::Tfm, key: &[u8]) -> Result;

    /// Sets a private key, which includes the public key. No other function runs for the transform at the
    /// same time.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the algorithm does not accept the key;
    /// - `ENOSYS` if no device accepts private keys.
    ///
    /// The transform has no key then.
    fn set_private_key(tfm: &Self::Tfm, key: &[u8]) -> Result;

    /// Signs a digest.
    ///
    /// # Errors
    ///
    /// - `ENOSYS` if the transform has no private key;
    /// - `EINVAL` if the length of the digest is not supported;
    /// - `ENODEV` or `EIO` if the device did not sign.
    fn sign(tfm: &Self::Tfm, digest: &[u8]) -> Result<Self::Signature>;

    /// Verifies the signature of a digest.
    ///
    /// # Errors
    ///
    /// - `EKEYREJECTED` or `EBADMSG` if the signature is wrong or malformed;
    /// - `EINVAL` if the transform has no key, or if the length of the signature is wrong.
    fn verify(tfm: &Self::Tfm, signature: &[u8], digest: &[u8]) -> Result;

    /// Returns the size of keys in bits, even if the transform has no key.
    fn key_bits(tfm: &Self::Tfm) -> u32;

    /// Returns the length of the longest signature in bytes.
    fn max_size(tfm: &Self::Tfm) -> u32;

    /// Returns the length of the longest supported digest in bytes.
    fn digest_size(tfm: &Self::Tfm) -> u32;
}

// SAFETY: `BASE` is the offset of the `struct crypto_alg` in a `struct sig_alg`. The functions register
// and unregister a `struct sig_alg`.
unsafe impl RawAlgorithm for bindings::sig_alg {
    const BASE: usize = offset_of!(bindings::sig_alg, base);
    const REGISTER: unsafe extern "C" fn(*mut Self) -> c_int = bindings::crypto_register_sig;
    const UNREGISTER: unsafe extern "C" fn(*mut Self) = bindings::crypto_unregister_sig;
}

// SAFETY: `BASE` is the offset of the `struct crypto_tfm` in a `struct crypto_sig`. `ALLOCATE` returns a
// `struct crypto_sig`.
unsafe impl RawTransform for Tfm {
    type Algorithm = bindings::sig_alg;
    const BASE: usize = offset_of!(Tfm, base);
    const ALLOCATE: unsafe extern "C" fn(*const c_char, u32, u32) -> *mut Self =
        bindings::crypto_alloc_sig;
}

impl<A: Algorithm> Adapted<Tfm> for A {
    type AlgData = A::Data;
    type TfmData = A::Tfm;

    fn create(data: &A::Data) -> Result<A::Tfm> {
        A::init(data)
    }
}

impl<A: Algorithm> SetKeyPair<Tfm> for A {
    fn set_public_key(data: &A::Tfm, key: &[u8]) -> Result {
        <A as Algorithm>::set_public_key(data, key)
    }

    fn set_private_key(data: &A::Tfm, key: &[u8]) -> Result {
        <A as Algorithm>::set_private_key(data, key)
    }
}

/// # Safety
///
/// `tfm` must be an initialised transform of an algorithm registered for `A`. `src` must be valid for reads
/// of `slen` bytes, and `dst` for writes of `dlen` bytes. `src` and `dst` may be the same memory.
unsafe extern "C" fn sign<A: Algorithm>(
    tfm: *mut Tfm,
    src: *const c_void,
    slen: c_uint,
    dst: *mut c_void,
    dlen: c_uint,
) -> c_int {
    // SAFETY: The caller guarantees that the transform is initialised.
    let data = unsafe { adapter::data::<Tfm, A>(tfm) };
    // SAFETY: The caller guarantees that the digest is valid for reads of its length.
    let digest = unsafe { slice(src, slen) };
    from_result(|| {
        let signature = A::sign(data, digest)?;
        let signature = signature.as_ref();
        let len = u32::try_from(signature.len())?;
        if len > dlen {
            return Err(EOVERFLOW);
        }
        // SAFETY: The caller guarantees that `dst` is valid for writes of at least `len` bytes. The
        // signature does not overlap `dst`. The digest, which may overlap `dst`, is not used any more.
        unsafe {
            dst.cast::<u8>()
                .copy_from_nonoverlapping(signature.as_ptr(), signature.len())
        };
        Ok(c_int::try_from(len)?)
    })
}

/// # Safety
///
/// `tfm` must be an initialised transform of an algorithm registered for `A`. `src` must be valid for reads
/// of `slen` bytes, and `digest` for reads of `dlen` bytes.
unsafe extern "C" fn verify<A: Algorithm>(
    tfm: *mut Tfm,
    src: *const c_void,
    slen: c_uint,
    digest: *const c_void,
    dlen: c_uint,
) -> c_int {
    // SAFETY: The caller guarantees that the transform is initialised.
    let data = unsafe { adapter::data::<Tfm, A>(tfm) };
    // SAFETY: The caller guarantees that the signature is valid for reads of its length.
    let signature = unsafe { slice(src, slen) };
    // SAFETY: The caller guarantees that the digest is valid for reads of its length.
    let digest = unsafe { slice(digest, dlen) };
    from_result(|| A::verify(data, signature, digest).map(|()| 0))
}

/// # Safety
///
/// `tfm` must be an initialised transform of an algorithm registered for `A`.
unsafe extern "C" fn key_size<A: Algorithm>(tfm: *mut Tfm) -> c_uint {
    // SAFETY: The caller guarantees that the transform is initialised.
    A::key_bits(unsafe { adapter::data::<Tfm, A>(tfm) })
}

/// # Safety
///
/// `tfm` must be an initialised transform of an algorithm registered for `A`.
unsafe extern "C" fn max_size<A: Algorithm>(tfm: *mut Tfm) -> c_uint {
    // SAFETY: The caller guarantees that the transform is initialised.
    A::max_size(unsafe { adapter::data::<Tfm, A>(tfm) })
}

/// # Safety
///
/// `tfm` must be an initialised transform of an algorithm registered for `A`.
unsafe extern "C" fn digest_size<A: Algorithm>(tfm: *mut Tfm) -> c_uint {
    // SAFETY: The caller guarantees that the transform is initialised.
    A::digest_size(unsafe { adapter::data::<Tfm, A>(tfm) })
}

/// Registers algorithm `A`.
///
/// # Errors
///
/// Returns the errors of [`Registration`].
// Not inlined, because `raw` takes several hundred bytes of stack.
#[inline(never)]
pub(crate) fn register<A: Algorithm>(
    info: &AlgorithmInfo,
    data: A::Data,
    module: &'static ThisModule,
) -> Result<Registration> {
    const {
        assert!(align_of::<A::Tfm>() <= bindings::VC_CRYPTO_MINALIGN as usize);
        assert!(size_of::<A::Tfm>() <= u32::MAX as usize);
    }
    let mut raw = bindings::sig_alg {
        sign: Some(sign::<A>),
        verify: Some(verify::<A>),
        set_pub_key: Some(adapter::set_public_key::<Tfm, A>),
        set_priv_key: Some(adapter::set_private_key::<Tfm, A>),
        key_size: Some(key_size::<A>),
        max_size: Some(max_size::<A>),
        digest_size: Some(digest_size::<A>),
        init: Some(adapter::init::<Tfm, A>),
        exit: Some(adapter::exit::<Tfm, A>),
        ..Default::default()
    };
    // CAST: The assertion above has checked the size.
    raw.base.cra_ctxsize = size_of::<A::Tfm>() as u32;
    raw.base.cra_flags = bindings::CRYPTO_ALG_NEED_FALLBACK;

    Registration::new(AlgorithmObject::new(raw, data, info, module)?)
}
