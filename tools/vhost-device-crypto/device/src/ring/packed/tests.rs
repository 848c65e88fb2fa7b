// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests of packed rings with a driver side that follows the text of the specification.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;

use super::*;
use crate::ring::FENCES;

const RING: u64 = 0x1000;
const DRIVER: u64 = 0x8000;
const DEVICE: u64 = 0x8010;
const TABLE: u64 = 0x9000;
const BUFFER: u64 = 0xa000;
const END: u64 = 0x1_0000;

/// A ring and its driver side.
struct Bench {
    memory: GuestMemoryMmap,
    ring: PackedRing,
    interrupts: Arc<AtomicUsize>,
    /// Index of the next descriptor to make available.
    next: u16,
    /// The driver's wrap counter.
    wrap: bool,
    /// Index of the next used descriptor to read.
    seen: u16,
    /// The device's wrap counter, as the driver expects it.
    seen_wrap: bool,
}

impl Bench {
    fn new(size: u16) -> Self {
        Bench::with(size, false)
    }

    fn with(size: u16, event_idx: bool) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), END as usize)]).unwrap();
        let layout = Layout {
            size,
            descriptors: RING,
            driver: DRIVER,
            device: DEVICE,
            event_idx,
            in_order: false,
        };
        let interrupts = Arc::new(AtomicUsize::new(0));
        let count = interrupts.clone();
        let signal: Signal = Box::new(move || {
            count.fetch_add(1, SeqCst);
            Ok(())
        });
        let ring = PackedRing::new(layout, signal);
        Bench { memory, ring, interrupts, next: 0, wrap: true, seen: 0, seen_wrap: true }
    }

    fn describe(&self, at: u64, (address, len, id, flags): (u64, u32, u16, u16)) {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(id.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        self.memory.write_slice(&bytes, GuestAddress(at)).unwrap();
    }

    /// Makes a chain available. All descriptors but the last get `NEXT`.
    fn add(&mut self, id: u16, descriptors: &[(u64, u32, u16)]) {
        for (at, (address, len, flags)) in descriptors.iter().enumerate() {
            let more = if at + 1 < descriptors.len() { NEXT } else { 0 };
            let new = if self.wrap { AVAIL } else { USED };
            let place = RING + 16 * u64::from(self.next);
            self.describe(place, (*address, *len, id, flags | more | new));
            self.next += 1;
            if self.next == self.ring.layout.size {
                (self.next, self.wrap) = (0, !self.wrap);
            }
        }
    }

    fn pop(&mut self) -> Option<PoppedChain> {
        self.ring.pop(&self.memory).unwrap()
    }

    fn complete(&mut self, popped: &PoppedChain, len: u32) {
        let entry = UsedElem { id: popped.id.into(), len, slots: popped.slots };
        self.ring.publish(&self.memory, &[entry]).unwrap();
    }

    /// Returns the next used entry: buffer ID, length, and whether the WRITE flag is set.
    fn used(&mut self, slots: u16) -> Option<(u16, u32, bool)> {
        let at = RING + 16 * u64::from(self.seen);
        let read = |offset: u64| self.memory.read_obj::<u16>(GuestAddress(at + offset)).unwrap();
        let (len, id, flags) = (read(8), read(12), read(14));
        let (avail, used) = (flags & AVAIL != 0, flags & USED != 0);
        if avail != self.seen_wrap || used != self.seen_wrap {
            return None;
        }
        self.seen += slots;
        if self.seen >= self.ring.layout.size {
            self.seen -= self.ring.layout.size;
            self.seen_wrap = !self.seen_wrap;
        }
        Some((id, len.into(), flags & WRITE != 0))
    }

    fn parse(&self, popped: &PoppedChain) -> Result<(usize, usize), ChainError> {
        let mut parsed = ParsedChain::default();
        self.ring.parse(&self.memory, popped, 1 << 20, &mut parsed)?;
        Ok((parsed.chain().readable.len(), parsed.chain().writable.len()))
    }

    /// Returns the error for a chain of these descriptors.
    fn error(descriptors: &[(u64, u32, u16)]) -> ChainError {
        let mut bench = Bench::new(8);
        bench.add(1, descriptors);
        let popped = bench.pop().unwrap();
        bench.parse(&popped).unwrap_err()
    }

    fn set_driver_event(&self, flags: u16, off_wrap: u16) {
        self.memory.write_obj(off_wrap, GuestAddress(DRIVER)).unwrap();
        self.memory.write_obj(flags, GuestAddress(DRIVER + 2)).unwrap();
    }

    fn device_event(&self) -> (u16, u16) {
        let read = |at: u64| self.memory.read_obj::<u16>(GuestAddress(at)).unwrap();
        (read(DEVICE), read(DEVICE + 2))
    }
}

