// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The packed format: one descriptor ring, in which the device overwrites available descriptors
//! with used ones, and an event suppression structure for each side.
//!
//! Each side has a wrap counter. The AVAIL and USED flags are compared with it to detect new
//! descriptors.

use std::io;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::{
    address, full_fence, writable, PackedDescriptor, PoppedChain, Ring, RingError, Signal, UsedElem,
};
use crate::descriptors::{ChainBuilder, ChainError, ParsedChain, DESCRIPTOR_LEN};

#[cfg(test)]
mod tests;

const NEXT: u16 = 1 << 0;
const WRITE: u16 = 1 << 1;
const INDIRECT: u16 = 1 << 2;
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// Offset of `flags` in a descriptor, in bytes.
const FLAGS_AT: u64 = 14;

/// Values of the `flags` field of an event suppression structure: notify for all descriptors, for
/// none, or for the descriptor at one index.
const ALL: u16 = 0;
const NOTHING: u16 = 1;
const ONE_INDEX: u16 = 2;

/// A ring index with its wrap counter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Position {
    index: u16,
    wrap: bool,
}

impl Position {
    /// Advances by `slots`, but at most by `size`, because hooks can change a [`UsedElem`].
    fn advance(&mut self, slots: u16, size: u16) {
        let index = u32::from(self.index) + u32::from(slots.min(size));
        let size = u32::from(size);
        // The remainder is less than `size`, which has 16 bits.
        self.index = (index % size) as u16;
        self.wrap ^= index >= size;
    }

    /// Returns the `desc` field of an event suppression structure.
    fn off_wrap(self) -> u16 {
        self.index | u16::from(self.wrap) << 15
    }
}

/// The addresses of a ring, and the features that were negotiated for it.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Number of descriptors, 1 to 32768.
    pub size: u16,
    /// Guest address of the descriptor ring.
    pub descriptors: u64,
    /// Guest address of the driver's event suppression structure.
    pub driver: u64,
    /// Guest address of the device's event suppression structure.
    pub device: u64,
    /// `VIRTIO_F_EVENT_IDX`
    pub event_idx: bool,
    /// `VIRTIO_F_IN_ORDER`
    pub in_order: bool,
}

/// A packed ring.
pub struct PackedRing {
    layout: Layout,
    available: Position,
    used: Position,
    /// Used slots published since the last `needs_notification()`.
    unsignalled: u16,
    signal: Signal,
}

impl PackedRing {
    /// Creates a ring that the driver has set up.
    pub fn new(layout: Layout, signal: Signal) -> Self {
        let start = Position { index: 0, wrap: true };
        PackedRing { layout, available: start, used: start, unsignalled: 0, signal }
    }

    fn flags_at(&self, index: u16) -> Result<GuestAddress, RingError> {
        let offset = u64::from(index) * u64::from(DESCRIPTOR_LEN) + FLAGS_AT;
        Ok(address(self.layout.descriptors, offset)?)
    }

    /// Returns true if the driver made the next descriptor available.
    fn is_available(&self, memory: &GuestMemoryMmap) -> Result<bool, RingError> {
        let flags = memory.load(self.flags_at(self.available.index)?, Ordering::Acquire)?;
        let flags = u16::from_le(flags);
        let (avail, used) = (flags & AVAIL != 0, flags & USED != 0);
        Ok(avail == self.available.wrap && used != self.available.wrap)
    }
}

impl Ring for PackedRing {
    fn is_started(&self) -> bool {
        true
    }

    fn size(&self) -> u16 {
        self.layout.size
    }

    fn in_order(&self) -> bool {
        self.layout.in_order
    }

    fn pop(&mut self, memory: &GuestMemoryMmap) -> Result<Option<PoppedChain>, RingError> {
        if !self.is_available(memory)? {
            return Ok(None);
        }
        let mut direct = SmallVec::new();
        for slots in 1..=self.layout.size {
            let index = (u32::from(self.available.index) + u32::from(slots) - 1)
                % u32::from(self.layout.size);
            let at = address(self.layout.descriptors, u64::from(index * DESCRIPTOR_LEN))?;
            let (descriptor, id) = read(memory, at)?;
            direct.push(descriptor);
            if descriptor.flags & NEXT == 0 {
                self.available.advance(slots, self.layout.size);
                return Ok(Some(PoppedChain { id, slots, direct }));
            }
        }
        Err(RingError::Endless)
    }

