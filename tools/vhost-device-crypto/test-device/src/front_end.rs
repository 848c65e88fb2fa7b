// SPDX-License-Identifier: GPL-2.0
//! What a device can ask of the front end of a whole PCI function.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// A front end that is a PCI function. A method does not wait for the driver or the front end, and does
/// not take a queue's lock: the caller may be a queue's worker.
pub trait FunctionFrontEnd: Send + Sync {
    /// Sets `DEVICE_NEEDS_RESET`.
    fn need_reset(&self) -> io::Result<()>;

    /// Closes the connection, as at a surprise removal.
    fn disconnect(&self) -> io::Result<()>;

    /// Raises an interrupt of each queue, without a reason.
    fn interrupt(&self) -> io::Result<()>;
}

/// The front end, if it is one and is connected.
#[derive(Default)]
pub struct FunctionSlot(Mutex<Option<Arc<dyn FunctionFrontEnd>>>);

impl FunctionSlot {
    /// A front end connects, or disconnects.
    pub fn set(&self, front: Option<Arc<dyn FunctionFrontEnd>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = front;
    }

    /// Returns the front end; an error if there is none.
    pub fn get(&self) -> io::Result<Arc<dyn FunctionFrontEnd>> {
        let front = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        front.ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}
