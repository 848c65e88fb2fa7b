// SPDX-License-Identifier: GPL-2.0
//! Neither side of a ring sleeps while the other one thinks it has been told: each writes what is new
//! before it reads the other's wish. A machine that lets a read pass a write, as all do, shows a fence
//! that is missing only if both sides run at the same time, so this goes on for a while.

#![allow(missing_docs)]

use std::hint::spin_loop;
use std::sync::atomic::{fence, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use vhost_user_crypto::ring::packed::{Layout, PackedRing};
use vhost_user_crypto::ring::split::Split;
use vhost_user_crypto::ring::{Entry, Ring};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// How long each kind of ring is tried.
const TIME: Duration = Duration::from_millis(1500);

const SIZE: u16 = 256;
const DESCRIPTORS: u64 = 0x1000;
const DRIVER: u64 = 0x4000;
const DEVICE: u64 = 0x5000;

fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap()
}

fn store(memory: &GuestMemoryMmap, at: u64, value: u16) {
    memory.store(value.to_le(), GuestAddress(at), Ordering::Release).unwrap();
}

fn load(memory: &GuestMemoryMmap, at: u64) -> u16 {
    u16::from_le(memory.load(GuestAddress(at), Ordering::Acquire).unwrap())
}

/// Lets two threads do a thing each at the same time, again and again: `prepare` comes before, with
/// the number of the round; afterwards one of the two has to say yes.
fn race(
    mut prepare: impl FnMut(u32),
    mut device: impl FnMut(u32) -> bool + Send,
    mut driver: impl FnMut(u32) -> bool,
) {
    const STOP: u32 = u32::MAX;
    let (round, done, answer) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let wait = |atomic: &AtomicU32, done: &dyn Fn(u32) -> bool| loop {
        for _ in 0..10_000 {
            let value = atomic.load(Ordering::Acquire);
            if done(value) {
                return value;
            }
            spin_loop();
        }
        // The other one may need this processor.
        thread::yield_now();
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            for next in 1.. {
                if wait(&round, &|value| value >= next) == STOP {
                    break;
                }
                answer.store(device(next).into(), Ordering::Relaxed);
                done.store(next, Ordering::Release);
            }
        });
        let end = Instant::now() + TIME;
        let mut missed = 0;
        let mut next = 1;
        while Instant::now() < end {
            prepare(next);
            round.store(next, Ordering::Release);
            // The two do not need the same time to begin.
            (0..next % 64).for_each(|_| spin_loop());
            let mine = driver(next);
            wait(&done, &|value| value == next);
            if !mine && answer.load(Ordering::Relaxed) == 0 {
                missed += 1;
            }
            next += 1;
        }
        round.store(STOP, Ordering::Release);
        assert_eq!(missed, 0, "nobody was told, in so many rounds of {next}");
    });
}

/// Flags of a driver that wants no interrupt from a split ring, or no notification from either.
const NOTHING: u16 = 1;

#[test]
fn split_answers_are_seen_or_signalled() {
    let memory = memory();
    let mut queue = Queue::new(SIZE).unwrap();
    queue.try_set_desc_table_address(GuestAddress(DESCRIPTORS)).unwrap();
    queue.try_set_avail_ring_address(GuestAddress(DRIVER)).unwrap();
    queue.try_set_used_ring_address(GuestAddress(DEVICE)).unwrap();
    queue.set_ready(true);
    let mut split = Split::default();
    let device = |_| {
        let entry = Entry { id: 0, len: 0, slots: 1 };
        split.publish(&memory, &mut queue, &[entry]).unwrap();
        split.needs_signal(&memory, &queue).unwrap()
    };
    let driver = |round: u32| {
        store(&memory, DRIVER, 0);
        fence(Ordering::SeqCst);
        load(&memory, DEVICE + 2) == round as u16
    };
    race(|_| store(&memory, DRIVER, NOTHING), device, driver);
}

/// Bits of a descriptor's flags.
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

fn packed() -> PackedRing {
    let layout = Layout {
        size: SIZE,
        descriptors: DESCRIPTORS,
        driver: DRIVER,
        device: DEVICE,
        event_idx: false,
        in_order: false,
    };
    PackedRing::new(layout, Box::new(|| Ok(())))
}

/// Where the flags are of the descriptor of this round, and whether its bits are set.
fn place(round: u32) -> (u64, bool) {
    let at = round - 1;
    let index = u64::from(at % u32::from(SIZE));
    (DESCRIPTORS + 16 * index + 14, (at / u32::from(SIZE)) % 2 == 0)
}

#[test]
fn packed_answers_are_seen_or_signalled() {
    let memory = memory();
    let mut ring = packed();
    let device = |_| {
        let entry = Entry { id: 0, len: 0, slots: 1 };
        ring.publish(&memory, &[entry]).unwrap();
        ring.needs_signal(&memory).unwrap()
    };
    let driver = |round: u32| {
        store(&memory, DRIVER + 2, 0);
        fence(Ordering::SeqCst);
        let (at, set) = place(round);
        let both = load(&memory, at) & (AVAIL | USED);
        both == if set { AVAIL | USED } else { 0 }
    };
    race(|_| store(&memory, DRIVER + 2, NOTHING), device, driver);
}

#[test]
fn packed_requests_are_seen_or_notified() {
    let memory = memory();
    let ring = std::sync::Mutex::new(packed());
    let prepare = |_| ring.lock().unwrap().silence(&memory).unwrap();
    let device = |_| {
        let mut ring = ring.lock().unwrap();
        let there = ring.listen(&memory).unwrap();
        // Seen or not, it is taken, so that the next round is about the next one.
        while ring.pop(&memory).unwrap().is_none() {
            spin_loop();
        }
        there
    };
    let driver = |round: u32| {
        let (at, set) = place(round);
        store(&memory, at, if set { AVAIL } else { USED });
        fence(Ordering::SeqCst);
        load(&memory, DEVICE + 2) != NOTHING
    };
    race(prepare, device, driver);
}
