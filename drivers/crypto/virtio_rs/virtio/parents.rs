// SPDX-License-Identifier: GPL-2.0

//! The parents of the devices that a driver is bound to, or was bound to.
//!
//! The virtio core reads the driver of a device without the device lock before it calls
//! `reset_prepare` and `reset_done`. So such a call may arrive after the driver was unbound. The module
//! must not be unloaded before the call has returned. The PCI core holds the lock of the parent until the
//! call has returned, so [`Parents::wait`] takes the lock of each parent once.

use crate::support::device_lock::DeviceGuard;
use kernel::{
    device,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
};

/// The parent of a device.
struct Parent {
    dev: ARef<device::Device>,
    /// True if the driver is bound to the device.
    is_bound: bool,
}

/// The parents of a driver's devices.
///
/// The list holds a reference to each parent, because an unplugged device holds no reference to its parent
/// any more.
#[pin_data]
pub(super) struct Parents {
    #[pin]
    list: Mutex<KVec<Parent>>,
}

impl Parents {
    /// Creates an empty list.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if memory is exhausted.
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                list <- new_mutex!(KVec::new()),
            }),
            GFP_KERNEL,
        )
    }

    /// Adds the parent of a device that the driver is being bound to. Removes the parents for which
    /// [`wait`](Self::wait) need not wait.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if memory is exhausted.
    pub(super) fn add(&self, dev: &device::Device) -> Result {
        let mut list = self.list.lock();
        // If the lock of a parent is free, no reset is in progress. A later reset does not call this driver,
        // because the driver is not bound any more.
        list.retain(|parent| parent.is_bound || DeviceGuard::try_lock(&parent.dev).is_none());
        let parent = Parent {
            dev: dev.into(),
            is_bound: true,
        };
        list.push(parent, GFP_KERNEL)?;
        Ok(())
    }

    /// Records that the driver is not bound any more to the child of a parent.
    ///
    /// Context: process, may sleep.
    pub(super) fn unbind(&self, dev: &device::Device) {
        let mut list = self.list.lock();
        let mut parents = list.iter_mut();
        if let Some(parent) =
            parents.find(|parent| parent.is_bound && core::ptr::eq(&*parent.dev, dev))
        {
            parent.is_bound = false;
        }
    }

    /// Waits for each function reset that may still call the driver. The driver must be unregistered.
    ///
    /// Context: process, may sleep; no device lock held.
    pub(super) fn wait(&self) {
        let parents = core::mem::replace(&mut *self.list.lock(), KVec::new());
        for parent in &parents {
            drop(DeviceGuard::lock(&parent.dev));
        }
    }
}
