// SPDX-License-Identifier: GPL-2.0

//! The virtqueues of a device: setup, reset, restart and removal.

use super::Device;
use crate::{
    bindings,
    bindings::helpers, //
};
use core::ptr::NonNull;
use kernel::{
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::CpumaskVar,
    device,
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        rcu,
        Arc,
        Mutex, //
    }, //
};

/// The functions of a [`Queue`](super::Queue) that [`Queues`] calls.
///
/// # Safety
///
/// After [`detach`](Self::detach) has returned and an RCU grace period has passed, the queue must
/// not access the virtqueue except in [`reclaim_buffers`](Self::reclaim_buffers).
pub(crate) unsafe trait QueueOps: Send + Sync {
    /// Returns the queue's name, for `/proc/interrupts`.
    fn name(&self) -> &CStr;

    /// Attaches a virtqueue.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the queue has a virtqueue.
    ///
    /// # Safety
    ///
    /// `vq` must be valid until [`release`](Self::release) is called, and have no other user.
    unsafe fn attach(&self, vq: NonNull<bindings::virtqueue>) -> Result;

    /// Rejects requests from here on.
    fn detach(&self);

    /// Returns every buffer that the device had to its owner.
    ///
    /// # Safety
    ///
    /// The device must have been reset.
    unsafe fn reclaim_buffers(&self);

    /// Drops the virtqueue, which is about to be deleted.
    fn release(&self);

    /// Disables the queue permanently.
    ///
    /// Context: process, may sleep.
    fn disable(&self);

    /// Handles a used buffer notification.
    ///
    /// Context: hard interrupt.
    fn used_notification(&self);
}

/// The least number of descriptors of a ring that is used without indirect descriptors.
///
/// Requests have four descriptors or more. Without indirect descriptors each takes that many of the ring. The
/// virtio core then allocates and maps no table for each request, which costs the guest about 260 instructions
/// and can fail. A smaller ring would hold too few requests.
const MIN_DIRECT: u32 = 512;

impl Device<device::Core<'_>> {
    /// Sets up one virtqueue for each of `queues`, in the order of the device, from 0 on. Asks the
    /// transport to deliver the interrupts of the first `nr_affine` queues on the CPUs that
    /// [`Queues::queue_for_cpu`] assigns to them. Accepts indirect descriptors only if one of these queues
    /// has a ring of fewer than [`MIN_DIRECT`] descriptors.
    ///
    /// Context: process, may sleep; only from `probe`, once.
    ///
    /// # Errors
    ///
    /// - `ENOENT` if the device lacks one of the queues;
    /// - `EBUSY` if the queues were set up before;
    /// - others as the transport returns them.
    pub(crate) fn find_queues(
        &self,
        queues: KVec<Arc<dyn QueueOps>>,
        nr_affine: usize,
    ) -> Result<Arc<Queues>> {
        Queues::find(self, queues, nr_affine)
    }
}

/// The state of the virtqueues of a device.
#[derive(Clone, Copy, PartialEq)]
enum QueuesState {
    /// The device uses them.
    Live,
    /// The device was reset. There are no virtqueues.
    Reset,
    /// The device was reset. Only [`Queues::restore`] sets up virtqueues again.
    Frozen,
    /// The device is not bound any more. There are no virtqueues.
    Removed,
}

/// The virtqueues of one device.
///
/// # Invariants
///
/// - While `state` is not `Removed`, the device is bound to a driver.
/// - While `state` is `Live`, the device has one virtqueue for each of `queues`, in this order.
/// - `priv` of a device that is bound to a driver of this layer is null, or holds one reference until
///   `state` is `Removed`.
#[pin_data]
pub(crate) struct Queues {
    dev: ARef<Device>,
    queues: KVec<Arc<dyn QueueOps>>,
    /// The number of queues that are assigned to CPUs.
    nr_affine: usize,
    #[pin]
    state: Mutex<QueuesState>,
}

