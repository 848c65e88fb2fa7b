// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A ring of vhost-user, which the front end may stop and change at any time.

use std::io;

use vhost_user_backend::{VringMutex, VringT};
use virtio_queue::QueueT;
use vm_memory::GuestMemoryMmap;

use virtio_crypto_device::descriptors::{ChainError, ParsedChain};
use virtio_crypto_device::hooks::Hooks;
use virtio_crypto_device::queue::{Memory, Queue};
use virtio_crypto_device::ring::split::Split;
use virtio_crypto_device::ring::{PoppedChain, Ring, RingError, UsedElem};

/// The ring type of vhost-user-backend.
pub type Vring = VringMutex<Memory>;

/// A ring of vhost-user-backend with the additional state that a queue needs.
pub struct SharedRing {
    vring: Vring,
    split: Split,
}

/// Returns whether the front end has set up and enabled the ring.
pub fn is_started(vring: &Vring) -> bool {
    let vring = vring.get_ref();
    vring.get_queue().ready() && vring.is_enabled()
}

/// Serves a ring until it is empty. Starts the queue first if the front end has started the ring.
/// `split` is the initial state of a queue that starts.
pub fn run<H: Hooks>(queue: &Queue<H>, vring: &Vring, memory: &Memory, split: Split) {
    let start = || -> Option<Box<dyn Ring>> {
        is_started(vring).then(|| Box::new(SharedRing { vring: vring.clone(), split }) as _)
    };
    queue.run(start, memory);
}

impl Ring for SharedRing {
    fn is_started(&self) -> bool {
        is_started(&self.vring)
    }

    fn size(&self) -> u16 {
        self.vring.get_ref().get_queue().size()
    }

    fn pop(&mut self, memory: &GuestMemoryMmap) -> Result<Option<PoppedChain>, RingError> {
        let mut vring = self.vring.get_mut();
        if !vring.is_enabled() || !vring.get_queue().ready() {
            return Ok(None);
        }
        self.split.pop(memory, vring.get_queue_mut())
    }

    fn parse<'m>(
        &self,
        memory: &'m GuestMemoryMmap,
        popped: &PoppedChain,
        max_len: u64,
        parsed: &mut ParsedChain<'m>,
    ) -> Result<(), ChainError> {
        Split::parse(memory, self.vring.get_ref().get_queue(), popped, max_len, parsed)
    }

    fn publish(&mut self, memory: &GuestMemoryMmap, answers: &[UsedElem]) -> Result<(), RingError> {
        self.split.publish(memory, self.vring.get_mut().get_queue_mut(), answers)
    }

    fn needs_notification(&mut self, memory: &GuestMemoryMmap) -> Result<bool, RingError> {
        self.split.needs_notification(memory, self.vring.get_ref().get_queue())
    }

    fn next_place(&self) -> Option<u16> {
        Some(self.vring.get_ref().get_queue().next_avail())
    }

    fn signal_used(&self) -> io::Result<()> {
        self.vring.signal_used_queue()
    }

    fn disable_notification(&mut self, _memory: &GuestMemoryMmap) -> Result<(), RingError> {
        Ok(self.vring.disable_notification()?)
    }

    fn enable_notification(&mut self, _memory: &GuestMemoryMmap) -> Result<bool, RingError> {
        Ok(self.vring.enable_notification()?)
    }
}
