// SPDX-License-Identifier: GPL-2.0
//! Tests of the PCI function with a vfio-user front end and a driver.

mod driver;

use std::thread::sleep;
use std::time::Duration;

use driver::front::{wait, Server, VERSION_1};
use driver::function::{
    Guest, ACK_DRIVER, COMMON, CONFIG_VECTOR, DEVICE, DRIVER_OK, EVENT_IDX, GENERATION, IN_ORDER,
    ISR, NEEDS_RESET, NO_VECTOR, NUM_QUEUES, PACKED, PCI, PCI_CONFIG, QUEUE_DESC, QUEUE_ENABLE,
    QUEUE_RESET, QUEUE_SELECT, QUEUE_VECTOR, RING_RESET, STATUS,
};
use driver::packed::Packed;
use driver::{BORDER, END, WRITE};

/// Time to wait before a test checks that an event has not happened.
const SETTLE_TIME: Duration = Duration::from_millis(200);

fn serve(arguments: &[&str]) -> Server {
    let mut all = vec!["--front-end", "vfio-user"];
    all.extend(arguments);
    Server::start(&all)
}

/// Returns a field of the status of a queue.
fn queue(server: &Server, index: usize, name: &str) -> serde_json::Value {
    server.status()["queues"][index][name].clone()
}

#[test]
fn function_has_virtio_ids_and_capabilities() {
    let server = serve(&["--queues", "3", "--stateless", "--packed", "--in-order"]);
    let mut guest = Guest::connect(&server);
    assert_eq!(guest.pci_config(0, 4), 0x1054_1af4);
    assert_eq!(guest.offered() >> 28, 1 | 2 | (VERSION_1 | PACKED | IN_ORDER | RING_RESET) >> 28);
    assert_eq!(guest.offered() & 0xffff, 0x3f);
    // One vector for each of three data queues, the control queue, and config changes.
    assert_eq!(guest.vectors.len(), 5);
    assert_eq!(guest.common(NUM_QUEUES, 2), 4);
    assert_eq!(guest.structure(DEVICE).unwrap().2, 56);
    assert_eq!(guest.read(DEVICE, 4, 4), 3);
    assert_eq!(guest.read(DEVICE, 0, 8), 3 << 32 | 1);
    let (_, common, _) = guest.structure(COMMON).unwrap();
    let server = serve(&[
        "--no-ring-reset",
        "--no-event-idx",
        "--no-indirect-desc",
        "--vectors=2",
        "--config-size=40",
        "--access-platform",
    ]);
    let mut guest = Guest::connect(&server);
    assert_eq!(guest.offered(), VERSION_1 | 1 << 33);
    assert_eq!(guest.vectors.len(), 2);
    assert_eq!(guest.structure(DEVICE).unwrap().2, 40);
    assert_eq!(guest.read(DEVICE, 40, 8), 0);
    assert_eq!(guest.structure(COMMON).unwrap().1, common);
}

#[test]
fn every_queue_has_its_own_vector() {
    for features in [0, EVENT_IDX, IN_ORDER] {
        let server = serve(&["--queues", "3", "--in-order"]);
        let mut guest = Guest::connect(&server);
        guest.start(features, 4);
        for index in [2, 0, 3, 1, 2] {
            let seen = guest.rings[index].seen;
            guest.rings[index].set_used_event(seen);
            guest.rings[index].request(0);
            guest.kick(index);
            wait("used entry", || (guest.rings[index].used().len() == 1).then_some(()));
            guest.wait_for_interrupt(index + 1);
            assert!(guest.raised().is_empty());
        }
    }
}

