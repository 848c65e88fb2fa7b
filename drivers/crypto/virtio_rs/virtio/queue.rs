// SPDX-License-Identifier: GPL-2.0

//! One virtqueue, its lock and its bottom half.

use super::QueueOps;
use crate::{
    bindings,
    bindings::helpers,
    support::{
        bh::BhDisabled,
        dma::VirtqueueBuffer,
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

/// The functions of a driver for a queue.
pub(crate) trait Handler: Send + Sync + Sized + 'static {
    /// The type of buffers.
    type Buffer: VirtqueueBuffer;

    /// The driver's state under the queue's lock.
    type State: Send + Unpin;

    /// The bottom half. The device may have used buffers, which [`QueueGuard::take_used`] returns.
    ///
    /// Context: bottom half; the queue is not locked.
    fn handle_used(queue: &Queue<Self>, bh: &BhDisabled);

    /// Takes back a buffer of a device that was reset.
    ///
    /// Context: process, bottom halves disabled; the queue is not locked.
    fn reclaim(queue: &Queue<Self>, buffer: Self::Buffer, status: BufferStatus, bh: &BhDisabled);

    /// Called after a reset, when all buffers were taken back. No buffer can be added any more.
    ///
    /// Context: process, bottom halves disabled; the queue is not locked.
    fn queue_reset(queue: &Queue<Self>, bh: &BhDisabled);
}

/// The state of a queue's virtqueue.
///
/// # Invariants
///
/// In `Live` and `Detached` the pointer is valid. In `Live` the device may use the virtqueue.
#[derive(Clone, Copy)]
enum VqState {
    Absent,
    Live(NonNull<bindings::virtqueue>),
    Detached(NonNull<bindings::virtqueue>),
}

/// The data under the queue's lock.
///
/// # Invariants
///
/// - Every token in the virtqueue comes from [`VirtqueueBuffer::into_raw`] of the handler's buffer type.
/// - `in_flight` is the number of tokens in the virtqueue.
struct Inner<S> {
    ring: VqState,
    /// Indirect descriptors are negotiated: a buffer takes one descriptor.
    indirect: bool,
    /// The number of descriptors of the ring; 0 unless `ring` is `Live`.
    size: u32,
    in_flight: u32,
    state: S,
}

// SAFETY: The virtqueue is accessed under the queue's lock only and is not tied to a thread.
unsafe impl<S: Send> Send for Inner<S> {}

/// A virtqueue with the lock that serialises its use, and a bottom half that a used buffer notification
/// runs.
#[pin_data]
pub(crate) struct Queue<H: Handler> {
    // Dropped first: dropping it waits for the bottom half, which uses the other fields.
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
                ring: VqState::Absent,
                indirect: false,
                size: 0,
                in_flight: 0,
                state,
            }, "virtio_queue"),
        })
    }

    /// Returns the queue's name.
    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }

    /// Returns the queue's position among the queues of its handler.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Locks the queue.
    ///
    /// Context: bottom halves disabled, interrupts enabled.
    pub(crate) fn lock<'a>(&'a self, bh: &'a BhDisabled) -> QueueGuard<'a, H> {
        QueueGuard {
            guard: self.inner.lock(),
            queue: self,
            bh,
        }
    }

    /// Schedules the bottom half.
    pub(crate) fn schedule(&self) {
        self.work.queue();
    }

    /// The function of `work`.
    ///
    /// # Safety
    ///
    /// `this` must be a valid `Queue<H>`.
    unsafe fn run(this: *const c_void, bh: &BhDisabled) {
        // SAFETY: The caller guarantees that `this` is a valid queue.
        let this = unsafe { &*this.cast::<Self>() };
        H::handle_used(this, bh);
    }

    /// Takes a buffer out of a virtqueue whose device was reset: used buffers first.
    ///
    /// # Safety
    ///
    /// The device must have been reset.
    unsafe fn pop_reclaimed(&self, bh: &BhDisabled) -> Option<(H::Buffer, BufferStatus)> {
        let mut inner = self.lock(bh).guard;
        let VqState::Detached(vq) = inner.ring else {
            return None;
        };
        let mut len = 0;
        // SAFETY: By the type invariant the virtqueue is valid. The lock is held.
        let used = unsafe { bindings::virtqueue_get_buf(vq.as_ptr(), &mut len) };
        let (raw, status) = match NonNull::new(used) {
            Some(raw) => (raw, BufferStatus::Used),
            None => {
                // SAFETY: The virtqueue is valid, and the lock is held. The device was reset.
                let raw = unsafe { bindings::virtqueue_detach_unused_buf(vq.as_ptr()) };
                (NonNull::new(raw)?, BufferStatus::Unused)
            }
        };
        // INVARIANT: The token has left the virtqueue.
        inner.in_flight = inner.in_flight.wrapping_sub(1);
        // SAFETY: By the type invariant of `Inner` the token comes from `into_raw`. The virtqueue has returned
        // it, and the device has no access any more.
        Some((unsafe { H::Buffer::from_raw(raw) }, status))
    }
}

