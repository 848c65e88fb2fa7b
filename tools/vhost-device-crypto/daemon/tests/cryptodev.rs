// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests of the daemon with a front end like QEMU's `cryptodev-vhost-user`, which serves the
//! control queue itself and creates sessions with messages.

mod process;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crypto_test_driver::front::{wait, Front};
use crypto_test_driver::WRITE;
use process::Daemon;
use vhost::vhost_user::message::VhostUserProtocolFeatures;

/// The messages for sessions; see the module `session_message`.
const CREATE: u32 = 26;
const CLOSE: u32 = 27;
const CREATE_LEN: usize = 1072;
/// The status of a request whose session does not exist.
const INVSESS: u8 = 4;
const KEY: [u8; 32] = [0x5a; 32];
const IV: [u8; 16] = [0x11; 16];

/// Starts a daemon with space for 3 sessions.
fn start() -> Daemon {
    Daemon::start(&["--max-sessions", "3"])
}

/// Connects a front end and negotiates the messages for sessions. Returns the front end, and its
/// socket for messages that the crate vhost does not support.
fn connect(daemon: &Daemon, is_cryptodev: bool) -> (Front, UnixStream) {
    let socket = UnixStream::connect(daemon.path("socket")).unwrap();
    let features = VhostUserProtocolFeatures::CRYPTO_SESSION;
    let front = Front::connect_with(socket.try_clone().unwrap(), 2, features, is_cryptodev);
    (front, socket)
}

fn send(mut socket: &UnixStream, request: u32, body: &[u8]) {
    let header = [request, 1, body.len() as u32].map(u32::to_ne_bytes).concat();
    socket.write_all(&[&header, body].concat()).unwrap();
}

/// Creates a cipher session with a key of 32 bytes. Returns its ID or an error. Algorithm 3 is
/// AES-CBC.
fn create(mut socket: &UnixStream, algorithm: u32) -> Result<u64, i64> {
    let mut body = [0; CREATE_LEN];
    body[..8].copy_from_slice(&2u64.to_ne_bytes());
    body[8..12].copy_from_slice(&algorithm.to_ne_bytes());
    body[12..16].copy_from_slice(&(KEY.len() as u32).to_ne_bytes());
    body[32..34].fill(1);
    body[56..56 + KEY.len()].copy_from_slice(&KEY);
    send(socket, CREATE, &body);
    let mut reply = [0; 12 + CREATE_LEN];
    socket.read_exact(&mut reply).unwrap();
    let header = [CREATE, 5, CREATE_LEN as u32].map(u32::to_ne_bytes).concat();
    assert_eq!(reply[..12], header);
    let id = i64::from_ne_bytes(reply[12 + 1064..].try_into().unwrap());
    u64::try_from(id).map_err(|_| id)
}

/// Encrypts `text` in a session. Returns the status and the result.
fn encrypt(front: &mut Front, session: u64, text: &[u8]) -> (u8, Vec<u8>) {
    let mut bytes = vec![0; 72];
    let len = text.len() as u32;
    // Session ID, and the lengths of IV, source and destination.
    let words = [(8, session as u32), (12, (session >> 32) as u32), (24, 16), (28, len), (32, len)];
    for (at, word) in words {
        bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
    }
    bytes[64] = 1;
    bytes.extend(IV);
    bytes.extend(text);
    let ring = &mut front.rings[0];
    let (from, to) = (ring.buffer(bytes.len() as u64), ring.buffer(u64::from(len) + 1));
    ring.write(from, &bytes);
    ring.add(&[(from, bytes.len() as u32, 0), (to, len + 1, WRITE)]);
    assert_eq!(front.kick_and_wait(0).len(), 1);
    let mut result = front.rings[0].read(to, text.len() + 1);
    (result.pop().unwrap(), result)
}

