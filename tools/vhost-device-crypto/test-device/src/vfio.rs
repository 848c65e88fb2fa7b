// SPDX-License-Identifier: GPL-2.0
//! The vfio-user front end, for QEMU's device `vfio-user-pci`. The device is a complete PCI
//! function, including the parts that QEMU provides with vhost-user.
//!
//! ```text
//! server      the messages of vfio-user, in the main thread
//! function    the PCI function and its BAR
//! pci_config  the PCI configuration space
//! common_cfg  the registers of virtio
//! interrupt   MSI-X and INTx
//! dma         guest memory
//! worker      a thread for each queue
//! ```

pub mod common_cfg;
pub mod dma;
pub mod function;
pub mod interrupt;
mod layout;
pub mod pci_config;
pub mod server;
mod worker;

use virtio_bindings::bindings::virtio_config::{
    VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_IN_ORDER, VIRTIO_F_RING_PACKED, VIRTIO_F_RING_RESET,
    VIRTIO_F_VERSION_1,
};

use virtio_crypto_device::protocol::config::CONFIG_LEN;

pub use layout::{MAX_CONFIG_LEN, MAX_VECTORS};

/// Transport feature: virtio 1.
pub const VERSION_1: u64 = 1 << VIRTIO_F_VERSION_1;
/// Transport feature: addresses are translated by an IOMMU.
pub const ACCESS_PLATFORM: u64 = 1 << VIRTIO_F_ACCESS_PLATFORM;
/// Transport feature: packed rings.
pub const PACKED: u64 = 1 << VIRTIO_F_RING_PACKED;
/// Transport feature: requests are completed in order.
pub const IN_ORDER: u64 = 1 << VIRTIO_F_IN_ORDER;
/// Transport feature: single queues can be reset.
pub const RING_RESET: u64 = 1 << VIRTIO_F_RING_RESET;

/// Settings of the PCI function.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Features to offer besides the device features and `VERSION_1`.
    pub features: u64,
    /// Number of vectors; by default one for each queue and one for config changes.
    pub vectors: Option<u16>,
    /// Maximum size of a ring, a power of 2.
    pub queue_size: u16,
    /// Length of the device's configuration space, in bytes.
    pub config_len: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { features: RING_RESET, vectors: None, queue_size: 256, config_len: CONFIG_LEN }
    }
}
