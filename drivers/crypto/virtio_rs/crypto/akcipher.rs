// SPDX-License-Identifier: GPL-2.0

//! Public key ciphers.
//!
//! The framework does not keep account of keys here: requests come before there is one, too, and
//! after one was refused. What goes to a device is a copy of the consumer's data, as long as the
//! key: consumers' data may be shorter, and often lies where the result is to be. So software can
//! still do what a device has failed to do.
//!
//! C header: [`include/crypto/internal/akcipher.h`](srctree/include/crypto/internal/akcipher.h)

mod callbacks;
mod operand;
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
    Later,
    Offload, //
};
use crate::{
    bindings,
    support::work::Worker, //
};
use core::mem::offset_of;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

pub(crate) use self::{
    operand::MAX_LEN,
    request::Loaded,
    software::Software, //
};

/// The framework's type of request.
pub(crate) type Raw = bindings::akcipher_request;

/// A request to encrypt or decrypt.
pub(crate) type Request<'a, A> = offload::Request<'a, A, Raw>;

/// What a driver does for a public key cipher.
pub(crate) trait Algorithm: Offload<Raw = Raw> {
    /// What all transforms of a registration share.
    type Data: Send + Sync;

    /// Creates a transform, without a key.
    ///
    /// Context: process, may sleep.
    fn init(data: &Self::Data) -> Result<Self::Tfm>;

    /// Returns the software that stands in for the device.
    fn software(tfm: &Self::Tfm) -> &Software;

    /// Returns who does what software has to do where it may not sleep.
    fn later(tfm: &Self::Tfm) -> &Worker<Later>;

    /// Sets a public key. No request is under way.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EBADMSG`: the algorithm does not take this key. There is none then.
    fn set_public_key(tfm: &Self::Tfm, key: &[u8]) -> Result;

    /// Sets a private key, which holds the public one, too.
    ///
    /// Context and errors: as for [`set_public_key`](Self::set_public_key).
    fn set_private_key(tfm: &Self::Tfm, key: &[u8]) -> Result;

    /// Returns how long results are, in bytes; 0 if there is no key.
    fn max_size(tfm: &Self::Tfm) -> u32;

    /// Encrypts, with the public key, or decrypts, with the private one.
    ///
    /// Context: process or bottom half; may sleep only if [`Request::may_sleep`] says so.
    fn crypt(request: Request<'_, Self>, direction: Direction) -> Answer;
}

// SAFETY: That is where the `struct crypto_alg` is; the functions are the type's.
unsafe impl RawAlgorithm for bindings::akcipher_alg {
    const BASE: usize = offset_of!(bindings::akcipher_alg, base);

    unsafe fn register(alg: *mut Self) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_register_akcipher(alg) }
    }

    unsafe fn unregister(alg: *mut Self) {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_unregister_akcipher(alg) }
    }
}

/// Registers cipher `A`.
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
    let mut raw = bindings::akcipher_alg {
        encrypt: Some(A::encrypt_callback),
        decrypt: Some(A::decrypt_callback),
        set_pub_key: Some(A::set_public_key_callback),
        set_priv_key: Some(A::set_private_key_callback),
        max_size: Some(A::max_size_callback),
        init: Some(A::init_callback),
        exit: Some(A::exit_callback),
        ..Default::default()
    };
    raw.base.cra_ctxsize = offload::transform_size::<A>();
    raw.base.cra_flags = offload::flags::<A>();

    Registration::new(Entry::new(raw, data, names, module)?)
}
