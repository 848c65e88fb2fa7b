// SPDX-License-Identifier: GPL-2.0

//! Abstractions for the virtio bus.
//!
//! A driver implements [`Driver`]:
//!
//! 1. `probe` creates its private data and asks for virtqueues with [`Device::find_queues`].
//! 2. `start` is called when the device is live (DRIVER_OK is set): requests may be sent.
//! 3. `unbind` ends what the driver has going while the device still answers.
//!
//! Between `freeze` and `restore` the device is not there: the system sleeps, or somebody resets
//! it. A driver can also have it reset and started again, with [`Queues::reset`] and
//! [`Queues::restart`].
//!
//! Whatever happens, the adapter finally resets the device, gives every buffer that the device had
//! back to the [`Handler`] of its queue, and deletes the queues: a driver cannot forget to, and a
//! [`Queue`] that outlives its device refuses requests.
//!
//! C headers: [`include/linux/virtio.h`](srctree/include/linux/virtio.h),
//! [`include/linux/virtio_config.h`](srctree/include/linux/virtio_config.h)

mod config;
mod device;
mod driver;
mod message;
mod parents;
mod per_queue_ref;
mod queue;
mod queues;

pub(crate) use self::{
    device::Device,
    driver::{
        Adapter,
        DeviceId,
        Driver,
        IdTable, //
    },
    message::Message,
    per_queue_ref::{
        Counted,
        LastUse,
        PerQueueRef,
        Published,
        Shared,
        Use, //
    },
    queue::{
        Fate,
        Handler,
        Locked,
        Queue, //
    },
    queues::{
        Endpoint,
        Queues, //
    },
};
