// SPDX-License-Identifier: GPL-2.0
//! The front end of QEMU's device `vfio-user-pci`: here the device is a whole PCI function,
//! with all that vhost-user leaves to QEMU.
//!
//! ```text
//! server      the messages of vfio-user, in the main thread
//! function    the PCI function: what is where in it
//! pci_config  its configuration space
//! common_cfg  virtio's registers
//! interrupt   MSI-X, and the line of a guest that does without
//! dma         the guest's memory
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

/// Features of the transport.
pub const VERSION_1: u64 = 1 << VIRTIO_F_VERSION_1;
/// Addresses are the IOMMU's.
pub const ACCESS_PLATFORM: u64 = 1 << VIRTIO_F_ACCESS_PLATFORM;
/// Rings have the packed format.
pub const PACKED: u64 = 1 << VIRTIO_F_RING_PACKED;
/// Answers come in the order of the requests.
pub const IN_ORDER: u64 = 1 << VIRTIO_F_IN_ORDER;
/// A queue can be reset by itself.
pub const RING_RESET: u64 = 1 << VIRTIO_F_RING_RESET;

/// What can be chosen about the function.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Features to offer beside the device's own and `VERSION_1`.
    pub features: u64,
    /// Interrupt vectors; without it one for each queue and one for the configuration.
    pub vectors: Option<u16>,
    /// The longest ring there may be, and what a driver finds; a power of 2.
    pub queue_size: u16,
    /// How many bytes the device's configuration has.
    pub config_len: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { features: RING_RESET, vectors: None, queue_size: 256, config_len: CONFIG_LEN }
    }
}
