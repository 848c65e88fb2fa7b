// SPDX-License-Identifier: GPL-2.0

//! Fallbacks of hashes.
//!
//! A fallback works in the context of the driver's own requests: a request names the fallback as its
//! transform for the time of a call. So nothing is copied, and states are exported in the format of the
//! fallback.
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

/// Who allocates the fallback of a transform, sets its key, and frees it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FallbackOwner {
    /// The crypto API.
    Core,
    /// This layer. MACs made of ciphers need that: their states cannot be exported without a partial
    /// block, which the crypto API requires of the fallbacks that it allocates.
    Driver,
}

impl FallbackOwner {
    /// Returns the flags of an algorithm with this owner (`CRYPTO_ALG_*`). `flags` are the others.
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
    /// `tfm` must be a valid transform of an algorithm registered by this layer.
    unsafe fn of(tfm: *mut Tfm) -> Self {
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
    /// Finds a fallback for `name`. Returns it with the owner of the fallbacks of transforms.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`allocate`](Self::allocate).
    pub(super) fn find(name: &CStr) -> Result<(Self, FallbackOwner)> {
        // The flags that `crypto_ahash_init_tfm()` asks for.
        let kind = bindings::CRYPTO_ALG_REQ_VIRT;
        let mask = bindings::CRYPTO_ALG_REQ_VIRT | bindings::CRYPTO_AHASH_ALG_NO_EXPORT_CORE;
        match Self::allocate(name, kind, mask) {
            Ok(fallback) => Ok((fallback, FallbackOwner::Core)),
            // There is none with these flags, or the kernel cannot tell.
            Err(err) if err == ENOENT || err == EINVAL => {
                Ok((Self::new_owned(name)?, FallbackOwner::Driver))
            }
            Err(err) => Err(err),
        }
    }

    /// Allocates a fallback for `name` that this layer owns, and that allocates no memory for a request.
    ///
    /// Context, errors: as for [`find`](Self::find).
    fn new_owned(name: &CStr) -> Result<Self> {
        let mask = bindings::CRYPTO_ALG_NEED_FALLBACK
            | bindings::CRYPTO_ALG_ALLOCATES_MEMORY
            | bindings::CRYPTO_ALG_KERN_DRIVER_ONLY;
        Self::allocate(name, 0, mask)
    }

    /// Returns the sizes of the implementation.
    pub(super) fn sizes(&self) -> Sizes {
        // SAFETY: By the type invariant the transform is valid.
        unsafe { Sizes::of(self.as_raw()) }
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
    unsafe fn of(tfm: *mut Tfm) -> Self {
        // SAFETY: The caller guarantees that the transform is valid. An algorithm lives as long as its
        // transforms.
        let (tfm, alg) = unsafe { (&*tfm, &*(*Tfm::base(tfm)).__crt_alg) };
        let common = (&raw const *alg)
            .wrapping_byte_sub(offset_of!(bindings::hash_alg_common, base))
            .cast::<bindings::hash_alg_common>();
        Self {
            // SAFETY: All algorithms of such transforms have this structure around the base.
            digest: unsafe { (*common).digestsize },
            block: alg.cra_blocksize,
            state: tfm.statesize,
            request: tfm.reqsize,
        }
    }

    /// Returns true if a fallback of these sizes can run the requests of a transform of `other` ones.
    fn compatible_with(&self, other: &Self) -> bool {
        (self.digest, self.block, self.state) == (other.digest, other.block, other.state)
            && self.request <= other.request
    }
}

/// Returns the fallback of a transform.
///
/// # Safety
///
/// `tfm` must be a valid transform, of an algorithm registered by this layer.
unsafe fn of(tfm: *mut Tfm) -> *mut Tfm {
    // SAFETY: The caller guarantees that the transform is valid.
    Tfm::of_base(unsafe { (*Tfm::base(tfm)).fb })
}

/// Allocates the fallback of a new transform unless the crypto API has done that, and checks its sizes.
///
/// Context: process, may sleep.
///
/// # Errors
///
/// - `EINVAL` if the sizes are not those for which the algorithm was registered;
/// - others as [`FallbackTfm::allocate`] has them.
///
/// # Safety
///
/// `tfm` must be a valid, new transform of an algorithm registered by this layer.
pub(super) unsafe fn set_up(tfm: *mut Tfm) -> Result {
    // SAFETY: The caller guarantees that the transform is valid. The crypto API has allocated a fallback
    // unless `NO_FALLBACK` is set.
    let (owner, sizes) = unsafe { (FallbackOwner::of(tfm), Sizes::of(tfm)) };
    if owner == FallbackOwner::Core {
        // SAFETY: The crypto API has allocated the fallback, so it is valid.
        let fallback = unsafe { Sizes::of(of(tfm)) };
        return fallback.compatible_with(&sizes).then_some(()).ok_or(EINVAL);
    }
    let base = Tfm::base(tfm);
    // SAFETY: The name is a string that lives as long as the algorithm, and so as long as the transform.
    let name = unsafe { CStr::from_char_ptr((*(*base).__crt_alg).cra_name.as_ptr()) };
    let fallback = FallbackTfm::new_owned(name)?;
    if !fallback.sizes().compatible_with(&sizes) {
        return Err(EINVAL);
    }
    // SAFETY: The transform is new, so nothing else uses the field. `tear_down` takes the fallback back.
    unsafe { (*base).fb = Tfm::base(fallback.into_raw().as_ptr()) };
    Ok(())
}

/// Frees the fallback of a transform if this layer owns it.
///
/// # Safety
///
/// `tfm` must be a transform for which [`set_up`] has returned `Ok`, in its last use.
pub(super) unsafe fn tear_down(tfm: *mut Tfm) {
    // SAFETY: The caller guarantees that the transform is valid.
    let (owner, fallback) = unsafe { (FallbackOwner::of(tfm), NonNull::new(of(tfm))) };
    if let (FallbackOwner::Driver, Some(fallback)) = (owner, fallback) {
        // SAFETY: `set_up` has given it away. The transform's requests are complete.
        drop(unsafe { FallbackTfm::from_raw(fallback) });
    }
}

/// Sets the key of a transform's fallback if this layer owns it.
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
    let (owner, fallback) = unsafe { (FallbackOwner::of(tfm), of(tfm)) };
    if owner == FallbackOwner::Core {
        return Ok(());
    }
    let (bytes, len) = (key.bytes().as_ptr(), u32::try_from(key.bytes().len())?);
    // SAFETY: `set_up` has allocated the fallback. Callers set the flags of a key like that.
    unsafe { key.set_flags(Tfm::base(fallback)) };
    // SAFETY: `set_up` has allocated the fallback. The key is valid for reads of `len` bytes.
    to_result(unsafe { bindings::crypto_ahash_setkey(fallback, bytes, len) })
}

/// A request that is one of the fallback until this is dropped.
///
/// # Invariants
///
/// `req` is a valid request of the fallback of `tfm`.
pub(super) struct FallbackScope {
    req: *mut Raw,
    tfm: *mut bindings::crypto_tfm,
}

impl FallbackScope {
    /// Makes a request one of the fallback.
    ///
    /// # Safety
    ///
    /// `req` must be a valid request of an initialised transform, and stay so as long as the result
    /// lives. Its context must be unused, or the fallback's.
    pub(super) unsafe fn new(req: *mut Raw) -> Self {
        // SAFETY: The caller guarantees that the request is valid.
        let base = unsafe { &mut (*req).base };
        let tfm = base.tfm;
        // INVARIANT: The request is now one of the fallback, for which its context is large enough.
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
