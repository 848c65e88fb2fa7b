// SPDX-License-Identifier: GPL-2.0

//! Fallbacks of hashes.
//!
//! To run a request on the fallback, the driver makes the request name the fallback as its transform for
//! the duration of the call. The fallback then uses the request context. So nothing is copied, and
//! exported states have the format of the fallback.
//!
//! C headers: [`include/crypto/hash.h`](srctree/include/crypto/hash.h),
//! [`include/crypto/internal/hash.h`](srctree/include/crypto/internal/hash.h)

use super::{
    super::{
        adapter::RawTransform,
        Key, //
    },
    FallbackTfm,
    Raw,
    Tfm, //
};
use crate::bindings;
use core::{
    mem::offset_of,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// The owner of a transform's fallback. It allocates the fallback, sets its key, and frees it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FallbackOwner {
    /// The crypto API.
    Core,
    /// This module, for MACs that are based on a cipher, for example CMAC. The crypto API only allocates
    /// fallbacks that can export a state without a partial block, and these MACs cannot.
    Driver,
}

impl FallbackOwner {
    /// Returns the flags (`CRYPTO_ALG_*`) of an algorithm whose fallbacks have this owner. `flags` are
    /// those for the owner [`Core`](Self::Core).
    pub(super) const fn algorithm_flags(self, flags: u32) -> u32 {
        match self {
            Self::Core => flags,
            Self::Driver => {
                flags & !bindings::CRYPTO_ALG_NEED_FALLBACK
                    | bindings::CRYPTO_ALG_NO_FALLBACK
                    | bindings::CRYPTO_ALG_REQ_VIRT
            }
        }
    }

    /// Returns the owner of the fallback of a transform.
    ///
    /// # Safety
    ///
    /// `tfm` must be a valid transform of an algorithm that [`register`](super::register) registered.
    unsafe fn from_tfm(tfm: *mut Tfm) -> Self {
        // SAFETY: The caller guarantees that the transform is valid. An algorithm lives as long as its
        // transforms.
        let flags = unsafe { (*(*Tfm::base(tfm)).__crt_alg).cra_flags };
        if flags & bindings::CRYPTO_ALG_NO_FALLBACK == 0 {
            Self::Core
        } else {
            Self::Driver
        }
    }
}

impl FallbackTfm {
    /// Allocates a fallback for `name`. Also returns the owner that the fallbacks of transforms must have.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`allocate`](Self::allocate).
    pub(super) fn find(name: &CStr) -> Result<(Self, FallbackOwner)> {
        // The flags with which `crypto_ahash_init_tfm()` allocates a fallback.
        let kind = bindings::CRYPTO_ALG_REQ_VIRT;
        let mask = bindings::CRYPTO_ALG_REQ_VIRT | bindings::CRYPTO_AHASH_ALG_NO_EXPORT_CORE;
        match Self::allocate(name, kind, mask) {
            Ok(fallback) => Ok((fallback, FallbackOwner::Core)),
            // No implementation has these flags, or a template of `name` does not accept the flags.
            Err(err) if err == ENOENT || err == EINVAL => {
                Ok((Self::new_owned(name)?, FallbackOwner::Driver))
            }
            Err(err) => Err(err),
        }
    }

    /// Allocates a fallback for `name` that this module owns. The fallback allocates no memory for a
    /// request.
    ///
    /// Context and errors: as for [`find`](Self::find).
    fn new_owned(name: &CStr) -> Result<Self> {
        let mask = bindings::CRYPTO_ALG_NEED_FALLBACK
            | bindings::CRYPTO_ALG_ALLOCATES_MEMORY
            | bindings::CRYPTO_ALG_KERN_DRIVER_ONLY;
        Self::allocate(name, 0, mask)
    }

    /// Returns the sizes of the implementation.
    pub(super) fn sizes(&self) -> Sizes {
        // SAFETY: By the type invariant the transform is valid.
        unsafe { Sizes::from_tfm(self.as_raw()) }
    }
}

/// The sizes of a transform, in bytes.
#[derive(PartialEq, Eq)]
pub(super) struct Sizes {
    /// A digest.
    pub(super) digest: u32,
    /// A block of the hash.
    pub(super) block: u32,
    /// An exported state.
    pub(super) state: u32,
    /// The context of a request.
    pub(super) request: u32,
}

impl Sizes {
    /// Returns the sizes of a transform.
    ///
    /// # Safety
    ///
    /// `tfm` must be valid.
    unsafe fn from_tfm(tfm: *mut Tfm) -> Self {
        // SAFETY: The caller guarantees that the transform is valid. An algorithm lives as long as its
        // transforms.
        let (tfm, alg) = unsafe { (&*tfm, &*(*Tfm::base(tfm)).__crt_alg) };
        let common = (&raw const *alg)
            .wrapping_byte_sub(offset_of!(bindings::hash_alg_common, base))
            .cast::<bindings::hash_alg_common>();
        Self {
            // SAFETY: In all algorithms of ahash transforms, the `struct crypto_alg` is the `base` of a
            // `struct hash_alg_common`.
            digest: unsafe { (*common).digestsize },
            block: alg.cra_blocksize,
            state: tfm.statesize,
            request: tfm.reqsize,
        }
    }

    /// Returns true if a fallback with these sizes can run the requests of a transform with sizes `other`.
    fn compatible_with(&self, other: &Self) -> bool {
        (self.digest, self.block, self.state) == (other.digest, other.block, other.state)
            && self.request <= other.request
    }
}

