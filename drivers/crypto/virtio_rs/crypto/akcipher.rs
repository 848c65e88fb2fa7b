// SPDX-License-Identifier: GPL-2.0

//! Public key ciphers.
//!
//! The akcipher API does not track keys: requests can arrive before the first key, and after a rejected
//! key.
//!
//! The driver copies the input into the request context, because the input often shares memory with the
//! destination. With the copy, the fallback can repeat an operation that has failed on the device. The
//! copy is extended with leading zeros to the length of the modulus.
//!
//! C header: [`include/crypto/internal/akcipher.h`](srctree/include/crypto/internal/akcipher.h)

mod fallback;
mod operand;
mod request;

use self::operand::Operand;
use super::{
    adapter,
    adapter::{
        Adapted,
        Crypt,
        RawTransform,
        SetKeyPair, //
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
    DeferredRequests,
    Offload, //
};
use crate::{
    bindings,
    support::work::OwnedDelayedWork, //
};
use core::mem::offset_of;
use kernel::{
    ffi::{
        c_char,
        c_int,
        c_uint, //
    },
    prelude::*, //
};

pub(crate) use self::{
    operand::MAX_LEN,
    request::LoadedRequest, //
};

/// The C type of requests.
pub(crate) type Raw = bindings::akcipher_request;

/// The C type of transforms.
type Tfm = bindings::crypto_akcipher;

/// A fallback.
pub(crate) type FallbackTfm = super::fallback_tfm::FallbackTfm<Tfm>;

/// A request to encrypt or decrypt.
pub(crate) type Request<'a, A> = offload::Request<'a, A, Raw>;

/// A public key cipher of a driver.
pub(crate) trait Algorithm: Offload<Raw = Raw> {
    /// The data that all transforms of a registration share.
    type Data: Send + Sync;

    /// Creates a transform, without a key.
    ///
    /// Context: process, may sleep.
    fn init(data: &Self::Data) -> Result<Self::Tfm>;

    /// Returns the fallback of a transform.
    fn fallback(tfm: &Self::Tfm) -> &FallbackTfm;

    /// Returns the work item that runs requests on the fallback in process context.
    fn deferred(tfm: &Self::Tfm) -> &OwnedDelayedWork<DeferredRequests>;

    /// Sets a public key. No request is in flight.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` or `EBADMSG` if the algorithm does not accept the key. The transform has no key then.
    fn set_public_key(tfm: &Self::Tfm, key: &[u8]) -> Result;

    /// Sets a private key, which includes the public key.
    ///
    /// Context and errors: as for [`set_public_key`](Self::set_public_key).
    fn set_private_key(tfm: &Self::Tfm, key: &[u8]) -> Result;

    /// Returns the length of results in bytes, or 0 if the transform has no key.
    fn max_size(tfm: &Self::Tfm) -> u32;

    /// Encrypts with the public key, or decrypts with the private key.
    ///
    /// Context: process or bottom half; may sleep only if [`Request::may_sleep`] returns true.
    fn crypt(request: Request<'_, Self>, direction: Direction) -> ReturnCode;
}

// SAFETY: `BASE` is the offset of the `struct crypto_alg` in a `struct akcipher_alg`. The functions
// register and unregister a `struct akcipher_alg`.
unsafe impl RawAlgorithm for bindings::akcipher_alg {
    const BASE: usize = offset_of!(bindings::akcipher_alg, base);
    const REGISTER: unsafe extern "C" fn(*mut Self) -> c_int = bindings::crypto_register_akcipher;
    const UNREGISTER: unsafe extern "C" fn(*mut Self) = bindings::crypto_unregister_akcipher;
}

// SAFETY: `BASE` is the offset of the `struct crypto_tfm` in a `struct crypto_akcipher`. `ALLOCATE`
// returns a `struct crypto_akcipher`.
unsafe impl RawTransform for Tfm {
    type Algorithm = bindings::akcipher_alg;
    const BASE: usize = offset_of!(Tfm, base);
    const ALLOCATE: unsafe extern "C" fn(*const c_char, u32, u32) -> *mut Self =
        bindings::crypto_alloc_akcipher;
}

impl<A: Algorithm> Adapted<Tfm> for A {
    type AlgData = A::Data;
    type TfmData = A::Tfm;

    fn create(data: &A::Data) -> Result<A::Tfm> {
        A::init(data)
    }

    unsafe fn set_up(tfm: *mut Tfm, _data: &A::Tfm) -> Result {
        // CAST: An `Operand` has less than 4 KiB.
        let size = offload::context_size::<A>(0) + size_of::<Operand>() as u32;
        // SAFETY: The caller guarantees that the transform is valid and new.
        unsafe { (*tfm).reqsize = size + offload::DMA_PADDING };
        Ok(())
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

impl<A: Algorithm> Crypt<Tfm> for A {
    fn crypt(request: Request<'_, A>, direction: Direction) -> ReturnCode {
        <A as Algorithm>::crypt(request, direction)
    }
}

/// # Safety
///
/// `tfm` must be an initialised transform of an algorithm registered for `A`.
unsafe extern "C" fn max_size<A: Algorithm>(tfm: *mut Tfm) -> c_uint {
    // SAFETY: The caller guarantees that the transform is initialised.
    A::max_size(unsafe { adapter::data::<Tfm, A>(tfm) })
}

/// Registers cipher `A`.
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
    let mut raw = bindings::akcipher_alg {
        encrypt: Some(adapter::encrypt::<Tfm, A>),
        decrypt: Some(adapter::decrypt::<Tfm, A>),
        set_pub_key: Some(adapter::set_public_key::<Tfm, A>),
        set_priv_key: Some(adapter::set_private_key::<Tfm, A>),
        max_size: Some(max_size::<A>),
        init: Some(adapter::init::<Tfm, A>),
        exit: Some(adapter::exit::<Tfm, A>),
        ..Default::default()
    };
    raw.base.cra_ctxsize = offload::transform_size::<A>();
    raw.base.cra_flags = offload::flags::<A>();

    Registration::new(AlgorithmObject::new(raw, data, info, module)?)
}
