// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A virtio crypto device: protocol, sessions, cryptography, rings and memory.
//!
//! The crate has no front end. A front end creates a [`Queue`](queue::Queue) for each virtqueue of
//! a [`Device`](device::Device), and calls it from a worker when the driver kicks. With
//! [`Hooks`](hooks::Hooks) another crate can observe and alter what the device does. `Device<()>`
//! has no hooks and no code for them.

mod akcipher;
pub mod capabilities;
mod chaining;
pub mod control;
pub mod crypto;
pub mod data;
pub mod descriptors;
pub mod device;
pub mod hooks;
pub mod log_limit;
pub mod memory;
mod openssl_ffi;
mod operate;
pub mod parts;
pub mod protocol;
mod public_key_threads;
pub mod queue;
pub mod queue_id;
mod rate_limit;
pub mod requirement;
pub mod ring;
pub mod session;
pub mod session_table;
pub mod status;