/// The state of a buffer that is taken back from a device that was reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BufferStatus {
    /// The device has used it.
    Used,
    /// The device had not used it when the device was reset.
    Unused,
}

// SAFETY: The methods of `QueueGuard` access the virtqueue only in `Live`, under the lock. `Kick` accesses it with
// bottom halves disabled, which is an RCU read-side section.
unsafe impl<H: Handler> QueueOps for Queue<H> {
    fn name(&self) -> &CStr {
        &self.name
    }

    unsafe fn attach(&self, vq: NonNull<bindings::virtqueue>) -> Result {
        let bh = BhDisabled::disable();
        let mut inner = self.lock(&bh).guard;
        if !matches!(inner.ring, VqState::Absent) {
            return Err(EBUSY);
        }
        // SAFETY: The caller guarantees that `vq` is valid, and so is its device.
        let vdev = unsafe { (*vq.as_ptr()).vdev };
        let feature = bindings::VIRTIO_RING_F_INDIRECT_DESC;
        // SAFETY: `vdev` is valid. Its features are negotiated, because it has virtqueues.
        inner.indirect = unsafe { helpers::virtio_has_feature(vdev, feature) };
        // SAFETY: The caller guarantees that `vq` is valid.
        inner.size = unsafe { bindings::virtqueue_get_vring_size(vq.as_ptr()) };
        // INVARIANT: The caller guarantees that `vq` is valid.
        inner.ring = VqState::Live(vq);
        Ok(())
    }

    fn detach(&self) {
        let bh = BhDisabled::disable();
        let mut inner = self.lock(&bh).guard;
        if let VqState::Live(vq) = inner.ring {
            inner.ring = VqState::Detached(vq);
            inner.size = 0;
        }
    }

    unsafe fn reclaim_buffers(&self) {
        // A running bottom half finds the virtqueue detached. A pending one is cancelled.
        self.work.cancel_sync();
        // There may be many buffers. Other bottom halves can run between two of them.
        loop {
            let bh = BhDisabled::disable();
            // SAFETY: The caller guarantees that the device was reset.
            let Some((buffer, status)) = (unsafe { self.pop_reclaimed(&bh) }) else {
                break;
            };
            H::reclaim(self, buffer, status, &bh);
        }
        H::queue_reset(self, &BhDisabled::disable());
    }

    fn release(&self) {
        let bh = BhDisabled::disable();
        let mut inner = self.lock(&bh).guard;
        // INVARIANT: There is no pointer.
        inner.ring = VqState::Absent;
        inner.in_flight = 0;
    }

    fn disable(&self) {
        self.work.disable_sync();
    }

    fn used_notification(&self) {
        self.schedule();
    }
}

/// A locked [`Queue`].
pub(crate) struct QueueGuard<'a, H: Handler> {
    guard: SpinLockGuard<'a, Inner<H::State>>,
    queue: &'a Queue<H>,
    bh: &'a BhDisabled,
}

impl<'a, H: Handler> QueueGuard<'a, H> {
    /// Returns the driver's state.
    pub(crate) fn state(&mut self) -> &mut H::State {
        &mut self.guard.state
    }

