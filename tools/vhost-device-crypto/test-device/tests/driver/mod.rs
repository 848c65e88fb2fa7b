// SPDX-License-Identifier: GPL-2.0
//! The driver side of rings, and the device in this process or in a child process.

#![allow(dead_code)]

pub mod front;
pub mod function;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crypto_test_device::instrument::{self, Device, Queue};
use crypto_test_device::trace::Trace;
pub use crypto_test_driver::*;
use rustix::event::{eventfd, EventfdFlags};
use vhost_device_crypto::vring::{self, Vring};
use vhost_user_backend::VringT;
use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::queue_id::QueueId;
use virtio_crypto_device::ring::split::Split;

/// A ring with its driver side and its device side, without a front end.
pub struct Bench {
    pub device: Arc<Device>,
    pub queue: Arc<Queue>,
    pub vring: Vring,
    pub ring: Ring,
    call: OwnedFd,
}

impl Bench {
    pub fn new(size: u16) -> Self {
        Bench::with(Capabilities::default(), QueueId::Data(0), size)
    }

    pub fn with(capabilities: Capabilities, id: QueueId, size: u16) -> Self {
        let device = Arc::new(instrument::device(capabilities, Trace::default()));
        let queue = Arc::new(Queue::new(id, device.clone()).unwrap());
        let memory = memory();
        let vring = Vring::new(memory.clone(), 32768).unwrap();
        let call = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        let mut bench = Bench { device, queue, vring, ring: Ring::new(memory, 0, size), call };
        bench.start();
        bench
    }

    /// Starts the ring, like a driver after a reset.
    pub fn start(&mut self) {
        self.ring = Ring::new(self.ring.memory.clone(), 0, self.ring.size);
        self.vring.set_queue_size(self.ring.size);
        self.vring.set_queue_info(TABLE, AVAIL, USED).unwrap();
        self.vring.set_queue_next_avail(0);
        self.vring.set_queue_next_used(0);
        self.vring.set_call(Some(File::from(self.call.try_clone().unwrap())));
        self.vring.set_queue_ready(true);
        self.vring.set_enabled(true);
    }

    /// Stops the ring.
    pub fn stop(&self) {
        self.vring.set_queue_ready(false);
        self.queue.stop();
    }

    pub fn fault(&self, text: &str) {
        self.device.hooks.faults.add(text.parse().unwrap());
    }

    /// Kicks the queue.
    pub fn run(&self) {
        vring::run(&self.queue, &self.vring, &self.ring.memory, Split::default());
    }

    /// Adds a request and kicks the queue. Returns the head index and the new used entries.
    pub fn run_request(&mut self) -> (u16, Vec<(u32, u32)>) {
        let head = self.ring.request(0);
        self.run();
        (head, self.ring.used())
    }

    /// Returns the number of interrupts since the last call.
    pub fn interrupts(&self) -> u64 {
        let mut count = [0; 8];
        match rustix::io::read(&self.call, &mut count) {
            Ok(_) => u64::from_ne_bytes(count),
            Err(_) => 0,
        }
    }
}
