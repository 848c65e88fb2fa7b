// SPDX-License-Identifier: GPL-2.0

//! Registration of virtio drivers.
//!
//! Every callback of the core runs under a lock. The lock makes the access to the driver's private data of
//! the device safe:
//!
//! | callback | lock | taken by |
//! |---|---|---|
//! | `validate`, `probe`, `scan`, `remove` | device lock | driver core |
//! | `shutdown` | device lock | driver core (`device_shutdown()`) |
//! | `freeze`, `restore` | device lock | this adapter |
//! | `reset_prepare`, `reset_done` | device lock | this adapter |
//! | `config_changed` | `config_lock` of the device | virtio core |
//!
//! The device lock is the lock of the `struct device` on the virtio bus. When the PM core and the PCI core
//! call `freeze`, `restore`, `reset_prepare` and `reset_done`, they only hold the lock of the parent device.
//! This lock does not exclude bind and unbind. The adapter therefore takes the device lock, and checks again
//! whether the device is bound to this driver. The lock order is parent before child.
//!
//! `config_changed` runs in hard interrupt context and cannot take the device lock.
//! `virtio_config_driver_disable()` excludes `config_changed` from the beginning of `probe` to the end of
//! `scan` and during `remove`. The core's own flag does not suffice, because `virtio_device_reset_done()`
//! also sets it while a device is being bound or unbound.
//!
//! Recovery ([`Queues::reset`], [`Queues::restart`]) runs from a work item without the device lock.
//! The mutex of [`Queues`] excludes the callbacks that reset the device or delete its queues.

use super::{
    parents::Parents,
    Device,
    Queues, //
};
use crate::{
    bindings,
    support::device_lock::DeviceGuard, //
};
use core::{
    mem::offset_of,
    pin::Pin, //
};
use kernel::{
    device,
    device_id::RawDeviceId,
    driver,
    error::{
        from_result,
        to_result, //
    },
    ffi::c_int,
    prelude::*,
    sync::Arc,
    types::Opaque,
    ThisModule, //
};

/// The virtio driver trait.
pub(crate) trait Driver {
    /// The driver's private data of one device.
    type Data<'bound>: Send + Sync + 'bound;

    /// The data that all devices of the driver share. It is created before the first `probe` and released
    /// when the driver is unregistered.
    type Shared: Send + Sync + 'static;

    /// The device types that the driver supports.
    const ID_TABLE: IdTable;

    /// The feature bits that the driver supports, without transport features.
    const FEATURES: &'static [u32];

    /// Pairs of a feature bit and a feature bit that it depends on. A feature is not accepted without the
    /// feature that it depends on.
    const FEATURE_DEPS: &'static [(u32, u32)];

    /// Creates the shared data.
    fn init_shared() -> Result<Arc<Self::Shared>>;

    /// Stops the work items and the callbacks that use the shared data. No device is bound any more.
    ///
    /// Context: process, may sleep.
    fn exit_shared(shared: &Arc<Self::Shared>);

    /// Creates the private data of a device. The features are negotiated. No queue may be used yet.
    fn probe<'bound>(
        dev: &'bound Device<device::Core<'_>>,
        shared: &Arc<Self::Shared>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound;

    /// Starts the use of the device. From now on the driver may use the queues, and reset and restart the
    /// device.
    ///
    /// Context: process, may sleep.
    fn start<'bound>(dev: &'bound Device<device::Core<'_>>, data: Pin<&Self::Data<'bound>>);

    /// Called after the configuration or the status of the device has changed.
    ///
    /// Context: may be hard interrupt. Never called before `start` has returned, or after `unbind` was
    /// called.
    fn config_changed<'bound>(data: Pin<&Self::Data<'bound>>);

    /// Ends the use of a device that is about to lose its state by suspend or a function reset. The adapter
    /// resets the device afterwards.
    ///
    /// Context: process, may sleep.
    fn freeze<'bound>(dev: &'bound Device<device::Core<'_>>, data: Pin<&Self::Data<'bound>>);

    /// Starts the use of a device after [`freeze`](Self::freeze). The driver must not reset the device before
    /// [`config_changed`](Self::config_changed), which the adapter calls next.
    ///
    /// Context: process, may sleep.
    fn restore<'bound>(dev: &'bound Device<device::Core<'_>>, data: Pin<&Self::Data<'bound>>);

    /// Ends the use of the device. The device still responds.
    ///
    /// Context: process, may sleep.
    fn unbind<'bound>(dev: &'bound Device<device::Core<'_>>, data: Pin<&Self::Data<'bound>>);
}

