// SPDX-License-Identifier: GPL-2.0

//! A completion that can be waited for with a timeout.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use crate::bindings;
use kernel::{
    prelude::*,
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    types::Opaque, //
};

/// A one-time event that one thread waits for.
///
/// `kernel::sync::Completion` has no wait with a timeout.
///
/// # Invariants
///
/// `inner` is an initialised `struct completion`.
#[pin_data]
#[repr(transparent)]
pub(crate) struct Completion {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: `struct completion` is not tied to a thread.
unsafe impl Send for Completion {}

// SAFETY: The functions that take a `struct completion` lock the structure internally.
unsafe impl Sync for Completion {}

impl Completion {
    /// Creates an incomplete completion.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `init_completion()` initialises the completion.
            inner <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `Opaque::ffi_init` calls this with a pointer that is valid for writes and
                // pinned.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// Initialises an incomplete completion in place.
    ///
    /// # Safety
    ///
    /// `slot` must be valid for writes, and the completion must not be moved afterwards.
    pub(crate) unsafe fn init(slot: *mut Self) {
        // CAST: `Completion` and `Opaque` are transparent wrappers of `struct completion`.
        let inner = slot.cast::<bindings::completion>();
        // INVARIANT: `init_completion()` initialises the completion.
        // SAFETY: The caller guarantees that `slot` is valid for writes and pinned.
        unsafe { bindings::init_completion(inner) };
    }

    /// Completes the completion and wakes the waiter.
    ///
    /// Context: any.
    pub(crate) fn complete(&self) {
        // SAFETY: By the type invariant the completion is initialised.
        unsafe { bindings::complete(self.inner.get()) };
    }

    /// Waits for at most `limit`. Returns true if the completion is complete, false after a
    /// timeout.
    ///
    /// Signals do not end the wait, because the device uses the waiter's memory until the
    /// completion is complete.
    ///
    /// Context: process, may sleep.
    pub(crate) fn wait(&self, limit: Msecs) -> bool {
        let limit = msecs_to_jiffies(limit);
        // SAFETY: By the type invariant the completion is initialised.
        let remaining = unsafe { bindings::wait_for_completion_timeout(self.inner.get(), limit) };
        remaining != 0
    }
}
