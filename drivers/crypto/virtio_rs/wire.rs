// SPDX-License-Identifier: GPL-2.0

//! The bytes of the virtio crypto specification (version 1.4, "Crypto Device").
//!
//! All integers are little-endian, and no struct has padding that is not a field. There are two
//! layouts, see [`feature::Revision`]; a request is built for the padded one, of which the natural
//! one is the beginning.

pub(crate) mod algorithm;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod data;
pub(crate) mod der;
pub(crate) mod feature;
pub(crate) mod status;
#[cfg(CONFIG_KUNIT = "y")]
mod testing;

/// The fixed part of every padded request, header included, in bytes.
pub(crate) const FIXED: usize = 72;
