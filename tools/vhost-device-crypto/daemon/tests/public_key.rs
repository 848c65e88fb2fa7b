// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Public-key operations in threads of the daemon.

mod process;

use crypto_test_driver::front::{wait, Front};
use crypto_test_driver::WRITE;
use openssl::rsa::Rsa;
use process::Daemon;
use rustix::process::Signal;

/// The control queue is the second ring.
const CONTROL: usize = 1;
const AKCIPHER_CREATE: u32 = 0x0404;
const AKCIPHER_SIGN: u32 = 0x0402;
const KEY_LEN: u32 = 512;

/// Posts a request in the padded layout. Returns the address of the output.
fn post(front: &mut Front, index: usize, words: &[u32], data: &[u8], output: u32) -> u64 {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize(72, 0);
    bytes.extend(data);
    let ring = &mut front.rings[index];
    let (from, to) = (ring.buffer(bytes.len() as u64), ring.buffer(output.into()));
    ring.write(from, &bytes);
    ring.write(to, &vec![0xff; output as usize]);
    ring.add(&[(from, bytes.len() as u32, 0), (to, output, WRITE)]);
    to
}

/// Starts a guest, and creates a session that signs with an RSA key of 4096 bits.
fn start(daemon: &Daemon) -> (Front, u32) {
    let key = Rsa::generate(8 * KEY_LEN).unwrap().private_key_to_der().unwrap();
    let mut front = daemon.connect();
    front.start(0, 2);
    let create = [AKCIPHER_CREATE, 1, 0, 0, 1, 2, key.len() as u32, 1, 6];
    let response = post(&mut front, CONTROL, &create, &key, 16);
    assert_eq!(front.kick_and_wait(CONTROL).len(), 1);
    let response = front.rings[CONTROL].read(response, 16);
    assert_eq!(response[8..12], [0; 4]);
    let session = u32::from_le_bytes(response[..4].try_into().unwrap());
    (front, session)
}

/// Posts a signature. Returns the address of the status.
fn sign(front: &mut Front, session: u32) -> u64 {
    let fields = [AKCIPHER_SIGN, 1, session, 0, 0, 0, 32, KEY_LEN];
    post(front, 0, &fields, &[5; 32], KEY_LEN + 1) + u64::from(KEY_LEN)
}

/// A worker that sleeps is woken for each signature.
#[test]
fn signatures_are_returned_without_a_kick() {
    for threads in ["0", "1", "3"] {
        let daemon = Daemon::start(&["--public-key-threads", threads]);
        let (mut front, session) = start(&daemon);
        for count in [1, 1, 7] {
            let places: Vec<u64> = (0..count).map(|_| sign(&mut front, session)).collect();
            front.kick(0);
            let mut seen = 0;
            wait("signatures", || {
                seen += front.rings[0].used().len();
                (seen == count).then_some(())
            });
            front.wait_for_interrupt(0);
            for place in places {
                assert_eq!(front.rings[0].read(place, 1), [0]);
            }
        }
    }
}

/// Neither a daemon that ends nor a ring that is stopped loses a signature.
#[test]
fn an_end_waits_for_signatures() {
    for stop in [Front::stop, |_: &mut Front| ()] {
        let mut daemon = Daemon::start(&[]);
        let (mut front, session) = start(&daemon);
        let places = [(); 7].map(|()| sign(&mut front, session));
        front.kick(0);
        // The worker takes the requests at once. `stop` checks the index of the next request.
        wait("signature", || (front.rings[0].used_index() != 0).then_some(()));
        stop(&mut front);
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.wait_for_end().code(), Some(0));
        assert_eq!(front.rings[0].used().len(), places.len());
        for place in places {
            assert_eq!(front.rings[0].read(place, 1), [0]);
        }
    }
}
