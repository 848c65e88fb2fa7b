// SPDX-License-Identifier: GPL-2.0

//! One virtqueue, its lock and its bottom half.

use super::Endpoint;
use crate::{
    bindings,
    bindings::helpers,
    support::{
        bh::Bh,
        lend::Lend,
        work::BhWork, //
    },
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    ffi::c_void,
    new_spinlock,
    prelude::*,
    str::CString,
    sync::{
        SpinLock,
        SpinLockGuard, //
    },
};

/// What a driver does with a queue.
pub(crate) trait Handler: Send + Sync + Sized + 'static {
    /// What is sent over the queue.
    type Buffer: Lend;

    /// What the driver keeps under the queue's lock.
    type State: Send + Unpin;

    /// The device has used buffers: take them with [`Locked::take_used`].
    ///
    /// Context: bottom half; the queue is not locked.
    fn used(queue: &Queue<Self>, bh: &Bh);

    /// A buffer comes back from a device that was reset.
    ///
    /// Context: process, bottom halves disabled; the queue is not locked.
    fn finish(queue: &Queue<Self>, buffer: Self::Buffer, fate: Fate, bh: &Bh);

    /// All buffers have come back after a reset; nothing will be sent any more.
    ///
    /// Context: process, bottom halves disabled; the queue is not locked.
    fn closed(queue: &Queue<Self>, bh: &Bh);
}

/// What a queue has of its virtqueue.
///
/// # Invariants
///
/// In `Live` and `Detached` the pointer is valid; in `Live` the device may use the virtqueue.
#[derive(Clone, Copy)]
enum Ring {
    Absent,
    Live(NonNull<bindings::virtqueue>),
    Detached(NonNull<bindings::virtqueue>),
}

/// What is under the queue's lock.
///
/// # Invariants
///
/// Every token in the virtqueue comes from [`Lend::into_raw`] of the handler's buffer type.
struct Inner<S> {
    ring: Ring,
    /// A buffer of several segments takes one descriptor.
    indirect: bool,
    /// The number of descriptors of the ring; 0 unless `ring` is `Live`.
    size: u32,
    in_flight: u32,
    state: S,
}

// SAFETY: The virtqueue is accessed under the queue's lock only and is not tied to a thread.
unsafe impl<S: Send> Send for Inner<S> {}

/// One virtqueue with the lock that serialises its use, and a bottom half that is run when the
/// device has used buffers.
#[pin_data]
pub(crate) struct Queue<H: Handler> {
    // Dropped, and so waited for, before what it works on.
    #[pin]
    work: BhWork,
    name: CString,
    index: usize,
    #[pin]
    inner: SpinLock<Inner<H::State>>,
}

impl<H: Handler> Queue<H> {
    /// Creates a queue without a virtqueue. `index` is its position among the queues of its
    /// handler.
    pub(crate) fn new(name: CString, index: usize, state: H::State) -> impl PinInit<Self> {
        pin_init!(&this in Self {
            // SAFETY: `this` is valid until `work` is dropped, and `run` takes a `Queue<H>`.
            work <- unsafe { BhWork::new(this.as_ptr().cast::<c_void>(), Self::run) },
            name,
            index,
            inner <- new_spinlock!(Inner {
                ring: Ring::Absent,
                indirect: false,
                size: 0,
                in_flight: 0,
                state,
            }, "virtio_queue"),
        })
    }

    /// Returns the queue's name.
    pub(crate) fn title(&self) -> &CStr {
        &self.name
    }

    /// Returns the queue's position among the queues of its handler.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Locks the queue.
    ///
    /// Context: bottom halves disabled, interrupts enabled.
    pub(crate) fn lock<'a>(&'a self, bh: &'a Bh) -> Locked<'a, H> {
        Locked {
            guard: self.inner.lock(),
            queue: self,
            bh,
        }
    }

    /// Runs the handler's bottom half soon.
    pub(crate) fn schedule(&self) {
        self.work.queue();
    }

    /// The function of `work`.
    ///
    /// # Safety
    ///
    /// `this` must be a valid `Queue<H>`.
    unsafe fn run(this: *const c_void, bh: &Bh) {
        // SAFETY: By the safety requirements.
        let this = unsafe { &*this.cast::<Self>() };
        H::used(this, bh);
    }

