// SPDX-License-Identifier: GPL-2.0

//! What the framework calls for messages that come in parts: software does them.
//!
//! The framework has checked that the request belongs to an initialised transform that has a key, if
//! it needs one. What lies in the context is nobody's until `init` or `import`, and the software's
//! from then on.

use super::software::Delegated;
use crate::bindings;
use kernel::ffi::{
    c_int,
    c_void, //
};

/// # Safety
///
/// `req` must be a valid request of an initialised transform.
pub(super) unsafe extern "C" fn init(req: *mut bindings::ahash_request) -> c_int {
    // SAFETY: By the safety requirements; it begins anew, whatever is in the context.
    let req = unsafe { Delegated::new(req) };
    // SAFETY: It is a valid request; this is what it is for.
    unsafe { bindings::crypto_ahash_init(req.as_raw()) }
}

/// # Safety
///
/// As for [`init`], which was called before, or [`import`]; source and length are the request's.
pub(super) unsafe extern "C" fn update(req: *mut bindings::ahash_request) -> c_int {
    // SAFETY: By the safety requirements; the context is the software's.
    let req = unsafe { Delegated::new(req) };
    // SAFETY: As in `init`.
    unsafe { bindings::crypto_ahash_update(req.as_raw()) }
}

/// # Safety
///
/// As for [`update`]; there is room for the result.
pub(super) unsafe extern "C" fn finup(req: *mut bindings::ahash_request) -> c_int {
    // SAFETY: As in `update`.
    let req = unsafe { Delegated::new(req) };
    // SAFETY: As in `init`.
    unsafe { bindings::crypto_ahash_finup(req.as_raw()) }
}

/// # Safety
///
/// As for [`update`]; `out` has room for a state.
pub(super) unsafe extern "C" fn export(
    req: *mut bindings::ahash_request,
    out: *mut c_void,
) -> c_int {
    // SAFETY: As in `update`.
    let req = unsafe { Delegated::new(req) };
    // SAFETY: As in `init`; the software's states are as large as the transform's.
    unsafe { bindings::crypto_ahash_export(req.as_raw(), out) }
}

/// # Safety
///
/// As for [`init`]; `state` is one that was exported.
pub(super) unsafe extern "C" fn import(
    req: *mut bindings::ahash_request,
    state: *const c_void,
) -> c_int {
    // SAFETY: As in `init`.
    let req = unsafe { Delegated::new(req) };
    // SAFETY: As in `export`.
    unsafe { bindings::crypto_ahash_import(req.as_raw(), state) }
}

/// # Safety
///
/// As for [`export`].
pub(super) unsafe extern "C" fn export_core(
    req: *mut bindings::ahash_request,
    out: *mut c_void,
) -> c_int {
    // SAFETY: As in `update`.
    let req = unsafe { Delegated::new(req) };
    // SAFETY: As in `export`.
    unsafe { bindings::crypto_ahash_export_core(req.as_raw(), out) }
}

/// # Safety
///
/// As for [`import`].
pub(super) unsafe extern "C" fn import_core(
    req: *mut bindings::ahash_request,
    state: *const c_void,
) -> c_int {
    // SAFETY: As in `init`.
    let req = unsafe { Delegated::new(req) };
    // SAFETY: As in `export`.
    unsafe { bindings::crypto_ahash_import_core(req.as_raw(), state) }
}
