// SPDX-License-Identifier: GPL-2.0

//! Work items that belong to the object they work on. Dropping the object cancels the work item and
//! waits for it.
//!
//! The kernel crate's `Work` keeps its object alive by a reference count and cannot be cancelled. A
//! module could not tell when such a work item has run for the last time.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::{
    bindings,
    bindings::helpers,
    support::{
        bh::BhDisabled,
        workqueue::{
            NoIoScope,
            ReclaimWorkqueue, //
        }, //
    },
};
use core::{
    marker::PhantomPinned,
    ops::Deref, //
};
use kernel::{
    container_of,
    ffi::c_void,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    types::Opaque, //
};

/// A work item that calls a function of its owner in a bottom half.
///
/// # Invariants
///
/// - `work` is an initialised work item whose function is [`BhWork::run_callback`]. It is queued only
///   on the BH workqueue.
/// - While the item is queued or runs, `owner` is valid for `func`.
/// - If `disabled` is set, the item is not queued and will not be.
#[pin_data(PinnedDrop)]
pub(crate) struct BhWork {
    #[pin]
    work: Opaque<bindings::work_struct>,
    disabled: Atomic<u32>,
    owner: *const c_void,
    func: unsafe fn(*const c_void, &BhDisabled),
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: Any thread may queue and cancel a work item. The caller of `new` guarantees that any thread
// may use `owner`.
unsafe impl Send for BhWork {}

// SAFETY: The workqueue does its own locking. The caller of `new` guarantees that any thread may use
// `owner`.
unsafe impl Sync for BhWork {}

impl BhWork {
    /// Creates a work item that calls `func` with `owner`.
    ///
    /// # Safety
    ///
    /// `owner` must be valid for `func`, from any thread, until the returned value is dropped.
    pub(crate) unsafe fn new(
        owner: *const c_void,
        func: unsafe fn(*const c_void, &BhDisabled),
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `init_bh_work` initialises the item with `run_callback`.
            work <- Opaque::ffi_init(|slot: *mut bindings::work_struct| {
                // SAFETY: `slot` is valid for writes, and pinned.
                unsafe { helpers::init_bh_work(slot, Some(Self::run_callback)) };
            }),
            disabled: Atomic::new(0),
            // INVARIANT: The caller guarantees that `owner` is valid until `drop`, which waits for the
            // item.
            owner,
            func,
            _pin: PhantomPinned,
        })
    }

    /// Queues the work item on this CPU. Has no effect if it is queued already.
    ///
    /// Context: any.
    pub(crate) fn queue(&self) {
        // SAFETY: By the type invariant the item is initialised.
        unsafe { helpers::queue_bh_work(self.work.get()) };
    }

    /// Cancels the work item, and waits until it does not run.
    ///
    /// Context: process, may sleep.
    pub(crate) fn cancel_sync(&self) {
        // SAFETY: By the type invariant the item is initialised.
        unsafe { bindings::cancel_work_sync(self.work.get()) };
    }

    /// Cancels the work item as [`cancel_sync`](Self::cancel_sync) does, and disables it permanently.
    /// Dropping it does not sleep then.
    ///
    /// Context: process, may sleep.
    pub(crate) fn disable_sync(&self) {
        // INVARIANT: Queueing has no effect after this.
        // SAFETY: By the type invariant the item is initialised.
        unsafe { bindings::disable_work_sync(self.work.get()) };
        // Relaxed: `drop` is the only reader, and comes after all other uses.
        self.disabled.store(1, Relaxed);
    }

    extern "C" fn run_callback(work: *mut bindings::work_struct) {
        // CAST: `Opaque` is transparent.
        let work = work.cast::<Opaque<bindings::work_struct>>();
        // SAFETY: By the type invariant the item is part of a `BhWork`.
        let this = unsafe { container_of!(work, Self, work) };
        // SAFETY: `drop` waits for the item, so `this` is alive.
        let (func, owner) = unsafe { ((*this).func, (*this).owner) };
        // SAFETY: By the type invariant the item runs on a BH workqueue, which means in softirq context.
        let bh = unsafe { BhDisabled::new_unchecked() };
        // SAFETY: By the type invariant `owner` is valid for `func` while the item runs.
        unsafe { func(owner, &bh) };
    }
}

#[pinned_drop]
impl PinnedDrop for BhWork {
    fn drop(self: Pin<&mut Self>) {
        if self.disabled.load(Relaxed) == 0 {
            self.cancel_sync();
        }
    }
}

/// The handler of an [`OwnedDelayedWork`].
pub(crate) trait WorkHandler: Send + Sync + 'static {
    /// Does the work. Returns the delay in milliseconds after which it must run again, or `None`.
    ///
    /// Context: process, may sleep; never twice at the same time.
    fn run(&self) -> Option<Msecs>;
}

/// The workqueue of an [`OwnedDelayedWork`].
enum Workqueue {
    /// `system_dfl_wq`.
    Default,
    /// `system_highpri_wq`.
    HighPriority,
    /// One of the driver.
    Reclaim(Arc<ReclaimWorkqueue>),
}