impl Queues {
    /// Sets up the virtqueues of a device; see [`Device::find_queues`].
    pub(super) fn find(
        dev: &Device<device::Core<'_>>,
        queues: KVec<Arc<dyn QueueOps>>,
        nr_affine: usize,
    ) -> Result<Arc<Self>> {
        let vdev = dev.as_raw();
        // SAFETY: `vdev` is valid, and `priv` belongs to the driver.
        if !unsafe { (*vdev).priv_ }.is_null() {
            return Err(EBUSY);
        }

        let this = Arc::pin_init(
            // INVARIANT: There are no virtqueues yet.
            pin_init!(Self {
                dev: dev.into(),
                queues,
                nr_affine,
                state <- new_mutex!(QueuesState::Reset),
            }),
            GFP_KERNEL,
        )?;

        // Set `priv` first: a virtqueue may be notified as soon as it is set up.
        // SAFETY: `vdev` is valid; `used_callback` and the adapter's hooks are the only readers of
        // `priv`.
        unsafe { (*vdev).priv_ = Arc::into_raw(this.clone()).cast_mut().cast() };
        let res = this.set_up_first();
        if let Err(err) = res {
            Self::put(vdev);
            return Err(err);
        }
        Ok(this)
    }

    /// Sets the virtqueues up for the first time.
    fn set_up_first(&self) -> Result {
        let mut state = self.state.lock();
        let smallest = self.set_up(&mut state)?;
        // SAFETY: The state is `Live`, and locked.
        let dev = unsafe { self.bound() };
        if smallest >= MIN_DIRECT || !dev.accept_feature(bindings::VIRTIO_RING_F_INDIRECT_DESC) {
            return Ok(());
        }
        self.reset_and_delete(&mut state, self.queues.len());
        dev.renegotiate()?;
        self.set_up(&mut state)?;
        Ok(())
    }

    /// Sets the virtqueues up, and returns the size of the smallest ring of those that are assigned to
    /// CPUs. The features are negotiated, and the device does not use virtqueues yet. After
    /// an error there are no virtqueues.
    fn set_up(&self, state: &mut QueuesState) -> Result<u32> {
        let mut info = KVec::with_capacity(self.queues.len(), GFP_KERNEL)?;
        let mut vqs = KVec::with_capacity(self.queues.len(), GFP_KERNEL)?;
        for queue in &self.queues {
            info.push(
                bindings::virtqueue_info {
                    name: queue.name().as_char_ptr(),
                    callback: Some(Self::used_callback),
                    ctx: false,
                },
                GFP_KERNEL,
            )?;
            vqs.push(core::ptr::null_mut(), GFP_KERNEL)?;
        }
        let count = u32::try_from(self.queues.len())?;
        let vdev = self.dev.as_raw();
        // SAFETY: `vdev` is valid, both arrays have `count` entries, and the names are part of the
        // queues, which live until the virtqueues are deleted.
        to_result(unsafe {
            helpers::virtio_find_vqs(vdev, count, vqs.as_mut_ptr(), info.as_mut_ptr())
        })?;

        // INVARIANT: All queues were found.
        *state = QueuesState::Live;
        for (index, (queue, vq)) in self.queues.iter().zip(&vqs).enumerate() {
            let attached = NonNull::new(*vq).ok_or(ENOENT).and_then(|vq| {
                // SAFETY: The virtqueue is new, and deleted only after `release`.
                unsafe { queue.attach(vq) }
            });
            if let Err(err) = attached {
                // A queue that has a virtqueue may belong to another device.
                self.reset_and_delete(state, index);
                return Err(err);
            }
        }
        let mut smallest = u32::MAX;
        for (index, vq) in vqs.iter().take(self.nr_affine).enumerate() {
            Self::set_affinity(*vq, index, self.nr_affine);
            // SAFETY: `vq` is one of the virtqueues that were just set up.
            smallest = smallest.min(unsafe { bindings::virtqueue_get_vring_size(*vq) });
        }
        Ok(smallest)
    }

    /// Resets the device, returns every buffer that it had, and deletes the virtqueues. The first `attached`
    /// queues have a virtqueue.
    fn reset_and_delete(&self, state: &mut QueuesState, attached: usize) {
        if *state != QueuesState::Live {
            return;
        }
        let queues = || self.queues.iter().take(attached);
        for queue in queues() {
            queue.detach();
        }
        // After this nothing adds buffers or notifies the device: both happen in read-side sections.
        rcu::synchronize_rcu();
        // SAFETY: The state is `Live`, and locked.
        let dev = unsafe { self.bound() };
        dev.reset();
        for queue in queues() {
            // SAFETY: The device was just reset. The virtqueue of the queue is one of the device.
            unsafe { queue.reclaim_buffers() };
            queue.release();
        }
        // CAST: `set_up` has converted the number.
        let count = self.queues.len() as u32;
        // SAFETY: By the type invariant there are as many virtqueues. They have no user any more.
        unsafe { helpers::virtio_del_vqs(dev.as_raw(), count) };
        *state = QueuesState::Reset;
    }

