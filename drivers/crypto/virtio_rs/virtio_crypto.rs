// SPDX-License-Identifier: GPL-2.0

//! Driver for virtio crypto devices.
//!
//! The driver registers the algorithms of the device with the kernel crypto API. The host performs
//! the operations.
//!
//! The driver has layers. Each layer only uses layers that come earlier in this list:
//!
//! - `bindings`: generated bindings to C interfaces
//! - `support`, `virtio`, `crypto`: safe abstractions of kernel interfaces, device-independent
//! - `wire`: the structures of the specification, kernel-independent
//! - `settings`: module parameters
//! - `transport`: requests, sessions and the lifecycle of a device
//! - `algorithms`: the algorithms that the driver registers
//! - `driver`: probe and remove

mod bindings;
mod crypto;
mod support;
mod virtio;

#[deny(unsafe_code)]
mod algorithms;
#[deny(unsafe_code)]
mod driver;
#[deny(unsafe_code)]
mod settings;
#[deny(unsafe_code)]
mod transport;
#[deny(unsafe_code)]
mod wire;

use driver::Driver;
use kernel::ThisModule;

/// VIRTIO_ID_CRYPTO.
const DEVICE_ID: u32 = bindings::VIRTIO_ID_CRYPTO;

kernel::module_device_table!(
    "virtio",
    virtio::DeviceId,
    DEVICE_TABLE,
    @none,
    [virtio::DeviceId::new(DEVICE_ID)]
);

kernel::module_driver!(<T>, virtio::Adapter<T>, {
    type: Driver,
    name: "virtio_crypto_rs",
    authors: ["The virtio_crypto_rs authors"],
    description: "VirtIO crypto driver",
    license: "GPL",
    params: {
        priority: u32 {
            default: 90,
            description: "Priority of the algorithms, 0 to 10000 (default 90, below the kernel's own implementations except SHA-3)",
        },
        prefer: bool {
            default: false,
            description: "Prefer the device for all algorithms except public keys (default N)",
        },
        stateless: bool {
            default: false,
            description: "Send the key with each request instead of creating sessions (default N)",
        },
        services: u32 {
            default: 0xffff_ffff,
            description: "Bit mask of services to use: 1 ciphers, 2 hashes, 4 MACs, 8 AEADs, 16 public keys (default all)",
        },
        prefer_public_keys: bool {
            default: false,
            description: "Also use the device for the kernel's own signature checks (default N)",
        },
        ecdsa_number: u32 {
            default: 0,
            description: "Number of ECDSA on devices without VIRTIO_CRYPTO_F_REVISION_1: 2, 3, or 0 to disable ECDSA (default 0)",
        },
        rescue_in_place: u32 {
            default: 4096,
            description: "Maximum source length in bytes of in-place requests that are repeated if the device is lost, 0 to disable (default 4096)",
        },
        timeout_ms: u32 {
            default: 10000,
            description: "Request timeout in ms, 100 to 600000 (default 10000)",
        },
    },
});

/// Returns this module.
fn this_module() -> &'static ThisModule {
    kernel::module::this_module::<LocalModule>()
}
