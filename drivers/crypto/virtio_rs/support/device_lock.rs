// SPDX-License-Identifier: GPL-2.0

//! The lock of a `struct device`. The driver core holds the lock while it binds or unbinds a
//! driver.
//!
//! C header: [`include/linux/device.h`](srctree/include/linux/device.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use kernel::{
    device,
    types::NotThreadSafe, //
};

/// A guard that holds the lock of a device.
///
/// While the lock is held, the driver core neither binds nor unbinds a driver of the device. The
/// lock of a parent must be taken before the lock of its child.
///
/// # Invariants
///
/// The current thread holds the lock of `dev`.
#[must_use = "the lock is released when the guard is dropped"]
pub(crate) struct DeviceGuard<'a> {
    dev: &'a device::Device,
    _not_send: NotThreadSafe,
}

impl<'a> DeviceGuard<'a> {
    /// Takes the lock of a device. Waits until the lock is free.
    ///
    /// Context: process, may sleep. If the current thread already holds the lock, the thread
    /// deadlocks.
    pub(crate) fn lock(dev: &'a device::Device) -> Self {
        // SAFETY: A reference to a `Device` is a pointer to a valid `struct device`.
        unsafe { helpers::device_lock(Self::raw(dev)) };
        // INVARIANT: `device_lock()` returned, so the current thread holds the lock.
        Self {
            dev,
            _not_send: NotThreadSafe,
        }
    }

    /// Takes the lock of a device without waiting. Returns `None` if the lock is held.
    ///
    /// Context: process.
    pub(crate) fn try_lock(dev: &'a device::Device) -> Option<Self> {
        // SAFETY: A reference to a `Device` is a pointer to a valid `struct device`.
        let is_locked = unsafe { helpers::device_trylock(Self::raw(dev)) };
        // INVARIANT: `device_trylock()` returned true, so the current thread holds the lock.
        is_locked.then(|| Self {
            dev,
            _not_send: NotThreadSafe,
        })
    }

    fn raw(dev: &device::Device) -> *mut bindings::device {
        let dev: *const device::Device = dev;
        // CAST: `Device` is a transparent wrapper of `struct device`.
        dev.cast_mut().cast()
    }
}

impl Drop for DeviceGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the current thread holds the lock of the device.
        unsafe { helpers::device_unlock(Self::raw(self.dev)) };
    }
}