    /// Returns which of `count` queues is assigned to a CPU.
    pub(crate) fn queue_for_cpu(cpu: CpuId, count: usize) -> Option<usize> {
        // CAST: Both targets of this driver have 32 bits at least.
        (cpu.as_u32() as usize).checked_rem(count)
    }

    /// Asks the transport to deliver a queue's interrupts on the CPUs that are assigned to the queue. The
    /// interrupts come on other CPUs if queues share an interrupt, or the transport does not support this.
    fn set_affinity(vq: *mut bindings::virtqueue, index: usize, count: usize) {
        let Ok(mut cpus) = CpumaskVar::new_zero(GFP_KERNEL) else {
            return;
        };
        let mine = (0..nr_cpu_ids())
            .filter_map(CpuId::from_u32)
            .filter(|cpu| Self::queue_for_cpu(*cpu, count) == Some(index));
        mine.for_each(|cpu| cpus.set(cpu));
        if cpus.empty() {
            return;
        }
        // SAFETY: `vq` is one of the virtqueues that were just set up. The transport copies the mask.
        unsafe { helpers::virtqueue_set_affinity(vq, cpus.as_raw().cast()) };
    }

    /// Resets the device and returns every buffer that it had. There are no virtqueues until
    /// [`restart`](Self::restart). Does nothing if the device was reset before.
    ///
    /// Context: process, may sleep; not from a queue's handler.
    pub(crate) fn reset(&self) {
        self.reset_and_delete(&mut self.state.lock(), self.queues.len());
    }

    /// Restarts a device that was reset, with the features that were negotiated before and with new
    /// virtqueues. With `accept_indirect` indirect descriptors are accepted as well, if the device offers
    /// them. After an error the device is reset again.
    ///
    /// Context: process, may sleep; not from a queue's handler.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if the device is disconnected or unbound, or rejects the features;
    /// - `EBUSY` if the device was not reset, or is frozen;
    /// - others as the transport returns them.
    pub(crate) fn restart(&self, accept_indirect: bool) -> Result {
        let mut state = self.state.lock();
        match *state {
            QueuesState::Reset => {}
            QueuesState::Live | QueuesState::Frozen => return Err(EBUSY),
            QueuesState::Removed => return Err(ENODEV),
        }
        // SAFETY: The state is not `Removed`, and locked.
        let dev = unsafe { self.bound() };
        if dev.is_disconnected() {
            return Err(ENODEV);
        }
        if accept_indirect {
            dev.accept_feature(bindings::VIRTIO_RING_F_INDIRECT_DESC);
        }
        let res = dev.renegotiate();
        let res = res.and_then(|()| self.set_up(&mut state).map(drop));
        match res {
            // SAFETY: The device is valid and bound, and its virtqueues were just set up.
            Ok(()) => unsafe { helpers::virtio_device_ready(dev.as_raw()) },
            // The next restart must begin with a device that is reset.
            Err(_) => dev.reset(),
        }
        res
    }

    /// Returns the device, for log messages.
    pub(crate) fn device(&self) -> &Device {
        &self.dev
    }

    /// Calls `f` with the device if its virtqueues are live. They stay live until `f` has returned.
    ///
    /// Context: process, may sleep.
    pub(crate) fn with_device<R>(&self, f: impl FnOnce(&Device<device::Bound>) -> R) -> Option<R> {
        let state = self.state.lock();
        if *state != QueuesState::Live {
            return None;
        }
        // SAFETY: The state is `Live`, and locked.
        Some(f(unsafe { self.bound() }))
    }

    /// Returns the device, which is bound to a driver.
    ///
    /// # Safety
    ///
    /// `state` must not be `Removed` as long as the result is used.
    unsafe fn bound(&self) -> &Device<device::Bound> {
        let dev: *const Device = &*self.dev;
        // SAFETY: By the type invariant the device is bound while `state` is not `Removed`. The context is a
        // marker without a size.
        unsafe { &*dev.cast::<Device<device::Bound>>() }
    }

