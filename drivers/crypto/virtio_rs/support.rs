// SPDX-License-Identifier: GPL-2.0

//! What the `virtio` and `crypto` layers need of the kernel and the kernel crate does not have yet:
//! a completion and a semaphore with a time limit, work that can be cancelled, a workqueue for
//! memory reclaim, the bottom-half context as a type, the lock of a device, memory that is lent to
//! a device, loads of atomic variables without a call, bytes that leave no trace.

pub(crate) mod bh;
pub(crate) mod completion;
pub(crate) mod device_lock;
pub(crate) mod lend;
pub(crate) mod read_once;
pub(crate) mod secret;
pub(crate) mod semaphore;
pub(crate) mod work;
pub(crate) mod workqueue;
