// SPDX-License-Identifier: GPL-2.0
//! The driver side of a split ring, for tests. It can also write invalid rings and descriptors.

#![allow(missing_docs)]

pub mod front;
pub mod packed;

use virtio_crypto_device::queue::Memory;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};

/// Descriptor flags.
pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// Offsets of the parts of a ring from its base.
pub const TABLE: u64 = 0;
pub const AVAIL: u64 = 0x10_0000;
pub const USED: u64 = 0x20_0000;
pub const BUFFERS: u64 = 0x40_0000;

/// Border of two adjacent memory regions. A buffer can cross the border.
pub const BORDER: u64 = 0x80_0000;
/// End of the memory.
pub const END: u64 = 0x100_0000;

/// Creates guest memory with two regions.
pub fn memory() -> Memory {
    let regions =
        [(GuestAddress(0), BORDER as usize), (GuestAddress(BORDER), (END - BORDER) as usize)];
    GuestMemoryAtomic::new(GuestMemoryMmap::from_ranges(&regions).unwrap())
}

/// The driver side of a split ring.
pub struct Ring {
    pub memory: Memory,
    pub base: u64,
    pub size: u16,
    /// The index that the driver has written to the available ring.
    pub avail: u16,
    /// The index of the used ring up to which the driver has read entries.
    pub seen: u16,
    next_descriptor: u16,
    next_buffer: u64,
}

impl Ring {
    pub fn new(memory: Memory, base: u64, size: u16) -> Self {
        let ring = Ring {
            memory,
            base,
            size,
            avail: 0,
            seen: 0,
            next_descriptor: 0,
            next_buffer: base + BUFFERS,
        };
        for at in [AVAIL, USED] {
            let zeros = vec![0; 8 * usize::from(size) + 8];
            ring.write(base + at, &zeros);
        }
        ring
    }

    pub fn write(&self, address: u64, bytes: &[u8]) {
        let memory = self.memory.memory();
        memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub fn read(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let memory = self.memory.memory();
        memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    fn read_u16(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.read(address, 2).try_into().unwrap())
    }

    /// Writes a descriptor (address, length, flags, next) to the table at address `table`.
    pub fn write_descriptor(&self, table: u64, index: u16, descriptor: (u64, u32, u16, u16)) {
        let (address, len, flags, next) = descriptor;
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        self.write(table + 16 * u64::from(index), &bytes);
    }

    /// Writes a chain to the descriptor table and makes the chain available. A descriptor is
    /// address, length and flags. The flag `NEXT` is added where it is needed. Returns the head
    /// index.
    pub fn add(&mut self, descriptors: &[(u64, u32, u16)]) -> u16 {
        let head = self.next_descriptor;
        for (at, (address, len, flags)) in descriptors.iter().enumerate() {
            let index = self.next_descriptor;
            self.next_descriptor = (index + 1) % self.size;
            let link = if at + 1 < descriptors.len() { NEXT } else { 0 };
            let next = self.next_descriptor;
            let table = self.base + TABLE;
            self.write_descriptor(table, index, (*address, *len, flags | link, next));
        }
        self.make_available(head);
        head
    }

    /// Adds a request with only an opcode and a status byte, which the device rejects. Returns the
    /// head index of the request.
    pub fn request(&mut self, opcode: u32) -> u16 {
        let [from, to] = [self.buffer(4), self.buffer(1)];
        self.write(from, &opcode.to_le_bytes());
        self.write(to, &[0xff]);
        self.add(&[(from, 4, 0), (to, 1, WRITE)])
    }

    /// Allocates a buffer. After 1 MiB, allocation starts again at the beginning.
    pub fn buffer(&mut self, len: u64) -> u64 {
        if self.next_buffer + len > self.base + BUFFERS + 0x10_0000 {
            self.next_buffer = self.base + BUFFERS;
        }
        let at = self.next_buffer;
        self.next_buffer += len;
        at
    }

    /// Adds a head index to the available ring.
    pub fn make_available(&mut self, head: u16) {
        let at = self.base + AVAIL + 4 + 2 * u64::from(self.avail % self.size);
        self.write(at, &head.to_le_bytes());
        self.avail = self.avail.wrapping_add(1);
        self.set_avail(self.avail);
    }

    pub fn set_avail(&self, index: u16) {
        self.write(self.base + AVAIL + 2, &index.to_le_bytes());
    }

    pub fn set_avail_flags(&self, flags: u16) {
        self.write(self.base + AVAIL, &flags.to_le_bytes());
    }

    pub fn set_used_event(&self, event: u16) {
        let at = self.base + AVAIL + 4 + 2 * u64::from(self.size);
        self.write(at, &event.to_le_bytes());
    }

    pub fn avail_event(&self) -> u16 {
        self.read_u16(self.base + USED + 4 + 8 * u64::from(self.size))
    }

    pub fn used_flags(&self) -> u16 {
        self.read_u16(self.base + USED)
    }

    pub fn used_index(&self) -> u16 {
        self.read_u16(self.base + USED + 2)
    }

    /// Returns the used entries since the last call: ID and length.
    pub fn used(&mut self) -> Vec<(u32, u32)> {
        let mut used = Vec::new();
        while self.seen != self.used_index() {
            let at = self.base + USED + 4 + 8 * u64::from(self.seen % self.size);
            let entry = self.read(at, 8);
            let word = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap());
            used.push((word(0), word(4)));
            self.seen = self.seen.wrapping_add(1);
        }
        used
    }
}
