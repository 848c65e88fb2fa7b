// SPDX-License-Identifier: GPL-2.0

//! A value that buffers in flight or backlogged use, counted per virtqueue.
//!
//! A reference count that all CPUs write costs a cache miss per request. A request holds the lock
//! of its virtqueue when it is sent and when it comes back, so the lock protects a count of its
//! own:
//!
//! 1. [`Published::get`] returns the value without a lock; the read side is an RCU one.
//! 2. [`Use::begin`] counts a buffer that is sent or backlogged, under the lock of its virtqueue.
//! 3. [`Use::end`] uncounts it when it comes back, under the same lock.
//! 4. Dropping the [`PerQueueRef`] closes each count in turn, and adds up the uses. The last
//!    [`Use::end`], or that drop if there are no uses, returns a [`LastUse`]. Dropping the
//!    [`LastUse`] calls [`Counted::unused`], and releases the value a grace period later.
//!
//! Nothing waits, so the value may be dropped in a bottom half. `percpu_ref` cannot report that
//! nothing is in flight before a grace period has passed.

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

use super::{
    Handler,
    Queue,
    QueueGuard, //
};
use crate::{
    bindings,
    bindings::helpers,
    support::{
        bh::BhDisabled,
        read_once::read_once, //
    },
};
use core::{
    cell::UnsafeCell,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    alloc::KBox,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc, //
    },
    types::Opaque, //
};

/// A value that buffers in flight use.
pub(crate) trait Counted: Send + Sync + 'static {
    /// What the driver does with the queues of these buffers.
    type Handler: Handler;

    /// No buffer uses the value, and none will. It is called once. The value is released later.
    ///
    /// Context: process or bottom half, interrupts enabled; no queue is locked.
    fn unused(&self);
}

/// The uses of a value by buffers of one queue, in a cache line that only users of the queue write.
#[repr(align(64))]
struct Uses<H: Handler> {
    queue: Arc<Queue<H>>,
    /// Protected by the lock of the queue.
    counts: UnsafeCell<Counts>,
}

/// What the lock of a queue protects.
struct Counts {
    /// How many buffers in flight use the value.
    count: usize,
    /// No further buffer may.
    closed: bool,
    /// A buffer has used the value.
    used: bool,
}

impl<H: Handler> Uses<H> {
    /// Returns the counts. Returns `None` if another queue is locked.
    #[inline(always)]
    fn counts<'l>(&'l self, locked: &'l mut QueueGuard<'_, H>) -> Option<&'l mut Counts> {
        if !core::ptr::eq(&*self.queue, locked.queue()) {
            return None;
        }
        // SAFETY: The lock of the queue is held, as was just checked, as long as the result is
        // used.
        Some(unsafe { &mut *self.counts.get() })
    }
}

/// A counted value.
#[repr(C)]
pub(crate) struct Shared<T: Counted> {
    rcu: Opaque<bindings::callback_head>,
    /// By the index of the queue.
    uses: KVec<Uses<T::Handler>>,
    /// One for the owner, until it has closed all counts; and one for each use of a closed count.
    left: Atomic<usize>,
    value: T,
}

// SAFETY: `T` is `Send` and `Sync` by `Counted`, and a `Queue` may be used by any thread. `rcu` is
// used by the thread that has the `LastUse`, then by RCU. The counts are used under the lock of
// their queue.
unsafe impl<T: Counted> Send for Shared<T> {}

// SAFETY: As for `Send`.
unsafe impl<T: Counted> Sync for Shared<T> {}

impl<T: Counted> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Counted> Shared<T> {
    /// Returns true if a buffer uses the value, or has used it.
    ///
    /// Context: process or bottom half, interrupts enabled; no queue is locked.
    pub(crate) fn is_used(&self, bh: &BhDisabled) -> bool {
        self.uses.iter().any(|uses| {
            let mut locked = uses.queue.lock(bh);
            uses.counts(&mut locked).is_some_and(|counts| counts.used)
        })
    }