    fn parse<'m>(
        &self,
        memory: &'m GuestMemoryMmap,
        popped: &PoppedChain,
        max_len: u64,
        parsed: &mut ParsedChain<'m>,
    ) -> Result<(), ChainError> {
        let mut chain = ChainBuilder::new(memory, max_len, parsed);
        let mut room = self.layout.size;
        let mut push = |descriptor: PackedDescriptor| {
            room = room.checked_sub(1).ok_or(ChainError::TooLong)?;
            let PackedDescriptor { address, len, flags } = descriptor;
            chain.push(GuestAddress(address), len, flags & WRITE != 0)
        };
        for descriptor in &popped.direct {
            if descriptor.flags & INDIRECT == 0 {
                push(*descriptor)?;
                continue;
            }
            if descriptor.flags & NEXT != 0 {
                return Err(ChainError::IndirectNext);
            }
            if descriptor.len == 0 || descriptor.len % DESCRIPTOR_LEN != 0 {
                return Err(ChainError::IndirectLen(descriptor.len));
            }
            for offset in (0..descriptor.len).step_by(DESCRIPTOR_LEN as usize) {
                let at = descriptor.address.wrapping_add(u64::from(offset));
                let bad = ChainError::Table(at);
                // An address that overflows is not in guest memory.
                let at = address(descriptor.address, offset.into()).map_err(|_| bad)?;
                let (descriptor, _) = read(memory, at).map_err(|_| bad)?;
                // In an indirect table of a packed ring the NEXT flag has no meaning.
                if descriptor.flags & INDIRECT != 0 {
                    return Err(ChainError::Nested);
                }
                push(descriptor)?;
            }
        }
        Ok(())
    }

    fn publish(&mut self, memory: &GuestMemoryMmap, used: &[UsedElem]) -> Result<(), RingError> {
        for entry in used {
            let offset = u64::from(self.used.index) * u64::from(DESCRIPTOR_LEN);
            let mut words = [0; 6];
            words[..4].copy_from_slice(&entry.len.to_le_bytes());
            // The hooks may give a used entry an ID of more than 16 bits.
            words[4..].copy_from_slice(&(entry.id as u16).to_le_bytes());
            let at = writable(memory, self.layout.descriptors, offset + 8, 8)?;
            memory.write_slice(&words, at)?;
            let mut flags = if self.used.wrap { AVAIL | USED } else { 0 };
            if entry.len != 0 {
                flags |= WRITE;
            }
            memory.store(flags.to_le(), self.flags_at(self.used.index)?, Ordering::Release)?;
            self.used.advance(entry.slots, self.layout.size);
            self.unsignalled = self.unsignalled.saturating_add(entry.slots);
        }
        Ok(())
    }

    fn needs_notification(&mut self, memory: &GuestMemoryMmap) -> Result<bool, RingError> {
        let added = std::mem::take(&mut self.unsignalled);
        if added == 0 {
            return Ok(false);
        }
        // The driver must see the used descriptors before this side reads its event suppression
        // structure.
        full_fence();
        let load = |offset| -> Result<u16, RingError> {
            let at = address(self.layout.driver, offset)?;
            Ok(u16::from_le(memory.load(at, Ordering::Acquire)?))
        };
        match load(2)? {
            NOTHING => return Ok(false),
            ONE_INDEX if self.layout.event_idx => {}
            _ => return Ok(true),
        }
        let off_wrap = load(0)?;
        let size = i32::from(self.layout.size);
        let mut wanted = i32::from(off_wrap & !(1 << 15));
        if (off_wrap >> 15 != 0) != self.used.wrap {
            wanted -= size;
        }
        // Notify if the wanted index was published since the last call. Indexes before the last
        // wrap are negative.
        let next = i32::from(self.used.index);
        Ok((next - i32::from(added)..next).contains(&wanted))
    }

    fn signal_used(&self) -> io::Result<()> {
        (self.signal)()
    }

    fn disable_notification(&mut self, memory: &GuestMemoryMmap) -> Result<(), RingError> {
        let at = writable(memory, self.layout.device, 2, 2)?;
        Ok(memory.store(NOTHING.to_le(), at, Ordering::Release)?)
    }

    fn enable_notification(&mut self, memory: &GuestMemoryMmap) -> Result<bool, RingError> {
        let flags = if self.layout.event_idx {
            let word = self.available.off_wrap();
            let at = writable(memory, self.layout.device, 0, 2)?;
            memory.store(word.to_le(), at, Ordering::Relaxed)?;
            ONE_INDEX
        } else {
            ALL
        };
        let at = writable(memory, self.layout.device, 2, 2)?;
        memory.store(flags.to_le(), at, Ordering::Release)?;
        // The driver may have added a descriptor before it read the new flags.
        full_fence();
        self.is_available(memory)
    }
}

/// Reads a descriptor and its buffer ID.
fn read(memory: &GuestMemoryMmap, at: GuestAddress) -> Result<(PackedDescriptor, u16), RingError> {
    // Read the whole descriptor once: the driver may change it at any time.
    let bytes: [u8; DESCRIPTOR_LEN as usize] = memory.read_obj(at)?;
    let [a0, a1, a2, a3, a4, a5, a6, a7, l0, l1, l2, l3, i0, i1, f0, f1] = bytes;
    let descriptor = PackedDescriptor {
        address: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
        len: u32::from_le_bytes([l0, l1, l2, l3]),
        flags: u16::from_le_bytes([f0, f1]),
    };
    Ok((descriptor, u16::from_le_bytes([i0, i1])))
}
