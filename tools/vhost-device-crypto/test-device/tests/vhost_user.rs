// SPDX-License-Identifier: GPL-2.0
//! Tests of the device with a vhost-user front end.

mod driver;

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use driver::front::{wait, Front, Server};
use driver::WRITE;
use rustix::process::{kill_process, Pid, Signal};
use vhost::vhost_user::message::VhostUserConfigFlags;
use vhost::vhost_user::{
    FrontendReqHandler, HandlerResult, VhostUserFrontend, VhostUserFrontendReqHandler,
};
use vhost::VhostBackend;

const INDIRECT_DESC: u64 = 1 << 28;
const EVENT_IDX: u64 = 1 << 29;

/// Index of the control queue, after one data queue.
const CONTROL: usize = 1;

/// The status of a request whose session does not exist.
const INVSESS: u8 = 4;

/// Creates a session for AES-CBC, in the padded layout. Returns its ID and the status.
fn create_session(front: &mut Front, index: usize) -> (u64, u32) {
    let mut bytes = vec![0; 72];
    // Opcode, algorithm (in the header and in the fields), key length, direction, op_type.
    let words = [(0, 0x0002), (4, 3), (16, 3), (20, 16), (24, 1), (64, 1)];
    for (at, word) in words {
        bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
    }
    bytes.extend([0x55; 16]);
    let ring = &mut front.rings[index];
    let (from, to) = (ring.buffer(88), ring.buffer(16));
    ring.write(from, &bytes);
    ring.write(to, &[0xff; 16]);
    let head = ring.add(&[(from, 88, 0), (to, 16, WRITE)]);
    assert_eq!(front.kick_and_wait(index), [(head.into(), 16)]);
    let response = front.rings[index].read(to, 16);
    let id = u64::from_le_bytes(response[..8].try_into().unwrap());
    let status = u32::from_le_bytes(response[8..12].try_into().unwrap());
    (id, status)
}

/// Encrypts a block in a session. Returns the status.
fn encrypt(front: &mut Front, session: u64) -> u8 {
    let mut bytes = vec![0; 72];
    // Session ID, and the lengths of IV, source and destination.
    let words = [(8, session as u32), (12, (session >> 32) as u32), (24, 16), (28, 16), (32, 16)];
    for (at, word) in words {
        bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
    }
    bytes[64] = 1;
    bytes.extend([0x11; 32]);
    let ring = &mut front.rings[0];
    let (from, to) = (ring.buffer(104), ring.buffer(17));
    ring.write(from, &bytes);
    ring.write(to, &[0xff; 17]);
    ring.add(&[(from, 104, 0), (to, 17, WRITE)]);
    assert_eq!(front.kick_and_wait(0).len(), 1);
    front.rings[0].read(to + 16, 1)[0]
}

#[test]
fn suspended_devices_keep_their_sessions() {
    for keep in [&[][..], &["--keep-sessions"]] {
        let server = Server::start(keep);
        let mut front = server.connect(2);
        front.start(INDIRECT_DESC, 2);
        let (first, _) = create_session(&mut front, CONTROL);
        // Suspend several times, with and without control requests in between.
        for requests in [0, 0, 1, 2, 0] {
            for _ in 0..requests {
                assert_eq!(create_session(&mut front, CONTROL).1, 0);
            }
            assert_eq!(encrypt(&mut front, first), 0);
            let sessions = server.status()["sessions"].clone();
            front.stop();
            assert_eq!(server.status()["sessions"], sessions);
            front.resume(INDIRECT_DESC);
            assert_eq!(encrypt(&mut front, first), 0);
            assert_eq!(server.status()["sessions"], sessions);
        }
        assert_eq!(server.status()["sessions_leaked"], 0);
    }
}

