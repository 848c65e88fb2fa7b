// SPDX-License-Identifier: GPL-2.0
//! Tests of a queue without a front end: completions without faults, and all faults of completions.

mod driver;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use crypto_test_device::held::Order;
use crypto_test_device::instrument;
use crypto_test_device::instrument::{FatalFault, Queue};
use crypto_test_device::trace::Trace;
use driver::{Bench, BUFFERS, WRITE};
use vhost_device_crypto::vring;
use vhost_user_backend::VringT;
use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::queue_id::QueueId;
use virtio_crypto_device::ring::split::Split;
use vmm_sys_util::timerfd::TimerFd;

/// Number of bytes that the device writes for the requests of these tests. The requests are
/// invalid, so the device only writes the status.
const LEN: u32 = 1;

/// Returns the expected used entry of a request.
fn used(head: u16) -> (u32, u32) {
    (head.into(), LEN)
}

#[test]
fn requests_are_completed_once_and_in_order() {
    let mut bench = Bench::new(256);
    for _ in 0..3 {
        let heads: Vec<u16> = (0..100).map(|_| bench.ring.request(0)).collect();
        assert_eq!(bench.ring.used(), []);
        bench.run();
        let entries: Vec<_> = heads.iter().map(|&head| used(head)).collect();
        assert_eq!(bench.ring.used(), entries);
        assert!((1..100).contains(&bench.interrupts()));
    }
    let status = bench.queue.status();
    assert_eq!((status.popped, status.completed), (300, 300));
    assert_eq!((status.held, status.malformed), (0, 0));
    assert!(status.running && !status.broken);
    bench.run();
    assert_eq!(bench.interrupts(), 0);
    assert_eq!(bench.ring.used_flags(), 0);
}

#[test]
fn indices_wrap_around() {
    for (size, event_idx) in [(1, false), (2, true), (64, true), (64, false)] {
        let mut bench = Bench::new(size);
        bench.vring.set_queue_event_idx(event_idx);
        let batch = (size / 2).max(1);
        let mut count = 0;
        while count < 70_000 {
            bench.ring.set_used_event(bench.ring.seen);
            // A chain has two descriptors. In a ring of size 1 it has one.
            let heads: Vec<u16> = (0..batch)
                .map(|_| match size {
                    1 => bench.ring.add(&[(BUFFERS, 1, WRITE)]),
                    _ => bench.ring.request(0),
                })
                .collect();
            bench.run();
            let entries: Vec<_> = heads.iter().map(|&head| used(head)).collect();
            assert_eq!(bench.ring.used(), entries);
            assert_ne!(bench.interrupts(), 0);
            if event_idx {
                assert_eq!(bench.ring.avail_event(), bench.ring.avail);
            }
            count += u32::from(batch);
        }
    }
}

#[test]
fn notifications_obey_flags_and_used_event() {
    let mut bench = Bench::new(16);
    bench.ring.set_avail_flags(1);
    assert_eq!(bench.run_request().1.len(), 1);
    assert_eq!(bench.interrupts(), 0);
    bench.ring.set_avail_flags(0);
    bench.run_request();
    assert_eq!(bench.interrupts(), 1);

    bench.vring.set_queue_event_idx(true);
    for (event, interrupts) in [(5, 0), (2, 0), (4, 1), (4, 0), (7, 0), (7, 1)] {
        bench.ring.set_used_event(event);
        bench.run_request();
        assert_eq!(bench.interrupts(), interrupts, "{event}");
    }
}

#[test]
fn results_are_published_before_a_slow_request() {
    let mut bench = Bench::new(16);
    let mut interrupts = |opcode: u32, len: u32| {
        bench.ring.request(0);
        let (from, to) = (BUFFERS + 0x8_0000, BUFFERS);
        bench.ring.write(from, &opcode.to_le_bytes());
        bench.ring.add(&[(from, len, 0), (to, 1, WRITE)]);
        bench.run();
        assert_eq!(bench.ring.used().len(), 2);
        bench.interrupts()
    };
    // A long request, and a public-key request, are slow.
    assert_eq!(interrupts(0, 0x8000), 2);
    assert_eq!(interrupts(0x400, 4), 2);
}

#[test]
fn empty_descriptors_are_ignored() {
    let mut bench = Bench::new(16);
    let to = BUFFERS + 64;
    bench.ring.write(to, &[0xff; 2]);
    // The address of an empty descriptor may be outside guest memory.
    let head = bench.ring.add(&[
        (u64::MAX, 0, 0),
        (BUFFERS, 4, 0),
        (BUFFERS, 0, WRITE),
        (0, 0, 0),
        (to, 1, WRITE),
        (u64::MAX - 1, 0, WRITE),
    ]);
    bench.run();
    assert_eq!(bench.ring.used(), [used(head)]);
    assert_ne!(bench.ring.read(to, 1), [0xff]);
    assert_eq!(bench.queue.status().malformed, 0);
}

