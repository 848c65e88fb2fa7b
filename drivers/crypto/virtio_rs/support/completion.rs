// SPDX-License-Identifier: GPL-2.0

//! A completion that is waited for within a time limit.
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
/// `kernel::sync::Completion` can only be waited for without a limit.
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

// SAFETY: `struct completion` is made to be used from several threads.
unsafe impl Send for Completion {}

// SAFETY: `struct completion` does its own locking.
unsafe impl Sync for Completion {}

impl Completion {
    /// Creates an event that has not happened.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `init_completion` initialises it.
            inner <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `slot` is valid for writes and stays where it is.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// Initialises an event that has not happened, in place.
    ///
    /// # Safety
    ///
    /// `slot` must be valid for writes, and what is there must stay there.
    pub(crate) unsafe fn init(slot: *mut Self) {
        // CAST: The completion is all there is, and `Opaque` is transparent.
        let inner = slot.cast::<bindings::completion>();
        // INVARIANT: `init_completion` initialises it.
        // SAFETY: By the safety requirements.
        unsafe { bindings::init_completion(inner) };
    }

    /// Says that the event has happened and wakes the waiter.
    ///
    /// Context: any.
    pub(crate) fn complete(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::complete(self.inner.get()) };
    }

    /// Waits until the event has happened; returns false if it did not within `limit`.
    ///
    /// Signals do not end the wait: what is waited for is the memory that the device uses.
    ///
    /// Context: process, may sleep.
    pub(crate) fn wait(&self, limit: Msecs) -> bool {
        let limit = msecs_to_jiffies(limit);
        // SAFETY: By the type invariant.
        let left = unsafe { bindings::wait_for_completion_timeout(self.inner.get(), limit) };
        left != 0
    }
}