    /// Takes a buffer out of a virtqueue whose device was reset: what it had used first.
    ///
    /// # Safety
    ///
    /// The device must have been reset.
    unsafe fn take_back(&self, bh: &Bh) -> Option<(H::Buffer, Fate)> {
        let mut inner = self.lock(bh).guard;
        let Ring::Detached(vq) = inner.ring else {
            return None;
        };
        let mut len = 0;
        // SAFETY: By the type invariant of `Ring`; the lock is held.
        let used = unsafe { bindings::virtqueue_get_buf(vq.as_ptr(), &mut len) };
        let (raw, fate) = match NonNull::new(used) {
            Some(raw) => (raw, Fate::Used),
            None => {
                // SAFETY: As above; the device has been reset.
                let raw = unsafe { bindings::virtqueue_detach_unused_buf(vq.as_ptr()) };
                (NonNull::new(raw)?, Fate::Returned)
            }
        };
        inner.in_flight = inner.in_flight.saturating_sub(1);
        // SAFETY: By the type invariant of `Inner`; the virtqueue has let go of the token, and the
        // device has no access any more.
        Some((unsafe { H::Buffer::from_raw(raw) }, fate))
    }
}

/// What became of a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// The device has used it.
    Used,
    /// The device had it when it was reset.
    Returned,
}

// SAFETY: `add`, `take_used` and the others touch the virtqueue only while the ring is `Live`, under
// the lock. `Kick` touches it while bottom halves are disabled, which is an RCU read-side section.
unsafe impl<H: Handler> Endpoint for Queue<H> {
    fn name(&self) -> &CStr {
        &self.name
    }

    unsafe fn attach(&self, vq: NonNull<bindings::virtqueue>) -> Result {
        let bh = Bh::disable();
        let mut inner = self.lock(&bh).guard;
        if !matches!(inner.ring, Ring::Absent) {
            return Err(EBUSY);
        }
        // SAFETY: By the safety requirements `vq` is valid, and so is its device.
        let vdev = unsafe { (*vq.as_ptr()).vdev };
        let feature = bindings::VIRTIO_RING_F_INDIRECT_DESC;
        // SAFETY: `vdev` is valid, and its features are negotiated: it has virtqueues.
        inner.indirect = unsafe { helpers::virtio_has_feature(vdev, feature) };
        // SAFETY: By the safety requirements `vq` is valid.
        inner.size = unsafe { bindings::virtqueue_get_vring_size(vq.as_ptr()) };
        // INVARIANT: Valid by the safety requirements.
        inner.ring = Ring::Live(vq);
        Ok(())
    }

    fn detach(&self) {
        let bh = Bh::disable();
        let mut inner = self.lock(&bh).guard;
        if let Ring::Live(vq) = inner.ring {
            inner.ring = Ring::Detached(vq);
            inner.size = 0;
        }
    }

    unsafe fn give_back(&self) {
        // A bottom half that is under way finds the ring detached; one that is not will not come.
        self.work.cancel();
        // Buffers may be many, and there is something to do for each: bottom halves get their turn
        // in between.
        loop {
            let bh = Bh::disable();
            // SAFETY: The caller guarantees that the device was reset.
            let Some((buffer, fate)) = (unsafe { self.take_back(&bh) }) else {
                break;
            };
            H::finish(self, buffer, fate, &bh);
        }
        H::closed(self, &Bh::disable());
    }

    fn release(&self) {
        let bh = Bh::disable();
        let mut inner = self.lock(&bh).guard;
        // INVARIANT: No pointer.
        inner.ring = Ring::Absent;
        inner.in_flight = 0;
    }

    fn shut(&self) {
        self.work.shut();
    }

    fn notify(&self) {
        self.schedule();
    }
}

/// A locked [`Queue`].
pub(crate) struct Locked<'a, H: Handler> {
    guard: SpinLockGuard<'a, Inner<H::State>>,
    queue: &'a Queue<H>,
    bh: &'a Bh,
}

impl<'a, H: Handler> Locked<'a, H> {
    /// Returns the driver's state.
    pub(crate) fn state(&mut self) -> &mut H::State {
        &mut self.guard.state
    }

