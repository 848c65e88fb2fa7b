// SPDX-License-Identifier: GPL-2.0

//! The callbacks for messages that come in parts: they run on the fallback.
//!
//! The crypto API has checked that the request belongs to an initialised transform, which has a key if it
//! needs one. The content of the context belongs to the fallback from `init` or `import` on.

use super::{
    fallback::FallbackScope,
    Raw, //
};
use crate::bindings;
use kernel::ffi::{
    c_int,
    c_void, //
};

/// Defines a callback that calls a function of the crypto API for the same request on the fallback.
macro_rules! on_fallback {
    ($name:ident($($arg:ident: $type:ty)?) => $function:path) => {
        /// # Safety
        ///
        /// `req` must be a valid request of an initialised transform, in the state that the crypto API
        /// requires for this function. A second argument must be valid for an exported state.
        pub(super) unsafe extern "C" fn $name(req: *mut Raw $(, $arg: $type)?) -> c_int {
            // SAFETY: The caller guarantees that the request is valid. Its context is unused, or the
            // fallback's since `init` or `import`.
            let scope = unsafe { FallbackScope::new(req) };
            // SAFETY: The request is one of the fallback now, in the state that the function requires.
            // The states of the fallback are as long as the transform's, as `set_up` has checked.
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
