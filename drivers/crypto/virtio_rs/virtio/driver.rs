// SPDX-License-Identifier: GPL-2.0

//! Registration of virtio drivers.

use super::{
    Device,
    Queues, //
};
use crate::bindings;
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

    /// What all devices of the driver share. It is created before the first `probe` and released
    /// when the driver is unregistered.
    type Shared: Send + Sync + 'static;

    /// The device types the driver serves.
    const ID_TABLE: IdTable;

    /// The feature bits the driver understands, transport features aside.
    const FEATURES: &'static [u32];

    /// Pairs of feature bits of which the first is of no use without the second: it is not accepted
    /// from a device that offers it alone.
    const REQUIRES: &'static [(u32, u32)];

    /// Creates what all devices share.
    fn shared() -> Result<Arc<Self::Shared>>;

    /// Ends what it does by itself: no device is bound any more.
    ///
    /// Context: process, may sleep.
    fn retire(shared: &Arc<Self::Shared>);

    /// Creates the private data of a device; the features are negotiated, no queue may be used.
    fn probe<'bound>(
        dev: &'bound Device<device::Core<'_>>,
        shared: &Arc<Self::Shared>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound;

    /// Starts the use of the device: its queues may be used, and it may be reset and started again by
    /// anybody from here on.
    ///
    /// Context: process, may sleep.
    fn start<'bound>(dev: &'bound Device<device::Core<'_>>, data: Pin<&Self::Data<'bound>>);

    /// The configuration of the device, or its status, has changed.
    ///
    /// Context: may be hard interrupt. Never called before `start` has returned, or after `unbind` was
    /// called.
    fn config_changed<'bound>(data: Pin<&Self::Data<'bound>>);

    /// The device is about to lose its state, because the system sleeps or somebody resets it:
    /// ends the use of it. It is reset afterwards.
    ///
    /// Context: process, may sleep.
    fn freeze<'bound>(dev: &'bound Device<device::Core<'_>>, data: Pin<&Self::Data<'bound>>);

    /// The device is back after [`freeze`](Self::freeze): its queues may be used. It must not be reset
    /// before [`config_changed`](Self::config_changed) is called, which follows.
    ///
    /// Context: process, may sleep.
    fn restore<'bound>(dev: &'bound Device<device::Core<'_>>, data: Pin<&Self::Data<'bound>>);

    /// Ends the use of the device, which still answers.
    ///
    /// Context: process, may sleep.
    fn unbind<'bound>(dev: &'bound Device<device::Core<'_>>, data: Pin<&Self::Data<'bound>>);
}

/// An adapter for the registration of virtio drivers.
pub(crate) struct Adapter<T: Driver>(T);

/// `struct virtio_driver`, and what the devices of the driver share.
///
/// # Invariants
///
/// `shared` is set as long as the driver is registered.
#[repr(C)]
pub(crate) struct RawDriver<S> {
    raw: bindings::virtio_driver,
    shared: Option<Arc<S>>,
}

impl<S> Default for RawDriver<S> {
    fn default() -> Self {
        Self {
            raw: Default::default(),
            shared: None,
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
        let shared = T::shared()?;
        // INVARIANT: Set before the driver is registered.
        // SAFETY: `drv` is valid and not used by anybody else yet.
        unsafe { (*drv).shared = Some(shared) };

        // SAFETY: As above.
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
        raw.reset_prepare = Some(Self::freeze_callback);
        raw.reset_done = Some(Self::restore_callback);
        raw.shutdown = Some(Self::shutdown_callback);
        raw.config_changed = Some(Self::config_changed_callback);

        // SAFETY: `drv` is a filled-in `struct virtio_driver` that stays where it is.
        let res = unsafe { bindings::__register_virtio_driver(drv.cast(), module.as_ptr()) };
        let res = to_result(res);
        if res.is_err() {
            // SAFETY: Registration failed, nobody uses it any more.
            unsafe { Self::retire(drv) };
        }
        res
    }

    unsafe fn unregister(drv: &Opaque<Self::DriverType>) {
        // SAFETY: By the safety requirements the driver is registered.
        unsafe { bindings::unregister_virtio_driver(drv.get().cast()) };
        // SAFETY: No device is bound any more, nobody uses it.
        unsafe { Self::retire(drv.get()) };
    }
}

impl<T: Driver> Adapter<T> {
    /// Lets go of what all devices have shared.
    ///
    /// # Safety
    ///
    /// `drv` must be valid, and not be registered any more.
    unsafe fn retire(drv: *mut RawDriver<T::Shared>) {
        // SAFETY: By the safety requirements nobody else uses it.
        let shared = unsafe { (*drv).shared.take() };
        if let Some(shared) = shared {
            T::retire(&shared);
        }
    }

