// SPDX-License-Identifier: GPL-2.0

//! The virtqueues of one device, from their set-up to their end.

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

/// What [`Queues`] needs of a queue; [`Queue`](super::Queue) has it.
///
/// # Safety
///
/// After [`detach`](Self::detach) has returned and an RCU grace period has passed, the queue must
/// not touch the virtqueue other than in [`give_back`](Self::give_back).
pub(crate) unsafe trait Endpoint: Send + Sync {
    /// Returns the queue's name, for `/proc/interrupts`.
    fn name(&self) -> &CStr;

    /// Takes a virtqueue into use.
    ///
    /// # Errors
    ///
    /// `EBUSY`: the queue has one already.
    ///
    /// # Safety
    ///
    /// `vq` must be valid until [`release`](Self::release) is called, and be used by nobody else.
    unsafe fn attach(&self, vq: NonNull<bindings::virtqueue>) -> Result;

    /// Refuses requests from here on.
    fn detach(&self);

    /// Returns every buffer the device had to its owner.
    ///
    /// # Safety
    ///
    /// The device must have been reset.
    unsafe fn give_back(&self);

    /// Drops the virtqueue, which is about to go.
    fn release(&self);

    /// Ends the use of the queue for good.
    ///
    /// Context: process, may sleep.
    fn shut(&self);

    /// The device has used buffers.
    ///
    /// Context: hard interrupt.
    fn notify(&self);
}

impl Device<device::Core<'_>> {
    /// Sets up one virtqueue for each of `endpoints`, in the device's order, which starts with 0.
    /// The first `spread` of them are asked to interrupt the CPUs they are for, which
    /// [`Queues::index_for`] tells.
    ///
    /// Context: process, may sleep; from `probe` only, once.
    ///
    /// # Errors
    ///
    /// `ENOENT`: the device lacks one of the queues. `EBUSY`: there are queues already. Others as
    /// the transport has them.
    pub(crate) fn find_queues(
        &self,
        endpoints: KVec<Arc<dyn Endpoint>>,
        spread: usize,
    ) -> Result<Arc<Queues>> {
        Queues::find(self, endpoints, spread)
    }
}

/// How far the queues of a device are.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// The device uses them.
    Live,
    /// The device was reset, and there are none.
    Down,
    /// The same, until the core has it resume.
    Stopped,
    /// There are none, and there will be none: the device is no longer bound.
    Gone,
}

/// The virtqueues of one device.
///
/// # Invariants
///
/// - While `state` is not `Gone`, the device is bound to a driver.
/// - While it is `Live`, the device has one virtqueue for each of `endpoints`, in this order.
/// - `priv` of a device that is bound to a driver of this layer is null, or holds one reference until
///   `state` is `Gone`.
#[pin_data]
pub(crate) struct Queues {
    dev: ARef<Device>,
    endpoints: KVec<Arc<dyn Endpoint>>,
    /// How many of them are for certain CPUs.
    spread: usize,
    #[pin]
    state: Mutex<State>,
}

impl Queues {
    /// Sets up the virtqueues of a device; see [`Device::find_queues`].
    pub(super) fn find(
        dev: &Device<device::Core<'_>>,
        endpoints: KVec<Arc<dyn Endpoint>>,
        spread: usize,
    ) -> Result<Arc<Self>> {
        let vdev = dev.as_raw();
        // SAFETY: `vdev` is valid, and `priv` is the driver's.
        if !unsafe { (*vdev).priv_ }.is_null() {
            return Err(EBUSY);
        }

        let dev: &Device = dev;
        let this = Arc::pin_init(
            // INVARIANT: There are none yet.
            pin_init!(Self {
                dev: dev.into(),
                endpoints,
                spread,
                state <- new_mutex!(State::Down),
            }),
            GFP_KERNEL,
        )?;

        // A queue may be notified as soon as it is there.
        // SAFETY: `vdev` is valid; `used_callback` and the adapter's hooks are the only readers of
        // `priv`.
        unsafe { (*vdev).priv_ = Arc::into_raw(this.clone()).cast_mut().cast() };
        let res = this.set_up(&mut this.state.lock());
        if let Err(err) = res {
            Self::take(vdev);
            return Err(err);
        }
        Ok(this)
    }

