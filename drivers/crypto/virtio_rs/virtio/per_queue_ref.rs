// SPDX-License-Identifier: GPL-2.0

//! A reference count of a value that requests in flight use, with one count per virtqueue.
//!
//! A reference count that all CPUs write costs a cache miss per request. A virtqueue is locked anyway
//! when a buffer is added and when it returns, so the lock also protects a count per virtqueue:
//!
//! 1. [`Published::get`] returns the value without a lock, in an RCU read-side section.
//! 2. [`Use::begin`] counts a buffer that is sent or backlogged, under the lock of its virtqueue.
//! 3. [`Use::end`] decrements the count when the buffer returns, under the same lock.
//! 4. Dropping the [`PerQueueRef`] closes each count in turn, and adds up the uses. The last
//!    [`Use::end`] returns a [`LastUse`]. If there are no uses, the drop of the [`PerQueueRef`] creates
//!    it. Dropping the [`LastUse`] calls [`Counted::unused`], and releases the value a grace period later.
//!
//! No step waits, so the value may be dropped in a bottom half. A `percpu_ref` cannot report that no
//! buffer is in flight before a grace period has passed.

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
    /// The handler of the queues of these buffers.
    type Handler: Handler;

    /// Called once, when no buffer uses the value any more. The value is released later.
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

/// The counts that the lock of a queue protects.
struct Counts {
    /// The number of sent or backlogged buffers that use the value.
    count: usize,
    /// True if no further buffer may use the value.
    closed: bool,
    /// True if a buffer has used the value.
    used: bool,
}

impl<H: Handler> Uses<H> {
    /// Returns the counts. Returns `None` if another queue is locked.
    #[inline(always)]
    fn counts<'l>(&'l self, locked: &'l mut QueueGuard<'_, H>) -> Option<&'l mut Counts> {
        if !core::ptr::eq(&*self.queue, locked.queue()) {
            return None;
        }
        // SAFETY: `locked` is the guard of the queue's lock, which protects the counts, and is borrowed as
        // long as the result is used.
        Some(unsafe { &mut *self.counts.get() })
    }
}

/// A counted value.
#[repr(C)]
pub(crate) struct Shared<T: Counted> {
    rcu: Opaque<bindings::callback_head>,
    /// The uses, by the index of the queue.
    uses: KVec<Uses<T::Handler>>,
    /// The number of references: one of the owner until it has closed all counts, and one for each use in a
    /// closed count.
    refs: Atomic<usize>,
    value: T,
}

// SAFETY: `Counted` requires that `T` is `Send` and `Sync`, and any thread may use a `Queue`. Only the
// thread that owns the `LastUse` accesses `rcu`, and then RCU does. The counts are accessed under the
// lock of their queue.
unsafe impl<T: Counted> Send for Shared<T> {}

// SAFETY: `Counted` requires that `T` is `Send` and `Sync`, and any thread may use a `Queue`. Only the
// thread that owns the `LastUse` accesses `rcu`, and then RCU does. The counts are accessed under the
// lock of their queue.
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

    /// Drops one reference that `refs` counts. Returns the [`LastUse`] if it was the last.
    ///
    /// # Safety
    ///
    /// `this` must be valid. The caller must own a reference that `refs` counts, and must not use it
    /// afterwards.
    unsafe fn put(this: NonNull<Self>) -> Option<LastUse<T>> {
        // Full: the other users' accesses to the value come before its release.
        // SAFETY: The caller guarantees that `this` is valid.
        let last = unsafe { this.as_ref() }.refs.fetch_sub(1, Full) == 1;
        // INVARIANT: The owner has closed all counts, and all uses have ended, because `refs` is 0.
        last.then(|| LastUse { shared: this })
    }

    /// Releases the value.
    ///
    /// # Safety
    ///
    /// `head` must be the first field of a `Shared<T>` that [`PerQueueRef::new`] allocated, and
    /// nothing else may refer to it.
    unsafe extern "C" fn free(head: *mut bindings::callback_head) {
        // SAFETY: The caller guarantees that `head` is the first field of a `Shared<T>` in a `KBox` that has
        // no other reference.
        drop(unsafe { KBox::from_raw(head.cast::<Self>()) });
    }
}

