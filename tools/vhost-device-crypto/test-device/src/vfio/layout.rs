// SPDX-License-Identifier: GPL-2.0
//! Where everything is in the function's only BAR. Each structure has pages of its own.

/// `struct virtio_pci_common_cfg`
pub(super) const COMMON: u64 = 0;
pub(super) const COMMON_LEN: usize = 64;

/// The interrupt status.
pub(super) const ISR: u64 = 0x1000;
pub(super) const ISR_LEN: usize = 1;

/// The device's own configuration.
pub(super) const DEVICE: u64 = 0x2000;
/// As long as its page.
pub const MAX_CONFIG_LEN: usize = 0x1000;

/// Where queues are kicked, each by a word of its own.
pub(super) const NOTIFY: u64 = 0x3000;
pub(super) const NOTIFY_MULTIPLIER: u32 = 4;

/// The MSI-X table, which is kept by QEMU, and what is pending, which is kept here.
pub(super) const MSIX_TABLE: u64 = 0x4000;
pub(super) const MSIX_PENDING: u64 = 0x5000;
/// As many vectors as the table has room for.
pub const MAX_VECTORS: u16 = 256;

/// The whole BAR, a power of 2.
pub(super) const BAR_LEN: u64 = 0x8000;

/// The number of the BAR.
pub(super) const BAR: u8 = 0;
