// SPDX-License-Identifier: GPL-2.0

//! Bindings to the C interfaces this driver uses.
//!
//! Everything the kernel crate binds is re-exported from there, so that the types are the same;
//! what it does not bind is generated next to it, by this driver's `Makefile`. Only the layers
//! [`support`](crate::support), [`virtio`](crate::virtio) and [`crypto`](crate::crypto) use this
//! module.

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

// SAFETY: The type has no size; it cannot keep the type it ends from being zeroable.
unsafe impl<T> pin_init::Zeroable for __IncompleteArrayField<T> {}

/// The wrappers of `helpers.c`, under the names of what they wrap.
pub(crate) mod helpers {
    use super::*;

    include!(concat!(
        env!("VC_BINDINGS_DIR"),
        "/bindings_helpers_generated.rs"
    ));
}
