// SPDX-License-Identifier: GPL-2.0
//! A ring of vhost-user's, which the front end may stop and change at any moment.

use std::io;

use vhost_user_backend::{VringMutex, VringT};
use virtio_queue::QueueT;
use vm_memory::GuestMemoryMmap;

use super::split::Split;
use super::{Entry, Ring, RingError, Taken};
use crate::descriptors::{Malformed, Walked};
use crate::queue::Memory;

/// A ring as vhost-user-backend has it.
pub type Vring = VringMutex<Memory>;

/// The same with what a queue needs beside it.
pub struct SharedRing {
    vring: Vring,
    split: Split,
}

/// Whether the front end lets it be served.
pub fn is_started(vring: &Vring) -> bool {
    let vring = vring.get_ref();
    vring.get_queue().ready() && vring.is_enabled()
}

impl SharedRing {
    /// Shares a ring with vhost-user-backend.
    pub fn new(vring: Vring) -> Self {
        SharedRing { vring, split: Split::default() }
    }
}

impl Ring for SharedRing {
    fn is_started(&self) -> bool {
        is_started(&self.vring)
    }

    fn size(&self) -> u16 {
        self.vring.get_ref().get_queue().size()
    }

    fn pop(&mut self, memory: &GuestMemoryMmap) -> Result<Option<Taken>, RingError> {
        let mut vring = self.vring.get_mut();
        if !vring.is_enabled() || !vring.get_queue().ready() {
            return Ok(None);
        }
        Split::pop(memory, vring.get_queue_mut())
    }

    fn walk<'m>(
        &self,
        memory: &'m GuestMemoryMmap,
        taken: &Taken,
        max_len: u64,
    ) -> Result<Walked<'m>, Malformed> {
        Split::walk(memory, self.vring.get_ref().get_queue(), taken, max_len)
    }

    fn publish(&mut self, memory: &GuestMemoryMmap, answers: &[Entry]) -> Result<(), RingError> {
        self.split.publish(memory, self.vring.get_mut().get_queue_mut(), answers)
    }

    fn needs_signal(&mut self, memory: &GuestMemoryMmap) -> Result<bool, RingError> {
        self.split.needs_signal(memory, self.vring.get_ref().get_queue())
    }

    fn next_place(&self) -> Option<u16> {
        Some(self.vring.get_ref().get_queue().next_avail())
    }

    fn signal(&self) -> io::Result<()> {
        self.vring.signal_used_queue()
    }

    fn silence(&mut self, _memory: &GuestMemoryMmap) -> Result<(), RingError> {
        Ok(self.vring.disable_notification()?)
    }

    fn listen(&mut self, _memory: &GuestMemoryMmap) -> Result<bool, RingError> {
        Ok(self.vring.enable_notification()?)
    }
}
