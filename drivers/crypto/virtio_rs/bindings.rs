// SPDX-License-Identifier: GPL-2.0

//! Bindings to the C interfaces that the driver uses.
//!
//! The module re-exports the bindings of the kernel crate, so that both use the same types. The
//! driver's `Makefile` generates the bindings that the kernel crate does not have. Only the layers
//! [`support`](crate::support), [`virtio`](crate::virtio) and [`crypto`](crate::crypto) use
//! this module.

#![allow(
    dead_code,
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

pub(crate) use kernel::bindings::*;
use kernel::ffi;
use pin_init::MaybeZeroable;

include!(concat!(env!("VC_BINDINGS_DIR"), "/bindings_generated.rs"));

// SAFETY: bindgen generates the type with fields of size 0, so the all-zero bit pattern is valid.
unsafe impl<T> pin_init::Zeroable for __IncompleteArrayField<T> {}

/// The wrappers of `helpers.c`, without their `rust_helper_vc_` prefix.
pub(crate) mod helpers {
    use super::*;

    include!(concat!(
        env!("VC_BINDINGS_DIR"),
        "/bindings_helpers_generated.rs"
    ));
}