/// An adapter for the registration of virtio drivers.
pub(crate) struct Adapter<T: Driver>(T);

/// `struct virtio_driver` with the data that the devices of the driver share.
///
/// # Invariants
///
/// `shared` and `parents` are set as long as the driver is registered.
#[repr(C)]
pub(crate) struct RawDriver<S> {
    raw: bindings::virtio_driver,
    shared: Option<Arc<S>>,
    parents: Option<Arc<Parents>>,
}

impl<S> Default for RawDriver<S> {
    fn default() -> Self {
        Self {
            raw: Default::default(),
            shared: None,
            parents: None,
        }
    }
}

// SAFETY:
// - `RawDriver` is `repr(C)`.
// - `T::Data` is the type of the driver's device private data.
// - `RawDriver` begins with `struct virtio_driver`, which embeds a `struct device_driver` at
//   `DEVICE_DRIVER_OFFSET`.
unsafe impl<T: Driver> driver::DriverLayout for Adapter<T> {
    type DriverType = RawDriver<T::Shared>;
    type DriverData<'bound> = T::Data<'bound>;
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(bindings::virtio_driver, driver);
}

// SAFETY: A call to `unregister` for a given instance of `DriverType` is valid if a preceding call
// to `register` has been successful.
unsafe impl<T: Driver> driver::RegistrationOps for Adapter<T> {
    unsafe fn register(
        drv: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        let drv = drv.get();
        let parents = Parents::new()?;
        let shared = T::init_shared()?;
        // INVARIANT: Both are set before the driver is registered.
        // SAFETY: `drv` is valid, and is not used elsewhere before it is registered.
        unsafe { (*drv).shared = Some(shared) };
        // SAFETY: `drv` is valid, and is not used elsewhere before it is registered.
        unsafe { (*drv).parents = Some(parents) };

        // SAFETY: `drv` is valid, and is not used elsewhere before it is registered.
        let raw = unsafe { &mut (*drv).raw };
        raw.driver.name = name.as_char_ptr();
        raw.id_table = T::ID_TABLE.as_ptr();
        raw.feature_table = T::FEATURES.as_ptr();
        // CAST: A table of feature bits is short.
        raw.feature_table_size = T::FEATURES.len() as u32;
        raw.validate = Some(Self::validate_callback);
        raw.probe = Some(Self::probe_callback);
        raw.scan = Some(Self::scan_callback);
        raw.remove = Some(Self::remove_callback);
        raw.freeze = Some(Self::freeze_callback);
        raw.restore = Some(Self::restore_callback);
        // A function reset needs the same steps as suspend, because the device loses its state.
        raw.reset_prepare = Some(Self::freeze_callback);
        raw.reset_done = Some(Self::restore_callback);
        raw.shutdown = Some(Self::shutdown_callback);
        raw.config_changed = Some(Self::config_changed_callback);

        // SAFETY: `drv` is an initialised `struct virtio_driver` that does not move.
        let res = unsafe { bindings::__register_virtio_driver(drv.cast(), module.as_ptr()) };
        let res = to_result(res);
        if res.is_err() {
            // SAFETY: The registration failed, so `drv` has no other user.
            unsafe { Self::release_shared(drv) };
        }
        res
    }

    unsafe fn unregister(drv: &Opaque<Self::DriverType>) {
        // SAFETY: The caller guarantees that the driver is registered.
        unsafe { bindings::unregister_virtio_driver(drv.get().cast()) };
        // SAFETY: The driver is not registered any more. Callbacks that still run do not use the shared
        // data, because no device is bound.
        unsafe { Self::release_shared(drv.get()) };
    }
}

