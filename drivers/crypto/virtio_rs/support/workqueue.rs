// SPDX-License-Identifier: GPL-2.0

//! Workqueues of the driver's own.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// A workqueue for work that memory reclaim may wait for: `WQ_UNBOUND | WQ_MEM_RECLAIM`.
///
/// A rescuer thread runs the work if there is no memory for a worker thread.
///
/// Dropping it waits for its work and may sleep.
///
/// # Invariants
///
/// `wq` points to a valid workqueue that this object owns.
pub(crate) struct ReclaimWorkqueue {
    wq: NonNull<bindings::workqueue_struct>,
}

// SAFETY: A workqueue does its own locking and belongs to no thread.
unsafe impl Send for ReclaimWorkqueue {}

// SAFETY: A workqueue does its own locking.
unsafe impl Sync for ReclaimWorkqueue {}

impl ReclaimWorkqueue {
    /// Creates a workqueue. Its rescuer thread is named after it.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if memory is exhausted.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a valid string, which the function copies.
        let wq = unsafe { helpers::alloc_reclaim_workqueue(name.as_char_ptr()) };
        // INVARIANT: The workqueue was just created.
        Ok(Self {
            wq: NonNull::new(wq).ok_or(ENOMEM)?,
        })
    }

    /// Returns the workqueue.
    pub(super) fn as_raw(&self) -> *mut bindings::workqueue_struct {
        self.wq.as_ptr()
    }
}

impl Drop for ReclaimWorkqueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, the workqueue is valid and owned; this is its last use.
        unsafe { bindings::destroy_workqueue(self.wq.as_ptr()) };
    }
}

/// A scope in which allocations neither start I/O nor wait for it (`GFP_NOIO`).
///
/// # Invariants
///
/// `flags` is the value of `memalloc_noio_save()` for the current thread.
pub(super) struct NoIoScope {
    flags: u32,
    _not_send: kernel::types::NotThreadSafe,
}

impl NoIoScope {
    /// Begins a scope, which ends when the returned value is dropped.
    pub(super) fn enter() -> Self {
        // INVARIANT: The current thread begins the scope, and the type is not `Send`.
        Self {
            // SAFETY: The function changes a flag of the current thread only.
            flags: unsafe { helpers::memalloc_noio_save() },
            _not_send: kernel::types::NotThreadSafe,
        }
    }
}

impl Drop for NoIoScope {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, the flags are those of this thread's scope.
        unsafe { helpers::memalloc_noio_restore(self.flags) };
    }
}
