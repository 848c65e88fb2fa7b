// SPDX-License-Identifier: GPL-2.0

//! A counting semaphore that can be waited for with a timeout.
//!
//! C header: [`include/linux/semaphore.h`](srctree/include/linux/semaphore.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use kernel::{
    ffi::{
        c_int,
        c_long, //
    },
    prelude::*,
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    types::Opaque, //
};

/// A counting semaphore.
///
/// # Invariants
///
/// `inner` is an initialised `struct semaphore`.
#[pin_data]
#[repr(transparent)]
pub(crate) struct Semaphore {
    #[pin]
    inner: Opaque<bindings::semaphore>,
}

// SAFETY: `struct semaphore` is not tied to a thread.
unsafe impl Send for Semaphore {}

// SAFETY: The functions that take a `struct semaphore` lock the structure internally.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    /// Creates a semaphore with an initial count.
    pub(crate) fn new(count: c_int) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `sema_init()` initialises the semaphore.
            inner <- Opaque::ffi_init(move |slot: *mut bindings::semaphore| {
                // SAFETY: `Opaque::ffi_init` calls this with a pointer that is valid for writes and
                // pinned.
                unsafe { helpers::sema_init(slot, count) };
            }),
        })
    }

    /// Decrements the count. If the count is 0, waits for [`up`](Self::up), for at most `limit`.
    /// Returns false after a timeout, without decrementing the count.
    ///
    /// Context: process, may sleep. Signals do not end the wait.
    pub(crate) fn down_timeout(&self, limit: Msecs) -> bool {
        let limit = c_long::try_from(msecs_to_jiffies(limit)).unwrap_or(c_long::MAX);
        // SAFETY: By the type invariant the semaphore is initialised.
        unsafe { bindings::down_timeout(self.inner.get(), limit) == 0 }
    }

    /// Increments the count and wakes a waiter.
    ///
    /// Context: any.
    pub(crate) fn up(&self) {
        // SAFETY: By the type invariant the semaphore is initialised.
        unsafe { bindings::up(self.inner.get()) };
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_support_semaphore)]
mod tests {
    use super::*;

    #[test]
    fn down_timeout_succeeds_as_often_as_the_count() {
        let semaphore = KBox::pin_init(Semaphore::new(2), GFP_KERNEL).unwrap();
        assert!(semaphore.down_timeout(1));
        assert!(semaphore.down_timeout(1));
        assert!(!semaphore.down_timeout(1));
        semaphore.up();
        assert!(semaphore.down_timeout(1));
        assert!(!semaphore.down_timeout(1));
    }
}