    /// Sets the virtqueues up; the device has accepted the features, and does not use them yet.
    /// There are none if this fails.
    fn set_up(&self, state: &mut State) -> Result {
        let mut info = KVec::with_capacity(self.endpoints.len(), GFP_KERNEL)?;
        let mut vqs = KVec::with_capacity(self.endpoints.len(), GFP_KERNEL)?;
        for endpoint in &self.endpoints {
            info.push(
                bindings::virtqueue_info {
                    name: endpoint.name().as_char_ptr(),
                    callback: Some(Self::used_callback),
                    ctx: false,
                },
                GFP_KERNEL,
            )?;
            vqs.push(core::ptr::null_mut(), GFP_KERNEL)?;
        }
        let count = u32::try_from(self.endpoints.len())?;
        let vdev = self.dev.as_raw();
        // SAFETY: `vdev` is valid, both arrays have `count` entries, and the names are part of the
        // endpoints, which live until the queues are deleted.
        to_result(unsafe {
            helpers::virtio_find_vqs(vdev, count, vqs.as_mut_ptr(), info.as_mut_ptr())
        })?;

        // INVARIANT: All queues were found.
        *state = State::Live;
        for (index, (endpoint, vq)) in self.endpoints.iter().zip(&vqs).enumerate() {
            let attached = NonNull::new(*vq).ok_or(ENOENT).and_then(|vq| {
                // SAFETY: The virtqueue is new, and deleted only after `release`.
                unsafe { endpoint.attach(vq) }
            });
            if let Err(err) = attached {
                // One that has a virtqueue already may be that of another device.
                self.take_down(state, index);
                return Err(err);
            }
        }
        for (index, vq) in vqs.iter().take(self.spread).enumerate() {
            Self::set_cpus(*vq, index, self.spread);
        }
        Ok(())
    }

    /// Resets the device, gives every buffer it had back, and deletes the virtqueues, of which the
    /// first `attached` endpoints have theirs.
    fn take_down(&self, state: &mut State, attached: usize) {
        if *state != State::Live {
            return;
        }
        let endpoints = || self.endpoints.iter().take(attached);
        for endpoint in endpoints() {
            endpoint.detach();
        }
        // Nobody adds or notifies any more after this: both happen inside read-side sections.
        rcu::synchronize_rcu();
        // SAFETY: By the type invariant; the state is locked.
        let dev = unsafe { self.bound() };
        dev.reset();
        for endpoint in endpoints() {
            // SAFETY: The device was just reset; the endpoint's virtqueue is one of its.
            unsafe { endpoint.give_back() };
            endpoint.release();
        }
        // CAST: As many were found, of which the transport has counted an `u32`.
        let count = self.endpoints.len() as u32;
        // SAFETY: By the type invariant there are as many queues, which nobody uses any more.
        unsafe { helpers::virtio_del_vqs(dev.as_raw(), count) };
        *state = State::Down;
    }

    /// Returns which of `count` queues is for the requests made on a CPU.
    pub(crate) fn index_for(cpu: CpuId, count: usize) -> Option<usize> {
        // CAST: Both targets of this driver have 32 bits at least.
        (cpu.as_u32() as usize).checked_rem(count)
    }

    /// Asks for a queue's interrupts on the CPUs whose requests go to it. It is a wish: where
    /// queues share an interrupt, or a transport cannot, they come elsewhere.
    fn set_cpus(vq: *mut bindings::virtqueue, index: usize, count: usize) {
        let Ok(mut cpus) = CpumaskVar::new_zero(GFP_KERNEL) else {
            return;
        };
        let mine = (0..nr_cpu_ids())
            .filter_map(CpuId::from_u32)
            .filter(|cpu| Self::index_for(*cpu, count) == Some(index));
        mine.for_each(|cpu| cpus.set(cpu));
        if cpus.empty() {
            return;
        }
        // SAFETY: `vq` is one of the virtqueues that were just found; the transport copies the mask.
        unsafe { helpers::virtqueue_set_affinity(vq, cpus.as_raw().cast()) };
    }

    /// Resets the device and gives every buffer it had back; there are no virtqueues until it is
    /// started again. Does nothing if that has happened.
    ///
    /// Context: process, may sleep; not from a queue's handler.
    pub(crate) fn reset(&self) {
        self.take_down(&mut self.state.lock(), self.endpoints.len());
    }

    /// Starts a device again that was reset: with the features that were negotiated before, and
    /// with new virtqueues.
    ///
    /// Context: process, may sleep; not from a queue's handler.
    ///
    /// # Errors
    ///
    /// `ENODEV`: it is not there any more, or does not accept the features. `EBUSY`: it was not
    /// reset, or whoever had it reset will have it resume. Others as the transport has them; the
    /// device is reset again then.
    pub(crate) fn restart(&self) -> Result {
        let mut state = self.state.lock();
        match *state {
            State::Down => {}
            State::Live | State::Stopped => return Err(EBUSY),
            State::Gone => return Err(ENODEV),
        }
        // SAFETY: By the type invariant; the state is locked.
        let dev = unsafe { self.bound() };
        if dev.is_gone() {
            return Err(ENODEV);
        }
        let vdev = dev.as_raw();
        // SAFETY: By the type invariant the device is there and bound.
        let res = to_result(unsafe { helpers::virtio_renegotiate(vdev) });
        let res = res.and_then(|()| self.set_up(&mut state));
        match res {
            // SAFETY: As above; the queues were just found.
            Ok(()) => unsafe { helpers::virtio_device_ready(vdev) },
            // It is half started, and is not to be begun with like that the next time.
            Err(_) => dev.reset(),
        }
        res
    }