#[test]
fn reset_stops_all_queues() {
    let mut server = serve(&["--fault", "never-answer:queue=0:count=1"]);
    let mut guest = Guest::connect(&server);
    for start in 1..4 {
        guest.start(RING_RESET, 2);
        guest.rings[0].request(0);
        guest.kick(0);
        wait("request", || (queue(&server, 0, "popped") == 2 * start - 1).then_some(()));
        guest.rings[0].request(0);
        guest.kick(0);
        guest.wait_for_interrupt(1);
        assert_eq!(server.status()["starts"], start);
        assert_eq!(queue(&server, 0, "running"), true);
        guest.reset();
        assert_eq!(queue(&server, 0, "running"), false);
        assert_eq!(queue(&server, 0, "held"), 0);
        guest.set_common(QUEUE_SELECT, 2, 0);
        assert_eq!(guest.common(QUEUE_ENABLE, 2), 0);
        assert_eq!(guest.common(QUEUE_VECTOR, 2), NO_VECTOR);
        assert_eq!(guest.common(CONFIG_VECTOR, 2), NO_VECTOR);
    }
    // A reset of the function.
    guest.start(0, 2);
    guest.client.reset().unwrap();
    assert_eq!((guest.status(), guest.pci_config(4, 2)), (0, 0));
    assert_eq!(queue(&server, 1, "running"), false);
    drop(guest);
    assert_eq!(server.wait_for_end().code(), Some(0));
    assert_eq!(server.report()["starts"], 4);
}

#[test]
fn features_can_be_rejected() {
    let server = serve(&["--revision-1", "--fault", "refuse-features:count=1"]);
    let mut guest = Guest::connect(&server);
    for features in [VERSION_1, 0, VERSION_1 | PACKED] {
        assert!(!guest.negotiate(features));
        guest.reset();
    }
    assert_eq!(server.status()["violations"], serde_json::json!([]));
    // Negotiation without a reset works, but is a violation.
    assert!(!guest.negotiate(VERSION_1 | PACKED));
    assert!(guest.negotiate(VERSION_1 | 1));
    assert_eq!(server.status()["violations"][0]["requirement"], "D-38");
    assert_eq!(server.status()["features"], VERSION_1 | 1);
    guest.reset();

    let server = serve(&["--stateless"]);
    let mut guest = Guest::connect(&server);
    assert!(!guest.negotiate(VERSION_1 | 2));
    assert_eq!(server.status()["violations"][0]["requirement"], "D-12");
    guest.start(0x3f, 2);
    guest.run_request(0);
}

#[test]
fn queues_are_not_served_before_driver_ok() {
    let server = serve(&[]);
    let mut guest = Guest::connect(&server);
    guest.enable_msix();
    assert!(guest.negotiate(VERSION_1));
    for index in 0..2 {
        guest.enable(index, 16);
        let ring = driver::Ring::new(guest.memory.clone(), Guest::ring_base(index), 16);
        guest.rings.push(ring);
    }
    let head = guest.rings[0].request(0);
    guest.kick(0);
    sleep(SETTLE_TIME);
    assert_eq!(guest.rings[0].used(), []);
    // DRIVER_OK serves the queue without another kick.
    guest.set_driver_ok();
    guest.wait_for_interrupt(1);
    assert_eq!(guest.rings[0].used(), [(head.into(), 1)]);
}

#[test]
fn packed_rings_are_served() {
    for (size, features) in [(16, 0), (7, 0), (16, IN_ORDER), (2, IN_ORDER)] {
        let server = serve(&["--packed", "--in-order"]);
        let mut guest = Guest::connect(&server);
        guest.enable_msix();
        assert!(guest.negotiate(VERSION_1 | PACKED | features));
        guest.enable(0, size);
        let mut ring = Packed::new(guest.memory.clone(), Guest::ring_base(0), size);
        guest.set_driver_ok();
        // Each request has two descriptors.
        let batch = usize::from(size / 2);
        for _ in 0..100 {
            let ids: Vec<_> = (0..batch).map(|_| (ring.request(0).into(), 1)).collect();
            guest.kick(0);
            let mut entries = Vec::new();
            wait("used entries", || {
                entries.extend(ring.used());
                (entries.len() == batch).then_some(())
            });
            assert_eq!(entries, ids);
        }
        guest.wait_for_interrupt(1);
        assert_eq!(queue(&server, 0, "malformed"), 0);
    }
}

