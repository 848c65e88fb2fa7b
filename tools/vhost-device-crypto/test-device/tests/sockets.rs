// SPDX-License-Identifier: GPL-2.0
//! Tests of sockets: several devices in a process, and sockets that are already open.

mod driver;

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use driver::front::{wait, Front, Server};
use driver::WRITE;
use rustix::io::{fcntl_setfd, FdFlags};
use vmm_sys_util::tempdir::TempDir;

/// Creates a session for AES-CBC.
fn create_session(front: &mut Front) -> u64 {
    let mut bytes = vec![0; 72];
    // Opcode, algorithm (in the header and in the fields), key length, direction, op_type.
    for (at, word) in [(0, 0x0002), (4, 3), (16, 3), (20, 16), (24, 1), (64, 1)] {
        bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
    }
    bytes.extend([0x55; 16]);
    let ring = &mut front.rings[1];
    let (from, to) = (ring.buffer(88), ring.buffer(16));
    ring.write(from, &bytes);
    ring.add(&[(from, 88, 0), (to, 16, WRITE)]);
    assert_eq!(front.kick_and_wait(1)[0].1, 16);
    u64::from_le_bytes(front.rings[1].read(to, 8).try_into().unwrap())
}

fn check_served(front: &mut Front) {
    let head = front.rings[0].request(0);
    assert_eq!(front.kick_and_wait(0), [(head.into(), 1)]);
}

#[test]
fn devices_of_a_process_share_nothing() {
    let arguments = ["--socket-count", "2", "--table-size", "2"];
    let mut server =
        Server::start_with(&arguments, &["socket0", "monitor0", "socket1", "monitor1"]);
    let mut fronts = ["socket0", "socket1"].map(|name| {
        let mut front = Front::connect_to(&server.path(name), 2);
        front.start(0, 2);
        front
    });
    let sessions = |number: usize| {
        let monitor = format!("monitor{number}");
        server.command_to(&monitor, r#"{"command":"status"}"#)["sessions"].clone()
    };
    // Each device has its own session IDs and its own table.
    assert_eq!(fronts.each_mut().map(create_session), [0, 0]);
    assert_eq!(create_session(&mut fronts[0]), 1);
    assert_eq!([sessions(0), sessions(1)], [2, 1]);
    // The process continues when one device ends, and exits after the last.
    let [first, mut second] = fronts;
    drop(first);
    wait("release", || (sessions(0) == 0).then_some(()));
    check_served(&mut second);
    assert_eq!(sessions(1), 1);
    assert!(server.child.try_wait().unwrap().is_none());
    drop(second);
    assert_eq!(server.wait_for_end().code(), Some(0));
    for (number, leaked) in [(0, 2), (1, 1)] {
        let text = std::fs::read(server.path(&format!("report{number}"))).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(report["sessions_leaked"], leaked);
        assert!(!server.path(&format!("socket{number}")).exists());
    }
}

/// Starts a server that inherits an open socket.
fn serve(socket: &impl AsFd, arguments: &[&str]) -> std::process::Child {
    let socket = socket.as_fd();
    fcntl_setfd(socket, FdFlags::empty()).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_crypto-test-device"))
        .args(["serve", "--socket-fd", &socket.as_raw_fd().to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    fcntl_setfd(socket, FdFlags::CLOEXEC).unwrap();
    child
}

#[test]
fn open_sockets_are_used() {
    let directory = TempDir::new_with_prefix("/tmp/crypto-test-device-test-").unwrap();
    let path = directory.as_path().join("socket");
    // A listening socket, for several front ends in sequence.
    let listener = UnixListener::bind(&path).unwrap();
    let mut child = serve(&listener, &["--keep-serving"]);
    for _ in 0..2 {
        let mut front = Front::connect_to(&path, 2);
        front.start(0, 2);
        check_served(&mut front);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // A connected socket, for a single front end.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = serve(&theirs, &["--keep-serving"]);
    drop(theirs);
    let mut front = Front::from_socket(ours, 2);
    front.start(0, 2);
    check_served(&mut front);
    drop(front);
    assert_eq!(wait("end", || child.try_wait().unwrap()).code(), Some(0));
}

#[test]
fn descriptors_that_are_not_sockets_are_rejected() {
    let program = env!("CARGO_BIN_EXE_crypto-test-device");
    for number in ["0", "2", "99", "-1"] {
        let argument = format!("--socket-fd={number}");
        let output = Command::new(program).args(["serve", &argument]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("not an open socket"), "{text}");
    }
}