#[test]
fn requests_in_a_stopped_ring_are_served_after_resume() {
    let server = Server::start(&[]);
    let mut front = server.connect(2);
    front.start(INDIRECT_DESC, 2);
    let head = front.rings[0].request(0);
    assert_eq!(front.kick_and_wait(0), [(head.into(), 1)]);
    front.stop();
    // The driver adds a request without a kick. The device resumes at the index of this request.
    let head = front.rings[0].request(0);
    let avail = front.rings[0].avail;
    front.rings[0].avail -= 1;
    front.resume(INDIRECT_DESC);
    front.rings[0].avail = avail;
    front.wait_for_interrupt(0);
    assert_eq!(front.rings[0].used(), [(head.into(), 1)]);
}

#[test]
fn a_start_that_does_not_resume_resets_the_device() {
    let server = Server::start(&["--revision-1"]);
    let mut front = server.connect(2);
    let starts: [fn(&mut Front); 4] = [
        // The rings start from the beginning.
        |front| front.start(INDIRECT_DESC, 2),
        // The rings continue, but with other device features.
        |front| {
            front.resume(INDIRECT_DESC | 1);
            front.stop();
            front.start(INDIRECT_DESC, 2);
        },
        // The control ring continues at another index.
        |front| {
            front.rings[CONTROL].avail += 1;
            front.resume(INDIRECT_DESC);
            front.stop();
            front.start(INDIRECT_DESC, 2);
        },
        // The rings continue, but after a RESET_DEVICE message.
        |front| {
            front.frontend.reset_device().unwrap();
            front.resume(INDIRECT_DESC);
        },
    ];
    for (count, start) in (1..).zip(starts) {
        front.start(INDIRECT_DESC, 2);
        let (id, status) = create_session(&mut front, CONTROL);
        assert_eq!((status, encrypt(&mut front, id)), (0, 0));
        front.stop();
        assert_eq!(server.status()["sessions"], 1);
        start(&mut front);
        assert_eq!(server.status()["sessions"], 0);
        assert_eq!(server.status()["sessions_leaked"], count);
        assert_eq!(encrypt(&mut front, id), INVSESS);
        front.stop();
    }
}

#[test]
fn sessions_do_not_survive_a_disconnect() {
    let server = Server::start(&["--keep-serving", "--keep-sessions"]);
    let mut front = server.connect(2);
    front.start(0, 2);
    let (id, _) = create_session(&mut front, CONTROL);
    assert_eq!(encrypt(&mut front, id), 0);
    drop(front);
    wait("end", || (server.status()["connected"] == false).then_some(()));
    wait("release", || (server.status()["sessions"] == 0).then_some(()));
    let mut front = server.connect(2);
    front.start(0, 2);
    assert_eq!(encrypt(&mut front, id), INVSESS);
}