/// An object with a work item that runs in process context, at once or after a delay.
///
/// # Invariants
///
/// - `work` is an initialised delayed work item whose function is [`OwnedDelayedWork::run_callback`].
/// - If `disabled` is set, the item is not queued and will not be.
#[pin_data(PinnedDrop)]
pub(crate) struct OwnedDelayedWork<T: WorkHandler> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    disabled: Atomic<u32>,
    queue: Workqueue,
    #[pin]
    inner: T,
}

// SAFETY: Any thread may queue and cancel a work item, and a `WorkHandler` is `Send`.
unsafe impl<T: WorkHandler> Send for OwnedDelayedWork<T> {}

// SAFETY: The workqueue does its own locking, and a `WorkHandler` is `Sync`.
unsafe impl<T: WorkHandler> Sync for OwnedDelayedWork<T> {}

impl<T: WorkHandler> OwnedDelayedWork<T> {
    /// Creates an object whose work item is not queued. It runs on the system's workqueue, which may
    /// need memory to start a thread.
    pub(crate) fn new(inner: impl PinInit<T>) -> impl PinInit<Self> {
        Self::with_queue(inner, Workqueue::Default)
    }

    /// Creates an object whose work item is not queued. It runs on the system's workqueue of high priority:
    /// it needs little CPU time and often waits.
    pub(crate) fn new_high_priority(inner: impl PinInit<T>) -> impl PinInit<Self> {
        Self::with_queue(inner, Workqueue::HighPriority)
    }

    /// Creates an object whose work item is not queued. It runs on `queue`, in a `GFP_NOIO` scope, so it
    /// makes progress while memory reclaim waits for it.
    pub(crate) fn new_for_reclaim(
        inner: impl PinInit<T>,
        queue: Arc<ReclaimWorkqueue>,
    ) -> impl PinInit<Self> {
        Self::with_queue(inner, Workqueue::Reclaim(queue))
    }

    fn with_queue(inner: impl PinInit<T>, queue: Workqueue) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `init_delayed_work` initialises the item with `run_callback`.
            work <- Opaque::ffi_init(|slot: *mut bindings::delayed_work| {
                // SAFETY: `slot` is valid for writes, and pinned.
                unsafe { helpers::init_delayed_work(slot, Some(Self::run_callback)) };
            }),
            disabled: Atomic::new(0),
            queue,
            inner <- inner,
        })
    }

    /// Queues the work item to run at once.
    ///
    /// Context: any.
    pub(crate) fn queue(&self) {
        // SAFETY: By the type invariant the item is initialised.
        unsafe { helpers::mod_delayed_work(self.raw_queue(), self.work.get()) };
    }

    /// Queues the work item to run after `delay` milliseconds. Has no effect if it is queued already.
    ///
    /// Context: any.
    pub(crate) fn queue_delayed(&self, delay: Msecs) {
        // SAFETY: By the type invariant the item is initialised.
        unsafe {
            helpers::queue_delayed_work(self.raw_queue(), self.work.get(), msecs_to_jiffies(delay))
        };
    }

    /// Returns the workqueue of the work item.
    fn raw_queue(&self) -> *mut bindings::workqueue_struct {
        match &self.queue {
            Workqueue::Reclaim(queue) => queue.as_raw(),
            // SAFETY: The kernel sets the pointer at boot and does not change it.
            Workqueue::Default => unsafe { bindings::system_dfl_wq },
            // SAFETY: The kernel sets the pointer at boot and does not change it.
            Workqueue::HighPriority => unsafe { bindings::system_highpri_wq },
        }
    }

    /// Cancels the work item, waits until it does not run, and disables it permanently.
    ///
    /// Context: process, may sleep; not from [`WorkHandler::run`].
    pub(crate) fn disable_sync(&self) {
        // INVARIANT: Queueing has no effect after this.
        // SAFETY: By the type invariant the item is initialised.
        unsafe { bindings::disable_delayed_work_sync(self.work.get()) };
        // Relaxed: `drop` is the only reader, and comes after all other uses.
        self.disabled.store(1, Relaxed);
    }

    extern "C" fn run_callback(work: *mut bindings::work_struct) {
        // SAFETY: By the type invariant the item is the field `work` of a `struct delayed_work`.
        let work = unsafe { container_of!(work, bindings::delayed_work, work) };
        // CAST: `Opaque` is transparent.
        let work = work.cast::<Opaque<bindings::delayed_work>>();
        // SAFETY: By the type invariant the item is part of an `OwnedDelayedWork`.
        let this = unsafe { container_of!(work, Self, work) };
        // SAFETY: `drop` waits for the item, so `this` is alive.
        let this = unsafe { &*this };
        let _scope = matches!(this.queue, Workqueue::Reclaim(_)).then(NoIoScope::enter);
        if let Some(delay) = this.inner.run() {
            this.queue_delayed(delay);
        }
    }
}

impl<T: WorkHandler> Deref for OwnedDelayedWork<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

#[pinned_drop]
impl<T: WorkHandler> PinnedDrop for OwnedDelayedWork<T> {
    fn drop(self: Pin<&mut Self>) {
        if self.disabled.load(Relaxed) == 0 {
            self.disable_sync();
        }
    }
}