#[test]
fn available_chains_are_popped_once() {
    let mut bench = Bench::new(4);
    assert!(bench.pop().is_none());
    bench.add(7, &[(BUFFER, 4, 0), (BUFFER + 8, 2, WRITE)]);
    bench.add(9, &[(BUFFER, 3, WRITE)]);
    let first = bench.pop().unwrap();
    assert_eq!((first.id, first.slots), (7, 2));
    assert_eq!(bench.parse(&first).unwrap(), (4, 2));
    let second = bench.pop().unwrap();
    assert_eq!((second.id, second.slots), (9, 1));
    assert_eq!(bench.parse(&second).unwrap(), (0, 3));
    assert!(bench.pop().is_none());
    assert!(bench.used(2).is_none());
    // The chains complete out of order. A used entry overwrites descriptors of the first chain,
    // which were copied when the chain was popped.
    bench.complete(&second, 3);
    bench.complete(&first, 0);
    assert_eq!(bench.parse(&first).unwrap(), (4, 2));
    assert_eq!(bench.used(1), Some((9, 3, true)));
    assert_eq!(bench.used(2), Some((7, 0, false)));
    assert!(bench.used(1).is_none() && bench.pop().is_none());
}

#[test]
fn rings_of_any_size_wrap_around() {
    for size in [1, 2, 3, 7, 8] {
        let mut bench = Bench::new(size);
        for round in 0..200u16 {
            let slots = 1 + round % size;
            let chain = vec![(BUFFER, 1, WRITE); usize::from(slots)];
            bench.add(round, &chain);
            let popped = bench.pop().unwrap();
            assert_eq!((popped.id, popped.slots), (round, slots));
            assert_eq!(bench.parse(&popped).unwrap().1, usize::from(slots));
            assert!(bench.pop().is_none());
            bench.complete(&popped, 1);
            assert_eq!(bench.used(slots), Some((round, 1, true)), "{size} {round}");
            assert!(bench.used(1).is_none());
        }
    }
}

#[test]
fn a_chain_may_cross_the_end_of_the_ring() {
    let mut bench = Bench::new(4);
    for id in 0..3 {
        bench.add(id, &[(BUFFER, 1, 0)]);
        let popped = bench.pop().unwrap();
        bench.complete(&popped, 0);
        bench.used(1).unwrap();
    }
    bench.add(5, &[(BUFFER, 1, 0), (BUFFER, 2, 0), (BUFFER, 4, WRITE)]);
    let popped = bench.pop().unwrap();
    assert_eq!((popped.id, popped.slots), (5, 3));
    assert_eq!(bench.parse(&popped).unwrap(), (3, 4));
    bench.complete(&popped, 4);
    assert_eq!(bench.used(3), Some((5, 4, true)));
}

#[test]
fn indirect_tables_are_parsed() {
    let mut bench = Bench::new(4);
    // In an indirect table only the WRITE flag has a meaning.
    bench.describe(TABLE, (BUFFER, 10, 99, 0));
    bench.describe(TABLE + 16, (BUFFER, 20, 98, NEXT | AVAIL));
    bench.describe(TABLE + 32, (BUFFER, 30, 97, WRITE));
    bench.add(3, &[(TABLE, 48, INDIRECT)]);
    let popped = bench.pop().unwrap();
    assert_eq!((popped.id, popped.slots), (3, 1));
    assert_eq!(bench.parse(&popped).unwrap(), (30, 30));
    // An indirect table may follow other descriptors.
    bench.add(4, &[(BUFFER, 1, 0), (TABLE + 32, 16, INDIRECT)]);
    let popped = bench.pop().unwrap();
    assert_eq!(bench.parse(&popped).unwrap(), (1, 30));
}

