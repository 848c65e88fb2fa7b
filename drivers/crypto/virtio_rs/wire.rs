// SPDX-License-Identifier: GPL-2.0

//! The structures and constants of the virtio specification, version 1.4, section "Crypto Device".
//!
//! Quoted section titles in this module are those of the specification. All integers are
//! little-endian, and every padding byte is a field. Requests have one of two layouts, see
//! [`feature::Layout`]. A request is built in the padded layout, and the natural layout is its
//! beginning.

pub(crate) mod algorithm;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod data;
pub(crate) mod der;
pub(crate) mod feature;
pub(crate) mod status;
#[cfg(CONFIG_KUNIT = "y")]
mod testing;

/// The bytes of the header and the fixed-length fields of a request in the padded layout.
pub(crate) const PADDED_LEN: usize = 72;
