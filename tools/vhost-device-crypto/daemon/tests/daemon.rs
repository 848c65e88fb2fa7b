// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests of the daemon with front ends, signals and invalid arguments.

mod process;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crypto_test_driver::front::{wait, Front};
use crypto_test_driver::WRITE;
use process::{Daemon, PROGRAM};
use rustix::process::Signal;
use vhost::vhost_user::message::VhostUserConfigFlags;
use vhost::vhost_user::VhostUserFrontend;

/// Index of the control queue, after one data queue.
const CONTROL: usize = 1;

/// Creates a cipher session with a key of 16 bytes. Returns its ID and the status.
fn create_session(front: &mut Front, algorithm: u32) -> (u64, u32) {
    let mut bytes = vec![0; 72];
    // Opcode, algorithm (in the header and in the fields), key length, direction, op_type.
    let words = [(0, 0x0002), (4, algorithm), (16, algorithm), (20, 16), (24, 1), (64, 1)];
    for (at, word) in words {
        bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
    }
    bytes.extend([0x55; 16]);
    let ring = &mut front.rings[CONTROL];
    let (from, to) = (ring.buffer(88), ring.buffer(16));
    ring.write(from, &bytes);
    ring.add(&[(from, 88, 0), (to, 16, WRITE)]);
    assert_eq!(front.kick_and_wait(CONTROL).len(), 1);
    let response = front.rings[CONTROL].read(to, 16);
    let id = u64::from_le_bytes(response[..8].try_into().unwrap());
    (id, u32::from_le_bytes(response[8..12].try_into().unwrap()))
}

/// Numbers of ciphers.
const AES_CBC: u32 = 3;
const ARC4: u32 = 1;

/// The status of a request whose session does not exist.
const INVSESS: u8 = 4;

/// Adds an AES-CBC request to the data ring without a kick. Returns the address of the status.
fn post_encryption(front: &mut Front, session: u64) -> u64 {
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
    to + 16
}

/// Encrypts a block. Returns the status.
fn encrypt(front: &mut Front, session: u64) -> u8 {
    let status_address = post_encryption(front, session);
    assert_eq!(front.kick_and_wait(0).len(), 1);
    front.rings[0].read(status_address, 1)[0]
}

#[test]
fn each_guest_has_its_own_sessions_and_limits() {
    let arguments = ["--socket-count", "2", "--max-sessions", "2"];
    let daemon = Daemon::start_with(&arguments, &["socket0", "socket1"]);
    let mut fronts = ["socket0", "socket1"].map(|name| {
        let mut front = Front::connect_to(&daemon.path(name), 2);
        front.start(0, 2);
        front
    });
    for front in &mut fronts {
        assert_eq!(create_session(front, AES_CBC), (0, 0));
        assert_eq!(create_session(front, AES_CBC), (1, 0));
        assert_eq!(create_session(front, AES_CBC).1, 1);
        assert_eq!(encrypt(front, 1), 0);
    }
    // The next front end belongs to another guest, so the old sessions must not exist.
    let [first, mut second] = fronts;
    drop(first);
    let mut next = wait("front end", || {
        let mut front = Front::connect_to(&daemon.path("socket0"), 2);
        front.start(0, 2);
        (encrypt(&mut front, 0) == INVSESS).then_some(front)
    });
    assert_eq!(create_session(&mut next, AES_CBC), (0, 0));
    assert_eq!(encrypt(&mut second, 0), 0);
}

#[test]
fn legacy_algorithms_are_only_offered_with_the_option() {
    for (arguments, legacy) in [(&[][..], false), (&["--legacy-algorithms"], true)] {
        let daemon = Daemon::start(arguments);
        let mut front = daemon.connect();
        let flags = VhostUserConfigFlags::empty();
        let config = front.frontend.get_config(0, 56, flags, &[0; 56]).unwrap().1;
        let mask = |at: usize| u32::from_le_bytes(config[at..at + 4].try_into().unwrap());
        // The bits of MD5 and of HMAC-MD5.
        assert_eq!([mask(20) & 2 != 0, mask(24) & 2 != 0], [legacy; 2]);
        assert_ne!(mask(12) & 1 << AES_CBC, 0);
        front.start(0, 2);
        assert_eq!(create_session(&mut front, AES_CBC).1, 0);
        let arc4 = mask(12) & 1 << ARC4 != 0;
        assert!(legacy || !arc4);
        assert_eq!(create_session(&mut front, ARC4).1, if arc4 { 0 } else { 3 });
    }
}

#[test]
fn sigterm_serves_the_requests_in_the_rings_first() {
    let mut daemon = Daemon::start(&[]);
    let mut front = daemon.connect();
    front.start(0, 2);
    let (session, _) = create_session(&mut front, AES_CBC);
    let statuses: Vec<_> = (0..6).map(|_| post_encryption(&mut front, session)).collect();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert_eq!(front.rings[0].used().len(), statuses.len());
    front.wait_for_interrupt(0);
    for address in statuses {
        assert_eq!(front.rings[0].read(address, 1), [0]);
    }
    assert!(!daemon.path("socket").exists());
}

