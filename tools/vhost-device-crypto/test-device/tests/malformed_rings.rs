// SPDX-License-Identifier: GPL-2.0
//! Tests with invalid rings and chains. The device must continue to work.

mod driver;

use crypto_test_device::violations;
use driver::{Bench, AVAIL, BORDER, BUFFERS, END, INDIRECT, NEXT, TABLE, USED, WRITE};
use vhost_user_backend::VringT;
use virtio_crypto_device::descriptors::{ChainError, DescriptorTable, ParsedChain};
use virtio_crypto_device::memory::Span;
use virtio_crypto_device::requirement::Requirement;
use vm_memory::{GuestAddress, GuestAddressSpace, GuestMemoryMmap};

/// Address of the indirect tables.
const INDIRECT_TABLE: u64 = 0x50_0000;

fn table(size: u16) -> DescriptorTable {
    DescriptorTable { address: GuestAddress(TABLE), size, max_len: 2 << 20 }
}

/// Parses the chain at `head` of a ring of 16 descriptors.
fn parse(memory: &GuestMemoryMmap, head: u16) -> Result<ParsedChain<'_>, ChainError> {
    let mut parsed = ParsedChain::default();
    table(16).parse(memory, head, &mut parsed).map(|()| parsed)
}

fn is_violated(bench: &Bench, requirement: Requirement) -> bool {
    let violations = bench.device.hooks.violations.list();
    violations.iter().any(|violation| violation.requirement == violations::number(requirement))
}

/// Returns the error of the chain at descriptor 0 of a ring of 16 descriptors.
fn chain_error(descriptors: &[(u64, u32, u16, u16)]) -> ChainError {
    let mut bench = Bench::new(16);
    for (index, descriptor) in (0..).zip(descriptors) {
        bench.ring.write_descriptor(TABLE, index, *descriptor);
    }
    bench.ring.make_available(0);
    bench.run();
    assert_eq!(bench.ring.used(), [(0, 0)], "{descriptors:x?}");
    assert_eq!(bench.queue.status().malformed, 1);
    // The next request works.
    let head = bench.ring.add(&[(BUFFERS, 1, WRITE)]);
    bench.run();
    assert_eq!(bench.ring.used(), [(head.into(), 1)]);
    assert!(!bench.queue.status().broken);
    // The valid request has overwritten the first descriptor of the invalid chain.
    bench.ring.write_descriptor(TABLE, 0, descriptors[0]);
    let memory = bench.ring.memory.memory();
    parse(&memory, 0).unwrap_err()
}

#[test]
fn invalid_chains_are_rejected() {
    let buffer = BUFFERS;
    // Loops of one and of two descriptors.
    assert_eq!(chain_error(&[(buffer, 1, NEXT, 0)]), ChainError::TooLong);
    assert_eq!(chain_error(&[(buffer, 1, NEXT, 1), (buffer, 0, NEXT, 0)]), ChainError::TooLong);
    // Indexes beyond the table.
    assert_eq!(chain_error(&[(buffer, 1, NEXT, 16)]), ChainError::Index(16));
    assert_eq!(chain_error(&[(buffer, 1, NEXT, 65535)]), ChainError::Index(65535));
    // Buffers outside guest memory.
    for (address, len) in [(END, 1), (END - 1, 2), (u64::MAX, 1), (u64::MAX - 1, 4), (1 << 63, 1)] {
        assert_eq!(chain_error(&[(address, len, 0, 0)]), ChainError::Buffer(address, len));
        assert_eq!(chain_error(&[(address, len, WRITE, 0)]), ChainError::Buffer(address, len));
    }
    // Too many bytes, in one and in two descriptors.
    assert_eq!(chain_error(&[(0, u32::MAX, 0, 0)]), ChainError::TooBig);
    assert_eq!(chain_error(&[(0, 2 << 20, NEXT, 1), (0, 1, WRITE, 0)]), ChainError::TooBig);
}

#[test]
fn invalid_indirect_tables_are_rejected() {
    let at = INDIRECT_TABLE;
    for len in [0, 1, 15, 17, 65535, u32::MAX] {
        assert_eq!(chain_error(&[(at, len, INDIRECT, 0)]), ChainError::IndirectLen(len));
    }
    assert_eq!(
        chain_error(&[(at, 16, INDIRECT | NEXT, 1), (BUFFERS, 1, WRITE, 0)]),
        ChainError::IndirectNext
    );
    assert_eq!(chain_error(&[(END, 16, INDIRECT, 0)]), ChainError::Table(END));
    let last = u64::MAX - 15;
    assert_eq!(chain_error(&[(last, 32, INDIRECT, 0)]), ChainError::Table(last));
    // A table that is only partly in guest memory.
    let bench = Bench::new(16);
    bench.ring.write_descriptor(TABLE, 0, (END - 16, 32, INDIRECT, 0));
    bench.ring.write_descriptor(END - 16, 0, (BUFFERS, 1, NEXT, 1));
    let memory = bench.ring.memory.memory();
    let error = parse(&memory, 0).unwrap_err();
    assert_eq!(error, ChainError::Table(END));
}