#[test]
fn never_answer_holds_requests() {
    let mut bench = Bench::new(16);
    bench.fault("never-answer:opcode=7:count=2");
    let held = [bench.ring.request(7), bench.ring.request(7)];
    let completed = [bench.ring.request(0), bench.ring.request(7)];
    bench.run();
    assert_eq!(bench.ring.used(), completed.map(used));
    assert_eq!(bench.queue.status().held, 2);
    sleep(Duration::from_millis(150));
    bench.queue.timer_expired();
    assert_eq!(bench.ring.used(), []);
    bench.interrupts();
    assert_eq!(bench.queue.serve_held(|ring| ring.take_all(Order::Lifo)), 2);
    assert_eq!(bench.ring.used(), [held[1], held[0]].map(used));
    assert_eq!(bench.interrupts(), 1);
    assert_eq!(bench.queue.serve_held(|ring| ring.take_all(Order::Fifo)), 0);
    assert_eq!(bench.queue.status().held, 0);
}

#[test]
fn delay_completes_requests_later() {
    let mut bench = Bench::new(16);
    bench.fault("delay:value=500:count=2");
    let heads = [bench.ring.request(0), bench.ring.request(0)];
    let undelayed = bench.ring.request(0);
    bench.run();
    assert_eq!(bench.ring.used(), [used(undelayed)]);
    bench.queue.timer_expired();
    assert_eq!(bench.ring.used(), []);
    assert!(timer_is_set(&bench));
    sleep(Duration::from_millis(510));
    bench.queue.timer_expired();
    assert_eq!(bench.ring.used(), heads.map(used));
    assert!(!timer_is_set(&bench));
    bench.fault("delay:value=0xffffffffffffffff");
    assert_eq!(bench.run_request().1, []);
    assert!(timer_is_set(&bench));
}

fn timer_is_set(bench: &Bench) -> bool {
    let mut set = false;
    // `attach_worker` passes the timer of the queue to this closure.
    let read_timer = |timer: &TimerFd| -> Result<(), ()> {
        set = timer.is_armed().unwrap();
        Ok(())
    };
    bench.queue.attach_worker(read_timer).unwrap();
    set
}

#[test]
fn held_requests_are_parsed_when_served() {
    let mut bench = Bench::new(16);
    bench.fault("never-answer:opcode=7");
    let (from, to) = (bench.ring.buffer(4), bench.ring.buffer(1));
    bench.ring.write(from, &7u32.to_le_bytes());
    bench.ring.write(to, &[0xff]);
    let head = bench.ring.add(&[(from, 4, 0), (to, 1, WRITE)]);
    bench.run();
    assert_eq!(bench.ring.read(to, 1), [0xff]);
    // The driver changes the chain while the request is held.
    bench.ring.write_descriptor(0, head, (u64::MAX, 4, 0, 0));
    assert_eq!(bench.queue.serve_held(|ring| ring.take_all(Order::Fifo)), 1);
    assert_eq!(bench.ring.used(), [(head.into(), 0)]);
    assert_eq!(bench.ring.read(to, 1), [0xff]);
    assert_eq!(bench.queue.status().malformed, 1);
}

#[test]
fn held_requests_are_limited_by_the_ring_size() {
    let mut bench = Bench::new(4);
    bench.fault("never-answer");
    for _ in 0..10 {
        bench.run_request();
    }
    assert_eq!(bench.queue.status().held, 4);
    assert_eq!(bench.queue.status().completed, 6);
}

#[test]
fn reorder_completes_after_later_requests() {
    let mut bench = Bench::new(16);
    bench.fault("reorder:value=2:count=1");
    let heads: Vec<u16> = (0..4).map(|_| bench.ring.request(0)).collect();
    bench.run();
    let order = [heads[1], heads[2], heads[0], heads[3]];
    assert_eq!(bench.ring.used(), order.map(used));

    bench.fault("reorder:count=1");
    let (head, entries) = bench.run_request();
    assert_eq!(entries, []);
    sleep(Duration::from_millis(110));
    bench.queue.timer_expired();
    assert_eq!(bench.ring.used(), [used(head)]);
}

#[test]
fn duplicate_used_adds_the_entry_twice() {
    for size in [2, 16] {
        let mut bench = Bench::new(size);
        bench.fault("duplicate-used:count=1");
        let (head, entries) = bench.run_request();
        assert_eq!(entries, [used(head); 2]);
        let (head, entries) = bench.run_request();
        assert_eq!(entries, [used(head)]);
    }
}