#[test]
fn the_front_end_creates_sessions_and_the_driver_uses_them() {
    let daemon = start();
    let (mut front, socket) = connect(&daemon, true);
    front.start(0, 1);
    let session = create(&socket, 3).unwrap();
    let text: Vec<u8> = (0..64).collect();
    let cipher = openssl::symm::Cipher::aes_256_cbc();
    let mut expected = openssl::symm::encrypt(cipher, &KEY, Some(&IV), &text).unwrap();
    expected.truncate(text.len());
    // The event index of the driver is ignored, because the feature may not be negotiated.
    for event in [0, 1, 7, 100] {
        front.rings[0].set_used_event(event);
        assert_eq!(encrypt(&mut front, session, &text), (0, expected.clone()));
    }
    wait("index", || (front.rings[0].avail_event() == front.rings[0].avail).then_some(()));
    assert_eq!(front.rings[0].used_flags(), 0);
    assert!(create(&socket, 1).is_err());
    // The table has space for two more sessions.
    let others = [create(&socket, 3).unwrap(), create(&socket, 3).unwrap()];
    assert!(create(&socket, 3).is_err());
    send(&socket, CLOSE, &session.to_ne_bytes());
    send(&socket, CLOSE, &77u64.to_ne_bytes());
    // A CLOSE has no reply, so the next message is the reply to this CREATE.
    assert_eq!(create(&socket, 3), Ok(session));
    send(&socket, CLOSE, &session.to_ne_bytes());
    let again = create(&socket, 3).unwrap();
    assert_eq!(encrypt(&mut front, again, &text).0, 0);
    send(&socket, CLOSE, &again.to_ne_bytes());
    send(&socket, CLOSE, &others[0].to_ne_bytes());
    create(&socket, 3).unwrap();
    assert_eq!(encrypt(&mut front, others[0], &text).0, INVSESS);
}

#[test]
fn sessions_survive_a_pause_but_not_a_reset() {
    let daemon = start();
    let (mut front, socket) = connect(&daemon, true);
    front.start(0, 1);
    let session = create(&socket, 3).unwrap();
    assert_eq!(encrypt(&mut front, session, &[0; 16]).0, 0);
    for _ in 0..3 {
        front.stop();
        front.resume(0);
        assert_eq!(encrypt(&mut front, session, &[0; 16]).0, 0);
    }
    front.stop();
    front.start(0, 1);
    assert_eq!(encrypt(&mut front, session, &[0; 16]).0, INVSESS);
    // The next front end belongs to another guest.
    let session = create(&socket, 3).unwrap();
    drop((front, socket));
    let (mut front, socket) = connect(&daemon, true);
    front.start(0, 1);
    assert_eq!(encrypt(&mut front, session, &[0; 16]).0, INVSESS);
    assert_eq!(create(&socket, 3), Ok(0));
}

#[test]
fn invalid_messages_only_end_the_connection() {
    let daemon = start();
    let bodies = [
        (CREATE, vec![0; CREATE_LEN - 1]),
        (CREATE, vec![0; 632]),
        (CREATE, vec![]),
        (CREATE, vec![0xff; 1 << 16]),
        (CLOSE, vec![0; 7]),
        (CLOSE, vec![0; CREATE_LEN]),
    ];
    for (request, body) in bodies {
        let (mut front, mut socket) = connect(&daemon, true);
        front.start(0, 1);
        create(&socket, 3).unwrap();
        send(&socket, request, &body);
        let result = socket.read(&mut [0]);
        assert!(result.is_err() || matches!(result, Ok(0)), "{request}: {} bytes", body.len());
    }
    // A front end that has not negotiated the messages must not send them.
    let mut socket = UnixStream::connect(daemon.path("socket")).unwrap();
    let front = Front::from_socket(socket.try_clone().unwrap(), 2);
    send(&socket, CLOSE, &[0; 8]);
    assert!(!matches!(socket.read(&mut [0]), Ok(1..)));
    drop((front, socket));
    let (mut front, socket) = connect(&daemon, true);
    front.start(0, 1);
    let session = create(&socket, 3).unwrap();
    assert_eq!(encrypt(&mut front, session, &[0; 16]).0, 0);
}

/// QEMU's `vhost-user-test-device-pci` also accepts the protocol feature, but the daemon serves the
/// control queue.
#[test]
fn the_protocol_feature_alone_does_not_move_the_control_queue() {
    let daemon = start();
    let (mut front, _socket) = connect(&daemon, false);
    front.start(0, 2);
    let mut bytes = vec![0; 72];
    // Opcode, algorithm (in the header and in the fields), key length, direction, op_type.
    let words = [(0, 0x0002), (4, 3), (16, 3), (20, 32), (24, 1), (64, 1)];
    for (at, word) in words {
        bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
    }
    bytes.extend(KEY);
    let ring = &mut front.rings[1];
    let (from, to) = (ring.buffer(104), ring.buffer(16));
    ring.write(from, &bytes);
    ring.add(&[(from, 104, 0), (to, 16, WRITE)]);
    assert_eq!(front.kick_and_wait(1).len(), 1);
    // The first data ring starts at index 0. The control ring resumes, so this is no reset.
    front.stop();
    front.rings[0] = crypto_test_driver::Ring::new(front.memory.clone(), 0, 16);
    front.resume(0);
    assert_eq!(encrypt(&mut front, 0, &[0; 16]).0, 0);
    // The daemon knows the features of this driver. The driver has not accepted the event index, so
    // the device does not write one.
    assert_eq!(front.rings[0].avail_event(), 0);
}