#[test]
fn contents_of_indirect_tables_are_checked() {
    let bench = Bench::new(16);
    let memory = bench.ring.memory.memory();
    let at = INDIRECT_TABLE;
    let parse_first = |len: u32| parse(&memory, 0).map(|parsed| (len, parsed));
    let set = |len: u32| bench.ring.write_descriptor(TABLE, 0, (at, 16 * len, INDIRECT, 0));
    // A nested table, as the first and as the last entry.
    set(2);
    bench.ring.write_descriptor(at, 0, (at, 16, INDIRECT, 0));
    assert_eq!(parse_first(2).unwrap_err(), ChainError::Nested);
    bench.ring.write_descriptor(at, 0, (BUFFERS, 1, NEXT, 1));
    bench.ring.write_descriptor(at, 1, (at, 16, INDIRECT, 0));
    assert_eq!(parse_first(2).unwrap_err(), ChainError::Nested);
    // An index that exists in the table of the ring, but not in this table.
    bench.ring.write_descriptor(at, 0, (BUFFERS, 1, NEXT, 2));
    assert_eq!(parse_first(2).unwrap_err(), ChainError::Index(2));
    // A loop.
    bench.ring.write_descriptor(at, 1, (BUFFERS, 0, NEXT, 0));
    bench.ring.write_descriptor(at, 0, (BUFFERS, 1, NEXT, 1));
    assert_eq!(parse_first(2).unwrap_err(), ChainError::TooLong);
    // A table may be longer than the ring, but the chain in it must not.
    for (used, error) in
        [(16, None), (17, Some(ChainError::TooLong)), (65535, Some(ChainError::TooLong))]
    {
        set(65535);
        for index in 0..used {
            let next = if index + 1 < used { NEXT } else { 0 };
            bench.ring.write_descriptor(at, index, (BUFFERS, 1, next, index + 1));
        }
        let parsed = parse_first(65535);
        assert_eq!(parsed.as_ref().err(), error.as_ref(), "{used}");
        if let Ok((_, parsed)) = parsed {
            assert_eq!(parsed.chain().readable.len(), 16);
        }
    }
    // A table after other descriptors.
    set(1);
    bench.ring.write_descriptor(at, 0, (BUFFERS, 3, WRITE, 9));
    bench.ring.write_descriptor(TABLE, 3, (BUFFERS, 2, NEXT, 0));
    let parsed = parse(&memory, 3).unwrap();
    assert_eq!((parsed.chain().readable.len(), parsed.chain().writable.len()), (2, 3));
    assert!(parsed.in_order);
}

#[test]
fn buffers_may_cross_regions() {
    let bench = Bench::new(16);
    let bytes: Vec<u8> = (0..16).collect();
    bench.ring.write(BORDER - 8, &bytes);
    bench.ring.write_descriptor(TABLE, 0, (BORDER - 8, 16, NEXT, 1));
    bench.ring.write_descriptor(TABLE, 1, (BORDER - 2, 4, WRITE, 0));
    let memory = bench.ring.memory.memory();
    let parsed = parse(&memory, 0).unwrap();
    let chain = parsed.chain();
    let slices = |span: &Span<'_>| span.slices().map(|slice| slice.len()).collect::<Vec<_>>();
    assert_eq!(slices(&chain.readable), [8, 8]);
    assert_eq!(slices(&chain.writable), [2, 2]);
    assert_eq!(chain.readable.to_vec()[..], bytes);
    chain.writable.write(&[0xaa; 4]);
    assert_eq!(bench.ring.read(BORDER - 3, 6), [5, 0xaa, 0xaa, 0xaa, 0xaa, 10]);
}

#[test]
fn too_long_requests_are_a_violation() {
    let mut bench = Bench::new(16);
    let head = bench.ring.add(&[(0, 0x30_0000, 0), (0, 0x30_0000, WRITE)]);
    bench.run();
    assert_eq!(bench.ring.used(), [(head.into(), 0)]);
    assert!(is_violated(&bench, Requirement::MaxSize));
}

#[test]
fn empty_descriptors_are_a_violation() {
    let mut bench = Bench::new(16);
    let head = bench.ring.add(&[(BUFFERS, 4, 0), (BUFFERS, 0, 0), (BUFFERS + 8, 1, WRITE)]);
    bench.run();
    assert!(is_violated(&bench, Requirement::NoEmpty));
    // The request violates no other requirement.
    assert_eq!(bench.ring.used(), [(head.into(), 1)]);
    assert!(!is_violated(&bench, Requirement::Chain));
}

