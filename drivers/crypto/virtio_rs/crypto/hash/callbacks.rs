// SPDX-License-Identifier: GPL-2.0

//! What the framework calls.

use super::{
    software::{
        Sizes,
        Software,
        Source, //
    },
    Algorithm,
    Entry,
    Key,
    Mac,
    Request, //
};
use crate::{
    bindings,
    bindings::helpers, //
};
use core::ptr::NonNull;
use kernel::{
    error::{
        from_result,
        to_result, //
    },
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*, //
};

/// The C callbacks of an algorithm that its driver has a part in.
pub(super) trait Callbacks: Algorithm {
    /// # Safety
    ///
    /// `tfm` must be a new transform of an algorithm registered by this layer.
    unsafe extern "C" fn init_tfm_callback(tfm: *mut bindings::crypto_ahash) -> c_int {
        // SAFETY: By the safety requirements.
        let alg = unsafe { helpers::crypto_ahash_alg(tfm) };
        // SAFETY: The algorithm is part of an entry, which lives as long as its transforms.
        let data = unsafe { &(*Entry::<_, Self::Data>::of(alg)).data };
        from_result(|| {
            // SAFETY: By the safety requirements.
            let own = match unsafe { source(tfm) } {
                Source::Own => {
                    // SAFETY: By the safety requirements.
                    let name = unsafe { helpers::crypto_ahash_alg_name(tfm) };
                    // SAFETY: It is a string that lives as long as the algorithm.
                    Some(Software::own(unsafe { CStr::from_char_ptr(name) })?)
                }
                Source::Framework => None,
            };
            // SAFETY: By the safety requirements.
            let framework = unsafe { helpers::crypto_ahash_fb(tfm) };
            let software = match &own {
                Some(own) => own.sizes(),
                // SAFETY: The framework has allocated it.
                None => unsafe { Sizes::of(framework) },
            };
            // SAFETY: By the safety requirements.
            if !software.fit(&unsafe { Sizes::of(tfm) }) {
                // Not what `register` has seen.
                return Err(EINVAL);
            }
            let state = Self::init(data)?;

            if let Some(own) = own {
                // SAFETY: `exit_tfm_callback` takes it back.
                unsafe { helpers::crypto_ahash_set_fb(tfm, own.into_raw().as_ptr()) };
            }
            // SAFETY: The context has the size and alignment of `Tfm`, and is not used yet.
            unsafe { context::<Self>(tfm).write(state) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `tfm` must be a transform that `init_tfm_callback` has initialised, in its last use.
    unsafe extern "C" fn exit_tfm_callback(tfm: *mut bindings::crypto_ahash) {
        // SAFETY: By the safety requirements.
        unsafe { context::<Self>(tfm).drop_in_place() };
        // SAFETY: As above.
        if unsafe { source(tfm) } == Source::Own {
            // SAFETY: As above.
            let software = NonNull::new(unsafe { helpers::crypto_ahash_fb(tfm) });
            // SAFETY: `init_tfm_callback` has put it there; the transform's requests are over.
            drop(software.map(|software| unsafe { Software::from_raw(software) }));
        }
    }

    /// # Safety
    ///
    /// `req` must be a valid request of an initialised transform.
    unsafe extern "C" fn digest_callback(req: *mut bindings::ahash_request) -> c_int {
        let Some(raw) = NonNull::new(req) else {
            return EINVAL.to_errno();
        };
        // SAFETY: By the safety requirements; the framework has just handed it in. A digest begins
        // anew, whatever is in the context.
        let request = unsafe { Request::<'_, Self>::from_raw(raw) };
        Self::digest(request).into_raw()
    }
}

impl<A: Algorithm> Callbacks for A {}

/// The C callbacks that only algorithms with a key have.
pub(super) trait MacCallbacks: Mac {
    /// # Safety
    ///
    /// `tfm` must be an initialised transform, `key` valid for reads of `len` bytes.
    unsafe extern "C" fn set_key_callback(
        tfm: *mut bindings::crypto_ahash,
        key: *const u8,
        len: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let flags = unsafe { helpers::crypto_ahash_get_flags(tfm) };
        // SAFETY: By the safety requirements, for the time of this call.
        let bytes = unsafe { Key::from_raw(key, len, flags) };
        from_result(|| {
            // SAFETY: By the safety requirements.
            if unsafe { source(tfm) } == Source::Own {
                // SAFETY: As above.
                let software = unsafe { helpers::crypto_ahash_fb(tfm) };
                // SAFETY: `init_tfm_callback` has put it there.
                unsafe { helpers::crypto_ahash_set_req_flags(software, bytes.flags()) };
                // SAFETY: As above; `key` is valid for reads of `len` bytes.
                to_result(unsafe { bindings::crypto_ahash_setkey(software, key, len) })?;
            }
            // SAFETY: The transform is initialised.
            let state = unsafe { &*context::<Self>(tfm) };
            Self::set_key(state, &bytes)?;
            Ok(0)
        })
    }
}

impl<A: Mac> MacCallbacks for A {}

/// Returns the driver's part of a transform.
///
/// # Safety
///
/// `tfm` must be a transform of `A`.
unsafe fn context<A: Algorithm>(tfm: *mut bindings::crypto_ahash) -> *mut A::Tfm {
    // SAFETY: By the safety requirements.
    unsafe { crate::crypto::offload::tfm_ctx(&raw mut (*tfm).base) }.cast()
}

/// Returns where the transform's software comes from.
///
/// # Safety
///
/// `tfm` must be a transform of an algorithm registered by this layer.
unsafe fn source(tfm: *mut bindings::crypto_ahash) -> Source {
    // SAFETY: By the safety requirements.
    let alg = unsafe { helpers::crypto_ahash_alg(tfm) };
    // SAFETY: An algorithm lives as long as its transforms.
    Source::of_algorithm(unsafe { (*alg).halg.base.cra_flags })
}