#[test]
fn socket_of_a_running_server_is_not_replaced() {
    let mut server = Server::start(&[]);
    let start_second_server = |path: &str| {
        let program = env!("CARGO_BIN_EXE_crypto-test-device");
        let arguments = ["serve", "--socket-path", path];
        let output = std::process::Command::new(program).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for name in ["socket", "monitor"] {
        let path = server.path(name);
        let (status, text) = start_second_server(path.to_str().unwrap());
        assert_eq!(status, Some(2));
        assert!(text.contains("another process listens on this socket"), "{text}");
    }
    // The first server still works.
    let mut front = server.connect(2);
    front.start(0, 2);
    let head = front.rings[0].request(0);
    assert_eq!(front.kick_and_wait(0), [(head.into(), 1)]);
    drop(front);
    assert_eq!(server.wait_for_end().code(), Some(0));
}

#[test]
fn core_dumps_are_disabled_by_default() {
    let limits = |server: &Server| {
        let path = format!("/proc/{}/limits", server.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        line.split_whitespace().skip(4).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(limits(&Server::start(&[])), ["0", "0"]);
    let hard = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
    if hard != Some(0) {
        assert_ne!(limits(&Server::start(&["--core-dumps"])), ["0", "0"]);
    }
}

#[test]
fn sessions_survive_until_a_reset() {
    let mut server = Server::start(&[]);
    let mut front = server.connect(2);
    for start in 1..4 {
        front.start(INDIRECT_DESC, 2);
        for _ in 0..3 {
            let (_, status) = create_session(&mut front, CONTROL);
            assert_eq!(status, 0);
        }
        let status = server.status();
        assert_eq!(status["ok"], true);
        assert_eq!(status["connected"], true);
        assert_eq!(status["starts"], start);
        assert_eq!(status["sessions"], 3);
        assert_eq!(status["queues"][CONTROL]["queue"], "control");
        assert_eq!(status["queues"][CONTROL]["running"], true);
        assert_eq!(status["queues"][CONTROL]["completed"], 3 * start);
        assert_eq!(status["sessions_leaked"], 3 * (start - 1));
        front.stop();
        let status = server.status();
        assert_eq!(status["queues"][CONTROL]["running"], false);
    }
    drop(front);
    assert_eq!(server.wait_for_end().code(), Some(0));
    let report = server.report();
    assert_eq!(report["crashed_by_fault"], false);
    assert_eq!(report["sessions_leaked"], 9);
    assert_eq!(report["connected"], false);
    assert_eq!(report["capabilities"]["queues"], 1);
    assert!(!server.path("socket").exists() && !server.path("monitor").exists());
}

#[test]
fn features_follow_the_options() {
    let device = |features: u64| features & 0x3f;
    let server = Server::start(&[]);
    let features = server.connect(2).features;
    assert_eq!(device(features), 0);
    assert_eq!(features & (INDIRECT_DESC | EVENT_IDX), INDIRECT_DESC | EVENT_IDX);
    let server = Server::start(&["--stateless", "--no-event-idx", "--no-indirect-desc"]);
    let front = server.connect(2);
    assert_eq!(device(front.features), 0x3f);
    assert_eq!(front.features & (INDIRECT_DESC | EVENT_IDX), 0);
    // A feature that was not offered is rejected.
    front.frontend.set_features(front.features | EVENT_IDX).unwrap_err();
}

#[test]
fn every_queue_is_served() {
    let server = Server::start(&["--queues", "63"]);
    let mut front = server.connect(64);
    front.start(EVENT_IDX, 8);
    for _ in 0..20 {
        for index in 0..8 {
            front.rings[index].set_used_event(front.rings[index].seen);
            let head = front.rings[index].request(0);
            assert_eq!(front.kick_and_wait(index), [(head.into(), 1)]);
        }
    }
    front.stop();
}

#[test]
fn configuration_reads_may_have_any_length() {
    let server = Server::start(&["--queues", "3", "--not-ready"]);
    let mut front = server.connect(4);
    let mut read = |offset: u32, size: u32| {
        let flags = VhostUserConfigFlags::empty();
        let buffer = vec![0; size as usize];
        front.frontend.get_config(offset, size, flags, &buffer).unwrap().1
    };
    let whole = read(0, 56);
    assert_eq!(whole[..8], [0, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(read(0, 40), whole[..40]);
    assert_eq!(read(0, 256)[..56], whole);
    assert_eq!(read(0, 256)[56..], [0; 200]);
    assert_eq!(read(4, 4), [3, 0, 0, 0]);
    assert_eq!(read(54, 8)[..2], whole[54..]);
    assert_eq!(read(54, 8)[2..], [0; 6]);
    assert_eq!(read(100, 4), [0; 4]);
    server.command(r#"{"command":"ready","ready":true}"#);
    assert_eq!(read(0, 4), [1, 0, 0, 0]);
}

/// Counts the config change messages that the device sends.
#[derive(Default)]
struct Listener(AtomicUsize);

impl VhostUserFrontendReqHandler for Listener {
    fn handle_config_change(&self) -> HandlerResult<u64> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(0)
    }
}

#[test]
fn config_changes_are_notified() {
    let server = Server::start(&[]);
    let mut front = server.connect(2);
    let change = r#"{"command":"config-change"}"#;
    assert!(server.command(change)["error"].is_string());
    // Without a back-end channel, `ready` still changes the status.
    assert_eq!(server.command(r#"{"command":"ready","ready":false}"#)["ok"], true);

    let listener = Arc::new(Listener::default());
    let mut handler = FrontendReqHandler::new(listener.clone()).unwrap();
    handler.set_reply_ack_flag(true);
    front.set_channel(&handler.get_tx_raw_fd());
    let count = move || listener.0.load(Ordering::SeqCst);
    let received = count.clone();
    std::thread::spawn(move || while handler.handle_request().is_ok() {});
    for expected in 1..4 {
        assert_eq!(server.command(change)["ok"], true);
        wait("message", || (received() == expected).then_some(()));
    }
    server.command(r#"{"command":"ready","ready":true}"#);
    wait("message", || (received() == 4).then_some(()));
    assert_eq!(server.status()["config_changes"], 4);

    server.command(r#"{"fault":"config-storm:value=1:count=50"}"#);
    wait("storm", || (received() == 54).then_some(()));
    server.command(r#"{"command":"clear"}"#);

    server.command(r#"{"fault":"toggle-ready:value=5"}"#);
    let flags = VhostUserConfigFlags::empty();
    let mut is_ready = || front.frontend.get_config(0, 4, flags, &[0; 4]).unwrap().1[0] == 1;
    for ready in [false, true, false] {
        wait("change", || (is_ready() == ready).then_some(()));
    }
    server.command(r#"{"command":"clear","name":"toggle-ready"}"#);
    wait("end", || server.status()["ready"].as_bool().filter(|&ready| ready));
    wait("end of the messages", || {
        let before = count();
        sleep(Duration::from_millis(50));
        (before == count()).then_some(())
    });
    assert!(is_ready());
}

#[test]
fn unread_messages_do_not_block_the_device() {
    let server = Server::start(&["--fault", "config-storm:value=1"]);
    let mut front = server.connect(2);
    let (ours, theirs) = UnixStream::pair().unwrap();
    front.set_channel(&theirs);
    let changes = || server.status()["config_changes"].as_u64().unwrap();
    wait("full socket", || {
        let before = changes();
        sleep(Duration::from_millis(50));
        (before > 0 && before == changes()).then_some(())
    });
    front.start(0, 2);
    let head = front.rings[0].request(0);
    assert_eq!(front.kick_and_wait(0), [(head.into(), 1)]);
    drop(ours);
    let head = front.rings[0].request(0);
    assert_eq!(front.kick_and_wait(0), [(head.into(), 1)]);
}

#[test]
fn delayed_requests_are_dropped_at_a_reset() {
    let server = Server::start(&["--fault", "delay:value=300:queue=0:count=2"]);
    let mut front = server.connect(2);
    front.start(0, 2);
    front.rings[0].request(0);
    front.rings[0].request(0);
    front.kick(0);
    let held = |count: u64| {
        wait("request", || (server.status()["queues"][0]["held"] == count).then_some(()));
    };
    held(2);
    front.stop();
    front.start(0, 2);
    sleep(Duration::from_millis(400));
    assert_eq!(front.rings[0].used(), []);
    let head = front.rings[0].request(0);
    assert_eq!(front.kick_and_wait(0), [(head.into(), 1)]);

    // Without a reset a delayed request is completed without a kick.
    server.command(r#"{"fault":"delay:value=50:count=1"}"#);
    let head = front.rings[0].request(0);
    assert_eq!(front.kick_and_wait(0), [(head.into(), 1)]);

    // The monitor completes held requests.
    server.command(r#"{"fault":{"name":"never-answer","count":2}}"#);
    let heads = [0, 0].map(|opcode| front.rings[0].request(opcode));
    front.kick(0);
    held(2);
    let reply = server.command(r#"{"command":"complete","order":"lifo","queue":0}"#);
    assert_eq!(reply["completed"], 2);
    front.wait_for_interrupt(0);
    let entries = [heads[1], heads[0]].map(|head| (u32::from(head), 1));
    assert_eq!(front.rings[0].used(), entries);
}

#[test]
fn queues_are_served_after_resets_with_pending_kicks() {
    let server = Server::start(&["--fault", "delay:value=1:queue=0"]);
    let mut front = server.connect(2);
    for _ in 0..100 {
        front.start(0, 2);
        for index in [0, CONTROL] {
            front.rings[index].request(0);
            front.kick(index);
        }
        for index in 0..2 {
            front.frontend.set_vring_enable(index, false).unwrap();
            front.frontend.get_vring_base(index).unwrap();
        }
    }
    front.start(0, 2);
    for index in [0, CONTROL] {
        front.rings[index].request(0);
        assert_eq!(front.kick_and_wait(index).len(), 1);
    }
}

#[test]
fn crash_ends_the_process() {
    let mut server = Server::start(&["--fault", "crash:after=1"]);
    let mut front = server.connect(2);
    front.start(0, 2);
    let head = front.rings[0].request(0);
    assert_eq!(front.kick_and_wait(0), [(head.into(), 1)]);
    front.rings[0].request(0);
    front.kick(0);
    assert_eq!(server.wait_for_end().code(), Some(42));
    assert_eq!(front.rings[0].used(), []);
    let report = server.report();
    assert_eq!(report["crashed_by_fault"], true);
    assert_eq!(report["faults"][0]["happened"], 1);
    assert_eq!(report["queues"][0]["popped"], 2);
}

#[test]
fn signals_end_the_process() {
    for (signal, connected) in [(Signal::TERM, false), (Signal::INT, true), (Signal::TERM, true)] {
        let mut server = Server::start(&[]);
        let front = connected.then(|| {
            let mut front = server.connect(2);
            front.start(0, 2);
            front
        });
        kill_process(Pid::from_child(&server.child), signal).unwrap();
        assert_eq!(server.wait_for_end().code(), Some(0));
        assert_eq!(server.report()["connected"], connected);
        assert_eq!(server.report()["violations"], serde_json::json!([]));
        drop(front);
    }
}

#[test]
fn monitor_exit_ends_the_process() {
    let mut server = Server::start(&[]);
    assert_eq!(server.command(r#"{"command":"exit"}"#)["ok"], true);
    assert_eq!(server.wait_for_end().code(), Some(0));
    assert_eq!(server.report()["connected"], false);
}

#[test]
fn front_ends_are_served_in_sequence() {
    let mut server = Server::start(&["--keep-serving"]);
    for count in 1..4 {
        let mut front = server.connect(2);
        front.start(0, 2);
        let (_, status) = create_session(&mut front, CONTROL);
        assert_eq!(status, 0);
        assert_eq!(server.status()["sessions"], 1);
        let head = front.rings[0].request(0);
        assert_eq!(front.kick_and_wait(0), [(head.into(), 1)]);
        drop(front);
        wait("end", || (server.status()["connected"] == false).then_some(()));
        wait("reset", || (server.status()["sessions"] == 0).then_some(()));
        assert_eq!(server.status()["sessions_leaked"], count);
    }
    // After a front end that sends malformed messages, the server accepts the next one.
    for malformed in [&[][..], &[0; 3], &[0xff; 12], &[0; 64]] {
        use std::io::Write;
        let mut socket = UnixStream::connect(server.path("socket")).unwrap();
        socket.write_all(malformed).unwrap();
    }
    drop(server.connect(2));
    assert!(server.child.try_wait().unwrap().is_none());
}

#[test]
fn front_ends_may_disconnect_at_any_time() {
    for _ in 0..5 {
        let mut server = Server::start(&["--fault", "delay:value=20"]);
        let mut front = server.connect(2);
        front.start(0, 2);
        for _ in 0..5 {
            front.rings[0].request(0);
        }
        front.kick(0);
        drop(front);
        assert_eq!(server.wait_for_end().code(), Some(0));
    }
}
