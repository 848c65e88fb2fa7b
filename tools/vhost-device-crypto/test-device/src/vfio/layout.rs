// SPDX-License-Identifier: GPL-2.0
//! Layout of the only BAR of the function. Each structure has its own pages.

/// `struct virtio_pci_common_cfg`
pub(super) const COMMON: u64 = 0;
pub(super) const COMMON_LEN: usize = 64;

/// The interrupt status.
pub(super) const ISR: u64 = 0x1000;
pub(super) const ISR_LEN: usize = 1;

/// The device's configuration space.
pub(super) const DEVICE: u64 = 0x2000;
/// Maximum length of the device's configuration space: a page.
pub const MAX_CONFIG_LEN: usize = 0x1000;

/// The notification area, with a word for each queue.
pub(super) const NOTIFY: u64 = 0x3000;
pub(super) const NOTIFY_MULTIPLIER: u32 = 4;

/// The MSI-X table. QEMU emulates accesses to the table.
pub(super) const MSIX_TABLE: u64 = 0x4000;
/// The pending bits of MSI-X.
pub(super) const MSIX_PENDING: u64 = 0x5000;
/// Maximum number of vectors: the size of the table.
pub const MAX_VECTORS: u16 = 256;

/// Size of the BAR, a power of 2.
pub(super) const BAR_LEN: u64 = 0x8000;

/// Index of the BAR.
pub(super) const BAR: u8 = 0;