impl<T: Driver> Adapter<T> {
    /// Waits until no callback of the driver runs, and releases the shared data.
    ///
    /// # Safety
    ///
    /// `drv` must be valid, and not be registered any more.
    unsafe fn release_shared(drv: *mut RawDriver<T::Shared>) {
        // SAFETY: The caller guarantees that the driver is not registered, so nothing else uses the
        // field.
        if let Some(parents) = unsafe { (*drv).parents.take() } {
            parents.wait();
        }
        // SAFETY: The caller guarantees that the driver is not registered, so nothing else uses the
        // field.
        let shared = unsafe { (*drv).shared.take() };
        if let Some(shared) = shared {
            T::exit_shared(&shared);
        }
    }

    extern "C" fn validate_callback(vdev: *mut bindings::virtio_device) -> c_int {
        // SAFETY: The virtio core only calls `validate` with a pointer to a valid `struct virtio_device`,
        // which stays valid for the duration of the call. The core writes the features to the device
        // afterwards.
        //
        // INVARIANT: `vdev` is valid for the duration of the callback.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        // The core accepts transport features itself. Clear VIRTIO_F_ADMIN_VQ, which this driver does not
        // need. Otherwise the PCI transport would use the admin virtqueue at the next reset, after the
        // virtqueues were deleted.
        dev.clear_feature(bindings::VIRTIO_F_ADMIN_VQ);
        // `Queues::find` accepts indirect descriptors again if the rings are small.
        dev.clear_feature(bindings::VIRTIO_RING_F_INDIRECT_DESC);
        for (feature, required) in T::FEATURE_DEPS {
            if dev.has_feature(*feature) && !dev.has_feature(*required) {
                dev_warn!(
                    dev,
                    "ignoring feature {feature}: feature {required} not offered\n"
                );
                dev.clear_feature(*feature);
            }
        }
        0
    }

