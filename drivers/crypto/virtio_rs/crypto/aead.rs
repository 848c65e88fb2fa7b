// SPDX-License-Identifier: GPL-2.0

//! Authenticated encryption with associated data.
//!
//! The source of a request is the associated data and the text, with the tag behind it if it is to
//! be decrypted; its destination has the same places for the associated data, which need not be
//! written, and for the text, with the tag behind it if it is encrypted.
//!
//! C header: [`include/crypto/internal/aead.h`](srctree/include/crypto/internal/aead.h)

mod callbacks;
mod fallback;
mod request;
mod software;

use self::callbacks::Callbacks as _;
use super::{
    algorithm::{
        Entry,
        Names,
        RawAlgorithm,
        Registration, //
    },
    offload,
    request::{
        Answer,
        Direction, //
    },
    Key,
    Offload, //
};
use crate::bindings;
use core::mem::offset_of;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

pub(crate) use self::{
    request::Lengths,
    software::Software, //
};

/// The framework's type of request.
pub(crate) type Raw = bindings::aead_request;

/// A request to encrypt or decrypt.
pub(crate) type Request<'a, A> = offload::Request<'a, A, Raw>;

/// What a driver does for such an algorithm.
pub(crate) trait Algorithm: Offload<Raw = Raw> {
    /// What all transforms of a registration share.
    type Data: Send + Sync;

    /// Creates a transform, without a key; its tags have the algorithm's full length.
    ///
    /// Context: process, may sleep.
    fn init(data: &Self::Data) -> Result<Self::Tfm>;

    /// Returns the software that stands in for the device.
    fn software(tfm: &Self::Tfm) -> &Software;

    /// Sets the key, whose length was not looked at. No request is under way.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm does not take this key.
    fn set_key(tfm: &Self::Tfm, key: &Key<'_>) -> Result;

    /// Sets the length of tags in bytes: at least 1, at most the algorithm's. No request is under
    /// way.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm does not have tags of this length.
    fn set_auth_size(tfm: &Self::Tfm, size: u32) -> Result;

    /// Encrypts or decrypts.
    ///
    /// Context: process or bottom half; may sleep only if [`Request::may_sleep`] says so.
    fn crypt(request: Request<'_, Self>, direction: Direction) -> Answer;
}

/// What describes an algorithm to the framework.
#[derive(Clone, Copy)]
pub(crate) struct Description {
    /// Names, priority, block size.
    pub(crate) names: Names,
    /// In bytes.
    pub(crate) iv_size: u32,
    /// The full length of tags, in bytes.
    pub(crate) max_auth_size: u32,
    /// In bytes: the block size of the cipher inside.
    pub(crate) chunk_size: u32,
}

// SAFETY: That is where the `struct crypto_alg` of a `struct aead_alg` is; the functions are its.
unsafe impl RawAlgorithm for bindings::aead_alg {
    const BASE: usize = offset_of!(bindings::aead_alg, base);

    unsafe fn register(alg: *mut Self) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_register_aead(alg) }
    }

    unsafe fn unregister(alg: *mut Self) {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_unregister_aead(alg) }
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
    description: &Description,
    data: A::Data,
    module: &'static ThisModule,
) -> Result<Registration> {
    let mut raw = bindings::aead_alg {
        setkey: Some(A::set_key_callback),
        setauthsize: Some(A::set_auth_size_callback),
        encrypt: Some(A::encrypt_callback),
        decrypt: Some(A::decrypt_callback),
        init: Some(A::init_callback),
        exit: Some(A::exit_callback),
        ivsize: description.iv_size,
        maxauthsize: description.max_auth_size,
        chunksize: description.chunk_size,
        ..Default::default()
    };
    raw.base.cra_ctxsize = offload::transform_size::<A>();
    raw.base.cra_flags = offload::flags::<A>();

    Registration::new(Entry::new(raw, data, &description.names, module)?)
}
