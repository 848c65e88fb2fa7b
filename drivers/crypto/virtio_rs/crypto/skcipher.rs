// SPDX-License-Identifier: GPL-2.0

//! Symmetric key ciphers.
//!
//! C header: [`include/crypto/internal/skcipher.h`](srctree/include/crypto/internal/skcipher.h)

mod callbacks;
mod context;
mod fallback;

use self::callbacks::Callbacks as _;
use super::{
    algorithm::{
        Entry,
        Names,
        RawAlgorithm,
        Registration, //
    },
    area::AnyArea,
    request::{
        Answer,
        Direction, //
    },
    software::Software,
};
use crate::{
    bindings,
    bindings::helpers, //
};
use core::{
    marker::PhantomData,
    mem::offset_of,
    ptr::NonNull, //
};
use kernel::{
    ffi::c_int,
    prelude::*, //
};

pub(crate) use self::context::Finished;

/// What a driver does for a cipher.
pub(crate) trait Algorithm: Sized + Send + Sync + 'static {
    /// What all transforms of a registration share.
    type Data: Send + Sync;

    /// A transform: what lies in `crypto_skcipher_ctx()`. It is dropped where sleeping is not
    /// allowed.
    type Tfm: Send + Sync;

    /// What the driver keeps with a request that a device has.
    type Request: Send;

    /// The memory of such a request that the device uses.
    type Area: AnyArea;

    /// Whether requests are answered before the call returns. The algorithm may then be used by
    /// those who do not take asynchronous ones; it may sleep for the device where the consumer
    /// allows it.
    const SYNCHRONOUS: bool;

    /// Creates a transform, without a key.
    ///
    /// Context: process, may sleep.
    fn init(data: &Self::Data) -> Result<Self::Tfm>;

    /// Returns the software that stands in for the device.
    fn software(tfm: &Self::Tfm) -> &Software;

    /// Sets the key, whose length is in the algorithm's range. No request is under way.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm does not take this key.
    fn set_key(tfm: &Self::Tfm, key: &Key<'_>) -> Result;

    /// Encrypts or decrypts.
    ///
    /// Context: process or bottom half; may sleep only if [`Request::may_sleep`] says so.
    fn crypt(request: Request<'_, Self>, direction: Direction) -> Answer;

    /// A device has returned a request: does what is left to be done, and has the last word on
    /// the result.
    ///
    /// Context: bottom half, or process where the algorithm is synchronous; may not sleep.
    fn finish(state: Self::Request, request: &Finished<'_, Self>, result: Result) -> Result;
}

/// A key that a consumer sets.
pub(crate) struct Key<'a> {
    bytes: &'a [u8],
    tfm: NonNull<bindings::crypto_skcipher>,
}

impl Key<'_> {
    /// Returns the bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// Sets it for `software` too, which decides whether it is a good one.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it is not.
    pub(crate) fn set_for(&self, software: &Software) -> Result {
        software.set_key(self.bytes, self.tfm)
    }
}

/// What describes a cipher to the framework.
#[derive(Clone, Copy)]
pub(crate) struct Description {
    /// Names, priority, block size.
    pub(crate) names: Names,
    /// In bytes.
    pub(crate) min_key_size: u32,
    /// In bytes.
    pub(crate) max_key_size: u32,
    /// In bytes; 0 if the mode has none.
    pub(crate) iv_size: u32,
    /// In bytes: a request that is continued by another has a multiple of it. The block size, but
    /// for ciphers that take data of any length.
    pub(crate) chunk_size: u32,
}

// SAFETY: That is where the `struct crypto_alg` of a `struct skcipher_alg` is; the functions are its.
unsafe impl RawAlgorithm for bindings::skcipher_alg {
    const BASE: usize = offset_of!(bindings::skcipher_alg, __bindgen_anon_1)
        + offset_of!(bindings::skcipher_alg_common, base);

    unsafe fn register(alg: *mut Self) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_register_skcipher(alg) }
    }

    unsafe fn unregister(alg: *mut Self) {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_unregister_skcipher(alg) }
    }
}

/// Returns the fields that all kinds of ciphers have: the union of `struct skcipher_alg`.
///
/// # Safety
///
/// `alg` must be valid.
unsafe fn common(alg: *mut bindings::skcipher_alg) -> *mut bindings::skcipher_alg_common {
    // SAFETY: By the safety requirements.
    unsafe { &raw mut (*alg).__bindgen_anon_1 }.cast()
}

