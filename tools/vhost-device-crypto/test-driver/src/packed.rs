// SPDX-License-Identifier: GPL-2.0
//! The driver side of a packed ring.

use virtio_crypto_device::queue::Memory;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use super::{AVAIL, BUFFERS, NEXT, TABLE, USED, WRITE};

const AVAILABLE: u16 = 1 << 7;
const IS_USED: u16 = 1 << 15;

/// The driver side of a packed ring. The device can complete requests in any order.
pub struct Packed {
    pub memory: Memory,
    pub base: u64,
    pub size: u16,
    /// Index of the next descriptor to make available.
    next: u16,
    /// The driver's wrap counter.
    wrap: bool,
    /// Index of the next used descriptor to read.
    seen: u16,
    /// The device's wrap counter, as the driver expects it.
    seen_wrap: bool,
    /// Number of descriptors of each buffer ID, or 0 if the ID is not in flight.
    slots: Vec<u16>,
    next_id: u16,
}

impl Packed {
    pub fn new(memory: Memory, base: u64, size: u16) -> Self {
        let zeros = vec![0; 16 * usize::from(size)];
        let guest = memory.memory();
        guest.write_slice(&zeros, GuestAddress(base + TABLE)).unwrap();
        // Enable all notifications in both event suppression structures.
        for at in [AVAIL, USED] {
            guest.write_slice(&[0; 4], GuestAddress(base + at)).unwrap();
        }
        let slots = vec![0; usize::from(size)];
        Packed {
            memory,
            base,
            size,
            next: 0,
            wrap: true,
            seen: 0,
            seen_wrap: true,
            slots,
            next_id: 0,
        }
    }

    /// Adds a request with only an opcode and a status byte, which the device rejects. Returns the
    /// buffer ID of the request.
    pub fn request(&mut self, opcode: u32) -> u16 {
        let id = self.next_id;
        self.next_id = (id + 1) % self.size;
        let at = self.base + BUFFERS + 64 * u64::from(id);
        let guest = self.memory.memory();
        guest.write_slice(&opcode.to_le_bytes(), GuestAddress(at)).unwrap();
        guest.write_slice(&[0xff], GuestAddress(at + 32)).unwrap();
        let first = self.next;
        let first_flags = self.write_descriptor(at, 4, id, NEXT);
        let flags = self.write_descriptor(at + 32, 1, id, WRITE);
        // The device may process the request as soon as the first descriptor has its flags.
        self.write_flags(self.following(first), flags);
        self.write_flags(first, first_flags);
        self.slots[usize::from(id)] = 2;
        id
    }

    fn following(&self, index: u16) -> u16 {
        (index + 1) % self.size
    }

    /// Writes a descriptor without its flags. Returns the flags, which the caller must write
    /// afterwards.
    fn write_descriptor(&mut self, address: u64, len: u32, id: u16, flags: u16) -> u16 {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(id.to_le_bytes());
        let at = self.base + TABLE + 16 * u64::from(self.next);
        self.memory.memory().write_slice(&bytes, GuestAddress(at)).unwrap();
        let flags = flags | if self.wrap { AVAILABLE } else { IS_USED };
        self.next = self.following(self.next);
        self.wrap ^= self.next == 0;
        flags
    }

    fn write_flags(&self, index: u16, flags: u16) {
        let at = self.base + TABLE + 16 * u64::from(index) + 14;
        self.memory.memory().write_slice(&flags.to_le_bytes(), GuestAddress(at)).unwrap();
    }

    /// Returns the used descriptors since the last call: buffer ID and length.
    pub fn used(&mut self) -> Vec<(u32, u32)> {
        let mut used = Vec::new();
        loop {
            let mut bytes = [0; 16];
            let at = self.base + TABLE + 16 * u64::from(self.seen);
            self.memory.memory().read_slice(&mut bytes, GuestAddress(at)).unwrap();
            let flags = u16::from_le_bytes([bytes[14], bytes[15]]);
            let bits = (flags & AVAILABLE != 0, flags & IS_USED != 0);
            if bits != (self.seen_wrap, self.seen_wrap) {
                return used;
            }
            let id = u16::from_le_bytes([bytes[12], bytes[13]]);
            let len = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
            used.push((id.into(), len));
            let slots = std::mem::take(&mut self.slots[usize::from(id)]);
            assert_ne!(slots, 0, "buffer {id} was returned twice");
            self.seen += slots;
            if self.seen >= self.size {
                self.seen -= self.size;
                self.seen_wrap = !self.seen_wrap;
            }
        }
    }
}
