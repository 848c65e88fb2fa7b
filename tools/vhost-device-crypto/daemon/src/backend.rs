// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The interface to the crate vhost-user-backend.
//!
//! Data queue `i` is ring `i`. The control queue is the last ring. Each ring has its own thread.
//!
//! QEMU sends the same messages when the guest resets the device and when the guest is paused. It
//! stops the rings, sets the status to 0, and sets the features again before it starts the rings.
//! Stopping all rings therefore only suspends the device, which keeps its sessions. These events
//! reset the device:
//!
//! - the message RESET_DEVICE,
//! - a status of 0 while a ring runs, see [`Service::clear_status`],
//! - other features than before,
//! - a control ring that starts at another index than it was stopped at, see
//!   [`Service::place_ring`].

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

/// Maximum size of a ring by the virtio specification.
const MAX_QUEUE_SIZE: usize = 32768;

/// Maximum length of a read of the configuration space, in bytes. No configuration space is longer.
const MAX_CONFIG_LEN: usize = 4096;

/// The callbacks for messages of the front end and for kicks.
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
    /// Creates the back end of a connection.
    pub fn new(service: Arc<Service<H>>, memory: Memory) -> Self {
        Backend { service, memory }
    }

    /// Registers the timer of each queue with the worker of its ring.
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

    /// Returns the event number of a timer. Event 0 is the kick of the ring. vhost-user-backend
    /// reserves the number of rings for its exit event.
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

    /// Does nothing, because vhost-user-backend also passes this setting to the rings.
    fn set_event_idx(&self, _enabled: bool) {}

    /// Returns `size` bytes, padded with zeros. The front end may assume a longer configuration
    /// space.
    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let config = self.service.device.config();
        let rest = config.get(offset as usize..).unwrap_or_default();
        let mut bytes = rest.to_vec();
        bytes.resize((size as usize).min(MAX_CONFIG_LEN), 0);
        bytes
    }

    /// Does nothing. The configuration space has no writable fields.
    fn set_config(&self, _offset: u32, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// vhost-user-backend has already replaced the contents of the memory handle. New mappings are
    /// unlocked.
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
