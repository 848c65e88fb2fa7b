// SPDX-License-Identifier: GPL-2.0

//! Abstractions of kernel interfaces that the kernel crate does not have yet.
//!
//! - [`bh`]: a token for code that runs with bottom halves disabled
//! - [`completion`], [`semaphore`]: waiting with a timeout
//! - [`device_lock`]: the lock of a `struct device`
//! - [`dma`]: buffers that are owned by a device while they are in flight
//! - [`read_once`]: loads of atomic variables that are always inlined
//! - [`secret`]: memory that is wiped on drop
//! - [`work`]: work items that can be cancelled
//! - [`workqueue`]: a workqueue that memory reclaim may wait for

pub(crate) mod bh;
pub(crate) mod completion;
pub(crate) mod device_lock;
pub(crate) mod dma;
pub(crate) mod read_once;
pub(crate) mod secret;
pub(crate) mod semaphore;
pub(crate) mod work;
pub(crate) mod workqueue;
