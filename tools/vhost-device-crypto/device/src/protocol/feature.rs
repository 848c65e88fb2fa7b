// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Device feature bits.

use super::algorithm::Service;

/// `VIRTIO_CRYPTO_F_REVISION_1`: natural layout, stateless modes.
pub const REVISION_1: u64 = 1 << 0;

/// All device feature bits, 0 to 5.
pub const ALL: u64 = 0x3f;

/// Returns `VIRTIO_CRYPTO_F_*_STATELESS_MODE` of a service.
pub const fn stateless(service: Service) -> u64 {
    1 << (service as u32 + 1)
}

/// Returns whether a driver may accept these bits together: stateless modes require
/// `VIRTIO_CRYPTO_F_REVISION_1`.
pub const fn consistent(features: u64) -> bool {
    features & REVISION_1 != 0 || features & ALL == 0
}