#[test]
fn the_rate_of_public_key_operations_is_limited() {
    const RATE: u32 = 20;
    let daemon = Daemon::start(&["--max-akcipher-rate", &RATE.to_string()]);
    let mut front = daemon.connect();
    front.start(0, 2);
    let mut elapsed = |opcode: u32, count: u32| {
        for _ in 0..count {
            front.rings[0].request(opcode);
        }
        let begin = Instant::now();
        front.kick(0);
        let mut seen = 0;
        wait("used entries", || {
            seen += front.rings[0].used().len() as u32;
            (seen == count).then_some(())
        });
        begin.elapsed()
    };
    // The first 3 operations are a burst, which is not delayed. The other 3 are delayed.
    assert!(elapsed(0x0400, 6) >= Duration::from_secs(1) * 3 / RATE);
    // Ciphers are not delayed: they take less time than the same number of public-key operations.
    assert!(elapsed(0x0000, 6) < Duration::from_secs(1) * 6 / RATE);
}

/// Sends a vhost-user message. Returns the number in the reply.
fn exchange(mut socket: &UnixStream, request: u32, flags: u32, body: &[u8]) -> u64 {
    let mut bytes = Vec::new();
    for word in [request, 1 | flags, body.len() as u32] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(body);
    socket.write_all(&bytes).unwrap();
    let mut reply = [0; 20];
    socket.read_exact(&mut reply).unwrap();
    assert_eq!(reply[..4], request.to_ne_bytes());
    u64::from_ne_bytes(reply[12..].try_into().unwrap())
}

#[test]
fn status_0_resets_the_device_unless_it_is_suspended() {
    const SET_STATUS: u32 = 39;
    const GET_STATUS: u32 = 40;
    const GET_PROTOCOL_FEATURES: u32 = 15;
    const NEED_REPLY: u32 = 8;
    let daemon = Daemon::start(&[]);
    let socket = UnixStream::connect(daemon.path("socket")).unwrap();
    let mut front = Front::from_socket(socket.try_clone().unwrap(), 2);
    assert_ne!(exchange(&socket, GET_PROTOCOL_FEATURES, 0, &[]) & 1 << 16, 0);
    let set = |status: u64| {
        assert_eq!(exchange(&socket, SET_STATUS, NEED_REPLY, &status.to_ne_bytes()), 0);
        assert_eq!(exchange(&socket, GET_STATUS, 0, &[]), status);
    };
    front.start(0, 2);
    set(15);
    let (session, _) = create_session(&mut front, AES_CBC);
    // QEMU sends these messages when the guest is paused and continues.
    front.stop();
    set(0);
    front.resume(0);
    set(15);
    assert_eq!(encrypt(&mut front, session), 0);
    // A status of 0 while rings run is a reset by the guest.
    set(0);
    front.stop();
    front.start(0, 2);
    assert_eq!(encrypt(&mut front, session), INVSESS);
}

#[test]
fn keys_stay_in_memory() {
    let mut daemon = Daemon::start(&[]);
    let mut front = daemon.connect();
    front.start(0, 2);
    let (session, _) = create_session(&mut front, AES_CBC);
    assert_eq!(encrypt(&mut front, session), 0);
    assert!(daemon.proc_line("limits", "Max core file size").starts_with("0 "));
    let locked: u64 =
        daemon.proc_line("status", "VmLck:").trim_end_matches(" kB").trim().parse().unwrap();
    // Only a privileged user can read this file of the process.
    let maps = std::fs::read_to_string(format!("/proc/{}/smaps", daemon.child.id()));
    daemon.signal(Signal::TERM);
    daemon.wait_for_end();
    let mut log = String::new();
    daemon.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    // The daemon locks its own memory, unless the limit is too low, but not the guest's memory.
    match log.contains("keys may be swapped out") {
        true => assert_eq!(locked, 0, "{log}"),
        false => assert!(locked > 0, "{log}"),
    }
    if let Ok(maps) = maps {
        let guest = maps.split("memfd:guest").skip(1);
        let flags = guest.filter_map(|map| map.lines().find(|line| line.starts_with("VmFlags:")));
        let flags: Vec<_> = flags.collect();
        assert!(!flags.is_empty() && !flags.iter().any(|flags| flags.contains(" lo")), "{flags:?}");
    }
}

#[test]
fn description_and_unit_file_match_the_program() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    let text = std::fs::read(format!("{folder}/50-vhost-device-crypto.json")).unwrap();
    let description: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let output = Command::new(PROGRAM).args(["--print-capabilities", "--unheard-of"]).output();
    let printed: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(printed["type"], "crypto");
    assert_eq!(printed["type"], description["type"]);
    let binary = PathBuf::from(description["binary"].as_str().unwrap());
    assert_eq!(binary.file_name(), PathBuf::from(PROGRAM).file_name());
    let unit = std::fs::read_to_string(format!("{folder}/vhost-device-crypto@.service")).unwrap();
    let start = format!("ExecStart={} --socket-path ", binary.display());
    assert!(unit.lines().any(|line| line.starts_with(&start)));
}

#[test]
fn arguments_out_of_range_are_errors() {
    for argument in [
        "--queues=0",
        "--queues=64",
        "--socket-count=0",
        "--socket-count=65",
        "--services=nothing",
        "--fault=delay",
        "--socket-fd=99",
    ] {
        let output = Command::new(PROGRAM).args(["-s", "/nonexistent/socket", argument]).output();
        assert_eq!(output.unwrap().status.code(), Some(2), "{argument}");
    }
}
