// SPDX-License-Identifier: GPL-2.0

//! A workqueue that memory reclaim may wait for.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// A workqueue for work items that memory reclaim may wait for.
///
/// - `WQ_MEM_RECLAIM`: a rescuer thread runs the work items if memory for a worker thread is
///   exhausted.
/// - `WQ_HIGHPRI`: users of a failed device wait until the device's work item has reset the device.
/// - `WQ_UNBOUND`: the work items run on any CPU.
///
/// Dropping the workqueue waits for its work items and may sleep.
///
/// # Invariants
///
/// `wq` points to a valid workqueue that this object owns.
pub(crate) struct ReclaimWorkqueue {
    wq: NonNull<bindings::workqueue_struct>,
}

// SAFETY: A workqueue is not tied to a thread.
unsafe impl Send for ReclaimWorkqueue {}

// SAFETY: The functions that take a workqueue lock the structure internally.
unsafe impl Sync for ReclaimWorkqueue {}

impl ReclaimWorkqueue {
    /// Creates a workqueue. `name` is also the name of the rescuer thread.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if memory is exhausted.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a valid C string, and `alloc_workqueue()` copies it.
        let wq = unsafe { helpers::alloc_reclaim_workqueue(name.as_char_ptr()) };
        // INVARIANT: `alloc_workqueue()` just created the workqueue for this object.
        Ok(Self {
            wq: NonNull::new(wq).ok_or(ENOMEM)?,
        })
    }

    /// Returns a pointer to the workqueue, which is valid for the lifetime of `self`.
    pub(super) fn as_raw(&self) -> *mut bindings::workqueue_struct {
        self.wq.as_ptr()
    }
}

impl Drop for ReclaimWorkqueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the workqueue is valid and owned. Nothing uses the
        // workqueue after this call.
        unsafe { bindings::destroy_workqueue(self.wq.as_ptr()) };
    }
}

/// A scope in which allocations neither start I/O nor wait for I/O (`GFP_NOIO`). The I/O might need
/// the work item that allocates memory.
///
/// # Invariants
///
/// `flags` is the value of `memalloc_noio_save()` for the current thread.
pub(super) struct NoIoScope {
    flags: u32,
    _not_send: kernel::types::NotThreadSafe,
}

impl NoIoScope {
    /// Enters a scope, which ends when the returned value is dropped.
    pub(super) fn enter() -> Self {
        // INVARIANT: The current thread enters the scope, and the type is not `Send`.
        Self {
            // SAFETY: `memalloc_noio_save()` only changes a flag of the current thread.
            flags: unsafe { helpers::memalloc_noio_save() },
            _not_send: kernel::types::NotThreadSafe,
        }
    }
}

impl Drop for NoIoScope {
    fn drop(&mut self) {
        // SAFETY: By the type invariant `memalloc_noio_save()` returned the flags to this thread.
        unsafe { helpers::memalloc_noio_restore(self.flags) };
    }
}
