// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The daemon behind a front end that has the control queue, as QEMU's `cryptodev-vhost-user`.

mod process;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crypto_test_driver::front::{wait, Front};
use crypto_test_driver::WRITE;
use process::Daemon;
use vhost::vhost_user::message::VhostUserProtocolFeatures;

const CREATE: u32 = 26;
const CLOSE: u32 = 27;
const CREATE_LEN: usize = 1072;
const KEY: [u8; 32] = [0x5a; 32];
const IV: [u8; 16] = [0x11; 16];

/// A daemon with few sessions.
fn start() -> Daemon {
    Daemon::start(&["--max-sessions", "3"])
}

/// A front end, and its socket for other messages. It has negotiated the messages about sessions.
fn connect(daemon: &Daemon, is_cryptodev: bool) -> (Front, UnixStream) {
    let socket = UnixStream::connect(daemon.path("socket")).unwrap();
    let more = VhostUserProtocolFeatures::CRYPTO_SESSION;
    let front = Front::connect_with(socket.try_clone().unwrap(), 2, more, is_cryptodev);
    (front, socket)
}

fn send(mut socket: &UnixStream, request: u32, body: &[u8]) {
    let header = [request, 1, body.len() as u32].map(u32::to_ne_bytes).concat();
    socket.write_all(&[&header, body].concat()).unwrap();
}

/// Creates a session for AES-256-CBC; returns its ID, or an error.
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

/// Encrypts some blocks; returns the status and the result.
fn encrypt(front: &mut Front, session: u64, text: &[u8]) -> (u8, Vec<u8>) {
    let mut bytes = vec![0; 72];
    let len = text.len() as u32;
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
    assert_eq!(front.answers(0).len(), 1);
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
    // The driver may wait for an index, or not.
    for event in [0, 1, 7, 100] {
        front.rings[0].set_used_event(event);
        assert_eq!(encrypt(&mut front, session, &text), (0, expected.clone()));
    }
    wait("index", || (front.rings[0].avail_event() == front.rings[0].avail).then_some(()));
    assert_eq!(front.rings[0].used_flags(), 0);
    // All sessions are in one table.
    assert!(create(&socket, 1).is_err());
    let others = [create(&socket, 3).unwrap(), create(&socket, 3).unwrap()];
    assert!(create(&socket, 3).is_err());
    send(&socket, CLOSE, &session.to_ne_bytes());
    send(&socket, CLOSE, &77u64.to_ne_bytes());
    // The device has no more to say of a session that is closed, but of a message after it.
    assert_eq!(create(&socket, 3), Ok(session));
    send(&socket, CLOSE, &session.to_ne_bytes());
    let again = create(&socket, 3).unwrap();
    assert_eq!(encrypt(&mut front, again, &text).0, 0);
    send(&socket, CLOSE, &again.to_ne_bytes());
    send(&socket, CLOSE, &others[0].to_ne_bytes());
    create(&socket, 3).unwrap();
    assert_eq!(encrypt(&mut front, others[0], &text).0, 4);
}

#[test]
fn sessions_outlive_a_pause_and_no_reset() {
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
    assert_eq!(encrypt(&mut front, session, &[0; 16]).0, 4);
    // The next front end is another guest's.
    let session = create(&socket, 3).unwrap();
    drop((front, socket));
    let (mut front, socket) = connect(&daemon, true);
    front.start(0, 1);
    assert_eq!(encrypt(&mut front, session, &[0; 16]).0, 4);
    assert_eq!(create(&socket, 3), Ok(0));
}

#[test]
fn messages_that_are_not_valid_end_the_connection_only() {
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
        let ended = socket.read(&mut [0]);
        assert!(ended.is_err() || matches!(ended, Ok(0)), "{request}: {} bytes", body.len());
    }
    // Nor may they come from a front end that has not negotiated them.
    let mut socket = UnixStream::connect(daemon.path("socket")).unwrap();
    let front = Front::connect_by(socket.try_clone().unwrap(), 2);
    send(&socket, CLOSE, &[0; 8]);
    assert!(!matches!(socket.read(&mut [0]), Ok(1..)));
    drop((front, socket));
    let (mut front, socket) = connect(&daemon, true);
    front.start(0, 1);
    let session = create(&socket, 3).unwrap();
    assert_eq!(encrypt(&mut front, session, &[0; 16]).0, 0);
}

/// QEMU's other device accepts all features of the protocol, and passes the control queue on.
#[test]
fn a_front_end_that_only_negotiates_the_messages_is_served_as_any_other() {
    let daemon = start();
    let (mut front, _socket) = connect(&daemon, false);
    front.start(0, 2);
    let mut bytes = vec![0; 72];
    let words = [(0, 0x0002), (4, 3), (16, 3), (20, 32), (24, 1), (64, 1)];
    for (at, word) in words {
        bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
    }
    bytes.extend(KEY);
    let ring = &mut front.rings[1];
    let (from, to) = (ring.buffer(104), ring.buffer(16));
    ring.write(from, &bytes);
    ring.add(&[(from, 104, 0), (to, 16, WRITE)]);
    assert_eq!(front.answers(1).len(), 1);
    // The first data ring starts anew, the control ring goes on: no reset.
    front.stop();
    front.rings[0] = crypto_test_driver::Ring::new(front.memory.clone(), 0, 16);
    front.resume(0);
    assert_eq!(encrypt(&mut front, 0, &[0; 16]).0, 0);
    // Its features are known: no index is written for a driver that has not accepted it.
    assert_eq!(front.rings[0].avail_event(), 0);
}