    /// Drops one reference that `left` counts. Returns the [`LastUse`] if it was the last.
    ///
    /// # Safety
    ///
    /// `this` must be valid. The caller must own a reference that `left` counts, and gives it up.
    unsafe fn put(this: NonNull<Self>) -> Option<LastUse<T>> {
        // SAFETY: The caller guarantees that `this` is valid.
        let last = unsafe { this.as_ref() }.left.fetch_sub(1, Full) == 1;
        // INVARIANT: The owner and all uses are gone, and no count is open: nothing else can take
        // the last one.
        last.then(|| LastUse { shared: this })
    }

    /// Releases the value.
    ///
    /// # Safety
    ///
    /// `head` must be the first field of a `Shared<T>` that [`PerQueueRef::new`] allocated, and
    /// nothing else may refer to it.
    unsafe extern "C" fn free(head: *mut bindings::callback_head) {
        // SAFETY: By the safety requirements; the struct begins with the field.
        drop(unsafe { KBox::from_raw(head.cast::<Self>()) });
    }
}

/// The owner of a counted value. Dropping it releases the value a grace period after the last
/// buffer has stopped using it.
///
/// Context of drop: process or bottom half, interrupts enabled; no queue is locked.
///
/// # Invariants
///
/// `shared` is valid. It has one in `left` for this.
pub(crate) struct PerQueueRef<T: Counted> {
    shared: NonNull<Shared<T>>,
}

// SAFETY: This is a reference to a value that may be sent to, and used by, any thread.
unsafe impl<T: Counted> Send for PerQueueRef<T> {}

// SAFETY: A shared reference gives access to a value that any thread may use.
unsafe impl<T: Counted> Sync for PerQueueRef<T> {}

impl<T: Counted> PerQueueRef<T> {
    /// Creates a value that buffers of these queues may use. The position of a queue must be its
    /// index, or nothing can use the value.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(crate) fn new(queues: &[Arc<Queue<T::Handler>>], value: T) -> Result<Self> {
        let mut uses = KVec::with_capacity(queues.len(), GFP_KERNEL)?;
        for queue in queues {
            let none = Uses {
                queue: queue.clone(),
                counts: UnsafeCell::new(Counts {
                    count: 0,
                    closed: false,
                    used: false,
                }),
            };
            uses.push(none, GFP_KERNEL)?;
        }
        let shared = Shared {
            rcu: Opaque::zeroed(),
            uses,
            left: Atomic::new(1),
            value,
        };
        let shared = KBox::into_raw(KBox::new(shared, GFP_KERNEL)?);
        // INVARIANT: It was just allocated, with one for this.
        Ok(Self {
            // SAFETY: A box is not null.
            shared: unsafe { NonNull::new_unchecked(shared) },
        })
    }
}

impl<T: Counted> Deref for PerQueueRef<T> {
    type Target = Shared<T>;

    fn deref(&self) -> &Shared<T> {
        // SAFETY: By the type invariant.
        unsafe { self.shared.as_ref() }
    }
}

impl<T: Counted> Drop for PerQueueRef<T> {
    fn drop(&mut self) {
        for uses in &self.uses {
            let bh = BhDisabled::disable();
            let mut locked = uses.queue.lock(&bh);
            if let Some(counts) = uses.counts(&mut locked) {
                counts.closed = true;
                self.left.fetch_add(counts.count, Relaxed);
            }
        }
        // SAFETY: By the type invariant, which ends here.
        drop(unsafe { Shared::put(self.shared) });
    }
}

/// A use of a counted value by a buffer. It must be [ended](Self::end); if it is dropped, the value
/// is never released.
///
/// # Invariants
///
/// `shared` is valid, and `uses` is one of its elements. The count there includes this use; if it
/// is closed, so does `left`.
#[must_use]
pub(crate) struct Use<T: Counted> {
    shared: NonNull<Shared<T>>,
    uses: NonNull<Uses<T::Handler>>,
}

// SAFETY: This is a reference to a value that may be used by any thread.
unsafe impl<T: Counted> Send for Use<T> {}

impl<T: Counted> Use<T> {
    /// Counts a buffer of a locked queue that uses a value. Returns `None` if the owner of the
    /// value is gone, or if the value is for other queues.
    #[inline]
    pub(crate) fn begin(
        shared: &Shared<T>,
        locked: &mut QueueGuard<'_, T::Handler>,
    ) -> Option<Self> {
        let uses = shared.uses.get(locked.queue().index())?;
        let counts = uses.counts(locked)?;
        if counts.closed {
            return None;
        }
        // It does not overflow: each use has a descriptor, or waits for one in memory of its own.
        counts.count = counts.count.wrapping_add(1);
        counts.used = true;
        // INVARIANT: It was just counted, under the lock. The owner adds an open count to `left`
        // under the lock, before it takes its own one.
        Some(Self {
            shared: NonNull::from(shared),
            uses: NonNull::from(uses),
        })
    }

