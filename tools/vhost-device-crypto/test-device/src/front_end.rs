// SPDX-License-Identifier: GPL-2.0
//! The interface by which a device calls a front end that is a PCI function.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// A front end that is a PCI function. Its methods do not wait for the driver or the front end and
/// take no lock of a queue, because the caller may be the worker of a queue.
pub trait FunctionFrontEnd: Send + Sync {
    /// Sets `DEVICE_NEEDS_RESET`.
    fn need_reset(&self) -> io::Result<()>;

    /// Closes the connection, as at a surprise removal.
    fn disconnect(&self) -> io::Result<()>;

    /// Raises a spurious interrupt of each queue.
    fn interrupt(&self) -> io::Result<()>;
}

/// The connected front end, if it is a PCI function.
#[derive(Default)]
pub struct FunctionSlot(Mutex<Option<Arc<dyn FunctionFrontEnd>>>);

impl FunctionSlot {
    /// Sets the front end when it connects, or `None` when it disconnects.
    pub fn set(&self, front: Option<Arc<dyn FunctionFrontEnd>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = front;
    }

    /// Returns the front end, or an error if none is connected.
    pub fn get(&self) -> io::Result<Arc<dyn FunctionFrontEnd>> {
        let front = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        front.ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}