/// The owner of a counted value. After the owner was dropped and the last use has ended, the value is
/// released a grace period later.
///
/// Context of drop: process or bottom half, interrupts enabled; no queue is locked.
///
/// # Invariants
///
/// `shared` is valid. Its field `refs` counts this reference.
pub(crate) struct PerQueueRef<T: Counted> {
    shared: NonNull<Shared<T>>,
}

// SAFETY: This is a reference to a value that any thread may own and use.
unsafe impl<T: Counted> Send for PerQueueRef<T> {}

// SAFETY: A shared reference gives access to a value that any thread may use.
unsafe impl<T: Counted> Sync for PerQueueRef<T> {}

impl<T: Counted> PerQueueRef<T> {
    /// Creates a value that buffers of these queues may use. The position of a queue must be its index.
    /// Buffers of other queues cannot use the value.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(crate) fn new(queues: &[Arc<Queue<T::Handler>>], value: T) -> Result<Self> {
        let mut uses = KVec::with_capacity(queues.len(), GFP_KERNEL)?;
        for queue in queues {
            let no_uses = Uses {
                queue: queue.clone(),
                counts: UnsafeCell::new(Counts {
                    count: 0,
                    closed: false,
                    used: false,
                }),
            };
            uses.push(no_uses, GFP_KERNEL)?;
        }
        let shared = Shared {
            rcu: Opaque::zeroed(),
            uses,
            refs: Atomic::new(1),
            value,
        };
        let shared = KBox::into_raw(KBox::new(shared, GFP_KERNEL)?);
        // INVARIANT: The value was just allocated, and `refs` is 1 for this reference.
        Ok(Self {
            // SAFETY: A box is not null.
            shared: unsafe { NonNull::new_unchecked(shared) },
        })
    }
}

impl<T: Counted> Deref for PerQueueRef<T> {
    type Target = Shared<T>;

    fn deref(&self) -> &Shared<T> {
        // SAFETY: By the type invariant `shared` is valid.
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
                // Relaxed: the lock orders this addition before the end of the added uses. `put` orders the
                // release of the value.
                self.refs.fetch_add(counts.count, Relaxed);
            }
        }
        // SAFETY: By the type invariant `shared` is valid, and `refs` counts this reference. It is not used
        // afterwards.
        drop(unsafe { Shared::put(self.shared) });
    }
}

/// A use of a counted value by a buffer. It must be passed to [`end`](Self::end). If it is dropped instead,
/// the value is never released.
///
/// # Invariants
///
/// `shared` is valid, and `uses` is one of its elements. The count in `uses` includes this use. If the
/// count is closed, `refs` also includes this use.
#[must_use]
pub(crate) struct Use<T: Counted> {
    shared: NonNull<Shared<T>>,
    uses: NonNull<Uses<T::Handler>>,
}

// SAFETY: This is a reference to a value that may be used by any thread.
unsafe impl<T: Counted> Send for Use<T> {}

impl<T: Counted> Use<T> {
    /// Counts a buffer of a locked queue that uses a value. Returns `None` if the owner was dropped, or if
    /// the value is for other queues.
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
        // The count cannot overflow: each use has a descriptor, or is backlogged in its own memory.
        counts.count = counts.count.wrapping_add(1);
        counts.used = true;
        // INVARIANT: The use was just counted, under the lock. The owner adds an open count to `refs`
        // under the lock, before it drops its own reference.
        Some(Self {
            shared: NonNull::from(shared),
            uses: NonNull::from(uses),
        })
    }

    /// Returns the value.
    pub(crate) fn value(&self) -> &T {
        // SAFETY: By the type invariant `shared` is valid.
        &unsafe { self.shared.as_ref() }.value
    }

    /// Ends the use, under the lock of the same queue as [`begin`](Self::begin). Returns a [`LastUse`] if
    /// this was the last use and the owner was dropped.
    #[inline]
    pub(crate) fn end(self, locked: &mut QueueGuard<'_, T::Handler>) -> Option<LastUse<T>> {
        // SAFETY: By the type invariant `uses` is an element of `shared`, which is valid.
        let Some(counts) = (unsafe { self.uses.as_ref() }).counts(locked) else {
            kernel::pr_err_once!("buffer returned on another queue\n");
            return None;
        };
        // By the type invariant the count includes this use, so it is not 0.
        counts.count = counts.count.wrapping_sub(1);
        if counts.closed {
            // SAFETY: By the type invariant `shared` is valid, and `refs` includes this use. It is not used
            // afterwards.
            unsafe { Shared::put(self.shared) }
        } else {
            None
        }
    }
}

