// SPDX-License-Identifier: GPL-2.0

//! The device on the virtio bus.

use crate::{
    bindings,
    bindings::helpers, //
};
use core::{
    marker::PhantomData,
    mem::offset_of,
    ptr::NonNull, //
};
use kernel::{
    device,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// A device on the virtio bus: `struct virtio_device`.
///
/// # Invariants
///
/// An instance is a valid `struct virtio_device` created by the C portion of the kernel.
#[repr(transparent)]
pub(crate) struct Device<Ctx: device::DeviceContext = device::Normal>(
    Opaque<bindings::virtio_device>,
    PhantomData<Ctx>,
);

impl<Ctx: device::DeviceContext> Device<Ctx> {
    pub(super) fn as_raw(&self) -> *mut bindings::virtio_device {
        self.0.get()
    }
}

impl<Ctx: device::DeviceContext> Device<Ctx> {
    /// Returns true if feature `bit` is negotiated: the device offers it, and the driver supports it
    /// ([`Driver::FEATURES`](super::Driver::FEATURES)) and has accepted it. Returns false before `validate`.
    ///
    /// Context: any.
    pub(crate) fn has_feature(&self, bit: u32) -> bool {
        // SAFETY: By the type invariant the device is valid. Unlike `virtio_has_feature()` this function
        // accepts any bit.
        unsafe { helpers::virtio_test_bit(self.as_raw(), bit) }
    }
}

impl<'a> Device<device::CoreInternal<'a>> {
    /// Returns the parent device, for example the PCI function.
    pub(super) fn parent(&self) -> Option<&device::Device> {
        // SAFETY: By the type invariant the device is valid. The field does not change after `device_add()`.
        let parent = unsafe { (*self.as_raw()).dev.parent };
        if parent.is_null() {
            return None;
        }
        // SAFETY: A device holds a reference to its parent until `device_del()`, which first waits for
        // the bus callbacks. Only bus callbacks have a `Device<CoreInternal>`.
        Some(unsafe { device::Device::from_raw(parent) })
    }
}

impl Device<device::Bound> {
    /// Returns true if the device has set DEVICE_NEEDS_RESET.
    ///
    /// Context: process, may sleep.
    pub(crate) fn needs_reset(&self) -> bool {
        u32::from(self.status()) & bindings::VIRTIO_CONFIG_S_NEEDS_RESET != 0
    }

    /// Returns true after a surprise removal: reads return all ones, which is not a valid status.
    ///
    /// Context: process, may sleep.
    pub(crate) fn is_disconnected(&self) -> bool {
        self.status() == u8::MAX
    }

    /// Returns true if DRIVER_OK is set. It is cleared by any reset, also by a reset of which the driver gets
    /// no notification.
    ///
    /// Context: process, may sleep.
    pub(crate) fn is_operational(&self) -> bool {
        let status = self.status();
        status != u8::MAX && u32::from(status) & bindings::VIRTIO_CONFIG_S_DRIVER_OK != 0
    }

    fn status(&self) -> u8 {
        // SAFETY: By the type invariant the device is valid. It is bound, so its transport exists.
        unsafe { helpers::virtio_get_status(self.as_raw()) }
    }

    /// Accepts a feature for the next [`renegotiate`](Self::renegotiate). Returns false if the device does
    /// not offer the feature.
    ///
    /// Context: process, may sleep. The caller is `probe`, or holds the mutex of
    /// [`Queues`](super::Queues). The device was reset, or is about to be reset.
    pub(super) fn accept_feature(&self, bit: u32) -> bool {
        // SAFETY: By the type invariant the device is valid. It is bound, so its transport exists.
        unsafe { helpers::virtio_accept_bit(self.as_raw(), bit) }
    }

    /// Negotiates the features again after a reset, and sets FEATURES_OK.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if the device rejects the features;
    /// - another error of the transport.
    pub(super) fn renegotiate(&self) -> Result {
        // SAFETY: By the type invariant the device is valid. It is bound, so its transport exists.
        to_result(unsafe { helpers::virtio_renegotiate(self.as_raw()) })
    }

    /// Resets the device. When this returns, the device uses no memory, and no callback is running.
    ///
    /// Does not wait for a disconnected device, because its status never becomes 0.
    ///
    /// Context: process, may sleep.
    pub(super) fn reset(&self) {
        if self.is_disconnected() {
            // SAFETY: By the type invariant the device is valid, and it is bound.
            unsafe { bindings::virtio_break_device(self.as_raw()) };
            // SAFETY: By the type invariant the device is valid, and it is bound.
            unsafe { helpers::virtio_synchronize_cbs(self.as_raw()) };
        } else {
            // SAFETY: By the type invariant the device is valid, and it is bound.
            unsafe { bindings::virtio_reset_device(self.as_raw()) };
        }
    }

    /// Returns true if VIRTIO_F_VERSION_1 is negotiated: the device follows version 1.0 of the specification
    /// or a later version.
    ///
    /// Context: any.
    pub(crate) fn is_version_1(&self) -> bool {
        // SAFETY: By the type invariant the device is valid. The function accepts a transport feature that
        // is not in the driver's feature table.
        unsafe { helpers::virtio_has_feature(self.as_raw(), bindings::VIRTIO_F_VERSION_1) }
    }

    /// Returns the maximum length of a segment in bytes. It is small if the DMA API uses bounce buffers.
    pub(crate) fn max_segment_size(&self) -> usize {
        // SAFETY: By the type invariant the device is valid. It is bound, so its transport exists.
        unsafe { bindings::virtio_max_dma_size(self.as_raw()) }
    }
}

impl<'a> Device<device::CoreInternal<'a>> {
    /// Clears a feature bit, so that the driver does not accept the feature.
    ///
    /// Context: only from `validate`, before the features are written to the device.
    pub(super) fn clear_feature(&self, bit: u32) {
        // SAFETY: By the type invariant the device is valid. The adapter calls this from `validate`, where
        // drivers may clear features.
        unsafe { helpers::virtio_clear_bit(self.as_raw(), bit) };
    }

    /// Defers config change notifications to the driver. Waits until a notification that is being delivered
    /// has returned.
    ///
    /// Context: process, interrupts enabled.
    pub(super) fn disable_config_changed(&self) {
        // SAFETY: By the type invariant, the device is valid.
        unsafe { bindings::virtio_config_driver_disable(self.as_raw()) };
    }

    /// Delivers config change notifications again, including a deferred notification.
    ///
    /// Context: process, interrupts enabled.
    pub(super) fn enable_config_changed(&self) {
        // SAFETY: By the type invariant, the device is valid.
        unsafe { bindings::virtio_config_driver_enable(self.as_raw()) };
    }

    /// Sets DRIVER_OK. From then on the device may use its virtqueues.
    pub(super) fn set_driver_ok(&self) {
        // SAFETY: By the type invariant the device is valid. The adapter calls this once after the virtqueues
        // were set up.
        unsafe { helpers::virtio_device_ready(self.as_raw()) };
    }
}

// SAFETY: `Device` is a transparent wrapper of `struct virtio_device`, which has a `struct device`
// at that offset.
unsafe impl<Ctx: device::DeviceContext> device::AsBusDevice<Ctx> for Device<Ctx> {
    const OFFSET: usize = offset_of!(bindings::virtio_device, dev);
}

// SAFETY: `Device` is a transparent wrapper of a type that doesn't depend on `Device`'s generic
// argument.
kernel::impl_device_context_deref!(unsafe { Device });
kernel::impl_device_context_into_aref!(Device);

// SAFETY: Instances of `Device` are always reference-counted.
unsafe impl kernel::sync::aref::AlwaysRefCounted for Device {
    fn inc_ref(&self) {
        // SAFETY: By the type invariant the field is valid.
        let dev = unsafe { &raw mut (*self.as_raw()).dev };
        // SAFETY: The existence of a shared reference guarantees that the refcount is non-zero.
        unsafe { bindings::get_device(dev) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // CAST: `Self` is a transparent wrapper of `bindings::virtio_device`.
        let vdev: *mut bindings::virtio_device = obj.cast().as_ptr();
        // SAFETY: By the type invariant the field is valid.
        let dev = unsafe { &raw mut (*vdev).dev };
        // SAFETY: The caller guarantees that the refcount is non-zero.
        unsafe { bindings::put_device(dev) };
    }
}

impl<Ctx: device::DeviceContext> AsRef<device::Device<Ctx>> for Device<Ctx> {
    fn as_ref(&self) -> &device::Device<Ctx> {
        // SAFETY: By the type invariant the field is valid.
        let dev = unsafe { &raw mut (*self.as_raw()).dev };
        // SAFETY: `dev` points to a valid `struct device`, which lives as long as `self`.
        unsafe { device::Device::from_raw(dev) }
    }
}

// SAFETY: A `Device` is always reference-counted and can be released from any thread.
unsafe impl Send for Device {}

// SAFETY: All methods of `Device` (that is, `Device<Normal>`) are thread safe.
unsafe impl Sync for Device {}

// SAFETY: `Bound` is a zero-sized marker. The methods of `Device<Bound>` are thread safe, too.
unsafe impl Sync for Device<device::Bound> {}