#[test]
fn wrong_id_changes_the_id_of_the_entry() {
    let mut bench = Bench::new(16);
    bench.fault("wrong-id:count=1");
    assert_eq!(bench.run_request().1, [(65535, LEN)]);
    bench.fault("wrong-id:value=3:count=1");
    assert_eq!(bench.run_request().1, [(3, LEN)]);
    bench.fault("wrong-id:value=0x12345678:count=1");
    assert_eq!(bench.run_request().1, [(0x1234_5678, LEN)]);
    let (head, entries) = bench.run_request();
    assert_eq!(entries, [used(head)]);
}

#[test]
fn used_len_faults_change_the_length() {
    let mut bench = Bench::new(16);
    let cases = [
        ("used-len-short", 0),
        ("used-len-short:value=100", 0),
        ("used-len-long", LEN + 4096),
        ("used-len-long:value=0xffffffff", u32::MAX),
        ("used-len-long:value=0xffffffffff", u32::MAX),
        ("used-len-zero", 0),
    ];
    for (fault, len) in cases {
        bench.fault(fault);
        let (head, entries) = bench.run_request();
        assert_eq!(entries, [(head.into(), len)], "{fault}");
        bench.device.hooks.faults.clear(None);
    }
}

#[test]
fn no_interrupt_sends_no_notification() {
    for event_idx in [false, true] {
        let mut bench = Bench::new(16);
        bench.vring.set_queue_event_idx(event_idx);
        bench.fault("no-interrupt:count=1");
        let (head, entries) = bench.run_request();
        assert_eq!(entries, [used(head)]);
        assert_eq!(bench.interrupts(), 0);
        // The notification of the second request also covers the first.
        bench.run_request();
        assert_eq!(bench.interrupts(), 1);

        // Other requests of the batch get their notifications.
        bench.fault("no-interrupt:opcode=7");
        bench.ring.set_used_event(bench.ring.seen);
        for opcode in [0, 7] {
            bench.ring.request(opcode);
        }
        bench.run();
        assert_eq!(bench.ring.used().len(), 2);
        assert_eq!(bench.interrupts(), 1);
    }
}

#[test]
fn crash_is_reported_and_stops_the_queue() {
    let mut bench = Bench::new(16);
    let crashes = Arc::new(AtomicUsize::new(0));
    let count = crashes.clone();
    let device = Arc::new(instrument::device(Capabilities::default(), Trace::default()));
    device.hooks.on_fatal_fault(Box::new(move |fault| {
        assert_eq!(fault, FatalFault::Crash);
        count.fetch_add(1, Ordering::SeqCst);
    }));
    let queue = Queue::new(QueueId::Data(0), device.clone()).unwrap();
    device.hooks.faults.add("crash:after=1".parse().unwrap());
    let head = bench.ring.request(0);
    bench.ring.request(0);
    bench.ring.request(0);
    vring::run(&queue, &bench.vring, &bench.ring.memory, Split::default());
    assert_eq!(crashes.load(Ordering::SeqCst), 1);
    assert_eq!(bench.ring.used(), [used(head)]);
}

#[test]
fn held_requests_are_dropped_when_the_ring_stops() {
    let mut bench = Bench::new(16);
    bench.fault("never-answer:count=1");
    bench.fault("delay:value=200:count=1");
    bench.ring.request(0);
    bench.run_request();
    assert_eq!(bench.queue.status().held, 2);
    bench.stop();
    assert!(!bench.queue.is_running());
    assert_eq!(bench.queue.status().held, 0);
    bench.start();
    sleep(Duration::from_millis(210));
    bench.queue.timer_expired();
    assert_eq!(bench.queue.serve_held(|ring| ring.take_all(Order::Fifo)), 0);
    bench.run();
    assert_eq!(bench.ring.used(), []);
    let (head, entries) = bench.run_request();
    assert_eq!(entries, [used(head)]);
    assert!(bench.queue.is_running());
}

#[test]
fn disabled_rings_are_not_served() {
    let mut bench = Bench::new(16);
    bench.fault("delay:value=200:count=1");
    let (first, entries) = bench.run_request();
    assert_eq!(entries, []);
    bench.vring.set_enabled(false);
    sleep(Duration::from_millis(210));
    bench.queue.timer_expired();
    let (second, entries) = bench.run_request();
    assert_eq!(entries, []);
    bench.vring.set_enabled(true);
    bench.run();
    assert_eq!(bench.ring.used(), [first, second].map(used));
}

#[test]
fn faults_can_be_combined() {
    let mut bench = Bench::new(16);
    bench.fault("delay:value=1");
    bench.fault("duplicate-used");
    bench.fault("wrong-id:value=9");
    bench.fault("used-len-long:value=1");
    bench.fault("no-interrupt");
    bench.run_request();
    sleep(Duration::from_millis(5));
    bench.queue.timer_expired();
    assert_eq!(bench.ring.used(), [(9, LEN + 1); 2]);
    assert_eq!(bench.interrupts(), 0);
}
