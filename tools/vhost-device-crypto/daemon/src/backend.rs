// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The device as vhost-user-backend asks for it.
//!
//! Data queue `i` is ring `i`, the control queue is the last ring. Each ring has a thread
//! of its own.
//!
//! QEMU does the same when the guest resets the device and when the guest is paused: it stops the rings,
//! sets the status to 0, and sets the features again before it starts the rings. To stop all rings is to
//! suspend the device, which keeps its sessions. The device is reset by RESET_DEVICE, a status of 0 while
//! a ring runs, other features, and a control ring that does not go on where it was stopped: see
//! [`Service::clear_status`] and [`Service::place_ring`].

use std::io;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::{VhostUserBackend, VringEpollHandler};
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{
    new_event_consumer_and_notifier, EventConsumer, EventFlag, EventNotifier,
};

use virtio_crypto_device::hooks::Hooks;
use virtio_crypto_device::protocol::feature;
use virtio_crypto_device::queue::{Memory, Queue};
use virtio_crypto_device::ring::split::Split;

use crate::hardening;
use crate::service::Service;
use crate::vring::{self, Vring};

/// `VIRTIO_RING_F_INDIRECT_DESC`
pub const INDIRECT_DESC: u64 = 1 << VIRTIO_RING_F_INDIRECT_DESC;

/// `VIRTIO_RING_F_EVENT_IDX`
pub const EVENT_IDX: u64 = 1 << VIRTIO_RING_F_EVENT_IDX;

/// The longest ring that virtio has.
const MAX_QUEUE_SIZE: usize = 32768;

/// More than any configuration space has.
const MAX_CONFIG_LEN: usize = 4096;

/// What vhost-user-backend calls when the front end or a ring wants something.
pub struct Backend<H: Hooks = ()> {
    service: Arc<Service<H>>,
    memory: Memory,
}

impl<H: Hooks> Clone for Backend<H> {
    fn clone(&self) -> Self {
        Backend { service: self.service.clone(), memory: self.memory.clone() }
    }
}

impl<H: Hooks> Backend<H> {
    /// A back end for one connection.
    pub fn new(service: Arc<Service<H>>, memory: Memory) -> Self {
        Backend { service, memory }
    }

    /// Has the workers watch the queues' timers.
    pub fn attach_workers(&self, workers: &[Arc<VringEpollHandler<Backend<H>>>]) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        for (queue, worker) in self.service.queues.iter().zip(workers) {
            queue.attach_worker(|timer| {
                let event = u64::from(self.timer_event());
                worker.register_listener(timer.as_raw_fd(), EventSet::IN, event)
            })?;
        }
        Ok(())
    }

    /// The number of a timer's event: the ring's is 0, and vhost-user-backend has the
    /// number of rings for itself.
    fn timer_event(&self) -> u16 {
        self.service.device.capabilities.queues + 2
    }

    fn queue(&self, index: usize) -> io::Result<&Queue<H>> {
        let queue = self.service.queues.get(index);
        queue.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl<H: Hooks> VhostUserBackend for Backend<H> {
    type Bitmap = ();
    type Vring = Vring;

    fn num_queues(&self) -> usize {
        self.service.queues.len()
    }

    fn max_queue_size(&self) -> usize {
        MAX_QUEUE_SIZE
    }

    fn features(&self) -> u64 {
        let own = self.service.device.capabilities.features & feature::ALL;
        let rings = (INDIRECT_DESC | EVENT_IDX) & !self.service.withheld;
        let transport = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
        own | rings | (1 << VIRTIO_F_VERSION_1) | transport
    }

    fn acked_features(&self, features: u64) {
        self.service.forget_requests();
        self.service.set_features(features);
        if self.service.device.negotiate(features) {
            self.service.device.reset();
        }
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::BACKEND_REQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::RESET_DEVICE
    }

    fn reset_device(&self) {
        self.service.forget_requests();
        self.service.device.reset();
    }

    /// The rings know it.
    fn set_event_idx(&self, _enabled: bool) {}

    /// As many bytes as are asked for, whatever the front end takes the size of the
    /// configuration space to be.
    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let config = self.service.device.config();
        let rest = config.get(offset as usize..).unwrap_or_default();
        let mut bytes = rest.to_vec();
        bytes.resize((size as usize).min(MAX_CONFIG_LEN), 0);
        bytes
    }

    /// There is nothing in it to write, and nobody to tell.
    fn set_config(&self, _offset: u32, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// The handle to the memory stays the same.
    fn update_memory(&self, memory: Memory) -> io::Result<()> {
        hardening::unlock_guest(&memory);
        Ok(())
    }

    fn queues_per_thread(&self) -> Vec<u64> {
        (0..self.num_queues()).map(|index| 1 << index).collect()
    }

    fn exit_event(&self, _thread: usize) -> Option<(EventConsumer, EventNotifier)> {
        let event = new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC);
        event.inspect_err(|error| tracing::error!("no event: {error}")).ok()
    }

    fn stop_vring(&self, index: u32) -> io::Result<()> {
        if let Some(place) = self.queue(index as usize)?.stop() {
            self.service.suspend_ring(index as usize, place);
        }
        Ok(())
    }

    fn handle_event(
        &self,
        event: u16,
        _set: EventSet,
        vrings: &[Vring],
        thread: usize,
    ) -> io::Result<()> {
        let queue = self.queue(thread)?;
        match vrings {
            _ if event == self.timer_event() => queue.timer_expired(),
            [vring] if event == 0 => {
                let by_flags = self.service.has_sessions_by_message.load(Ordering::SeqCst);
                let split = if by_flags { Split::by_flags() } else { Split::default() };
                vring::run(queue, vring, &self.memory, split);
            }
            _ => tracing::warn!("an event of an unknown kind: {event}"),
        }
        Ok(())
    }
}
