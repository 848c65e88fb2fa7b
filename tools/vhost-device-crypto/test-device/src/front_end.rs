// SPDX-License-Identifier: GPL-2.0
//! The operations that only the vfio-user front end supports, because there the device is a
//! complete PCI function.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The PCI function that a vfio-user front end shows to the guest. The caller may be the worker of
/// a queue. The methods therefore do not wait for the driver or the front end, and take no lock of
/// a queue.
pub trait FunctionFrontEnd: Send + Sync {
    /// Sets `DEVICE_NEEDS_RESET`.
    fn need_reset(&self) -> io::Result<()>;

    /// Closes the connection, as at a surprise removal.
    fn disconnect(&self) -> io::Result<()>;

    /// Raises a spurious interrupt of each queue.
    fn interrupt(&self) -> io::Result<()>;
}

/// The PCI function, if a vfio-user front end is connected.
#[derive(Default)]
pub struct FunctionSlot(Mutex<Option<Arc<dyn FunctionFrontEnd>>>);

impl FunctionSlot {
    /// Sets the PCI function when a front end connects, or `None` when the front end disconnects.
    pub fn set(&self, function: Option<Arc<dyn FunctionFrontEnd>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = function;
    }

    /// Returns the PCI function, or an error if no vfio-user front end is connected.
    pub fn get(&self) -> io::Result<Arc<dyn FunctionFrontEnd>> {
        let function = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        function.ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}
