// SPDX-License-Identifier: GPL-2.0
//! Tests with invalid vfio-user messages and invalid register accesses.

mod driver;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use driver::front::Server;
use driver::function::{Guest, FEATURES_OK, PCI_CONFIG};

/// Returns a message with this command, flags and body.
fn message(command: u16, flags: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    bytes.extend(command.to_ne_bytes());
    for word in [16 + body.len() as u32, flags, 0] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(body);
    bytes
}

#[test]
fn invalid_commands_return_an_error() {
    let server = Server::start(&["--front-end", "vfio-user"]);
    let mut socket = UnixStream::connect(server.path("socket")).unwrap();
    let access = |region: u32, offset: u64, count: u32| {
        let mut bytes = offset.to_ne_bytes().to_vec();
        bytes.extend(region.to_ne_bytes());
        bytes.extend(count.to_ne_bytes());
        bytes
    };
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_ne_bytes()).collect() };
    // Invalid commands, and commands with an invalid body.
    for (command, body) in [
        (0, vec![]),
        (1, vec![]),
        (1, vec![1, 0, 0, 0]),
        (2, vec![0; 31]),
        (3, vec![]),
        (4, vec![]),
        (5, words(&[32, 0, 9, 0, 0, 0, 0, 0])),
        (6, vec![]),
        (7, words(&[16, 0, 5, 0])),
        (8, vec![0; 4]),
        (8, words(&[20, 36, 2, 0, u32::MAX])),
        (8, words(&[20, 36, 2, u32::MAX, 1])),
        (8, words(&[20, 36, 4, 0, 1])),
        (8, words(&[20, 34, 2, 0, 1])),
        (9, access(0, 0x7fff, 2)),
        (9, access(0, u64::MAX, 2)),
        (9, access(0, 0, u32::MAX)),
        (9, access(7, 256, 1)),
        (9, access(1, 0, 1)),
        (9, access(u32::MAX, 0, 1)),
        (10, access(0, 0, 1)),
        (10, access(7, 0, u32::MAX)),
        (14, vec![]),
        (u16::MAX, vec![]),
    ] {
        // A message with the flag NO_REPLY gets no reply.
        socket.write_all(&message(command, 16, &body)).unwrap();
        socket.write_all(&message(command, 0, &body)).unwrap();
        let mut reply = [0; 16];
        socket.read_exact(&mut reply).unwrap();
        let word = |at: usize| u32::from_ne_bytes(reply[at..at + 4].try_into().unwrap());
        assert_eq!(word(0), 1 | u32::from(command) << 16);
        assert_eq!((word(4), word(8)), (16, 33), "{command} {body:?}");
        assert_ne!(word(12), 0);
    }
    drop(socket);
}

#[test]
fn malformed_messages_only_end_the_connection() {
    let server = Server::start(&["--front-end", "vfio-user", "--keep-serving"]);
    let mut too_long = message(9, 0, &[]);
    too_long[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    let mut short = message(9, 0, &[]);
    short[4..8].copy_from_slice(&15u32.to_ne_bytes());
    let reply = message(9, 1, &[]);
    for malformed in [&[][..], &[0; 3], &[0xff; 16], &[0; 64], &too_long, &short, &reply] {
        let mut socket = UnixStream::connect(server.path("socket")).unwrap();
        socket.write_all(malformed).unwrap();
    }
    let mut guest = Guest::connect(&server);
    guest.start(0, 2);
    guest.run_request(0);
    // Write invalid values to registers in the whole BAR and the PCI configuration space.
    for at in (0..0x8000).step_by(0x7fc) {
        for len in [1, 2, 4, 8] {
            if at + len as u64 > 0x8000 {
                continue;
            }
            guest.client.region_write(0, at, &[0xff; 8][..len]).unwrap();
            guest.client.region_read(0, at, &mut [0; 8][..len]).unwrap();
        }
    }
    for at in 0..256 {
        guest.client.region_write(PCI_CONFIG, at, &[0xff]).unwrap();
    }
    guest.client.reset().unwrap();
    guest.rings.clear();
    guest.start(0, 2);
    guest.run_request(1);
    assert_ne!(guest.status() & FEATURES_OK, 0);
}
