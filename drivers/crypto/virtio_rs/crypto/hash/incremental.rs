// SPDX-License-Identifier: GPL-2.0

//! The callbacks for incremental hashing. They run on the fallback.
//!
//! The crypto API has checked that the transform has a key if the algorithm needs a key. After `init` or
//! `import`, the request context contains the state of the fallback.

use super::{
    fallback::FallbackScope,
    Raw, //
};
use crate::bindings;
use kernel::ffi::{
    c_int,
    c_void, //
};

/// Defines a callback that runs the request on the fallback, with a function of the crypto API.
macro_rules! on_fallback {
    ($name:ident($($arg:ident: $type:ty)?) => $function:path) => {
        /// # Safety
        ///
        /// `req` must be a valid request of an initialised transform, in the state that the crypto API
        /// requires for this function. If there is a second argument, it must be valid for an exported
        /// state.
        pub(super) unsafe extern "C" fn $name(req: *mut Raw $(, $arg: $type)?) -> c_int {
            // SAFETY: The caller guarantees that the request is valid. Its context is unused, or contains
            // the state of the fallback.
            let scope = unsafe { FallbackScope::new(req) };
            // SAFETY: The request names the fallback. The caller guarantees that the request is in the
            // state that the function requires. `set_up` has checked that the states of the fallback are
            // as long as those of the transform.
            unsafe { $function(scope.as_raw() $(, $arg)?) }
        }
    };
}

on_fallback!(init() => bindings::crypto_ahash_init);
on_fallback!(update() => bindings::crypto_ahash_update);
on_fallback!(finup() => bindings::crypto_ahash_finup);
on_fallback!(export(out: *mut c_void) => bindings::crypto_ahash_export);
on_fallback!(import(state: *const c_void) => bindings::crypto_ahash_import);
on_fallback!(export_core(out: *mut c_void) => bindings::crypto_ahash_export_core);
on_fallback!(import_core(state: *const c_void) => bindings::crypto_ahash_import_core);
