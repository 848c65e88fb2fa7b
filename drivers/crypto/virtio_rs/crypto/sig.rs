// SPDX-License-Identifier: GPL-2.0

//! Signatures by public keys.
//!
//! The framework calls functions that return with the result, and hands in plain memory, which may
//! be anywhere: a device gets copies of it.
//!
//! C header: [`include/crypto/internal/sig.h`](srctree/include/crypto/internal/sig.h)

mod callbacks;
mod software;

use self::callbacks::Callbacks as _;
use super::algorithm::{
    Entry,
    Names,
    RawAlgorithm,
    Registration, //
};
use crate::bindings;
use core::mem::offset_of;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

pub(crate) use self::software::Software;

/// How long an ECDSA signature is, of whatever curve, as the kernel's algorithms have it
/// (`struct ecdsa_raw_sig`), in bytes.
pub(crate) const ECDSA_SIGNATURE: usize = size_of::<bindings::ecdsa_raw_sig>();

/// What a driver does for an algorithm.
///
/// All functions are called in process context, and may sleep.
pub(crate) trait Algorithm: Sized + Send + Sync + 'static {
    /// What all transforms of a registration share.
    type Data: Send + Sync;

    /// A transform: what lies in `crypto_tfm_ctx()`. It is dropped where sleeping is not allowed.
    type Tfm: Send + Sync;

    /// A signature, as consumers get it.
    type Signature: AsRef<[u8]>;

    /// Creates a transform, without a key.
    fn init(data: &Self::Data) -> Result<Self::Tfm>;

    /// Sets a public key. Nothing else is under way.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm does not take this key. There is none then.
    fn set_public_key(tfm: &Self::Tfm, key: &[u8]) -> Result;

    /// Sets a private key, which holds the public one, too. Nothing else is under way.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm does not take this key. `ENOSYS`: there is nobody who takes private
    /// ones. There is no key then.
    fn set_private_key(tfm: &Self::Tfm, key: &[u8]) -> Result;

    /// Signs a digest.
    ///
    /// # Errors
    ///
    /// `ENOSYS`: there is no private key. `EINVAL`: a digest does not have that length. `ENODEV`, `EIO`:
    /// it cannot be done, or was not.
    fn sign(tfm: &Self::Tfm, digest: &[u8]) -> Result<Self::Signature>;

    /// Verifies the signature of a digest.
    ///
    /// # Errors
    ///
    /// `EKEYREJECTED`, `EBADMSG`: it is not this key's, or none at all. `EINVAL`: there is no key, or a
    /// signature is not as long.
    fn verify(tfm: &Self::Tfm, signature: &[u8], digest: &[u8]) -> Result;

    /// Returns the size of keys in bits, whether or not there is one.
    fn key_bits(tfm: &Self::Tfm) -> u32;

    /// Returns how long the longest signature is, in bytes.
    fn max_size(tfm: &Self::Tfm) -> u32;

    /// Returns how long the longest digest is that can be signed, in bytes.
    fn digest_size(tfm: &Self::Tfm) -> u32;
}

// SAFETY: That is where the `struct crypto_alg` is; the functions are the type's.
unsafe impl RawAlgorithm for bindings::sig_alg {
    const BASE: usize = offset_of!(bindings::sig_alg, base);

    unsafe fn register(alg: *mut Self) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_register_sig(alg) }
    }

    unsafe fn unregister(alg: *mut Self) {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_unregister_sig(alg) }
    }
}

/// Registers algorithm `A`.
///
/// # Errors
///
/// As [`Registration`] has them.
// The description takes several hundred bytes of stack.
#[inline(never)]
pub(crate) fn register<A: Algorithm>(
    names: &Names,
    data: A::Data,
    module: &'static ThisModule,
) -> Result<Registration> {
    const {
        assert!(align_of::<A::Tfm>() <= bindings::VC_CRYPTO_MINALIGN as usize);
        assert!(size_of::<A::Tfm>() <= u32::MAX as usize);
    }
    let mut raw = bindings::sig_alg {
        sign: Some(A::sign_callback),
        verify: Some(A::verify_callback),
        set_pub_key: Some(A::set_public_key_callback),
        set_priv_key: Some(A::set_private_key_callback),
        key_size: Some(A::key_size_callback),
        max_size: Some(A::max_size_callback),
        digest_size: Some(A::digest_size_callback),
        init: Some(A::init_callback),
        exit: Some(A::exit_callback),
        ..Default::default()
    };
    // CAST: As was just made sure of.
    raw.base.cra_ctxsize = size_of::<A::Tfm>() as u32;
    raw.base.cra_flags = bindings::CRYPTO_ALG_NEED_FALLBACK;

    Registration::new(Entry::new(raw, data, names, module)?)
}
