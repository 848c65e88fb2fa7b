// SPDX-License-Identifier: GPL-2.0

//! Driver for the virtio crypto device: ciphers, hashes and public keys whose work is done by the
//! host.
//!
//! The layers, each of which uses only those above it:
//!
//! - `bindings`: C, as it is;
//! - `support`, `virtio`, `crypto`: safe interfaces to the kernel; nothing of the device;
//! - `wire`: the bytes of the specification; nothing of the kernel;
//! - `transport`: how a request travels to a device and comes back;
//! - `algorithms`: what the kernel is offered;
//! - `driver`: devices come and go.

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
            description: "Priority of the algorithms, 0 to 10000 (default 90: below all software but SHA-3)",
        },
        prefer: bool {
            default: false,
            description: "Make the device the system's choice, whatever the priority (default N)",
        },
        stateless: bool {
            default: false,
            description: "Send keys with each request instead of keeping them in the device (default N)",
        },
        services: u32 {
            default: 0xffff_ffff,
            description: "Services to offer, a bit each: 1 ciphers, 2 hashes, 4 MACs, 8 AEADs, 16 public keys (default all)",
        },
        prefer_public_keys: bool {
            default: false,
            description: "Have the device also check the kernel's own signatures (default N)",
        },
        ecdsa_number: u32 {
            default: 0,
            description: "Number of ECDSA on devices without revision 1: 2 or 3, or 0 for none (default)",
        },
        rescue_in_place: u32 {
            default: 4096,
            description: "Longest source of an in-place request that is repeated if its device is lost, in bytes (default 4096)",
        },
        timeout_ms: u32 {
            default: 10000,
            description: "How long a device has for an answer, 100 to 600000 ms (default 10000)",
        },
    },
});

/// Returns this module.
fn this_module() -> &'static ThisModule {
    kernel::module::this_module::<LocalModule>()
}
