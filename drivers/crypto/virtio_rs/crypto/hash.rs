// SPDX-License-Identifier: GPL-2.0

//! Hashes and message authentication codes (MACs).
//!
//! A device only processes whole messages. So only `digest`, which IPsec and dm-integrity use, can run on
//! the device. Incremental hashing (`init`, `update`, `finup`, `export`, `import`) runs on the fallback.
//! Between two calls the caller may export the state, continue with another request, or free the request
//! without notice. The state therefore cannot be kept in the device. An exported state has the format of
//! the fallback.
//!
//! C header: [`include/crypto/internal/hash.h`](srctree/include/crypto/internal/hash.h)

mod fallback;
mod incremental;
mod request;

use self::fallback::FallbackOwner;
use super::{
    adapter,
    adapter::{
        Adapted,
        RawTransform,
        SetKey, //
    },
    algorithm::{
        AlgorithmInfo,
        AlgorithmObject,
        RawAlgorithm,
        Registration, //
    },
    offload,
    request::ReturnCode,
    Key,
    Offload, //
};
use crate::bindings;
use core::mem::offset_of;
use kernel::{
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*, //
};

/// The C type of requests.
pub(crate) type Raw = bindings::ahash_request;

/// The C type of transforms.
type Tfm = bindings::crypto_ahash;

/// A fallback.
type FallbackTfm = super::fallback_tfm::FallbackTfm<Tfm>;

/// A request for the digest of a message.
pub(crate) type Request<'a, A> = offload::Request<'a, A, Raw>;

/// A hash of a driver.
pub(crate) trait Algorithm: Offload<Raw = Raw> {
    /// The data that all transforms of a registration share.
    type Data: Send + Sync;

    /// Creates a transform.
    ///
    /// Context: process, may sleep.
    fn init(data: &Self::Data) -> Result<Self::Tfm>;

    /// Computes a digest.
    ///
    /// Context: process or bottom half; may sleep only if [`Request::may_sleep`] returns true.
    fn digest(request: Request<'_, Self>) -> ReturnCode;
}

/// A hash with a key.
pub(crate) trait Mac: Algorithm {
    /// Sets the key, which may have any length. The fallback has the key, too. No request is in flight.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the algorithm does not accept the key.
    fn set_key(tfm: &Self::Tfm, key: &Key<'_>) -> Result;
}

/// The properties of a hash. The block size and the size of a state are those of the fallback.
#[derive(Clone, Copy)]
pub(crate) struct Description {
    /// The name of the algorithm, for example `sha256`.
    pub(crate) name: &'static CStr,
    /// The name of this implementation, for example `sha256-virtio`.
    pub(crate) driver_name: &'static CStr,
    /// The crypto API prefers the implementation with the highest priority.
    pub(crate) priority: i32,
    /// The length of a digest, in bytes.
    pub(crate) digest_size: u32,
}

// SAFETY: `BASE` is the offset of the `struct crypto_alg` in a `struct ahash_alg`. The functions register
// and unregister a `struct ahash_alg`.
unsafe impl RawAlgorithm for bindings::ahash_alg {
    const BASE: usize =
        offset_of!(bindings::ahash_alg, halg) + offset_of!(bindings::hash_alg_common, base);
    const REGISTER: unsafe extern "C" fn(*mut Self) -> c_int = bindings::crypto_register_ahash;
    const UNREGISTER: unsafe extern "C" fn(*mut Self) = bindings::crypto_unregister_ahash;
}

// SAFETY: `BASE` is the offset of the `struct crypto_tfm` in a `struct crypto_ahash`. `ALLOCATE` returns
// a `struct crypto_ahash`.
unsafe impl RawTransform for Tfm {
    type Algorithm = bindings::ahash_alg;
    const BASE: usize = offset_of!(Tfm, base);
    const ALLOCATE: unsafe extern "C" fn(*const c_char, u32, u32) -> *mut Self =
        bindings::crypto_alloc_ahash;
}

impl<A: Algorithm> Adapted<Tfm> for A {
    type AlgData = A::Data;
    type TfmData = A::Tfm;

    fn create(data: &A::Data) -> Result<A::Tfm> {
        A::init(data)
    }

