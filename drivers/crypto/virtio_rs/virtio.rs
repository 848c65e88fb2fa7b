// SPDX-License-Identifier: GPL-2.0

//! Abstractions for the virtio bus.
//!
//! A driver implements [`Driver`]:
//!
//! 1. `probe` creates the private data and sets up the virtqueues with [`Device::find_queues`].
//! 2. `start` is called after DRIVER_OK was set. Requests may be sent from then on.
//! 3. `unbind` ends the activity of the driver while the device still responds.
//!
//! `freeze` and `restore` are called for suspend and for a function reset. Between them the device cannot be
//! used. A driver can also reset and restart the device, with [`Queues::reset`] and [`Queues::restart`].
//!
//! On unbind, and after a failed `probe`, the adapter resets the device, returns every buffer in flight to the
//! [`Handler`] of its queue, and deletes the virtqueues. A [`Queue`] that outlives its device rejects requests.
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
        BufferStatus,
        Handler,
        Queue,
        QueueGuard, //
    },
    queues::{
        QueueOps,
        Queues, //
    },
};