    /// Returns the queue that is locked.
    pub(super) fn queue(&self) -> &'a Queue<H> {
        self.queue
    }

    /// Returns how many buffers the device has.
    pub(crate) fn in_flight(&self) -> u32 {
        self.guard.in_flight
    }

    /// Returns true if the device may be sent to.
    pub(crate) fn is_live(&self) -> bool {
        self.live().is_some()
    }

    /// Returns true if the virtqueue was found to be broken: nothing comes back any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.live().is_some_and(|vq| {
            // SAFETY: By the type invariant of `Ring`.
            unsafe { bindings::virtqueue_is_broken(vq.as_ptr()) }
        })
    }

    /// Returns how many descriptors the ring has; 0 if there is none.
    pub(crate) fn size(&self) -> u32 {
        self.guard.size
    }

    /// Returns true if the ring has enough free descriptors for a buffer of `segments` segments, and
    /// `reserve` more. [`add`](Self::add) to a full ring would notify the device, with the queue locked.
    pub(crate) fn has_room(&self, segments: u32, reserve: u32) -> bool {
        self.live().is_none_or(|vq| {
            // SAFETY: By the type invariant of `Ring`; the lock is held.
            let free = unsafe { (*vq.as_ptr()).num_free };
            let needed = if self.guard.indirect { 1 } else { segments };
            free >= needed.saturating_add(reserve)
        })
    }

    /// Hands a buffer to the device, which does not know of it before it is kicked.
    ///
    /// # Errors
    ///
    /// The buffer comes back with
    /// - `ENODEV`: there is no device (any more);
    /// - `ENOSPC`: the ring is full;
    /// - `ENOMEM`: no memory to map the buffer with;
    /// - `EIO`: the virtqueue is broken;
    /// - `EINVAL`: the buffer has nothing to send.
    pub(crate) fn add(&mut self, mut buffer: H::Buffer) -> Result<(), (Error, H::Buffer)> {
        let Some(vq) = self.live() else {
            return Err((ENODEV, buffer));
        };
        let (sgs, readable, writable) = match buffer.lists() {
            Ok(lists) => lists.as_raw(),
            Err(err) => return Err((err, buffer)),
        };

        // INVARIANT: The token comes from `into_raw`.
        let raw = buffer.into_raw();
        // SAFETY: `vq` is valid and live, the lock is held; by the requirements of `Lend` the lists
        // are valid until the token is taken back, which happens when the device is done with them.
        let res = to_result(unsafe {
            bindings::virtqueue_add_sgs(
                vq.as_ptr(),
                sgs,
                readable,
                writable,
                raw.as_ptr(),
                bindings::GFP_ATOMIC,
            )
        });
        match res {
            Ok(()) => {
                self.guard.in_flight += 1;
                Ok(())
            }
            // SAFETY: The virtqueue has not taken the token.
            Err(err) => Err((err, unsafe { H::Buffer::from_raw(raw) })),
        }
    }

    /// Takes a buffer that the device has used, and how many bytes it says it wrote.
    ///
    /// The number is the device's word. The buffer is one that was added and not taken yet: the
    /// virtqueue keeps its own books and marks itself broken if the device names another.
    pub(crate) fn take_used(&mut self) -> Option<(H::Buffer, u32)> {
        let vq = self.live()?;
        let mut len = 0;
        // SAFETY: By the type invariant of `Ring`; the lock is held.
        let raw = unsafe { bindings::virtqueue_get_buf(vq.as_ptr(), &mut len) };
        let raw = NonNull::new(raw)?;
        self.guard.in_flight = self.guard.in_flight.saturating_sub(1);
        // SAFETY: By the type invariant of `Inner`; the device has returned the buffer.
        Some((unsafe { H::Buffer::from_raw(raw) }, len))
    }

    /// Asks the device not to notify of used buffers; it may still do so.
    pub(crate) fn disable_notifications(&mut self) {
        if let Some(vq) = self.live() {
            // SAFETY: By the type invariant of `Ring`; the lock is held.
            unsafe { bindings::virtqueue_disable_cb(vq.as_ptr()) };
        }
    }

    /// Asks the device to notify of used buffers. Returns false if there are some already.
    pub(crate) fn enable_notifications(&mut self) -> bool {
        self.live().is_none_or(|vq| {
            // SAFETY: By the type invariant of `Ring`; the lock is held.
            unsafe { bindings::virtqueue_enable_cb(vq.as_ptr()) }
        })
    }

    /// Unlocks the queue. What is returned notifies the device of what was added, if it wants to
    /// know.
    #[must_use]
    pub(crate) fn into_kick(self) -> Kick<'a> {
        let vq = self.live().filter(|vq| {
            // SAFETY: By the type invariant of `Ring`; the lock is held.
            unsafe { bindings::virtqueue_kick_prepare(vq.as_ptr()) }
        });
        let Self { guard, bh, .. } = self;
        drop(guard);
        // INVARIANT: The virtqueue was live under the lock, with bottom halves disabled.
        Kick { vq, _bh: bh }
    }

    fn live(&self) -> Option<NonNull<bindings::virtqueue>> {
        match self.guard.ring {
            Ring::Live(vq) => Some(vq),
            Ring::Absent | Ring::Detached(_) => None,
        }
    }
}

/// A notification that is due, to be given outside the lock: it leaves the guest.
///
/// # Invariants
///
/// `vq` was live after bottom halves were disabled, which they stay while `_bh` is borrowed. That is an
/// RCU read-side section; queues are deleted and devices reset a grace period after they were detached.
pub(crate) struct Kick<'a> {
    vq: Option<NonNull<bindings::virtqueue>>,
    _bh: &'a Bh,
}

impl Kick<'_> {
    /// Notifies the device.
    pub(crate) fn notify(self) {
        if let Some(vq) = self.vq {
            // SAFETY: By the type invariant it is still there.
            unsafe { bindings::virtqueue_notify(vq.as_ptr()) };
        }
    }
}
