// SPDX-License-Identifier: GPL-2.0

//! Hashes and message authentication codes, done by devices that take whole messages only.
//!
//! The driver gets digests: a message as a whole, which is what IPsec and dm-integrity ask for.
//! Whatever comes in parts (`init`, `update`, `finup`, `export`, `import`) is software's. Between
//! two parts a request belongs to nobody: its consumer may export it, go on with another, or just
//! free it, so nothing of a device's can be tied to it, and the format of an exported state is the
//! software's anyway.
//!
//! C header: [`include/crypto/internal/hash.h`](srctree/include/crypto/internal/hash.h)

mod callbacks;
mod parts;
mod request;
mod software;

use self::{
    callbacks::{
        Callbacks as _,
        MacCallbacks as _, //
    },
    software::{
        Software,
        Source, //
    },
};
use super::{
    algorithm::{
        Entry,
        Names,
        RawAlgorithm,
        Registration, //
    },
    offload,
    request::Answer,
    Key,
    Offload, //
};
use crate::bindings;
use core::mem::offset_of;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

/// The framework's type of request.
pub(crate) type Raw = bindings::ahash_request;

/// A request for the digest of a message.
pub(crate) type Request<'a, A> = offload::Request<'a, A, Raw>;

/// What a driver does for a hash.
pub(crate) trait Algorithm: Offload<Raw = Raw> {
    /// What all transforms of a registration share.
    type Data: Send + Sync;

    /// Creates a transform.
    ///
    /// Context: process, may sleep.
    fn init(data: &Self::Data) -> Result<Self::Tfm>;

    /// Makes a digest.
    ///
    /// Context: process or bottom half; may sleep only if [`Request::may_sleep`] says so.
    fn digest(request: Request<'_, Self>) -> Answer;
}

/// What a driver does for a hash with a key.
pub(crate) trait Mac: Algorithm {
    /// Sets the key, whatever its length; software gets it, too. No request is under way.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm does not take this key.
    fn set_key(tfm: &Self::Tfm, key: &Key<'_>) -> Result;
}

/// What describes a hash to the framework. The rest is as the software has it that stands in for
/// the device.
#[derive(Clone, Copy)]
pub(crate) struct Description {
    /// The algorithm, `sha256` for example.
    pub(crate) name: &'static CStr,
    /// This implementation of it.
    pub(crate) driver_name: &'static CStr,
    /// Of several implementations the one with the highest priority is taken.
    pub(crate) priority: i32,
    /// In bytes.
    pub(crate) digest_size: u32,
}

// SAFETY: That is where the `struct crypto_alg` of a `struct ahash_alg` is; the functions are its.
unsafe impl RawAlgorithm for bindings::ahash_alg {
    const BASE: usize =
        offset_of!(bindings::ahash_alg, halg) + offset_of!(bindings::hash_alg_common, base);

    unsafe fn register(alg: *mut Self) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_register_ahash(alg) }
    }

    unsafe fn unregister(alg: *mut Self) {
        // SAFETY: By the safety requirements.
        unsafe { bindings::crypto_unregister_ahash(alg) }
    }
}

/// Registers hash `A`.
///
/// Context: process, may sleep: the software is looked for, and loaded.
///
/// # Errors
///
/// `ENOENT`: there is no software to stand in for the device. `EINVAL`: it makes digests of another
/// size. Others as [`Registration`] has them.
pub(crate) fn register<A: Algorithm>(
    description: &Description,
    data: A::Data,
    module: &'static ThisModule,
) -> Result<Registration> {
    register_with::<A>(Default::default(), description, data, module)
}

/// Registers hash `A`, which needs a key.
///
/// Context, errors: as for [`register`].
pub(crate) fn register_mac<A: Mac>(
    description: &Description,
    data: A::Data,
    module: &'static ThisModule,
) -> Result<Registration> {
    let raw = bindings::ahash_alg {
        setkey: Some(A::set_key_callback),
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
        // Who insists on a synchronous hash does not say that it may sleep: the device would never
        // be asked.
        assert!(!A::SYNCHRONOUS);
    }
    let (software, source) = Software::find(description.name)?;
    let sizes = software.sizes();
    if sizes.digest != description.digest_size {
        return Err(EINVAL);
    }

    raw.init = Some(parts::init);
    raw.update = Some(parts::update);
    raw.finup = Some(parts::finup);
    raw.digest = Some(A::digest_callback);
    raw.export = Some(parts::export);
    raw.import = Some(parts::import);
    if source == Source::Framework {
        raw.export_core = Some(parts::export_core);
        raw.import_core = Some(parts::import_core);
    }
    raw.init_tfm = Some(A::init_tfm_callback);
    raw.exit_tfm = Some(A::exit_tfm_callback);
    raw.halg.digestsize = sizes.digest;
    raw.halg.statesize = sizes.state;

    let base = &mut raw.halg.base;
    base.cra_ctxsize = offload::transform_size::<A>();
    base.cra_flags = source.algorithm_flags(offload::flags::<A>());
    // Templates reckon with what is said here: it must not grow in `init_tfm_callback`.
    base.cra_reqsize = offload::context_size::<A>(sizes.request)
        .max(bindings::VC_HASH_MAX_DESCSIZE)
        .max(sizes.state)
        .checked_add(bindings::VC_CRYPTO_DMA_PADDING)
        .ok_or(EINVAL)?;

    let names = Names {
        name: description.name,
        driver_name: description.driver_name,
        priority: description.priority,
        block_size: sizes.block,
    };
    Registration::new(Entry::new(raw, data, &names, module)?)
}