#[test]
fn invalid_chains_return_their_error() {
    assert_eq!(Bench::error(&[(END, 1, 0)]), ChainError::Buffer(END, 1));
    assert_eq!(Bench::error(&[(u64::MAX, 2, WRITE)]), ChainError::Buffer(u64::MAX, 2));
    assert_eq!(Bench::error(&[(BUFFER, 2 << 20, 0)]), ChainError::TooBig);
    assert_eq!(Bench::error(&[(TABLE, 0, INDIRECT)]), ChainError::IndirectLen(0));
    assert_eq!(Bench::error(&[(TABLE, 17, INDIRECT)]), ChainError::IndirectLen(17));
    assert_eq!(Bench::error(&[(END, 16, INDIRECT)]), ChainError::Table(END));
    let last = u64::MAX - 15;
    assert_eq!(Bench::error(&[(last, 16, INDIRECT)]), ChainError::Table(last));
    assert_eq!(Bench::error(&[(TABLE, 16, INDIRECT), (0, 1, 0)]), ChainError::IndirectNext);
    // Nine descriptors in a ring of eight: eight in the table and one before it.
    assert_eq!(Bench::error(&[(0, 0, 0), (TABLE, 128, INDIRECT)]), ChainError::TooLong);
    let mut bench = Bench::new(8);
    bench.describe(TABLE, (TABLE, 16, 0, INDIRECT));
    bench.add(1, &[(TABLE, 16, INDIRECT)]);
    let popped = bench.pop().unwrap();
    assert_eq!(bench.parse(&popped).unwrap_err(), ChainError::Nested);
}

#[test]
fn writable_before_readable_is_reported() {
    let mut bench = Bench::new(8);
    bench.add(1, &[(BUFFER, 1, WRITE), (BUFFER, 1, 0)]);
    let popped = bench.pop().unwrap();
    let mut parsed = ParsedChain::default();
    bench.ring.parse(&bench.memory, &popped, 100, &mut parsed).unwrap();
    assert!(!parsed.in_order);
}

#[test]
fn invalid_rings_return_their_error() {
    let mut bench = Bench::new(4);
    for index in 0..4 {
        bench.describe(RING + 16 * index, (BUFFER, 1, 0, NEXT | AVAIL));
    }
    assert!(matches!(bench.ring.pop(&bench.memory), Err(RingError::Endless)));
    for layout in [
        Layout { descriptors: END, ..bench.ring.layout },
        Layout { descriptors: END - 8, ..bench.ring.layout },
        Layout { descriptors: u64::MAX - 1, ..bench.ring.layout },
        Layout { descriptors: RING + 1, ..bench.ring.layout },
    ] {
        let mut ring = PackedRing::new(layout, Box::new(|| Ok(())));
        assert!(matches!(ring.pop(&bench.memory), Err(RingError::Memory(_))), "{layout:?}");
        let entry = UsedElem { id: 0, len: 0, slots: 1 };
        assert!(ring.publish(&bench.memory, &[entry]).is_err());
    }
    let layout = Layout { driver: END, device: u64::MAX - 2, ..bench.ring.layout };
    let mut ring = PackedRing::new(layout, Box::new(|| Ok(())));
    assert!(
        ring.disable_notification(&bench.memory).is_err()
            && ring.enable_notification(&bench.memory).is_err()
    );
    ring.publish(&bench.memory, &[UsedElem { id: 0, len: 0, slots: 1 }]).unwrap();
    assert!(ring.needs_notification(&bench.memory).is_err());
}

