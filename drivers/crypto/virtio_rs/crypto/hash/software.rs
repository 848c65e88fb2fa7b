// SPDX-License-Identifier: GPL-2.0

//! A software hash that does what the device does not.
//!
//! It works in the context of the device's own requests: a request is handed to it by naming it as
//! the request's transform for the time of a call. So nothing is copied, and states are exported in
//! its format.
//!
//! C header: [`include/crypto/hash.h`](srctree/include/crypto/hash.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

/// Where the software of a transform comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The framework allocates it, sets its key, and frees it.
    Framework,
    /// This layer does. MACs that are made of ciphers need that: their states cannot be exported
    /// without what is left of a block, which the framework insists on.
    Own,
}

impl Source {
    /// Returns what the framework says of an algorithm whose software has this source
    /// (`CRYPTO_ALG_*`), whose other flags are `flags`.
    pub(super) const fn algorithm_flags(self, flags: u32) -> u32 {
        match self {
            Self::Framework => flags,
            Self::Own => {
                flags & !bindings::CRYPTO_ALG_NEED_FALLBACK
                    | bindings::CRYPTO_ALG_NO_FALLBACK
                    | bindings::CRYPTO_ALG_REQ_VIRT
            }
        }
    }

    /// Returns the source of an algorithm's software, by its flags.
    pub(super) const fn of_algorithm(flags: u32) -> Self {
        if flags & bindings::CRYPTO_ALG_NO_FALLBACK == 0 {
            Self::Framework
        } else {
            Self::Own
        }
    }
}

/// A synchronous software transform.
///
/// # Invariants
///
/// `tfm` is a valid transform that answers every request before the call returns.
pub(super) struct Software {
    tfm: NonNull<bindings::crypto_ahash>,
}

impl Software {
    /// Finds software for the algorithm `name`, and says where that of transforms will come from.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `ENOENT`: the kernel has none. Others as the framework has them.
    pub(super) fn find(name: &CStr) -> Result<(Self, Source)> {
        // What `crypto_ahash_init_tfm` looks for.
        let wants = bindings::CRYPTO_ALG_REQ_VIRT;
        let mask = bindings::CRYPTO_ALG_ASYNC
            | bindings::CRYPTO_ALG_REQ_VIRT
            | bindings::CRYPTO_AHASH_ALG_NO_EXPORT_CORE;
        match Self::new(name, wants, mask) {
            Ok(software) => Ok((software, Source::Framework)),
            // There is none like that, or none that can be asked whether it is.
            Err(err) if err == ENOENT || err == EINVAL => Ok((Self::own(name)?, Source::Own)),
            Err(err) => Err(err),
        }
    }

    /// Finds software for the algorithm `name` that allocates nothing for a request, and needs no
    /// fallback itself.
    ///
    /// Context, errors: as for [`find`](Self::find).
    pub(super) fn own(name: &CStr) -> Result<Self> {
        let mask = bindings::CRYPTO_ALG_ASYNC
            | bindings::CRYPTO_ALG_NEED_FALLBACK
            | bindings::CRYPTO_ALG_ALLOCATES_MEMORY
            | bindings::CRYPTO_ALG_KERN_DRIVER_ONLY;
        Self::new(name, 0, mask)
    }

    /// Allocates a transform; `mask` has to exclude asynchronous ones.
    fn new(name: &CStr, wants: u32, mask: u32) -> Result<Self> {
        // SAFETY: `name` is a string.
        let tfm = unsafe { bindings::crypto_alloc_ahash(name.as_char_ptr(), wants, mask) };
        // INVARIANT: The mask excludes asynchronous implementations.
        Ok(Self {
            tfm: NonNull::new(from_err_ptr(tfm)?).ok_or(ENOENT)?,
        })
    }

    /// Takes over a transform.
    ///
    /// # Safety
    ///
    /// `tfm` must come from [`into_raw`](Self::into_raw), and not be used by anybody else any more.
    pub(super) unsafe fn from_raw(tfm: NonNull<bindings::crypto_ahash>) -> Self {
        // INVARIANT: By the safety requirements.
        Self { tfm }
    }

    /// Gives the transform away.
    pub(super) fn into_raw(self) -> NonNull<bindings::crypto_ahash> {
        ManuallyDrop::new(self).tfm
    }

    /// Returns the transform.
    pub(super) fn as_raw(&self) -> *mut bindings::crypto_ahash {
        self.tfm.as_ptr()
    }

    /// Returns what it says of itself.
    pub(super) fn sizes(&self) -> Sizes {
        // SAFETY: By the type invariant.
        unsafe { Sizes::of(self.as_raw()) }
    }
}

impl Drop for Software {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; this is the last use.
        unsafe { helpers::crypto_free_ahash(self.tfm.as_ptr()) };
    }
}

/// What a transform says of itself, in bytes.
pub(super) struct Sizes {
    /// A digest.
    pub(super) digest: u32,
    /// What the hash takes at a time.
    pub(super) block: u32,
    /// An exported state.
    pub(super) state: u32,
    /// The context of a request.
    pub(super) request: u32,
}

impl Sizes {
    /// Asks a transform.
    ///
    /// # Safety
    ///
    /// `tfm` must be valid.
    pub(super) unsafe fn of(tfm: *mut bindings::crypto_ahash) -> Self {
        Self {
            // SAFETY: By the safety requirements.
            digest: unsafe { helpers::crypto_ahash_digestsize(tfm) },
            // SAFETY: As above.
            block: unsafe { helpers::crypto_ahash_blocksize(tfm) },
            // SAFETY: As above.
            state: unsafe { helpers::crypto_ahash_statesize(tfm) },
            // SAFETY: As above.
            request: unsafe { helpers::crypto_ahash_reqsize(tfm) },
        }
    }

    /// Returns true if software of these sizes can stand in for a transform of `other` ones.
    pub(super) fn fit(&self, other: &Self) -> bool {
        (self.digest, self.block, self.state) == (other.digest, other.block, other.state)
            && self.request <= other.request
    }
}

/// A request that is the software's for a while.
///
/// # Invariants
///
/// `req` is a valid request of the software of `tfm`, which gets it back.
pub(super) struct Delegated {
    req: *mut bindings::ahash_request,
    tfm: *mut bindings::crypto_ahash,
}

impl Delegated {
    /// Makes a request the software's, until the returned value is dropped.
    ///
    /// # Safety
    ///
    /// `req` must be a valid request of an initialised transform, whose context is the software's or
    /// in no use, and must stay so.
    pub(super) unsafe fn new(req: *mut bindings::ahash_request) -> Self {
        // SAFETY: By the safety requirements.
        let tfm = unsafe { helpers::crypto_ahash_reqtfm(req) };
        // SAFETY: As above.
        let software = unsafe { helpers::crypto_ahash_fb(tfm) };
        // SAFETY: As above; the software of an initialised transform is valid, and the context large
        // enough for it.
        unsafe { helpers::ahash_request_set_tfm(req, software) };
        // INVARIANT: It was just made the software's.
        Self { req, tfm }
    }

    /// Returns the request, for the functions of C that do something with it.
    pub(super) fn as_raw(&self) -> *mut bindings::ahash_request {
        self.req
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { helpers::ahash_request_set_tfm(self.req, self.tfm) };
    }
}