    unsafe fn set_up(tfm: *mut Tfm, _data: &A::Tfm) -> Result {
        // SAFETY: The caller guarantees that the transform is valid and new.
        unsafe { fallback::set_up(tfm) }
    }

    unsafe fn tear_down(tfm: *mut Tfm) {
        // SAFETY: The caller guarantees that the transform was set up, and is not used afterwards.
        unsafe { fallback::tear_down(tfm) };
    }
}

impl<A: Mac> SetKey<Tfm> for A {
    unsafe fn set_key(tfm: *mut Tfm, data: &A::Tfm, key: &Key<'_>) -> Result {
        // SAFETY: The caller guarantees that the transform is valid.
        unsafe { fallback::set_key(tfm, key)? };
        <A as Mac>::set_key(data, key)
    }
}

/// # Safety
///
/// `req` must be a valid request of an initialised transform. Nothing else may use its context: `digest`
/// starts a new message, so the context contains no state.
unsafe extern "C" fn digest<A: Algorithm>(req: *mut Raw) -> c_int {
    // SAFETY: The caller guarantees that the request is valid, and that its context has no other user.
    unsafe { adapter::handle_request::<A>(req, A::digest) }
}

/// Registers hash `A`.
///
/// Context: process, may sleep: the module of the fallback may be loaded.
///
/// # Errors
///
/// - `ENOENT` if the kernel has no implementation for a fallback;
/// - `EINVAL` if the length of the fallback's digests is not `digest_size`;
/// - the errors of [`Registration`].
pub(crate) fn register<A: Algorithm>(
    description: &Description,
    data: A::Data,
    module: &'static ThisModule,
) -> Result<Registration> {
    register_with::<A>(Default::default(), description, data, module)
}

/// Registers hash `A`, which needs a key.
///
/// Context and errors: as for [`register`].
pub(crate) fn register_mac<A: Mac>(
    description: &Description,
    data: A::Data,
    module: &'static ThisModule,
) -> Result<Registration> {
    let raw = bindings::ahash_alg {
        setkey: Some(adapter::set_key::<Tfm, A>),
        ..Default::default()
    };
    register_with::<A>(raw, description, data, module)
}

fn register_with<A: Algorithm>(
    mut raw: bindings::ahash_alg,
    description: &Description,
    data: A::Data,
    module: &'static ThisModule,
) -> Result<Registration> {
    const {
        // Callers of synchronous hashes do not set `CRYPTO_TFM_REQ_MAY_SLEEP`. So a synchronous variant
        // would never use the device.
        assert!(!A::SYNCHRONOUS);
    }
    let (fallback, owner) = FallbackTfm::find(description.name)?;
    let sizes = fallback.sizes();
    if sizes.digest != description.digest_size {
        return Err(EINVAL);
    }

    raw.init = Some(incremental::init);
    raw.update = Some(incremental::update);
    raw.finup = Some(incremental::finup);
    raw.digest = Some(digest::<A>);
    raw.export = Some(incremental::export);
    raw.import = Some(incremental::import);
    if owner == FallbackOwner::Core {
        raw.export_core = Some(incremental::export_core);
        raw.import_core = Some(incremental::import_core);
    }
    raw.init_tfm = Some(adapter::init::<Tfm, A>);
    raw.exit_tfm = Some(adapter::exit::<Tfm, A>);
    raw.halg.digestsize = sizes.digest;
    raw.halg.statesize = sizes.state;

    let base = &mut raw.halg.base;
    base.cra_ctxsize = offload::transform_size::<A>();
    base.cra_flags = owner.algorithm_flags(offload::flags::<A>());
    // Templates compute their request size from this value, so `set_up` must not increase it.
    base.cra_reqsize = offload::context_size::<A>(sizes.request)
        .max(bindings::VC_HASH_MAX_DESCSIZE)
        .max(sizes.state)
        .checked_add(bindings::VC_CRYPTO_DMA_PADDING)
        .ok_or(EINVAL)?;

    let info = AlgorithmInfo {
        name: description.name,
        driver_name: description.driver_name,
        priority: description.priority,
        block_size: sizes.block,
    };
    Registration::new(AlgorithmObject::new(raw, data, &info, module)?)
}