#[test]
fn readable_after_writable_is_a_violation() {
    let mut bench = Bench::new(16);
    let violated = |bench: &Bench| is_violated(bench, Requirement::WritableLast);
    let to = BUFFERS + 8;
    bench.ring.add(&[(BUFFERS, 4, 0), (to, 1, WRITE)]);
    bench.run();
    assert!(!violated(&bench));
    bench.ring.write(to, &[0xff]);
    let head = bench.ring.add(&[(to, 1, WRITE), (BUFFERS, 4, 0)]);
    bench.run();
    assert!(violated(&bench));
    assert_eq!(bench.ring.used().last(), Some(&(head.into(), 1)));
    assert_ne!(bench.ring.read(to, 1), [0xff]);
}

#[test]
fn invalid_heads_are_rejected() {
    let mut bench = Bench::new(16);
    for head in [16, 17, 65535] {
        bench.ring.make_available(head);
    }
    bench.run();
    assert_eq!(bench.ring.used(), [(16, 0), (17, 0), (65535, 0)]);
    assert_eq!(bench.queue.status().malformed, 3);
    assert!(is_violated(&bench, Requirement::Chain));
}

/// Checks that the device stops the queue, and that a restart by the driver repairs the queue.
fn check_broken(bench: &mut Bench) {
    bench.run();
    bench.run();
    assert!(bench.queue.status().broken);
    assert!(is_violated(bench, Requirement::Ring));
    assert_eq!(bench.queue.status().popped, 0);
    bench.stop();
    bench.start();
    let (head, entries) = bench.run_request();
    assert_eq!(entries, [(head.into(), 1)]);
    assert!(!bench.queue.status().broken);
}

#[test]
fn invalid_available_indexes_break_the_queue() {
    for index in [17, 32768, 65535] {
        let mut bench = Bench::new(16);
        bench.ring.set_avail(index);
        check_broken(&mut bench);
    }
}

#[test]
fn rings_outside_guest_memory_break_the_queue() {
    for (avail, used) in [
        (END, USED),
        (1 << 63, USED),
        (u64::MAX - 1, USED),
        // The index is in guest memory, but the heads are not.
        (END - 4, USED),
        (AVAIL, END),
        (AVAIL, u64::MAX - 3),
        // The index is in guest memory, but the entries are not.
        (AVAIL, END - 4),
    ] {
        let mut bench = Bench::new(16);
        bench.ring.request(0);
        bench.vring.set_queue_info(TABLE, avail, used).unwrap();
        if avail == END - 4 {
            bench.ring.write(END - 2, &[1, 0]);
        }
        bench.run();
        bench.run();
        assert!(bench.queue.status().broken, "{avail:x} {used:x}");
        bench.stop();
        bench.start();
        assert_eq!(bench.run_request().1.len(), 1);
    }
}

#[test]
fn descriptor_tables_outside_guest_memory_fail_requests() {
    for table in [END, u64::MAX - 15, END - 16] {
        let mut bench = Bench::new(16);
        bench.vring.set_queue_info(table, AVAIL, USED).unwrap();
        bench.ring.make_available(3);
        bench.run();
        assert_eq!(bench.ring.used(), [(3, 0)]);
        assert!(!bench.queue.status().broken);
    }
}

#[test]
fn missing_guest_memory_breaks_the_queue() {
    let bench = Bench::new(16);
    bench.ring.memory.lock().unwrap().replace(GuestMemoryMmap::new());
    bench.run();
    assert!(bench.queue.status().broken);
}

/// Marsaglia's xorshift. The sequence is constant, so failures are reproducible.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Returns a random number, or one of `interesting` with a probability of 1/2.
    fn pick(&mut self, interesting: &[u64]) -> u64 {
        match self.below(2) {
            0 => self.next(),
            _ => interesting[self.below(interesting.len() as u64) as usize],
        }
    }
}

#[test]
fn random_descriptors_are_served_or_rejected() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut bench = Bench::new(16);
    bench.fault("never-answer:after=50:count=20");
    bench.fault("wrong-id:after=80");
    for round in 0..20_000u64 {
        let addresses = [TABLE, BUFFERS, BORDER - 1, END - 1, END, INDIRECT_TABLE, u64::MAX];
        for index in 0..16 {
            let address = random.pick(&addresses);
            let len = random.pick(&[0, 1, 4, 16, 32, 72, 4096, 65536 * 16, u32::MAX.into()]) as u32;
            let flags = random.pick(&[0, 1, 2, 3, 4, 5, 7]) as u16;
            let next = random.below(20) as u16;
            let descriptor = (address, len, flags, next);
            bench.ring.write_descriptor(TABLE, index, descriptor);
            bench.ring.write_descriptor(INDIRECT_TABLE, index, descriptor);
        }
        for _ in 0..random.below(5) {
            bench.ring.make_available(random.below(18) as u16);
        }
        if round % 100 == 99 {
            bench.ring.set_avail(random.next() as u16);
        }
        bench.run();
        bench.queue.serve_held(|ring| ring.take_all(Default::default()));
        let status = bench.queue.status();
        assert!(status.broken || status.popped == status.completed + status.held);
        // Requests may have overwritten the rings, so set them up again from time to time.
        if status.broken || round % 7 == 0 {
            bench.stop();
            bench.start();
        }
    }
    assert!(bench.queue.status().malformed > 1000);
}
