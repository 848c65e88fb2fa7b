// SPDX-License-Identifier: GPL-2.0

//! Work that runs later, and no longer than what it works on.
//!
//! The kernel crate's `Work` keeps its object alive by a reference count and cannot be cancelled: a
//! driver that is unloaded cannot know when its code ran for the last time. A [`Work`] here is part
//! of its object and is cancelled, and waited for, when it is dropped.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::{
    bindings,
    bindings::helpers,
    support::bh::Bh, //
};
use core::{
    marker::PhantomPinned,
    ops::Deref, //
};
use kernel::{
    container_of,
    ffi::c_void,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    types::Opaque, //
};

/// A function that runs in process context or in a bottom half, on behalf of its owner.
///
/// # Invariants
///
/// - `work` is an initialised work item whose function is [`Work::run_callback`].
/// - While the item is queued or runs, `owner` is valid for `func`.
/// - If `shut` is set, the item is not queued and will not be.
#[pin_data(PinnedDrop)]
pub(crate) struct Work {
    #[pin]
    work: Opaque<bindings::work_struct>,
    shut: Atomic<u32>,
    owner: *const c_void,
    func: unsafe fn(*const c_void),
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: A work item may be queued and cancelled by any thread; `owner` is `Sync` by the safety
// requirements of `new`.
unsafe impl Send for Work {}

// SAFETY: As above; the workqueue does its own locking.
unsafe impl Sync for Work {}

impl Work {
    /// Creates work that calls `func` with `owner`.
    ///
    /// # Safety
    ///
    /// `owner` must be valid for `func`, from any thread, until the returned value is dropped.
    pub(crate) unsafe fn new(
        owner: *const c_void,
        func: unsafe fn(*const c_void),
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `init_work` initialises it with that function.
            work <- Opaque::ffi_init(|slot: *mut bindings::work_struct| {
                // SAFETY: `slot` is valid for writes and stays where it is.
                unsafe { helpers::init_work(slot, Some(Self::run_callback)) };
            }),
            // INVARIANT: Valid until `drop`, by the safety requirements; `drop` waits for the item.
            owner,
            func,
            shut: Atomic::new(0),
            _pin: PhantomPinned,
        })
    }

    /// Has it run soon in a bottom half, on this CPU; if it waits to run already, that is enough.
    ///
    /// Context: any.
    pub(crate) fn queue_bh(&self) {
        // SAFETY: By the type invariant.
        unsafe { helpers::queue_bh_work(self.work.get()) };
    }

    /// Has it run soon in process context; if it waits to run already, that is enough.
    ///
    /// Context: any.
    pub(crate) fn queue_process(&self) {
        // SAFETY: By the type invariant.
        unsafe { helpers::queue_process_work(self.work.get()) };
    }

    /// Takes it off its queue, or waits until it has run.
    ///
    /// Context: process, may sleep; not from the work itself.
    pub(crate) fn cancel(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::cancel_work_sync(self.work.get()) };
    }

    /// Does what [`cancel`](Self::cancel) does, and sees to it that it is never queued again.
    ///
    /// After this it can be dropped where sleeping is not allowed.
    ///
    /// Context: process, may sleep; not from the work itself.
    pub(crate) fn shut(&self) {
        // INVARIANT: Queueing has no effect after this.
        // SAFETY: By the type invariant.
        unsafe { bindings::disable_work_sync(self.work.get()) };
        self.shut.store(1, Relaxed);
    }

    extern "C" fn run_callback(work: *mut bindings::work_struct) {
        // CAST: `Opaque` is transparent.
        let work = work.cast::<Opaque<bindings::work_struct>>();
        // SAFETY: By the type invariant the item is part of a `Work`.
        let this = unsafe { container_of!(work, Self, work) };
        // SAFETY: `drop` waits for the item, so `this` is alive.
        let (func, owner) = unsafe { ((*this).func, (*this).owner) };
        // SAFETY: By the type invariant.
        unsafe { func(owner) };
    }
}

#[pinned_drop]
impl PinnedDrop for Work {
    fn drop(self: Pin<&mut Self>) {
        if self.shut.load(Relaxed) == 0 {
            self.cancel();
        }
    }
}

/// What a [`Worker`] does.
pub(crate) trait Chore: Send + Sync + 'static {
    /// Does it.
    ///
    /// Context: process, may sleep; never twice at a time.
    fn run(&self);
}

/// An object with something to do in process context, when asked to.
#[pin_data]
pub(crate) struct Worker<T: Chore> {
    // Dropped, and so waited for, before what it works on.
    #[pin]
    work: Work,
    #[pin]
    inner: T,
}

impl<T: Chore> Worker<T> {
    /// Creates an object that has nothing to do yet.
    pub(crate) fn new(inner: impl PinInit<T>) -> impl PinInit<Self> {
        pin_init!(&this in Self {
            // SAFETY: `this` is valid until `work` is dropped, and `run` takes a `Worker<T>`.
            work <- unsafe { Work::new(this.as_ptr().cast::<c_void>(), Self::run) },
            inner <- inner,
        })
    }

    /// Has [`Chore::run`] called soon.
    ///
    /// Context: any.
    pub(crate) fn queue(&self) {
        self.work.queue_process();
    }

    /// Waits until nothing is under way; [`queue`](Self::queue) has no effect from here on.
    ///
    /// Context: process, may sleep; not from [`Chore::run`].
    pub(crate) fn shut(&self) {
        self.work.shut();
    }

    /// The function of `work`.
    ///
    /// # Safety
    ///
    /// `this` must be a valid `Worker<T>`.
    unsafe fn run(this: *const c_void) {
        // SAFETY: By the safety requirements.
        let this = unsafe { &*this.cast::<Self>() };
        this.inner.run();
    }
}

impl<T: Chore> Deref for Worker<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

/// Returns the context of a function that [`Work::queue_bh`] has called.
///
/// # Safety
///
/// Must be called from such a function only, and the value must not outlive it.
pub(crate) unsafe fn bh_of_work() -> Bh {
    // SAFETY: `system_bh_wq` runs its work in softirq context.
    unsafe { Bh::assume() }
}