    /// Calls `f` with a device and the driver's private data under the device lock. Returns `None` if
    /// the device is not bound to this driver.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// `vdev` must be valid, and the current thread must not hold its device lock.
    unsafe fn with_bound<R>(
        vdev: *mut bindings::virtio_device,
        f: impl for<'bound> FnOnce(
            &'bound Device<device::CoreInternal<'_>>,
            Pin<&'bound T::Data<'bound>>,
        ) -> R,
    ) -> Option<R> {
        // SAFETY: The caller guarantees that the device is valid. The context `CoreInternal` requires the
        // device lock, which is taken before anything uses this context.
        //
        // INVARIANT: `vdev` is valid for the duration of this function.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        let _guard = DeviceGuard::lock(base);
        // SAFETY: The device lock is held.
        if !unsafe { Self::is_bound(dev) } {
            return None;
        }
        // SAFETY: `is_bound` has checked that `probe` has set the data, and that the data was not released.
        let data = unsafe { base.drvdata_borrow::<T::Data<'_>>() };
        Some(f(dev, data))
    }

    /// Returns true if the device is bound to this driver, so that its private data is set.
    ///
    /// # Safety
    ///
    /// The device lock must be held.
    unsafe fn is_bound(dev: &Device<device::CoreInternal<'_>>) -> bool {
        // SAFETY: `dev` is valid. The caller holds the device lock, which protects the field.
        let drv = unsafe { (*dev.as_raw()).dev.driver };
        if drv.is_null() {
            return false;
        }
        // SAFETY: Every driver of the virtio bus is part of a `struct virtio_driver`, and is valid while a
        // device is bound to it.
        let probe = unsafe {
            (*drv
                .byte_sub(offset_of!(bindings::virtio_driver, driver))
                .cast::<bindings::virtio_driver>())
            .probe
        };
        let expected: unsafe extern "C" fn(*mut bindings::virtio_device) -> c_int =
            Self::probe_callback;
        probe.is_some_and(|probe| core::ptr::fn_addr_eq(probe, expected)) && Self::has_data(dev)
    }

    /// Returns true if the device has private data of a driver.
    fn has_data(dev: &Device<device::CoreInternal<'_>>) -> bool {
        // SAFETY: `dev` is valid.
        !unsafe { bindings::dev_get_drvdata(&raw const (*dev.as_raw()).dev) }.is_null()
    }

    extern "C" fn probe_callback(vdev: *mut bindings::virtio_device) -> c_int {
        // SAFETY: The virtio core only calls `probe` with a pointer to a valid
        // `struct virtio_device`, which stays valid for the duration of the call.
        //
        // INVARIANT: `vdev` is valid for the duration of the callback.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };

        dev.disable_config_changed();
        // The previous driver of the device may have left a value in `priv`.
        Queues::clear_priv(dev);
        from_result(|| {
            Self::probe(dev).inspect_err(|_| {
                Queues::remove(dev);
                dev.enable_config_changed();
                Self::record_unbind(dev);
            })?;
            Ok(0)
        })
    }

    /// Returns the driver that the device is bound to, or is being bound to.
    ///
    /// # Safety
    ///
    /// This adapter must have registered the driver. The device lock must be held as long as the result is
    /// used.
    unsafe fn driver_of<'a>(dev: &'a Device<device::CoreInternal<'_>>) -> &'a RawDriver<T::Shared> {
        // SAFETY: `dev` is valid. The caller holds the device lock, which protects the field.
        let drv = unsafe { (*dev.as_raw()).dev.driver };
        // SAFETY: The caller guarantees that this adapter has registered the driver. So `drv` points to the
        // `struct device_driver` in a `RawDriver`.
        let drv = unsafe {
            drv.byte_sub(offset_of!(bindings::virtio_driver, driver))
                .cast::<RawDriver<T::Shared>>()
        };
        // SAFETY: The driver core does not unregister a driver while a device is being bound to it or
        // unbound from it.
        unsafe { &*drv }
    }

    fn probe(dev: &Device<device::CoreInternal<'_>>) -> Result {
        // SAFETY: The core calls `probe` of the driver that the device is being bound to, under the
        // device lock.
        let drv = unsafe { Self::driver_of(dev) };
        let shared = drv.shared.as_ref().ok_or(ENODEV)?;
        if let (Some(parents), Some(parent)) = (&drv.parents, dev.parent()) {
            parents.add(parent)?;
        }

        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        base.set_drvdata(T::probe(dev, shared))?;
        if !dev.is_operational() {
            dev.set_driver_ok();
            return Ok(());
        }
        // A function reset has ended while the device was being bound. `restore_callback` did nothing, as the
        // device was not bound. Then `virtio_device_reset_done()` set DRIVER_OK, before the queues were set
        // up. Start the device again.
        Queues::freeze(dev);
        Self::start_again(dev).inspect_err(|_| {
            // SAFETY: The data was just set.
            let data = unsafe { base.drvdata_borrow::<T::Data<'_>>() };
            T::unbind(dev, data);
        })
    }

    /// Resets a frozen device and starts it, with the same steps as for a device that is being bound.
    fn start_again(dev: &Device<device::CoreInternal<'_>>) -> Result {
        dev.reset();
        dev.renegotiate()?;
        Queues::restore(dev)
    }

    /// Records that the device is not bound any more.
    fn record_unbind(dev: &Device<device::CoreInternal<'_>>) {
        // SAFETY: The callers are `probe_callback` and `remove_callback`, which the core calls for the
        // driver of the device, under the device lock.
        let drv = unsafe { Self::driver_of(dev) };
        if let (Some(parents), Some(parent)) = (&drv.parents, dev.parent()) {
            parents.unbind(parent);
        }
    }

    /// Called after a successful `probe`. The core has checked DRIVER_OK and does not read the status again.
    /// So from now on a recovery may reset the device, although the status reads 0 during a reset.
    extern "C" fn scan_callback(vdev: *mut bindings::virtio_device) {
        // SAFETY: The virtio core only calls `scan` with a pointer to a valid `struct virtio_device`, which
        // stays valid for the duration of the call.
        //
        // INVARIANT: `vdev` is valid for the duration of the callback.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        // SAFETY: The core only calls `scan` after a successful `probe`, which has set the data.
        let data = unsafe { base.drvdata_borrow::<T::Data<'_>>() };

        T::start(dev, data);
        dev.enable_config_changed();
    }

    extern "C" fn remove_callback(vdev: *mut bindings::virtio_device) {
        // SAFETY: The virtio bus only calls `remove` with a pointer to a valid `struct virtio_device`, which
        // stays valid for the duration of the call.
        //
        // INVARIANT: `vdev` is valid for the duration of the callback.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        // SAFETY: The bus only calls `remove` after a successful `probe`, which has set the data.
        let data = unsafe { base.drvdata_borrow::<T::Data<'_>>() };

        dev.disable_config_changed();
        T::unbind(dev, data);
        Queues::remove(dev);
        // The queues do not exist any more, so `config_changed_callback` does not use the data.
        dev.enable_config_changed();
        Self::record_unbind(dev);
    }

    /// Stops a device that is about to lose its state. Does nothing if the device is not bound. If a driver is
    /// bound later, but before `restore_callback`, then `restore_callback` stops and starts the device.
    extern "C" fn freeze_callback(vdev: *mut bindings::virtio_device) -> c_int {
        // SAFETY: The virtio core calls this with a valid device. Its callers, the PM core and the PCI
        // core, hold the lock of the parent device, but not the lock of `vdev`.
        unsafe { Self::with_bound(vdev, Self::stop) };
        0
    }

    fn stop<'bound>(
        dev: &'bound Device<device::CoreInternal<'_>>,
        data: Pin<&'bound T::Data<'bound>>,
    ) {
        T::freeze(dev, data);
        Queues::freeze(dev);
    }

    extern "C" fn restore_callback(vdev: *mut bindings::virtio_device) -> c_int {
        // SAFETY: The virtio core calls this with a valid device. Its callers, the PM core and the PCI
        // core, hold the lock of the parent device, but not the lock of `vdev`.
        let res = unsafe { Self::with_bound(vdev, Self::resume) };
        from_result(|| res.unwrap_or(Ok(())).map(|()| 0))
    }

    fn resume<'bound>(
        dev: &'bound Device<device::CoreInternal<'_>>,
        data: Pin<&'bound T::Data<'bound>>,
    ) -> Result {
        if Queues::is_frozen(dev) {
            Queues::restore(dev)?;
        } else {
            // The driver was bound after `freeze_callback`, which did nothing. The device has lost its state
            // after the driver was bound.
            Self::stop(dev, data);
            Self::start_again(dev)?;
        }
        T::restore(dev, data);
        // Queue a config change. The core delivers it after its last read of the status, not before.
        // SAFETY: `dev` is valid.
        unsafe { bindings::virtio_config_changed(dev.as_raw()) };
        Ok(())
    }

    /// Called before power-off, reboot and kexec. The next kernel must find the device reset.
    extern "C" fn shutdown_callback(vdev: *mut bindings::virtio_device) {
        // SAFETY: The virtio core calls this with a valid device. `device_shutdown()` holds the device
        // lock.
        //
        // INVARIANT: `vdev` is valid for the duration of the callback.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        // SAFETY: The core only calls `shutdown` for a bound device, under the device lock. So the data is
        // set.
        let data = unsafe { base.drvdata_borrow::<T::Data<'_>>() };

        Self::stop(dev, data);
        // Not `virtio_reset_device()`, which would wait for a disconnected device.
        dev.reset();
    }

    extern "C" fn config_changed_callback(vdev: *mut bindings::virtio_device) {
        // SAFETY: The virtio core calls this with a valid device, which stays valid for the duration
        // of the call.
        //
        // INVARIANT: `vdev` is valid for the duration of the callback.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        if !Queues::exist(dev) || !Self::has_data(dev) {
            return;
        }
        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        // SAFETY: The core calls this under the device's `config_lock`, and not between
        // `disable_config_changed` and `enable_config_changed`. `probe_callback` disables this callback
        // before it creates the queues, and `scan_callback` enables it after the data was set.
        // `remove_callback` disables this callback before it deletes the queues, and the data is released
        // after that. So if the queues exist, the data is set, and stays set while the lock is held.
        let data = unsafe { base.drvdata_borrow::<T::Data<'_>>() };

        T::config_changed(data);
    }
}

/// Abstraction for `struct virtio_device_id`.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct DeviceId(bindings::virtio_device_id);

impl DeviceId {
    /// Creates an ID that matches device type `device` of any vendor.
    pub(crate) const fn new(device: u32) -> Self {
        Self(bindings::virtio_device_id {
            device,
            vendor: bindings::VIRTIO_DEV_ANY_ID,
        })
    }
}

// SAFETY: `DeviceId` is a transparent wrapper of `struct virtio_device_id`.
unsafe impl RawDeviceId for DeviceId {
    type RawType = bindings::virtio_device_id;
}

/// A table of device IDs, which `module_device_table!` creates.
pub(crate) type IdTable = &'static dyn kernel::device_id::IdTable<DeviceId, ()>;