kernel::static_assert!(
    size_of::<bindings::skcipher_alg_common>() == size_of::<bindings::skcipher_alg__bindgen_ty_1>()
);

/// Registers cipher `A`.
///
/// # Errors
///
/// As [`Registration`] has them.
pub(crate) fn register<A: Algorithm>(
    description: &Description,
    data: A::Data,
    module: &'static ThisModule,
) -> Result<Registration> {
    const {
        assert!(align_of::<A::Tfm>() <= bindings::VC_CRYPTO_MINALIGN as usize);
        assert!(align_of::<context::Context<A>>() <= bindings::VC_CRYPTO_DMA_ALIGN as usize);
    }

    let mut raw = bindings::skcipher_alg {
        setkey: Some(A::set_key_callback),
        encrypt: Some(A::encrypt_callback),
        decrypt: Some(A::decrypt_callback),
        init: Some(A::init_callback),
        exit: Some(A::exit_callback),
        ..Default::default()
    };
    // SAFETY: `raw` is valid, and nobody else refers to it.
    let common = unsafe { &mut *common(&mut raw) };
    common.min_keysize = description.min_key_size;
    common.max_keysize = description.max_key_size;
    common.ivsize = description.iv_size;
    common.chunksize = description.chunk_size;
    common.base.cra_ctxsize = u32::try_from(size_of::<A::Tfm>())?;
    common.base.cra_flags = bindings::CRYPTO_ALG_NEED_FALLBACK
        | if A::SYNCHRONOUS {
            // No requests on the stack: a device could not reach them.
            bindings::VC_REQSIZE_LARGE
        } else {
            bindings::CRYPTO_ALG_ASYNC | bindings::CRYPTO_ALG_KERN_DRIVER_ONLY
        };

    Registration::new(Entry::new(raw, data, &description.names, module)?)
}

/// A request that the framework has handed in, not answered yet.
///
/// # Invariants
///
/// `raw` is a valid request of a transform of `A`, whose context is unused.
#[must_use]
pub(crate) struct Request<'a, A: Algorithm> {
    raw: NonNull<bindings::skcipher_request>,
    _algorithm: PhantomData<&'a A>,
}

impl<'a, A: Algorithm> Request<'a, A> {
    /// Returns the transform.
    pub(crate) fn tfm(&self) -> &A::Tfm {
        // SAFETY: By the type invariant the transform is initialised; it outlives its requests.
        unsafe { &*A::context(self.raw_tfm()) }
    }

    fn raw_tfm(&self) -> *mut bindings::crypto_skcipher {
        // SAFETY: By the type invariant.
        unsafe { helpers::crypto_skcipher_reqtfm(self.raw.as_ptr()) }
    }

    /// Returns the length of the data in bytes.
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { self.raw.as_ref() }.cryptlen
    }

    /// Returns true if the consumer allows the call to sleep.
    pub(crate) fn may_sleep(&self) -> bool {
        self.flags() & bindings::CRYPTO_TFM_REQ_MAY_SLEEP != 0
    }

    /// Copies the IV.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm's IV is shorter than `iv`.
    pub(crate) fn read_iv(&self, iv: &mut [u8]) -> Result {
        if let Some(from) = self.raw_iv(iv.len())? {
            // SAFETY: The IV has that many bytes, in the consumer's memory.
            unsafe { from.copy_to_nonoverlapping(iv.as_mut_ptr(), iv.len()) };
        }
        Ok(())
    }

    /// Returns where the IV is, of which `len` bytes are wanted; nothing if that is 0.
    fn raw_iv(&self, len: usize) -> Result<Option<*mut u8>> {
        // SAFETY: By the type invariant.
        let size = unsafe { helpers::crypto_skcipher_ivsize(self.raw_tfm()) };
        if u32::try_from(len)? > size {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant. The framework's contract: the IV has the algorithm's size.
        let iv = unsafe { self.raw.as_ref() }.iv.cast();
        Ok((len != 0).then_some(iv))
    }

    /// Answers it.
    pub(crate) fn done(self, result: Result) -> Answer {
        Answer::done(result)
    }

    /// Takes a request for what it is.
    ///
    /// # Safety
    ///
    /// `raw` must be a valid request of an initialised transform of `A`, not answered yet, and its
    /// context unused.
    unsafe fn from_raw(raw: NonNull<bindings::skcipher_request>) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _algorithm: PhantomData,
        }
    }

    fn flags(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { self.raw.as_ref() }.base.flags
    }
}
