// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The state that the threads of a running device share.

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
    /// The data queues, and then the control queue.
    pub queues: Vec<Queue<H>>,
    /// The channel for notifications to the front end.
    pub channel: Channel,
    /// Whether a front end is connected.
    pub connected: AtomicBool,
    /// How often the features of a driver were set.
    pub starts: AtomicU64,
    /// The features that the driver has accepted.
    pub features: AtomicU64,
    /// Ring features that are not offered.
    pub withheld: u64,
    /// Whether the front end serves the control queue itself and creates sessions with messages.
    /// Such a front end does not send the features of the driver.
    pub has_sessions_by_message: AtomicBool,
    /// The index in the ring of [`Service::marked_ring`] at which the device was suspended or last
    /// resumed.
    control_place: Mutex<Option<u32>>,
}

impl<H: Hooks> Service<H> {
    /// Creates the queues of a device. `withheld` are ring features that are not offered.
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

    /// Drops all requests. Called when the driver negotiates again or resets the device.
    pub fn forget_requests(&self) {
        self.queues.iter().for_each(Queue::forget);
    }

    /// Serves the requests that are in the rings now, and no later requests.
    pub fn drain(&self) {
        thread::scope(|scope| {
            for queue in &self.queues {
                scope.spawn(|| queue.drain());
            }
        });
    }

    /// Sets the features that the driver has accepted.
    pub fn set_features(&self, features: u64) {
        self.features.store(features, Ordering::SeqCst);
        self.starts.fetch_add(1, Ordering::SeqCst);
    }

    /// Prepares the device for the next front end.
    pub fn restart(&self) {
        self.device.start(0);
        self.features.store(0, Ordering::SeqCst);
        self.has_sessions_by_message.store(false, Ordering::SeqCst);
    }

    /// Returns the ring whose index shows whether the driver resumes or starts again: the control
    /// ring, or the first data ring if the front end serves the control queue itself.
    fn marked_ring(&self) -> usize {
        match self.has_sessions_by_message.load(Ordering::SeqCst) {
            true => 0,
            false => self.queues.len() - 1,
        }
    }

    fn control_place(&self) -> MutexGuard<'_, Option<u32>> {
        self.control_place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called when a ring was stopped. `place` is the index of the next request.
    pub fn suspend_ring(&self, index: usize, place: u16) {
        if index == self.marked_ring() {
            *self.control_place() = Some(place.into());
        }
    }

    /// Called when the front end sets the index `place` at which a ring starts. If the ring was
    /// stopped at the same index, the guest was suspended and keeps its sessions. Otherwise the
    /// driver has started again, and the device is reset. A driver always starts at index 0.
    pub fn place_ring(&self, index: u32, place: u32) {
        if index as usize != self.marked_ring() {
            return;
        }
        let last = self.control_place().replace(place);
        if place == 0 || last != Some(place) {
            self.device.reset();
        }
    }

    /// Called when the front end sets the status to 0. This resets the device, unless all rings are
    /// stopped: QEMU also sets the status to 0 when the guest is paused, after it has stopped the
    /// rings. In that case [`Service::place_ring`] decides when the rings start.
    pub fn clear_status(&self) {
        if self.queues.iter().any(Queue::is_running) {
            self.forget_requests();
            self.device.reset();
        }
    }

    /// Called when the front end has disconnected. Drops the sessions, because the next front end
    /// may belong to another guest.
    pub fn release(&self) {
        *self.control_place() = None;
        self.device.release();
    }
}
