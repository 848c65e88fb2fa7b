// SPDX-License-Identifier: GPL-2.0

//! The structures and constants of the virtio specification, version 1.4, section "Crypto Device".
//!
//! Quoted section titles in this module are those of the specification. All integers are
//! little-endian. The structures have no implicit padding: every padding byte belongs to a field.
//!
//! Requests have one of two layouts, see [`feature::Layout`]. The driver builds each request in
//! session mode in the padded layout. The natural layout is a prefix of the padded layout.

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
