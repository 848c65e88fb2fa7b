// SPDX-License-Identifier: GPL-2.0

//! Requests that run on the fallback in process context.
//!
//! The fallback of a public key algorithm may sleep. It cannot run in the bottom half in which the device
//! returns a failed request.

use crate::support::work::{
    OwnedDelayedWork,
    WorkHandler, //
};
use core::ptr::NonNull;
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::SpinLockIrq,
    time::Msecs, //
};

/// The list entry of a request. It lies in the request context.
pub(super) struct DeferredRequest {
    next: Option<NonNull<DeferredRequest>>,
    run: unsafe fn(NonNull<DeferredRequest>),
}

impl DeferredRequest {
    /// Creates the list entry of a request. `run` runs the request on the fallback and completes it.
    pub(super) const fn new(run: unsafe fn(NonNull<DeferredRequest>)) -> Self {
        Self { next: None, run }
    }
}

/// The queued requests. The request that was added last comes first.
///
/// # Invariants
///
/// The linked requests are valid, have no other user, and are in no other list.
struct DeferredList(Option<NonNull<DeferredRequest>>);

// SAFETY: Requests are not tied to a thread.
unsafe impl Send for DeferredList {}

/// A work item that runs requests in process context, in the order in which they were added.
#[pin_data]
pub(crate) struct DeferredRequests {
    #[pin]
    list: SpinLockIrq<DeferredList>,
}

impl DeferredRequests {
    /// Creates a work item without requests.
    pub(crate) fn new() -> impl PinInit<OwnedDelayedWork<Self>> {
        OwnedDelayedWork::new(pin_init!(Self {
            list <- new_spinlock_irq!(DeferredList(None)),
        }))
    }

    /// Adds a request.
    ///
    /// Context: any but hard interrupt.
    ///
    /// # Safety
    ///
    /// `request` must be valid and have no other user until its `run` is called. The call of `run` must be
    /// safe.
    pub(super) unsafe fn add(this: &OwnedDelayedWork<Self>, request: NonNull<DeferredRequest>) {
        let mut list = this.list.lock();
        // INVARIANT: The caller guarantees that the request is valid and has no other user.
        // SAFETY: The caller guarantees that the request is valid and has no other user.
        unsafe { (*request.as_ptr()).next = list.0.replace(request) };
        // Queue the work item under the lock. After the lock is released, a running work item may complete
        // the request, and then the owner of `this` may be freed.
        this.queue();
    }

    /// Removes all requests. Returns the first of them. They are linked in the order in which they were
    /// added.
    fn take(&self) -> Option<NonNull<DeferredRequest>> {
        let mut rest = self.list.lock().0.take();
        let mut reversed = None;
        while let Some(request) = rest {
            // SAFETY: By the type invariant of `DeferredList` the request is valid and has no other user.
            rest = unsafe { core::mem::replace(&mut (*request.as_ptr()).next, reversed) };
            reversed = Some(request);
        }
        reversed
    }
}

impl WorkHandler for DeferredRequests {
    fn run(&self) -> Option<Msecs> {
        while let Some(first) = self.take() {
            let mut rest = Some(first);
            while let Some(request) = rest {
                // SAFETY: By the type invariant of `DeferredList` the request is valid.
                let run = unsafe {
                    rest = (*request.as_ptr()).next;
                    (*request.as_ptr()).run
                };
                // SAFETY: The caller of `add` guarantees that the call of `run` is safe. The request is not
                // used afterwards.
                unsafe { run(request) };
            }
        }
        None
    }
}