#[test]
fn packed_rings_complete_out_of_order() {
    let server = serve(&["--packed", "--fault", "reorder:value=3:count=1"]);
    let mut guest = Guest::connect(&server);
    guest.enable_msix();
    assert!(guest.negotiate(VERSION_1 | PACKED));
    guest.enable(0, 16);
    let mut ring = Packed::new(guest.memory.clone(), Guest::ring_base(0), 16);
    guest.set_driver_ok();
    let ids: Vec<u16> = (0..4).map(|_| ring.request(0)).collect();
    guest.kick(0);
    let mut entries = Vec::new();
    wait("used entries", || {
        entries.extend(ring.used());
        (entries.len() == 4).then_some(())
    });
    let order: Vec<_> = [1, 2, 3, 0].iter().map(|&at| (u32::from(ids[at]), 1)).collect();
    assert_eq!(entries, order);
}

#[test]
fn in_order_rings_complete_in_order() {
    for in_order in [false, true] {
        let fault = "delay:value=200:opcode=7:count=1";
        let server = serve(&["--in-order", "--fault", fault]);
        let mut guest = Guest::connect(&server);
        guest.start(if in_order { IN_ORDER } else { 0 }, 2);
        let heads = [0, 7, 0, 0].map(|opcode| u32::from(guest.rings[0].request(opcode)));
        guest.kick(0);
        let mut entries = Vec::new();
        let mut wait_for = |guest: &mut Guest, count: usize| {
            wait("used entries", || {
                entries.extend(guest.rings[0].used().iter().map(|entry| entry.0));
                (entries.len() == count).then_some(())
            });
            entries.clone()
        };
        let expected = if in_order { heads } else { [0, 2, 3, 1].map(|at| heads[at]) };
        assert_eq!(wait_for(&mut guest, 4), expected);
        // The fault `reorder` breaks the order.
        server.command(r#"{"fault":"reorder:count=1"}"#);
        let heads = [0, 0, 0].map(|opcode| u32::from(guest.rings[0].request(opcode)));
        guest.kick(0);
        assert_eq!(wait_for(&mut guest, 7)[4..], [1, 0, 2].map(|at| heads[at]));
    }
}

#[test]
fn complete_also_completes_requests_after_a_held_one() {
    let server = serve(&["--in-order", "--fault", "never-answer:count=1"]);
    let mut guest = Guest::connect(&server);
    guest.start(IN_ORDER, 2);
    let heads = [0, 0, 0].map(|opcode| (u32::from(guest.rings[0].request(opcode)), 1));
    guest.kick(0);
    wait("requests", || (queue(&server, 0, "held") == 3).then_some(()));
    assert_eq!(guest.rings[0].used(), []);
    assert_eq!(server.command(r#"{"command":"complete"}"#)["completed"], 3);
    guest.wait_for_interrupt(1);
    assert_eq!(guest.rings[0].used(), heads);
    guest.run_request(0);
}

#[test]
fn single_queues_can_be_reset() {
    let server = serve(&["--fault", "never-answer:queue=0:count=1"]);
    let mut guest = Guest::connect(&server);
    guest.start(RING_RESET, 2);
    guest.rings[0].request(0);
    guest.kick(0);
    wait("request", || (queue(&server, 0, "held") == 1).then_some(()));
    guest.set_common(QUEUE_SELECT, 2, 0);
    guest.set_common(QUEUE_RESET, 2, 1);
    assert_eq!((guest.common(QUEUE_RESET, 2), guest.common(QUEUE_ENABLE, 2)), (0, 0));
    assert_eq!(queue(&server, 0, "running"), false);
    assert_eq!(server.command(r#"{"command":"complete"}"#)["completed"], 0);
    guest.kick(0);
    guest.run_request(1);
    guest.rings[0] = driver::Ring::new(guest.memory.clone(), Guest::ring_base(0), 8);
    guest.enable(0, 8);
    guest.run_request(0);
    guest.run_request(1);
    assert_eq!(server.status()["starts"], 1);

    server.command(r#"{"fault":"ring-reset-refused:queue=0:count=1"}"#);
    guest.set_common(QUEUE_SELECT, 2, 0);
    guest.set_common(QUEUE_RESET, 2, 1);
    assert_eq!(guest.common(QUEUE_ENABLE, 2), 1);
    guest.run_request(0);
}

#[test]
fn needs_reset_stops_all_queues() {
    let server = serve(&["--fault", "needs-reset:after=2:count=1"]);
    let mut guest = Guest::connect(&server);
    guest.start(0, 2);
    guest.run_request(0);
    guest.run_request(1);
    guest.rings[0].request(0);
    guest.kick(0);
    guest.wait_for_interrupt(0);
    assert_ne!(guest.status() & NEEDS_RESET, 0);
    // No queue is served.
    guest.rings[1].request(0);
    guest.kick(0);
    guest.kick(1);
    sleep(SETTLE_TIME);
    assert_eq!((guest.rings[0].used(), guest.rings[1].used()), (vec![], vec![]));
    assert!(guest.raised().is_empty());
    for _ in 0..3 {
        guest.reset();
        assert!(server.command(r#"{"command":"needs-reset"}"#)["error"].is_string());
        assert_eq!(guest.status(), 0);
        guest.start(0, 2);
        guest.run_request(0);
        guest.run_request(1);
        // The monitor command has the effect of the fault, but without a request.
        assert_eq!(server.command(r#"{"command":"needs-reset"}"#)["ok"], true);
        guest.wait_for_interrupt(0);
        assert_ne!(guest.status() & NEEDS_RESET, 0);
        guest.rings[1].request(0);
        guest.kick(1);
        sleep(Duration::from_millis(20));
        assert_eq!(guest.rings[1].used(), []);
    }
}

#[test]
fn invalid_ring_sets_needs_reset() {
    let server = serve(&["--packed"]);
    let mut guest = Guest::connect(&server);
    // Descriptor areas that are outside guest memory or misaligned, in both ring formats.
    for (features, address) in [(0, END), (0, 8), (0, u64::MAX - 15), (PACKED, END)] {
        guest.enable_msix();
        assert!(guest.negotiate(VERSION_1 | features));
        guest.set_common(CONFIG_VECTOR, 2, 0);
        guest.set_common(QUEUE_SELECT, 2, 0);
        guest.set_common(QUEUE_DESC, 4, address & 0xffff_ffff);
        guest.set_common(QUEUE_DESC + 4, 4, address >> 32);
        guest.set_common(QUEUE_ENABLE, 2, 1);
        let status = guest.status();
        guest.set_common(STATUS, 1, status | DRIVER_OK);
        guest.kick(0);
        wait("status", || (guest.status() & NEEDS_RESET != 0).then_some(()));
        guest.reset();
    }
    guest.start(0, 2);
    guest.run_request(0);
    // A ring that becomes invalid after its start.
    guest.raised();
    let avail = guest.rings[0].avail;
    guest.rings[0].set_avail(avail.wrapping_add(100));
    guest.kick(0);
    guest.wait_for_interrupt(0);
    assert_ne!(guest.status() & NEEDS_RESET, 0);
    guest.reset();
    guest.start(0, 2);
    guest.run_request(0);
}

#[test]
fn config_changes_are_notified() {
    let server = serve(&[]);
    let mut guest = Guest::connect(&server);
    let ready = |ready: bool| {
        let command = serde_json::json!({"command": "ready", "ready": ready});
        assert_eq!(server.command(&command.to_string())["ok"], true);
    };
    let before = guest.common(GENERATION, 1);
    ready(false);
    assert_ne!(guest.common(GENERATION, 1), before);
    guest.start(0, 2);
    assert!(guest.raised().is_empty());
    for is_ready in [true, false, true] {
        let before = guest.common(GENERATION, 1);
        assert_eq!(guest.common(GENERATION, 1), before);
        ready(is_ready);
        guest.wait_for_interrupt(0);
        assert_ne!(guest.common(GENERATION, 1), before);
        assert_eq!(guest.read(DEVICE, 0, 4), u64::from(is_ready));
        assert!(guest.raised().is_empty());
    }
    server.command(r#"{"fault":"generation-changes:count=3"}"#);
    let read = [0; 5].map(|_| guest.common(GENERATION, 1) as u8);
    let changes: Vec<_> = read.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert_eq!(changes, [1, 1, 0, 0]);
}

#[test]
fn interrupt_faults() {
    let server = serve(&[]);
    let mut guest = Guest::connect(&server);
    guest.start(0, 2);
    server.command(r#"{"fault":"vector-lost:queue=0:count=1"}"#);
    guest.rings[0].request(0);
    guest.kick(0);
    wait("used entry", || (guest.rings[0].used().len() == 1).then_some(()));
    sleep(SETTLE_TIME);
    assert!(guest.raised().is_empty());
    guest.run_request(0);
    server.command(r#"{"fault":"vector-lost:count=1"}"#);
    assert_eq!(server.command(r#"{"command":"config-change"}"#)["ok"], true);
    sleep(Duration::from_millis(20));
    assert!(guest.raised().is_empty());

    server.command(r#"{"fault":"interrupt-storm:value=1"}"#);
    for _ in 0..3 {
        guest.wait_for_interrupt(1);
        guest.wait_for_interrupt(2);
    }
    server.command(r#"{"command":"clear"}"#);
    wait("end of the interrupts", || {
        sleep(Duration::from_millis(20));
        guest.raised().is_empty().then_some(())
    });

    server.command(r#"{"fault":"no-vector:queue=control:count=1"}"#);
    for (index, expected) in [(0, 1), (1, NO_VECTOR), (1, 1)] {
        guest.set_common(QUEUE_SELECT, 2, index);
        guest.set_common(QUEUE_VECTOR, 2, 1);
        assert_eq!(guest.common(QUEUE_VECTOR, 2), expected);
    }
}

#[test]
fn interrupts_without_an_eventfd_become_pending() {
    let server = serve(&[]);
    let mut guest = Guest::connect(&server);
    guest.start(0, 2);
    guest.remove_eventfd(1);
    guest.rings[0].request(0);
    guest.kick(0);
    wait("used entry", || (guest.rings[0].used().len() == 1).then_some(()));
    let pending = |guest: &mut Guest| {
        // The pending bits of MSI-X are at this offset of the BAR.
        let mut bits = [0; 8];
        guest.client.region_read(0, 0x5000, &mut bits).unwrap();
        bits[0]
    };
    wait("pending bit", || (pending(&mut guest) == 2).then_some(()));
    assert!(guest.raised().is_empty());
    guest.set_eventfd(1);
    guest.wait_for_interrupt(1);
    assert_eq!(pending(&mut guest), 0);
}

#[test]
fn intx_works_without_msix() {
    let server = serve(&[]);
    let mut guest = Guest::connect(&server);
    assert!(guest.negotiate(VERSION_1));
    guest.enable(0, 16);
    guest.rings.push(driver::Ring::new(guest.memory.clone(), Guest::ring_base(0), 16));
    guest.set_driver_ok();
    for _ in 0..3 {
        guest.rings[0].request(0);
        guest.kick(0);
        wait("interrupt", || guest.line.read().ok());
        assert_eq!(guest.read(ISR, 0, 1), 1);
        assert_eq!(guest.read(ISR, 0, 1), 0);
        guest.unmask_line();
        assert!(guest.line.read().is_err());
    }
    // The line stays raised until the driver reads the interrupt status.
    server.command(r#"{"command":"config-change"}"#);
    wait("interrupt", || guest.line.read().ok());
    guest.unmask_line();
    wait("interrupt", || guest.line.read().ok());
    assert_eq!(guest.read(ISR, 0, 1), 2);
    guest.unmask_line();
    // Disable INTx in the command register.
    guest.client.region_write(PCI_CONFIG, 4, &[0, 4]).unwrap();
    server.command(r#"{"command":"config-change"}"#);
    sleep(Duration::from_millis(20));
    assert!(guest.line.read().is_err());
    // Enable INTx again.
    guest.client.region_write(PCI_CONFIG, 4, &[0, 0]).unwrap();
    wait("interrupt", || guest.line.read().ok());
    assert!(guest.raised().is_empty());
}

#[test]
fn bar_is_accessible_through_the_configuration_space() {
    let server = serve(&["--queues", "3"]);
    let mut guest = Guest::connect(&server);
    let (window, ..) = guest.structure(PCI).unwrap();
    let (_, common, _) = guest.structure(COMMON).unwrap();
    let access = |guest: &mut Guest, at: u64, len: u8| {
        guest.client.region_write(PCI_CONFIG, window + 8, &(at as u32).to_le_bytes()).unwrap();
        guest.client.region_write(PCI_CONFIG, window + 12, &[len, 0, 0, 0]).unwrap();
    };
    access(&mut guest, common + NUM_QUEUES, 2);
    assert_eq!(guest.pci_config(window + 16, 2), 4);
    access(&mut guest, common + STATUS, 1);
    guest.client.region_write(PCI_CONFIG, window + 16, &[ACK_DRIVER as u8]).unwrap();
    assert_eq!(guest.status(), ACK_DRIVER);
    assert_eq!(guest.pci_config(window + 16, 1), ACK_DRIVER);
}

#[test]
fn unmapped_memory_is_not_accessed() {
    let server = serve(&[]);
    let mut guest = Guest::connect(&server);
    // Start only queue 0: the ring of queue 1 is in the memory that is unmapped.
    guest.start(0, 1);
    let from = BORDER + 0x60_0000;
    let complete = |guest: &mut Guest| {
        guest.rings[0].write(from + 64, &[0xff]);
        guest.rings[0].add(&[(from, 4, 0), (from + 64, 1, WRITE)]);
        let (_, len) = guest.kick_and_wait(0)[0];
        (len, guest.rings[0].read(from + 64, 1)[0] != 0xff)
    };
    assert_eq!(complete(&mut guest), (1, true));
    guest.client.dma_unmap(BORDER, END - BORDER).unwrap();
    assert_eq!(complete(&mut guest), (0, false));
    assert_eq!(queue(&server, 0, "malformed"), 1);
    guest.run_request(0);
}

#[test]
fn disconnect_closes_the_connection() {
    let mut server = serve(&["--fault", "disconnect:after=1:count=1"]);
    let mut guest = Guest::connect(&server);
    guest.start(0, 2);
    guest.run_request(0);
    let doorbell = guest.doorbell(0);
    guest.rings[0].request(0);
    // The device may close the connection before it has replied to this message.
    let _ = guest.client.region_write(0, doorbell, &[0; 2]);
    assert_eq!(server.wait_for_end().code(), Some(0));
    assert_eq!(guest.rings[0].used(), []);
    assert_eq!(server.report()["faults"][0]["happened"], 1);

    let server = serve(&["--keep-serving"]);
    for _ in 0..3 {
        let mut guest = Guest::connect(&server);
        guest.start(0, 2);
        guest.run_request(0);
        assert_eq!(server.command(r#"{"command":"disconnect"}"#)["ok"], true);
        wait("end", || (server.status()["connected"] == false).then_some(()));
        assert_eq!(queue(&server, 0, "running"), false);
        assert!(server.command(r#"{"command":"disconnect"}"#)["error"].is_string());
        assert!(server.command(r#"{"command":"needs-reset"}"#)["error"].is_string());
    }
}

#[test]
fn process_ends_when_the_front_end_disconnects() {
    let mut server = serve(&["--fault", "delay:value=20"]);
    let mut guest = Guest::connect(&server);
    guest.start(0, 2);
    for _ in 0..5 {
        guest.rings[0].request(0);
    }
    guest.kick(0);
    drop(guest);
    assert_eq!(server.wait_for_end().code(), Some(0));
    assert_eq!(server.report()["connected"], false);
}