/// Returns the fallback of a transform.
///
/// # Safety
///
/// `tfm` must be a valid transform of an algorithm that [`register`](super::register) registered.
unsafe fn fallback_of(tfm: *mut Tfm) -> *mut Tfm {
    // SAFETY: The caller guarantees that the transform is valid.
    Tfm::of_base(unsafe { (*Tfm::base(tfm)).fb })
}

/// Checks the sizes of a new transform's fallback. If this module owns the fallback, allocates it first.
///
/// Context: process, may sleep.
///
/// # Errors
///
/// - `EINVAL` if the sizes are not those for which the algorithm was registered;
/// - the errors of [`FallbackTfm::allocate`].
///
/// # Safety
///
/// `tfm` must be a valid, new transform of an algorithm that [`register`](super::register) registered.
pub(super) unsafe fn set_up(tfm: *mut Tfm) -> Result {
    // SAFETY: The caller guarantees that the transform is valid. The crypto API has allocated a fallback
    // unless `NO_FALLBACK` is set.
    let (owner, sizes) = unsafe { (FallbackOwner::from_tfm(tfm), Sizes::from_tfm(tfm)) };
    if owner == FallbackOwner::Core {
        // SAFETY: The crypto API has allocated the fallback, so the fallback is valid.
        let fallback = unsafe { Sizes::from_tfm(fallback_of(tfm)) };
        return fallback.compatible_with(&sizes).then_some(()).ok_or(EINVAL);
    }
    let base = Tfm::base(tfm);
    // SAFETY: The name is a string that lives as long as the algorithm, and so as long as the transform.
    let name = unsafe { CStr::from_char_ptr((*(*base).__crt_alg).cra_name.as_ptr()) };
    let fallback = FallbackTfm::new_owned(name)?;
    if !fallback.sizes().compatible_with(&sizes) {
        return Err(EINVAL);
    }
    // SAFETY: The transform is new, so nothing else uses the field. `tear_down` frees the fallback.
    unsafe { (*base).fb = Tfm::base(fallback.into_raw().as_ptr()) };
    Ok(())
}

/// Frees the fallback of a transform if this module owns the fallback.
///
/// # Safety
///
/// `tfm` must be a transform for which [`set_up`] has returned `Ok`. It must not be used afterwards.
pub(super) unsafe fn tear_down(tfm: *mut Tfm) {
    // SAFETY: The caller guarantees that the transform is valid.
    let (owner, fallback) =
        unsafe { (FallbackOwner::from_tfm(tfm), NonNull::new(fallback_of(tfm))) };
    if let (FallbackOwner::Driver, Some(fallback)) = (owner, fallback) {
        // SAFETY: `set_up` has got the fallback from `into_raw`. The transform's requests are complete.
        drop(unsafe { FallbackTfm::from_raw(fallback) });
    }
}

/// Sets the key of a transform's fallback if this module owns the fallback.
///
/// # Errors
///
/// `EINVAL` if the implementation does not accept the key.
///
/// # Safety
///
/// `tfm` must be a transform for which [`set_up`] has returned `Ok`.
pub(super) unsafe fn set_key(tfm: *mut Tfm, key: &Key<'_>) -> Result {
    // SAFETY: The caller guarantees that the transform is valid.
    let (owner, fallback) = unsafe { (FallbackOwner::from_tfm(tfm), fallback_of(tfm)) };
    if owner == FallbackOwner::Core {
        return Ok(());
    }
    let (bytes, len) = (key.bytes().as_ptr(), u32::try_from(key.bytes().len())?);
    // SAFETY: `set_up` has allocated the fallback. Its flags have no other user while a key is set.
    unsafe { key.set_flags(Tfm::base(fallback)) };
    // SAFETY: `set_up` has allocated the fallback. The key is valid for reads of `len` bytes.
    to_result(unsafe { bindings::crypto_ahash_setkey(fallback, bytes, len) })
}

/// The scope in which a request names the fallback as its transform. Dropping the scope restores the
/// original transform.
///
/// # Invariants
///
/// `req` is a valid request of the fallback of `tfm`, the original transform.
pub(super) struct FallbackScope {
    req: *mut Raw,
    tfm: *mut bindings::crypto_tfm,
}

impl FallbackScope {
    /// Makes a request name the fallback as its transform.
    ///
    /// # Safety
    ///
    /// `req` must be a valid request of an initialised transform, and stay valid as long as the scope
    /// lives. Its context must be unused, or contain a state of the fallback.
    pub(super) unsafe fn new(req: *mut Raw) -> Self {
        // SAFETY: The caller guarantees that the request is valid.
        let base = unsafe { &mut (*req).base };
        let tfm = base.tfm;
        // INVARIANT: The request now names the fallback. Its context is large enough, because `set_up` has
        // compared the sizes.
        // SAFETY: The caller guarantees that the transform is initialised, so it has a fallback.
        base.tfm = unsafe { (*tfm).fb };
        // As `ahash_request_set_tfm()` does.
        base.flags &= !bindings::CRYPTO_TFM_REQ_ON_STACK;
        Self { req, tfm }
    }

    /// Returns the request.
    pub(super) fn as_raw(&self) -> *mut Raw {
        self.req
    }
}

impl Drop for FallbackScope {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the request is valid.
        unsafe { (*self.req).base.tfm = self.tfm };
    }
}