    /// Returns the queue.
    pub(super) fn queue(&self) -> &'a Queue<H> {
        self.queue
    }

    /// Returns the number of buffers in flight.
    pub(crate) fn in_flight(&self) -> u32 {
        self.guard.in_flight
    }

    /// Returns true if buffers can be added.
    pub(crate) fn is_live(&self) -> bool {
        self.live().is_some()
    }

    /// Returns true if the virtqueue is broken. A broken virtqueue returns no buffer.
    pub(crate) fn is_broken(&self) -> bool {
        self.live().is_some_and(|vq| {
            // SAFETY: By the type invariant the virtqueue is valid.
            unsafe { bindings::virtqueue_is_broken(vq.as_ptr()) }
        })
    }

    /// Returns the number of descriptors of the ring; 0 without a virtqueue.
    pub(crate) fn size(&self) -> u32 {
        self.guard.size
    }

    /// Returns true if the ring has enough free descriptors for a buffer of `segments` segments, and
    /// `reserve` more. [`add`](Self::add) to a full ring would notify the device, with the queue locked.
    pub(crate) fn has_room(&self, segments: u32, reserve: u32) -> bool {
        self.live().is_none_or(|vq| {
            // SAFETY: By the type invariant the virtqueue is valid. The lock is held.
            let free = unsafe { (*vq.as_ptr()).num_free };
            let needed = if self.guard.indirect { 1 } else { segments };
            free >= needed.saturating_add(reserve)
        })
    }

    /// Adds a buffer to the ring. The device may see it only after a kick.
    ///
    /// # Errors
    ///
    /// The buffer is returned with
    /// - `ENODEV` if there is no virtqueue;
    /// - `ENOSPC` if the ring is full;
    /// - `ENOMEM` if the buffer cannot be mapped;
    /// - `EIO` if the virtqueue is broken;
    /// - `EINVAL` if the buffer has no segment.
    #[inline(always)]
    pub(crate) fn add(&mut self, mut buffer: H::Buffer) -> Result<(), (Error, H::Buffer)> {
        let Some(vq) = self.live() else {
            return Err((ENODEV, buffer));
        };
        let (sgs, readable, writable) = match buffer.sgs() {
            Ok(lists) => lists.as_raw(),
            Err(err) => return Err((err, buffer)),
        };

        // INVARIANT: The token comes from `into_raw`.
        let raw = buffer.into_raw();
        // SAFETY: `vq` is valid and live, and the lock is held. The implementer of `VirtqueueBuffer`
        // guarantees that the lists are valid until the buffer is taken back, which is after the device
        // has used them.
        let err = unsafe {
            bindings::virtqueue_add_sgs(
                vq.as_ptr(),
                sgs,
                readable,
                writable,
                raw.as_ptr(),
                bindings::GFP_ATOMIC,
            )
        };
        // `to_result()` is not inlined.
        match if err == 0 { Ok(()) } else { to_result(err) } {
            Ok(()) => {
                // INVARIANT: The virtqueue has taken the token.
                self.guard.in_flight += 1;
                Ok(())
            }
            // SAFETY: The virtqueue has not taken the token.
            Err(err) => Err((err, unsafe { H::Buffer::from_raw(raw) })),
        }
    }

    /// Takes a buffer that the device has used. Also returns the number of bytes that the device claims to
    /// have written, which may be wrong.
    ///
    /// The buffer was added and not taken before: the virtqueue checks the ID that the device returns, and
    /// marks itself broken if it is wrong.
    pub(crate) fn take_used(&mut self) -> Option<(H::Buffer, u32)> {
        let vq = self.live()?;
        let mut len = 0;
        // SAFETY: By the type invariant the virtqueue is valid. The lock is held.
        let raw = unsafe { bindings::virtqueue_get_buf(vq.as_ptr(), &mut len) };
        let raw = NonNull::new(raw)?;
        // INVARIANT: The token has left the virtqueue.
        self.guard.in_flight = self.guard.in_flight.wrapping_sub(1);
        // SAFETY: By the type invariant of `Inner` the token comes from `into_raw`. The device has returned the
        // buffer.
        Some((unsafe { H::Buffer::from_raw(raw) }, len))
    }

    /// Asks the device not to send used buffer notifications. It may still send some.
    pub(crate) fn disable_notifications(&mut self) {
        if let Some(vq) = self.live() {
            // SAFETY: By the type invariant the virtqueue is valid. The lock is held.
            unsafe { bindings::virtqueue_disable_cb(vq.as_ptr()) };
        }
    }

    /// Asks the device to send used buffer notifications. Returns false if there are used buffers.
    pub(crate) fn enable_notifications(&mut self) -> bool {
        self.live().is_none_or(|vq| {
            // SAFETY: By the type invariant the virtqueue is valid. The lock is held.
            unsafe { bindings::virtqueue_enable_cb(vq.as_ptr()) }
        })
    }

    /// Unlocks the queue. The returned value notifies the device of the added buffers, unless the device has
    /// disabled notifications.
    #[must_use]
    pub(crate) fn into_kick(self) -> Kick<'a> {
        let vq = self.live().filter(|vq| {
            // SAFETY: By the type invariant the virtqueue is valid. The lock is held.
            unsafe { bindings::virtqueue_kick_prepare(vq.as_ptr()) }
        });
        let Self { guard, bh, .. } = self;
        drop(guard);
        // INVARIANT: The virtqueue was live under the lock, with bottom halves disabled.
        Kick { vq, _bh: bh }
    }

    fn live(&self) -> Option<NonNull<bindings::virtqueue>> {
        match self.guard.ring {
            VqState::Live(vq) => Some(vq),
            VqState::Absent | VqState::Detached(_) => None,
        }
    }
}

/// A pending device notification. It is sent outside the lock, because it leaves the guest.
///
/// # Invariants
///
/// `vq` was live after bottom halves were disabled. They stay disabled while `_bh` is borrowed, which is an RCU
/// read-side section. Virtqueues are deleted, and devices reset, a grace period after they were detached.
pub(crate) struct Kick<'a> {
    vq: Option<NonNull<bindings::virtqueue>>,
    _bh: &'a BhDisabled,
}

impl Kick<'_> {
    /// Notifies the device.
    pub(crate) fn notify(self) {
        if let Some(vq) = self.vq {
            // SAFETY: By the type invariant the virtqueue was not deleted.
            unsafe { bindings::virtqueue_notify(vq.as_ptr()) };
        }
    }
}
