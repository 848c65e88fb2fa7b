// SPDX-License-Identifier: GPL-2.0

//! Requests that are done in process context, wherever they come from.
//!
//! The kernel's software for public keys sleeps, and so cannot take over in the bottom half in which
//! a request comes back from a device that has not done it.

use crate::support::work::{
    Chore,
    Worker, //
};
use core::ptr::NonNull;
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::SpinLockIrq,
    time::Msecs, //
};

/// A request that is to be done later: a part of its context.
pub(super) struct Waiting {
    next: Option<NonNull<Waiting>>,
    run: unsafe fn(NonNull<Waiting>),
}

impl Waiting {
    /// Describes a request that `run` does, and gives back to its consumer, in process context.
    pub(super) const fn new(run: unsafe fn(NonNull<Waiting>)) -> Self {
        Self { next: None, run }
    }
}

/// The requests that wait, the last one first.
///
/// # Invariants
///
/// What is linked from here is valid, was given up by its owner, and is in no other list.
struct Stack(Option<NonNull<Waiting>>);

// SAFETY: Requests are not tied to a thread.
unsafe impl Send for Stack {}

/// Does requests in process context.
#[pin_data]
pub(crate) struct Later {
    #[pin]
    waiting: SpinLockIrq<Stack>,
}

impl Later {
    /// Creates one that has nothing to do.
    pub(crate) fn new() -> impl PinInit<Worker<Self>> {
        Worker::new(pin_init!(Self {
            waiting <- new_spinlock_irq!(Stack(None)),
        }))
    }

    /// Has a request done soon.
    ///
    /// Context: any but hard interrupt.
    ///
    /// # Safety
    ///
    /// `waiting` must be valid until its `run` is called, which must then be called, and not be used
    /// by anybody else.
    pub(super) unsafe fn add(this: &Worker<Self>, waiting: NonNull<Waiting>) {
        let mut stack = this.waiting.lock();
        // INVARIANT: By the safety requirements.
        // SAFETY: As above.
        unsafe { (*waiting.as_ptr()).next = stack.0.replace(waiting) };
        // Under the lock: once the request is done, whoever keeps `this` may be gone.
        this.queue();
    }

    /// Takes all requests there are, the first one first.
    fn take(&self) -> Option<NonNull<Waiting>> {
        let mut rest = self.waiting.lock().0.take();
        let mut turned = None;
        while let Some(item) = rest {
            // SAFETY: By the type invariant of `Stack`; nobody else has what was taken.
            rest = unsafe { core::mem::replace(&mut (*item.as_ptr()).next, turned) };
            turned = Some(item);
        }
        turned
    }
}

impl Chore for Later {
    fn run(&self) -> Option<Msecs> {
        while let Some(first) = self.take() {
            let mut rest = Some(first);
            while let Some(item) = rest {
                // SAFETY: By the type invariant of `Stack`.
                let run = unsafe {
                    rest = (*item.as_ptr()).next;
                    (*item.as_ptr()).run
                };
                // SAFETY: By the safety requirements of `add`; the item is gone after this.
                unsafe { run(item) };
            }
        }
        None
    }
}
