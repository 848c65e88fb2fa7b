// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the threads of a running device share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use virtio_crypto_device::device::Device;
use virtio_crypto_device::hooks::Hooks;
use virtio_crypto_device::queue::Queue;
use virtio_crypto_device::queue_id::QueueId;

use crate::channel::Channel;

/// A running device.
pub struct Service<H: Hooks = ()> {
    /// The device.
    pub device: Arc<Device<H>>,
    /// Its data queues, then the control queue.
    pub queues: Vec<Queue<H>>,
    /// The way to the front end.
    pub channel: Channel,
    /// Whether a front end is connected.
    pub connected: AtomicBool,
    /// How often a driver's features were set.
    pub starts: AtomicU64,
    /// The driver's features.
    pub features: AtomicU64,
    /// Features of rings that are not offered.
    pub withheld: u64,
    /// Whether the front end has the control queue, and creates sessions with messages. It does not tell
    /// the driver's features then.
    pub has_sessions_by_message: AtomicBool,
    /// The place in the control ring, or in the one that stands for it, where the device was suspended,
    /// or will go on.
    control_place: Mutex<Option<u32>>,
}

impl<H: Hooks> Service<H> {
    /// Creates the queues of a device. `withheld` are features of rings that it does not offer.
    pub fn new(device: Device<H>, withheld: u64) -> std::io::Result<Self> {
        let device = Arc::new(device);
        let ids = (0..device.capabilities.queues).map(QueueId::Data).chain([QueueId::Control]);
        let queues = ids.map(|id| Queue::new(id, device.clone()));
        Ok(Service {
            queues: queues.collect::<Result<_, _>>()?,
            device,
            channel: Channel::default(),
            connected: AtomicBool::new(false),
            starts: AtomicU64::new(0),
            features: AtomicU64::new(0),
            withheld,
            has_sessions_by_message: AtomicBool::new(false),
            control_place: Mutex::new(None),
        })
    }

    /// Drops all requests: the driver has begun to negotiate anew, or is gone.
    pub fn forget_requests(&self) {
        self.queues.iter().for_each(Queue::forget);
    }

    /// Serves the requests that are in the rings, and none after that.
    pub fn drain(&self) {
        thread::scope(|scope| {
            for queue in &self.queues {
                scope.spawn(|| queue.drain());
            }
        });
    }

    /// Sets the driver's features.
    pub fn set_features(&self, features: u64) {
        self.features.store(features, Ordering::SeqCst);
        self.starts.fetch_add(1, Ordering::SeqCst);
    }

    /// Makes the device ready for another front end.
    pub fn restart(&self) {
        self.device.start(0);
        self.features.store(0, Ordering::SeqCst);
        self.has_sessions_by_message.store(false, Ordering::SeqCst);
    }

    /// The ring whose place tells a driver that goes on from one that begins anew: the control ring, or
    /// the first data ring if the front end has the control queue.
    fn marked_ring(&self) -> usize {
        match self.has_sessions_by_message.load(Ordering::SeqCst) {
            true => 0,
            false => self.queues.len() - 1,
        }
    }

    fn control_place(&self) -> MutexGuard<'_, Option<u32>> {
        self.control_place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ring was stopped, and its next request was to be this one.
    pub fn suspend_ring(&self, index: usize, place: u16) {
        if index == self.marked_ring() {
            *self.control_place() = Some(place.into());
        }
    }

    /// A ring is to go on at this place. Where it was stopped, a guest has been suspended that knows
    /// its sessions still; anywhere else the driver has begun anew. A driver begins with place 0.
    pub fn place_ring(&self, index: u32, place: u32) {
        if index as usize != self.marked_ring() {
            return;
        }
        let last = self.control_place().replace(place);
        if place == 0 || last != Some(place) {
            self.device.reset();
        }
    }

    /// The front end has set the status to 0, which resets the device. QEMU does so, too, when the
    /// guest is paused: it has stopped the rings then, and [`Service::place_ring`] decides when they go
    /// on.
    pub fn clear_status(&self) {
        if self.queues.iter().any(Queue::is_running) {
            self.forget_requests();
            self.device.reset();
        }
    }

    /// The front end is gone, and with it the guest whose keys the sessions have.
    pub fn release(&self) {
        *self.control_place() = None;
        self.device.release();
    }
}