    extern "C" fn validate_callback(vdev: *mut bindings::virtio_device) -> c_int {
        // SAFETY: The virtio core calls `validate` with a valid device, which stays so, and before
        // what was accepted is in force: it has the device told once more.
        //
        // INVARIANT: `vdev` is valid for the duration of the callback.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        // The core accepts what is the transport's by itself. This adds a queue to the device's that
        // the PCI transport goes on using when queues were deleted, at the next reset, and nobody
        // needs it here.
        dev.refuse_feature(bindings::VIRTIO_F_ADMIN_VQ);
        for (feature, required) in T::REQUIRES {
            if dev.has_feature(*feature) && !dev.has_feature(*required) {
                dev_warn!(
                    dev,
                    "feature {feature} is offered without feature {required}: not used\n"
                );
                dev.refuse_feature(*feature);
            }
        }
        0
    }

    extern "C" fn probe_callback(vdev: *mut bindings::virtio_device) -> c_int {
        // SAFETY: The virtio bus calls `probe` with a valid device, which stays so.
        //
        // INVARIANT: `vdev` is valid for the duration of the callback.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };

        // The last driver of the device may have left something.
        Queues::forget_others(dev);
        from_result(|| {
            Self::probe(dev).inspect_err(|_| Queues::teardown(dev))?;
            Ok(0)
        })
    }

    fn probe(dev: &Device<device::CoreInternal<'_>>) -> Result {
        // SAFETY: The device is being bound to this driver, so `driver` points to it.
        let drv = unsafe { (*dev.as_raw()).dev.driver };
        // SAFETY: This driver was registered as a `RawDriver`, with a `struct device_driver` at that
        // offset.
        let drv = unsafe {
            drv.byte_sub(offset_of!(bindings::virtio_driver, driver))
                .cast::<RawDriver<T::Shared>>()
        };
        // SAFETY: `drv` is valid as long as the driver is registered.
        let shared = unsafe { (*drv).shared.as_ref() }.ok_or(ENODEV)?;

        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        base.set_drvdata(T::probe(dev, shared))?;
        dev.ready();
        Ok(())
    }

    /// What follows a successful `probe`. The core has seen to it that the device is ready by now, and
    /// does not look at its status any more, which is 0 for a while when it is started again.
    extern "C" fn scan_callback(vdev: *mut bindings::virtio_device) {
        // SAFETY: The virtio core calls `scan` with a valid device, which stays so.
        //
        // INVARIANT: `vdev` is valid for the duration of the callback.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        // SAFETY: `scan` is called after a successful `probe` only, which set the data.
        let data = unsafe { base.drvdata_borrow::<T::Data<'_>>() };

        T::start(dev, data);
    }

    extern "C" fn remove_callback(vdev: *mut bindings::virtio_device) {
        // SAFETY: The virtio bus calls `remove` with a valid device, which stays so.
        //
        // INVARIANT: `vdev` is valid for the duration of the callback.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        // SAFETY: `remove` is called after a successful `probe` only, which set the data.
        let data = unsafe { base.drvdata_borrow::<T::Data<'_>>() };

        T::unbind(dev, data);
        Queues::teardown(dev);
    }

    extern "C" fn freeze_callback(vdev: *mut bindings::virtio_device) -> c_int {
        // SAFETY: The virtio core calls this with a valid device that is bound, and sees to it that
        // it stays so; but for a reset by way of sysfs, for which PCI has locked its own device only
        // (`virtio_device_reset_prepare`): it must not race with a driver's coming or going.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        // SAFETY: As above, so the data is set.
        let data = unsafe { base.drvdata_borrow::<T::Data<'_>>() };

        T::freeze(dev, data);
        Queues::stop(dev);
        0
    }

    extern "C" fn restore_callback(vdev: *mut bindings::virtio_device) -> c_int {
        // SAFETY: As for `freeze_callback`.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        // SAFETY: As above, so the data is set.
        let data = unsafe { base.drvdata_borrow::<T::Data<'_>>() };

        from_result(|| {
            Queues::resume(dev)?;
            T::restore(dev, data);
            // The core lets `config_changed` be called when it has had its last look at the status,
            // and not before.
            // SAFETY: `vdev` is valid.
            unsafe { bindings::virtio_config_changed(vdev) };
            Ok(0)
        })
    }

    /// The system is about to end, or to be replaced by another, which shall find the device at rest.
    extern "C" fn shutdown_callback(vdev: *mut bindings::virtio_device) {
        Self::freeze_callback(vdev);
        // SAFETY: The virtio core calls this with a valid device that is bound, and stays so.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        // Not as the core does it: that waits for one that is gone.
        dev.reset();
    }

    extern "C" fn config_changed_callback(vdev: *mut bindings::virtio_device) {
        // SAFETY: The virtio core calls this with a valid device, between a successful `probe` and
        // `remove`.
        let dev = unsafe { &*vdev.cast::<Device<device::CoreInternal<'_>>>() };
        let base: &device::Device<device::CoreInternal<'_>> = dev.as_ref();
        // SAFETY: As above, so the data is set.
        let data = unsafe { base.drvdata_borrow::<T::Data<'_>>() };

        T::config_changed(data);
    }
}

/// Abstraction for `struct virtio_device_id`.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct DeviceId(bindings::virtio_device_id);

impl DeviceId {
    /// Creates an id that matches device type `device` of any vendor.
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

/// A table of device ids, as `module_device_table!` makes it.
pub(crate) type IdTable = &'static dyn kernel::device_id::IdTable<DeviceId, ()>;
