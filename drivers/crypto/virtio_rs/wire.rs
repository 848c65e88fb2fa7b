// SPDX-License-Identifier: GPL-2.0

//! The bytes of the virtio crypto specification (version 1.4, "Crypto Device").
//!
//! All integers are little-endian, and no struct has padding that is not a field. Requests have the
//! layout that devices without VIRTIO_CRYPTO_F_REVISION_1 speak: fixed parts filled up with zeros to
//! 72 bytes, header included.

pub(crate) mod algorithm;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod data;
pub(crate) mod status;

/// The fixed part of every request, header included, in bytes.
pub(crate) const FIXED: usize = 72;