    /// Returns the value.
    pub(crate) fn value(&self) -> &T {
        // SAFETY: By the type invariant.
        &unsafe { self.shared.as_ref() }.value
    }

    /// Ends the use, under the lock of the queue that it began under. Returns the last use if this
    /// is the last one and the owner is gone.
    #[inline]
    pub(crate) fn end(self, locked: &mut QueueGuard<'_, T::Handler>) -> Option<LastUse<T>> {
        // SAFETY: By the type invariant.
        let Some(counts) = (unsafe { self.uses.as_ref() }).counts(locked) else {
            kernel::pr_err_once!("a buffer came back from another queue\n");
            return None;
        };
        // By the type invariant it was not 0.
        counts.count = counts.count.wrapping_sub(1);
        if counts.closed {
            // SAFETY: By the type invariant, which ends here.
            unsafe { Shared::put(self.shared) }
        } else {
            None
        }
    }
}

/// The end of a counted value: nothing uses it. Dropping this tells the value so, and releases it a
/// grace period later.
///
/// Context of drop: process or bottom half, interrupts enabled; no queue is locked.
///
/// # Invariants
///
/// `shared` is valid, and there is neither an owner nor a use of it.
#[must_use]
pub(crate) struct LastUse<T: Counted> {
    shared: NonNull<Shared<T>>,
}

// SAFETY: This is a reference to a value that may be sent to any thread.
unsafe impl<T: Counted> Send for LastUse<T> {}

impl<T: Counted> Drop for LastUse<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        let shared = unsafe { self.shared.as_ref() };
        shared.value.unused();
        // SAFETY: By the type invariant the value is valid, and there is one `LastUse`. References
        // that `Published::get` has returned end within the grace period. A driver that uses this
        // calls `rcu_barrier()` before the module is unloaded.
        unsafe { helpers::call_rcu_hurry(shared.rcu.get(), Some(Shared::<T>::free)) };
    }
}

/// Where a counted value is found without a lock.
///
/// # Invariants
///
/// The pointer is null, or that of a [`PerQueueRef`] that this owns.
pub(crate) struct Published<T: Counted>(Atomic<*mut Shared<T>>);

// SAFETY: This owns a `PerQueueRef`, which may be sent to any thread.
unsafe impl<T: Counted> Send for Published<T> {}

// SAFETY: A shared reference gives access to a value that any thread may use.
unsafe impl<T: Counted> Sync for Published<T> {}

impl<T: Counted> Published<T> {
    /// Creates a place without a value.
    pub(crate) const fn new() -> Self {
        // INVARIANT: The pointer is null.
        Self(Atomic::new(core::ptr::null_mut()))
    }

    /// Returns the value.
    #[inline]
    pub(crate) fn get<'a>(&self, _bh: &'a BhDisabled) -> Option<&'a Shared<T>> {
        // As `rcu_dereference()`: what the value has is read through the pointer.
        //
        // SAFETY: By the type invariant the pointer is null or valid. `replace` may give it up at
        // any time; a value is freed a grace period after that, and a region with bottom halves
        // disabled, which lasts for `'a`, is a read-side section.
        unsafe { read_once(&self.0).as_ref() }
    }

    /// Replaces the value, and returns the old one.
    pub(crate) fn replace(&self, new: Option<PerQueueRef<T>>) -> Option<PerQueueRef<T>> {
        let new = new.map_or(core::ptr::null_mut(), |new| {
            core::mem::ManuallyDrop::new(new).shared.as_ptr()
        });
        // INVARIANT: This owns `new` now.
        let old = self.0.xchg(new, Full);
        // INVARIANT: By the type invariant this owned the old one, and does not any more.
        NonNull::new(old).map(|shared| PerQueueRef { shared })
    }
}

impl<T: Counted> Drop for Published<T> {
    fn drop(&mut self) {
        drop(self.replace(None));
    }
}