    /// Returns the queues of a bound device.
    fn of<'a>(dev: &'a Device<device::CoreInternal<'_>>) -> Option<&'a Self> {
        // SAFETY: `dev` is valid. By the type invariant `priv` holds a reference if it is not null.
        unsafe { (*dev.as_raw()).priv_.cast::<Self>().as_ref() }
    }

    /// Resets a device that stays bound. Only [`restore`](Self::restore) starts it again.
    pub(super) fn freeze(dev: &Device<device::CoreInternal<'_>>) {
        if let Some(this) = Self::of(dev) {
            let mut state = this.state.lock();
            this.reset_and_delete(&mut state, this.queues.len());
            if *state == QueuesState::Reset {
                *state = QueuesState::Frozen;
            }
        }
    }

    /// Sets up the queues of a frozen device, whose features were negotiated again.
    pub(super) fn restore(dev: &Device<device::CoreInternal<'_>>) -> Result {
        let this = Self::of(dev).ok_or(ENODEV)?;
        let mut state = this.state.lock();
        if *state != QueuesState::Frozen {
            return Err(EBUSY);
        }
        this.set_up(&mut state)?;
        dev.set_driver_ok();
        Ok(())
    }

    /// Returns true if the device is frozen, so that [`restore`](Self::restore) may start it.
    pub(super) fn is_frozen(dev: &Device<device::CoreInternal<'_>>) -> bool {
        Self::of(dev).is_some_and(|this| *this.state.lock() == QueuesState::Frozen)
    }

    /// Returns true if the queues of a bound device were set up, even if the device was reset since.
    ///
    /// Context: any.
    pub(super) fn exist(dev: &Device<device::CoreInternal<'_>>) -> bool {
        // SAFETY: `dev` is valid.
        !unsafe { (*dev.as_raw()).priv_ }.is_null()
    }

    /// Clears `priv` of a device that is being bound: another driver may have left a value.
    pub(super) fn clear_priv(dev: &Device<device::CoreInternal<'_>>) {
        // INVARIANT: `priv` is null.
        // SAFETY: `dev` is valid; `priv` belongs to the driver that is being bound.
        unsafe { (*dev.as_raw()).priv_ = core::ptr::null_mut() };
    }

    /// Resets a device that is being unbound, and deletes its virtqueues.
    pub(super) fn remove(dev: &Device<device::CoreInternal<'_>>) {
        let vdev = dev.as_raw();
        let Some(this) = Self::of(dev) else {
            dev.reset();
            return;
        };
        let mut state = this.state.lock();
        if *state == QueuesState::Live {
            this.reset_and_delete(&mut state, this.queues.len());
        } else {
            // An attempt to start the device may have failed half-way.
            dev.reset();
        }
        for queue in &this.queues {
            queue.disable();
        }
        *state = QueuesState::Removed;
        drop(state);
        Self::put(vdev);
    }

    /// Releases the reference of the device.
    fn put(vdev: *mut bindings::virtio_device) {
        // SAFETY: The callers have a valid device without virtqueues, so `priv` has no other reader.
        let this = unsafe { core::mem::replace(&mut (*vdev).priv_, core::ptr::null_mut()) };
        // SAFETY: By the type invariant it holds a reference, which is released once, here.
        drop(unsafe { Arc::from_raw(this.cast::<Self>().cast_const()) });
    }

    /// Handles a used buffer notification.
    ///
    /// # Safety
    ///
    /// `vq` must be a virtqueue of a device with a `Queues`.
    unsafe extern "C" fn used_callback(vq: *mut bindings::virtqueue) {
        // SAFETY: The caller guarantees that the virtqueue is valid.
        let (vdev, index) = unsafe { ((*vq).vdev, (*vq).index) };
        // SAFETY: By the type invariant `priv` holds a reference as long as there are virtqueues.
        let this = unsafe { (*vdev).priv_.cast::<Self>().as_ref() };
        // CAST: Both targets of this driver have 32 bits at least.
        if let Some(queue) = this.and_then(|this| this.queues.get(index as usize)) {
            queue.used_notification();
        }
    }
}