    /// Returns the device, for the log.
    pub(crate) fn device(&self) -> &Device {
        &self.dev
    }

    /// Calls `f` with the device, if it is in use, which it stays meanwhile.
    ///
    /// Context: process, may sleep.
    pub(crate) fn with_device<R>(&self, f: impl FnOnce(&Device<device::Bound>) -> R) -> Option<R> {
        let state = self.state.lock();
        if *state != State::Live {
            return None;
        }
        // SAFETY: By the type invariant; the state is locked.
        Some(f(unsafe { self.bound() }))
    }

    /// Returns the device, which is bound to a driver.
    ///
    /// # Safety
    ///
    /// `state` must not be `Gone`, nor become so while what is returned is used.
    unsafe fn bound(&self) -> &Device<device::Bound> {
        let dev: *const Device = &*self.dev;
        // SAFETY: By the type invariant the device is bound while `state` is not `Gone`. The context
        // is a marker without a size.
        unsafe { &*dev.cast::<Device<device::Bound>>() }
    }

    /// Returns the queues of a device that is bound.
    fn of<'a>(dev: &'a Device<device::CoreInternal<'_>>) -> Option<&'a Self> {
        // SAFETY: `dev` is valid; if it is set, `priv` holds a reference by the type invariant.
        unsafe { (*dev.as_raw()).priv_.cast::<Self>().as_ref() }
    }

    /// Resets a device that stays bound; nobody but [`resume`](Self::resume) starts it again.
    pub(super) fn stop(dev: &Device<device::CoreInternal<'_>>) {
        if let Some(this) = Self::of(dev) {
            let mut state = this.state.lock();
            this.take_down(&mut state, this.endpoints.len());
            if *state == State::Down {
                *state = State::Stopped;
            }
        }
    }

    /// Sets up the queues of a device that was reset, and has accepted the features again.
    pub(super) fn resume(dev: &Device<device::CoreInternal<'_>>) -> Result {
        let this = Self::of(dev).ok_or(ENODEV)?;
        let mut state = this.state.lock();
        if *state != State::Stopped {
            return Err(EBUSY);
        }
        this.set_up(&mut state)?;
        dev.ready();
        Ok(())
    }

    /// Returns true if the device is stopped, so that [`resume`](Self::resume) may start it.
    pub(super) fn is_stopped(dev: &Device<device::CoreInternal<'_>>) -> bool {
        Self::of(dev).is_some_and(|this| *this.state.lock() == State::Stopped)
    }

    /// Returns true if the device has queues, or has had them and is bound still.
    ///
    /// Context: any.
    pub(super) fn exist(dev: &Device<device::CoreInternal<'_>>) -> bool {
        // SAFETY: `dev` is valid.
        !unsafe { (*dev.as_raw()).priv_ }.is_null()
    }

    /// Forgets what another driver has left in a device that is being bound.
    pub(super) fn forget_others(dev: &Device<device::CoreInternal<'_>>) {
        // INVARIANT: Null.
        // SAFETY: `dev` is valid; `priv` belongs to the driver that is being bound.
        unsafe { (*dev.as_raw()).priv_ = core::ptr::null_mut() };
    }

    /// Resets a device that is being unbound, and deletes its queues, if it has any.
    pub(super) fn teardown(dev: &Device<device::CoreInternal<'_>>) {
        let vdev = dev.as_raw();
        let Some(this) = Self::of(dev) else {
            dev.reset();
            return;
        };
        let mut state = this.state.lock();
        if *state == State::Live {
            this.take_down(&mut state, this.endpoints.len());
        } else {
            // It may have been started half.
            dev.reset();
        }
        for endpoint in &this.endpoints {
            endpoint.shut();
        }
        *state = State::Gone;
        drop(state);
        Self::take(vdev);
    }

    /// Releases the device's reference.
    fn take(vdev: *mut bindings::virtio_device) {
        // SAFETY: The callers have a valid device without queues, so nobody else reads `priv`.
        let this = unsafe { core::mem::replace(&mut (*vdev).priv_, core::ptr::null_mut()) };
        // SAFETY: By the type invariant it holds a reference, which is released once, here.
        drop(unsafe { Arc::from_raw(this.cast::<Self>().cast_const()) });
    }

    /// The device has used buffers of a queue.
    ///
    /// # Safety
    ///
    /// `vq` must be one of the virtqueues of a device with a `Queues`.
    unsafe extern "C" fn used_callback(vq: *mut bindings::virtqueue) {
        // SAFETY: The transport calls this with one of our valid virtqueues.
        let (vdev, index) = unsafe { ((*vq).vdev, (*vq).index) };
        // SAFETY: By the type invariant `priv` is set as long as there are queues.
        let this = unsafe { (*vdev).priv_.cast::<Self>().as_ref() };
        // CAST: Both targets of this driver have 32 bits at least.
        if let Some(endpoint) = this.and_then(|this| this.endpoints.get(index as usize)) {
            endpoint.notify();
        }
    }
}