#[test]
fn invalid_used_entries_stay_in_the_ring() {
    let mut bench = Bench::new(4);
    let entry = UsedElem { id: 0x1_0009, len: u32::MAX, slots: 1 };
    bench.ring.publish(&bench.memory, &[entry; 9]).unwrap();
    assert_eq!(bench.ring.used, Position { index: 1, wrap: true });
    // More slots than the ring has.
    let entry = UsedElem { slots: u16::MAX, ..entry };
    bench.ring.publish(&bench.memory, &[entry]).unwrap();
    assert_eq!(bench.ring.used, Position { index: 1, wrap: false });
}

#[test]
fn notifications_follow_the_drivers_flags() {
    for event_idx in [false, true] {
        let mut bench = Bench::with(4, event_idx);
        let mut notified = |flags: u16, off_wrap: u16| {
            bench.set_driver_event(flags, off_wrap);
            bench.ring.publish(&bench.memory, &[UsedElem { id: 0, len: 0, slots: 1 }]).unwrap();
            bench.ring.needs_notification(&bench.memory).unwrap()
        };
        assert!(notified(ALL, 0));
        assert!(!notified(NOTHING, 0));
        // Without the feature the index is ignored.
        assert_eq!(notified(ONE_INDEX, 3 | 1 << 15), !event_idx);
        assert!(!bench.ring.needs_notification(&bench.memory).unwrap());
    }
}

#[test]
fn event_index_is_notified_when_it_is_passed() {
    let size = 5;
    // All positions of the ring, counts of published entries and event indexes.
    for before in 0..2 * size {
        for added in 1..=size {
            for ahead in 0..size {
                let mut bench = Bench::with(size, true);
                let mut wanted = bench.ring.used;
                for _ in 0..before {
                    bench.ring.used.advance(1, size);
                    wanted.advance(1, size);
                }
                wanted.advance(ahead, size);
                bench.set_driver_event(ONE_INDEX, wanted.off_wrap());
                bench
                    .ring
                    .publish(&bench.memory, &[UsedElem { id: 0, len: 0, slots: added }])
                    .unwrap();
                let notified = bench.ring.needs_notification(&bench.memory).unwrap();
                assert_eq!(notified, ahead < added, "{before} {added} {ahead}");
            }
        }
    }
}

#[test]
fn device_event_structure_controls_kicks() {
    let mut bench = Bench::new(2);
    bench.ring.disable_notification(&bench.memory).unwrap();
    assert_eq!(bench.device_event().1, NOTHING);
    assert!(!bench.ring.enable_notification(&bench.memory).unwrap());
    assert_eq!(bench.device_event().1, ALL);
    bench.add(0, &[(BUFFER, 1, 0)]);
    assert!(bench.ring.enable_notification(&bench.memory).unwrap());

    let mut bench = Bench::with(2, true);
    for expected in [1 << 15, 1 << 15 | 1, 0, 1, 1 << 15] {
        assert!(!bench.ring.enable_notification(&bench.memory).unwrap());
        assert_eq!(bench.device_event(), (expected, ONE_INDEX));
        bench.add(0, &[(BUFFER, 1, 0)]);
        let popped = bench.pop().unwrap();
        bench.complete(&popped, 0);
    }
    bench.ring.signal_used().unwrap();
    assert_eq!(bench.interrupts.load(SeqCst), 1);
}

#[test]
fn event_structures_are_read_after_a_fence() {
    let mut bench = Bench::new(4);
    let before = FENCES.get();
    bench.ring.disable_notification(&bench.memory).unwrap();
    assert_eq!(FENCES.get(), before);
    bench.ring.enable_notification(&bench.memory).unwrap();
    assert_eq!(FENCES.get(), before + 1);
    bench.ring.publish(&bench.memory, &[UsedElem { id: 0, len: 0, slots: 1 }]).unwrap();
    assert_eq!(FENCES.get(), before + 1);
    assert!(bench.ring.needs_notification(&bench.memory).unwrap());
    assert_eq!(FENCES.get(), before + 2);
}