/// The last use of a counted value. Dropping it calls [`Counted::unused`], and releases the value a grace
/// period later.
///
/// Context of drop: process or bottom half, interrupts enabled; no queue is locked.
///
/// # Invariants
///
/// `shared` is valid, and has neither an owner nor a use.
#[must_use]
pub(crate) struct LastUse<T: Counted> {
    shared: NonNull<Shared<T>>,
}

// SAFETY: This is a reference to a value that may be sent to any thread.
unsafe impl<T: Counted> Send for LastUse<T> {}

impl<T: Counted> Drop for LastUse<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant `shared` is valid.
        let shared = unsafe { self.shared.as_ref() };
        shared.value.unused();
        // SAFETY: By the type invariant the value is valid, and this is its only `LastUse`. References that
        // `Published::get` has returned end within the grace period. The driver calls `rcu_barrier()`
        // before the module is unloaded.
        unsafe { helpers::call_rcu_hurry(shared.rcu.get(), Some(Shared::<T>::free)) };
    }
}

/// A counted value that is looked up without a lock.
///
/// # Invariants
///
/// The pointer is null, or the pointer of a [`PerQueueRef`] that the `Published` owns.
pub(crate) struct Published<T: Counted>(Atomic<*mut Shared<T>>);

// SAFETY: A `Published` owns a `PerQueueRef`, which may be sent to any thread.
unsafe impl<T: Counted> Send for Published<T> {}

// SAFETY: A shared reference gives access to a value that any thread may use.
unsafe impl<T: Counted> Sync for Published<T> {}

impl<T: Counted> Published<T> {
    /// Creates an empty `Published`.
    pub(crate) const fn new() -> Self {
        // INVARIANT: The pointer is null.
        Self(Atomic::new(core::ptr::null_mut()))
    }

    /// Returns the value, or `None` if the `Published` is empty.
    #[inline]
    pub(crate) fn get<'a>(&self, _bh: &'a BhDisabled) -> Option<&'a Shared<T>> {
        // Like `rcu_dereference()`, this load comes before the reads of the value's fields, because of the
        // address dependency.
        //
        // SAFETY: By the type invariant the pointer is null or valid. `replace` may replace it at any
        // time, but the old value is freed a grace period later. Bottom halves are disabled for `'a`,
        // which is an RCU read-side section.
        unsafe { read_once(&self.0).as_ref() }
    }

    /// Replaces the value, and returns the old one.
    pub(crate) fn replace(&self, new: Option<PerQueueRef<T>>) -> Option<PerQueueRef<T>> {
        let new = new.map_or(core::ptr::null_mut(), |new| {
            core::mem::ManuallyDrop::new(new).shared.as_ptr()
        });
        // Full: like `rcu_assign_pointer()`, this comes after the writes to the new value.
        // INVARIANT: The `Published` now owns `new`.
        let old = self.0.xchg(new, Full);
        // INVARIANT: By the type invariant the `Published` owned `old`. The returned `PerQueueRef` now owns
        // it.
        NonNull::new(old).map(|shared| PerQueueRef { shared })
    }
}

impl<T: Counted> Drop for Published<T> {
    fn drop(&mut self) {
        drop(self.replace(None));
    }
}
