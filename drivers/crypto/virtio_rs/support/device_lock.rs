// SPDX-License-Identifier: GPL-2.0

//! The lock of a device, which the driver core holds while a driver is bound or unbound.
//!
//! C header: [`include/linux/device.h`](srctree/include/linux/device.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::types::NotThreadSafe;

/// The lock of a device, held until the guard is dropped.
///
/// While it is held, no driver is bound to the device and none is unbound from it. A parent's lock
/// is taken before that of its child.
///
/// # Invariants
///
/// `dev` points to a valid `struct device` whose lock the current thread holds.
#[must_use = "the lock is released when the guard is dropped"]
pub(crate) struct DeviceGuard<'a> {
    dev: NonNull<bindings::device>,
    _device: PhantomData<&'a bindings::device>,
    _not_send: NotThreadSafe,
}

impl DeviceGuard<'_> {
    /// Takes the lock of a device and waits for it if necessary.
    ///
    /// Context: process, may sleep. The current thread must not hold the lock.
    ///
    /// # Safety
    ///
    /// `dev` must point to a valid `struct device` that stays valid until the guard is dropped.
    pub(crate) unsafe fn lock(dev: NonNull<bindings::device>) -> Self {
        // SAFETY: The caller guarantees that `dev` is valid.
        unsafe { helpers::device_lock(dev.as_ptr()) };
        // INVARIANT: The lock was just taken, and the caller guarantees that `dev` stays valid.
        Self {
            dev,
            _device: PhantomData,
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for DeviceGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, `dev` is valid and the current thread holds its lock.
        unsafe { helpers::device_unlock(self.dev.as_ptr()) };
    }
}
