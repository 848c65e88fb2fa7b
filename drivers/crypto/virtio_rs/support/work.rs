// SPDX-License-Identifier: GPL-2.0

//! Work that runs later, and no longer than what it works on.
//!
//! The kernel crate's `Work` keeps its object alive by a reference count and cannot be cancelled: a
//! driver that is unloaded cannot know when its code ran for the last time. Work here is part of its
//! object and is cancelled, and waited for, when it is dropped.
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

/// A function that runs in a bottom half, on behalf of its owner.
///
/// # Invariants
///
/// - `work` is an initialised work item whose function is [`BhWork::run_callback`]; it is only
///   queued on the BH workqueue.
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

// SAFETY: A work item may be queued and cancelled by any thread; `owner` may be used by any thread,
// by the safety requirements of `new`.
unsafe impl Send for BhWork {}

// SAFETY: As above; the workqueue does its own locking.
unsafe impl Sync for BhWork {}

impl BhWork {
    /// Creates work that calls `func` with `owner`.
    ///
    /// # Safety
    ///
    /// `owner` must be valid for `func`, from any thread, until the returned value is dropped.
    pub(crate) unsafe fn new(
        owner: *const c_void,
        func: unsafe fn(*const c_void, &BhDisabled),
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `init_bh_work` initialises it with that function.
            work <- Opaque::ffi_init(|slot: *mut bindings::work_struct| {
                // SAFETY: `slot` is valid for writes and stays where it is.
                unsafe { helpers::init_bh_work(slot, Some(Self::run_callback)) };
            }),
            disabled: Atomic::new(0),
            // INVARIANT: Valid until `drop`, by the safety requirements; `drop` waits for the item.
            owner,
            func,
            _pin: PhantomPinned,
        })
    }

    /// Has it run soon, on this CPU; if it waits to run already, that is enough.
    ///
    /// Context: any.
    pub(crate) fn queue(&self) {
        // SAFETY: By the type invariant.
        unsafe { helpers::queue_bh_work(self.work.get()) };
    }

    /// Takes it off its queue, or waits until it has run.
    ///
    /// Context: process, may sleep.
    pub(crate) fn cancel_sync(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::cancel_work_sync(self.work.get()) };
    }

    /// Does what [`cancel_sync`](Self::cancel_sync) does, and sees to it that it is never queued again.
    ///
    /// After this it can be dropped where sleeping is not allowed.
    ///
    /// Context: process, may sleep.
    pub(crate) fn disable_sync(&self) {
        // INVARIANT: Queueing has no effect after this.
        // SAFETY: By the type invariant.
        unsafe { bindings::disable_work_sync(self.work.get()) };
        self.disabled.store(1, Relaxed);
    }

    extern "C" fn run_callback(work: *mut bindings::work_struct) {
        // CAST: `Opaque` is transparent.
        let work = work.cast::<Opaque<bindings::work_struct>>();
        // SAFETY: By the type invariant the item is part of a `BhWork`.
        let this = unsafe { container_of!(work, Self, work) };
        // SAFETY: `drop` waits for the item, so `this` is alive.
        let (func, owner) = unsafe { ((*this).func, (*this).owner) };
        // SAFETY: By the type invariant this is a BH workqueue, which runs its work in softirq.
        let bh = unsafe { BhDisabled::new_unchecked() };
        // SAFETY: By the type invariant.
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

/// What an [`OwnedDelayedWork`] does.
pub(crate) trait WorkHandler: Send + Sync + 'static {
    /// Does it. Returns in how many milliseconds to do it again, if at all.
    ///
    /// Context: process, may sleep; never twice at a time.
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

/// An object with something to do in process context, when asked to or after a time.
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

// SAFETY: A work item may be queued and cancelled by any thread; a `WorkHandler` is `Send`.
unsafe impl<T: WorkHandler> Send for OwnedDelayedWork<T> {}

// SAFETY: The workqueue does its own locking; a `WorkHandler` is `Sync`.
unsafe impl<T: WorkHandler> Sync for OwnedDelayedWork<T> {}

impl<T: WorkHandler> OwnedDelayedWork<T> {
    /// Creates an object that has nothing to do yet. Its work runs on the system's workqueue, which
    /// may need memory to start a thread.
    pub(crate) fn new(inner: impl PinInit<T>) -> impl PinInit<Self> {
        Self::with_queue(inner, Workqueue::Default)
    }

    /// Creates an object that has nothing to do yet. Its work needs little of the CPU and often waits. It
    /// runs on the system's workqueue of high priority, so that it does not wait for a CPU as well.
    pub(crate) fn new_high_priority(inner: impl PinInit<T>) -> impl PinInit<Self> {
        Self::with_queue(inner, Workqueue::HighPriority)
    }

    /// Creates an object that has nothing to do yet. Its work runs on `queue`, in a `GFP_NOIO` scope,
    /// and so makes progress when memory reclaim waits for it.
    pub(crate) fn new_for_reclaim(
        inner: impl PinInit<T>,
        queue: Arc<ReclaimWorkqueue>,
    ) -> impl PinInit<Self> {
        Self::with_queue(inner, Workqueue::Reclaim(queue))
    }

    fn with_queue(inner: impl PinInit<T>, queue: Workqueue) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `init_delayed_work` initialises it with that function.
            work <- Opaque::ffi_init(|slot: *mut bindings::delayed_work| {
                // SAFETY: `slot` is valid for writes and stays where it is.
                unsafe { helpers::init_delayed_work(slot, Some(Self::run_callback)) };
            }),
            disabled: Atomic::new(0),
            queue,
            inner <- inner,
        })
    }

    /// Has [`WorkHandler::run`] called soon.
    ///
    /// Context: any.
    pub(crate) fn queue(&self) {
        // SAFETY: By the type invariant.
        unsafe { helpers::mod_delayed_work(self.raw_queue(), self.work.get()) };
    }

    /// Has [`WorkHandler::run`] called in `delay` milliseconds, unless it will be called anyway.
    ///
    /// Context: any.
    pub(crate) fn queue_delayed(&self, delay: Msecs) {
        // SAFETY: By the type invariant.
        unsafe {
            helpers::queue_delayed_work(self.raw_queue(), self.work.get(), msecs_to_jiffies(delay))
        };
    }

    /// Returns the workqueue that the work runs on.
    fn raw_queue(&self) -> *mut bindings::workqueue_struct {
        match &self.queue {
            Workqueue::Reclaim(queue) => queue.as_raw(),
            // SAFETY: The kernel sets the pointer at boot and does not change it.
            Workqueue::Default => unsafe { bindings::system_dfl_wq },
            // SAFETY: The kernel sets the pointer at boot and does not change it.
            Workqueue::HighPriority => unsafe { bindings::system_highpri_wq },
        }
    }

    /// Waits until nothing is under way; queueing has no effect from here on.
    ///
    /// Context: process, may sleep; not from [`WorkHandler::run`].
    pub(crate) fn disable_sync(&self) {
        // INVARIANT: Queueing has no effect after this.
        // SAFETY: By the type invariant.
        unsafe { bindings::disable_delayed_work_sync(self.work.get()) };
        self.disabled.store(1, Relaxed);
    }

    extern "C" fn run_callback(work: *mut bindings::work_struct) {
        // SAFETY: By the type invariant the item is the first part of a delayed one.
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
