// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The driver side of a split ring, in memory shared with a queue of the device.
//!
//! This driver does as little work as possible: it creates its requests once, each with an indirect
//! table, and posts them repeatedly. A round posts `depth` requests, lets the queue serve them in
//! the same thread, and reads the used ring. No thread is woken, so the measurement covers the
//! ring, the request and the cryptography. The device's notification is a write to an eventfd.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use virtio_crypto_device::device::Device;
use virtio_crypto_device::hooks::Hooks;
use virtio_crypto_device::queue::{Memory, Queue};
use virtio_crypto_device::queue_id::QueueId;
use virtio_crypto_device::ring::split::SplitRing;
use virtio_queue::QueueT;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;

use crate::work::Work;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

/// Number of descriptors of the ring, which is the maximum depth.
pub const SIZE: u16 = 64;
/// Addresses of the parts of the ring, and of the requests.
const TABLE: u64 = 0;
const AVAIL: u64 = 0x1000;
const USED: u64 = 0x2000;
const REQUESTS: u64 = 0x3000;
/// Data is split into buffers of this size, like the pages of a guest. Three more pages precede the
/// data of a request: the indirect table, the fixed-length fields, and the result with the status.
const PAGE: u64 = 4096;
const FIELDS: u64 = PAGE;
const RESULT: u64 = 2 * PAGE;
const DATA: u64 = 3 * PAGE;

/// A ring, the requests in it, and the queue that serves it.
pub struct Driver<'w, H: Hooks> {
    work: &'w Work,
    queue: Queue<H>,
    /// Guest memory, which holds the ring and all requests.
    memory: Memory,
    depth: u16,
    avail: u16,
}

impl<'w, H: Hooks> Driver<'w, H> {
    /// Creates a ring with `depth` requests of an existing session.
    pub fn new(
        device: &Arc<Device<H>>,
        index: u16,
        work: &'w Work,
        session: u64,
        depth: u16,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        assert!((1..=SIZE).contains(&depth));
        let queue = Queue::new(QueueId::Data(index), device.clone())?;
        let stride = DATA + (work.data.len() as u64).next_multiple_of(PAGE);
        let len = REQUESTS + u64::from(depth) * stride;
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), len as usize)])?;
        let memory = GuestMemoryAtomic::new(memory);
        let driver = Driver { work, queue, memory, depth, avail: 0 };
        for number in 0..depth {
            driver.write_request(number, REQUESTS + u64::from(number) * stride, session)?;
        }

        let mut ring = virtio_queue::Queue::new(SIZE)?;
        ring.try_set_desc_table_address(GuestAddress(TABLE))?;
        ring.try_set_avail_ring_address(GuestAddress(AVAIL))?;
        ring.try_set_used_ring_address(GuestAddress(USED))?;
        ring.set_event_idx(true);
        ring.set_ready(true);
        let call = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        let ring = SplitRing::new(ring, false, Box::new(move || call.write(1)));
        driver.queue.start(Box::new(ring), &driver.memory);
        Ok(driver)
    }

    /// Writes a request and its indirect table to `base`, and a descriptor of this table to the
    /// descriptor table of the ring.
    fn write_request(
        &self,
        number: u16,
        base: u64,
        session: u64,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let (work, memory) = (self.work, self.memory.memory());
        let fields = work.fields(session);
        memory.write_slice(&fields, GuestAddress(base + FIELDS))?;
        memory.write_slice(&work.data, GuestAddress(base + DATA))?;
        memory.write_obj(0xff_u8, GuestAddress(base + RESULT + work.result as u64))?;

        let pages = |flags: u16| {
            (0..work.data.len() as u64).step_by(PAGE as usize).map(move |at| {
                let len = PAGE.min(work.data.len() as u64 - at);
                (base + DATA + at, len as u32, flags)
            })
        };
        let mut chain = vec![(base + FIELDS, fields.len() as u32, 0)];
        chain.extend(pages(0));
        if work.in_place {
            chain.extend(pages(WRITE));
        }
        chain.push((base + RESULT, work.result as u32 + 1, WRITE));
        for (at, (address, len, flags)) in (1..).zip(&chain) {
            let link = if usize::from(at) < chain.len() { NEXT } else { 0 };
            let entry = descriptor(*address, *len, flags | link, at);
            memory.write_slice(&entry, GuestAddress(base + 16 * u64::from(at - 1)))?;
        }
        let entry = descriptor(base, 16 * chain.len() as u32, INDIRECT, 0);
        memory.write_slice(&entry, GuestAddress(TABLE + 16 * u64::from(number)))?;
        Ok(())
    }

    /// Posts all requests and lets the queue serve them.
    pub fn round(&mut self) {
        let memory = self.memory.memory();
        let put = |value: u16, at: u64| {
            memory.store(value.to_le(), GuestAddress(at), Ordering::Relaxed).expect("memory");
        };
        // Set the event index so that the device notifies for the first used entry, as for a driver
        // that waits.
        put(self.avail, AVAIL + 4 + 2 * u64::from(SIZE));
        for number in 0..self.depth {
            put(number, AVAIL + 4 + 2 * u64::from(self.avail % SIZE));
            self.avail = self.avail.wrapping_add(1);
        }
        let index = GuestAddress(AVAIL + 2);
        memory.store(self.avail.to_le(), index, Ordering::Release).expect("memory");
        self.queue.serve();
        let used: u16 = memory.load(GuestAddress(USED + 2), Ordering::Acquire).expect("memory");
        assert_eq!(u16::from_le(used), self.avail, "the device has not completed all requests");
    }

    /// Returns the number of requests of a round.
    pub fn depth(&self) -> u32 {
        self.depth.into()
    }

    /// Returns status and result of each request of the last round.
    fn results(&self) -> Vec<(u8, Vec<u8>)> {
        let memory = self.memory.memory();
        let read = |at: u64, len: usize| {
            let mut bytes = vec![0; len];
            memory.read_slice(&mut bytes, GuestAddress(at)).expect("memory");
            bytes
        };
        let word = |at: u64| u32::from_le_bytes(read(at, 4).try_into().expect("four bytes"));
        // `back` is 1 for the last completed request, 2 for the one before it, and so on.
        let result = |back: u16| {
            let index = self.avail.wrapping_sub(back) % SIZE;
            let entry = USED + 4 + 8 * u64::from(index);
            let (head, written) = (word(entry), word(entry + 4) as usize);
            let base = u64::from_le_bytes(
                read(TABLE + 16 * u64::from(head), 8).try_into().expect("eight bytes"),
            );
            let mut output = Vec::new();
            if self.work.in_place {
                output.extend(read(base + DATA, self.work.data.len()));
            }
            output.extend(read(base + RESULT, self.work.result));
            output.truncate(written.saturating_sub(1));
            (read(base + RESULT + self.work.result as u64, 1)[0], output)
        };
        (1..=self.depth).rev().map(result).collect()
    }

    /// Returns whether all requests of the last round have the status `OK`.
    pub fn is_served(&self) -> bool {
        self.results().iter().all(|(status, _)| *status == 0)
    }

    /// Returns whether all requests of the first round have the expected result.
    pub fn is_correct(&self) -> bool {
        self.is_served() && self.results().iter().all(|(_, output)| (self.work.check)(output))
    }
}

/// `struct virtq_desc`
fn descriptor(address: u64, len: u32, flags: u16, next: u16) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&address.to_le_bytes());
    bytes[8..12].copy_from_slice(&len.to_le_bytes());
    bytes[12..14].copy_from_slice(&flags.to_le_bytes());
    bytes[14..].copy_from_slice(&next.to_le_bytes());
    bytes
}
