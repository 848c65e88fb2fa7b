// SPDX-License-Identifier: GPL-2.0
//! Tests of public-key operations in threads: requests of a queue overtake them, and each is
//! completed once.

mod driver;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crypto_test_device::instrument;
use driver::front::wait;
use driver::{Bench, AVAIL, TABLE, USED, WRITE};
use openssl::pkey::Public;
use openssl::rsa::{Padding, Rsa};
use vhost_user_backend::VringT;
use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::memory::{Chain, Span};
use virtio_crypto_device::queue_id::QueueId;
use virtio_crypto_device::ring::split::SplitRing;
use virtio_queue::QueueT;
use vm_memory::GuestAddress;

const OK: u8 = 0;
const INVSESS: u8 = 4;
const CIPHER_CREATE: u32 = 0x0002;
const CIPHER_ENCRYPT: u32 = 0x0000;
const AKCIPHER_CREATE: u32 = 0x0404;
const AKCIPHER_DESTROY: u32 = 0x0405;
const AKCIPHER_SIGN: u32 = 0x0402;
const DIGEST: [u8; 32] = [5; 32];
const KEY_LEN: usize = 512;

/// Returns the padded layout of a request.
fn padded(words: &[u32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize(72, 0);
    bytes
}

/// Sends a request of the control queue. Returns the session ID.
fn control(bench: &Bench, mut request: Vec<u8>) -> u32 {
    let mut response = [0xff; 16];
    let chain =
        Chain { readable: Span::from(&mut request[..]), writable: Span::from(&mut response[..]) };
    instrument::control(&bench.device, &chain);
    u32::from_le_bytes(response[..4].try_into().unwrap())
}

/// Returns a key whose operations are slow: 4096 bits.
fn key() -> &'static Rsa<openssl::pkey::Private> {
    static KEY: OnceLock<Rsa<openssl::pkey::Private>> = OnceLock::new();
    KEY.get_or_init(|| Rsa::generate(8 * KEY_LEN as u32).unwrap())
}

/// Creates a session that signs with PKCS#1 and SHA-256.
fn signer(bench: &Bench) -> u32 {
    let der = key().private_key_to_der().unwrap();
    let mut request = padded(&[AKCIPHER_CREATE, 1, 0, 0, 1, 2, der.len() as u32, 1, 6]);
    request.extend(der);
    control(bench, request)
}

/// Creates a session that encrypts with AES-CBC.
fn cipher(bench: &Bench) -> u32 {
    let mut request = padded(&[CIPHER_CREATE, 3, 0, 0, 3, 16, 1]);
    request[64] = 1;
    request.extend([7; 16]);
    control(bench, request)
}

/// A request in the ring.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Posted {
    head: u32,
    output: u64,
    len: u64,
}

impl Posted {
    fn new(bench: &mut Bench, request: &[u8], len: u64) -> Self {
        let [from, output] = [request.len() as u64, len + 1].map(|len| bench.ring.buffer(len));
        bench.ring.write(from, request);
        bench.ring.write(output, &vec![0xff; len as usize + 1]);
        let head =
            bench.ring.add(&[(from, request.len() as u32, 0), (output, len as u32 + 1, WRITE)]);
        Posted { head: head.into(), output, len }
    }

    /// Posts a signature.
    fn sign(bench: &mut Bench, session: u32) -> Self {
        let mut request = padded(&[AKCIPHER_SIGN, 1, session, 0, 0, 0, 32, KEY_LEN as u32]);
        request.extend(DIGEST);
        Posted::new(bench, &request, KEY_LEN as u64)
    }

    /// Posts an encryption of 16 bytes.
    fn encrypt(bench: &mut Bench, session: u32) -> Self {
        let mut request = padded(&[CIPHER_ENCRYPT, 3, session, 0, 0, 0, 16, 16, 16]);
        request[64] = 1;
        request.extend([0; 32]);
        Posted::new(bench, &request, 16)
    }

    fn status(&self, bench: &Bench) -> u8 {
        bench.ring.read(self.output + self.len, 1)[0]
    }

    /// Checks the used entry and the result of a signature.
    fn assert_signed(&self, bench: &Bench, entry: (u32, u32)) {
        assert_eq!(entry, (self.head, KEY_LEN as u32 + 1));
        assert_eq!(self.status(bench), OK);
        let signature = bench.ring.read(self.output, KEY_LEN);
        let public: Rsa<Public> =
            Rsa::public_key_from_der_pkcs1(&key().public_key_to_der_pkcs1().unwrap()).unwrap();
        let mut block = [0; KEY_LEN];
        public.public_decrypt(&signature, &mut block, Padding::PKCS1).unwrap();
        assert!(block.windows(32).any(|part| part == DIGEST));
    }
}

fn bench(threads: usize, rate: u32) -> Bench {
    key();
    let capabilities = Capabilities {
        public_key_threads: threads,
        akcipher_rate: rate,
        ..Capabilities::default()
    };
    let bench = Bench::with(capabilities, QueueId::Data(0), 256);
    bench.device.start(0);
    bench
}

/// Serves the ring until this number of requests is completed. Returns their used entries.
fn complete(bench: &mut Bench, count: usize) -> Vec<(u32, u32)> {
    let mut used = Vec::new();
    wait("completion", || {
        bench.run();
        used.extend(bench.ring.used());
        (used.len() >= count).then_some(())
    });
    assert_eq!(used.len(), count);
    used
}

#[test]
fn a_cipher_overtakes_a_signature() {
    for threads in [1, 2] {
        let mut bench = bench(threads, 0);
        let (signer, cipher) = (signer(&bench), cipher(&bench));
        let signatures = [(); 4].map(|()| Posted::sign(&mut bench, signer));
        let encryption = Posted::encrypt(&mut bench, cipher);
        bench.run();
        // The worker has not waited: four signatures take longer.
        let used = bench.ring.used();
        assert!(used.contains(&(encryption.head, 17)));
        assert_eq!(encryption.status(&bench), OK);
        let left = 5 - used.len();
        assert!(left != 0);
        let mut used = [used, complete(&mut bench, left)].concat();
        used.retain(|&(head, _)| head != encryption.head);
        // With one thread the order of the signatures is kept.
        if threads == 2 {
            used.sort_by_key(|&(head, _)| head);
        }
        for (signature, entry) in signatures.iter().zip(used) {
            signature.assert_signed(&bench, entry);
        }
        let status = bench.queue.status();
        assert_eq!((status.popped, status.completed, status.deferred), (5, 5, 0));
    }
}

#[test]
fn without_threads_the_order_is_kept() {
    let mut bench = bench(0, 0);
    let (signer, cipher) = (signer(&bench), cipher(&bench));
    let signature = Posted::sign(&mut bench, signer);
    let encryption = Posted::encrypt(&mut bench, cipher);
    bench.run();
    let used = bench.ring.used();
    assert_eq!(used.len(), 2);
    signature.assert_signed(&bench, used[0]);
    assert_eq!(used[1], (encryption.head, 17));
}

/// A ring that returns requests in order waits for each operation.
#[test]
fn a_ring_with_in_order_keeps_the_order() {
    let mut bench = bench(1, 0);
    let (signer, cipher) = (signer(&bench), cipher(&bench));
    let mut ring = virtio_queue::Queue::new(256).unwrap();
    ring.try_set_desc_table_address(GuestAddress(TABLE)).unwrap();
    ring.try_set_avail_ring_address(GuestAddress(AVAIL)).unwrap();
    ring.try_set_used_ring_address(GuestAddress(USED)).unwrap();
    ring.set_ready(true);
    let ring = SplitRing::new(ring, true, Box::new(|| Ok(())));
    bench.queue.start(Box::new(ring), &bench.ring.memory);
    let mut heads = Vec::new();
    for _ in 0..2 {
        heads.push(Posted::sign(&mut bench, signer).head);
        heads.push(Posted::encrypt(&mut bench, cipher).head);
    }
    bench.queue.serve();
    let used: Vec<u32> = bench.ring.used().iter().map(|&(head, _)| head).collect();
    assert_eq!(used, heads);
}

/// A stopped ring has completed all requests that its index says were taken.
#[test]
fn a_ring_that_is_stopped_completes_its_operations() {
    // Operations that wait for the rate limit do not delay the stop.
    for rate in [0, 1] {
        let mut bench = bench(1, rate);
        let (signer, cipher) = (signer(&bench), cipher(&bench));
        let signatures = [(); 3].map(|()| Posted::sign(&mut bench, signer));
        bench.run();
        bench.vring.set_queue_ready(false);
        let begin = Instant::now();
        assert_eq!(bench.queue.stop(), Some(3));
        assert!(begin.elapsed() < Duration::from_secs(10));
        let used = bench.ring.used();
        assert_eq!(used.len(), 3);
        for (signature, &entry) in signatures.iter().zip(&used) {
            signature.assert_signed(&bench, entry);
        }
        // The ring goes on where it was stopped.
        bench.vring.set_queue_ready(true);
        let encryption = Posted::encrypt(&mut bench, cipher);
        assert_eq!(complete(&mut bench, 1), [(encryption.head, 17)]);
    }
}

#[test]
fn a_draining_queue_completes_its_operations() {
    let mut bench = bench(2, 0);
    let session = signer(&bench);
    bench.run();
    let signatures = [(); 3].map(|()| Posted::sign(&mut bench, session));
    bench.queue.drain();
    let mut used = bench.ring.used();
    used.sort_by_key(|&(head, _)| head);
    assert_eq!(used.len(), 3);
    for (signature, &entry) in signatures.iter().zip(&used) {
        signature.assert_signed(&bench, entry);
    }
}

#[test]
fn a_reset_drops_operations() {
    let mut bench = bench(1, 0);
    let session = signer(&bench);
    let signatures = [(); 5].map(|()| Posted::sign(&mut bench, session));
    bench.run();
    bench.queue.forget();
    bench.device.reset();
    assert_eq!(bench.queue.status().deferred, 0);
    let dropped: Vec<_> =
        signatures.iter().filter(|signature| signature.status(&bench) == 0xff).collect();
    assert_ne!(dropped.len(), 0);
    // The next ring works, and gets no completion of the last one.
    bench.start();
    let (again, cipher) = (signer(&bench), cipher(&bench));
    let signature = Posted::sign(&mut bench, again);
    let used = complete(&mut bench, 1);
    signature.assert_signed(&bench, used[0]);
    let encryption = Posted::encrypt(&mut bench, cipher);
    assert_eq!(complete(&mut bench, 1), [(encryption.head, 17)]);
}

#[test]
fn a_session_may_be_destroyed_during_an_operation() {
    let mut bench = bench(1, 0);
    let session = signer(&bench);
    let signatures = [(); 2].map(|()| Posted::sign(&mut bench, session));
    bench.run();
    control(&bench, padded(&[AKCIPHER_DESTROY, 0, 0, 0, session, 0]));
    let late = Posted::sign(&mut bench, session);
    let used = complete(&mut bench, 3);
    assert_eq!(late.status(&bench), INVSESS);
    for signature in signatures {
        let entry = used.iter().find(|&&(head, _)| head == signature.head);
        signature.assert_signed(&bench, *entry.unwrap());
    }
}

/// The driver changes a request during its operation.
#[test]
fn a_request_may_change_during_its_operation() {
    let mut bench = bench(1, 0);
    let session = signer(&bench);
    let signature = Posted::sign(&mut bench, session);
    bench.run();
    // The writable descriptor is the second one. It loses the place for the status, and more.
    bench.ring.write_descriptor(TABLE, 1, (signature.output, 100, WRITE, 0));
    let used = complete(&mut bench, 1);
    assert_eq!(used, [(signature.head, 0)]);
    assert_eq!(bench.ring.read(signature.output + 99, 1), [1]);
    assert_eq!(bench.ring.read(signature.output, 99), [0xff; 99]);

    let signature = Posted::sign(&mut bench, session);
    bench.run();
    bench.ring.write_descriptor(TABLE, 3, (1 << 60, 1, WRITE, 0));
    assert_eq!(complete(&mut bench, 1), [(signature.head, 0)]);
    assert_eq!(bench.queue.status().malformed, 1);
    assert_eq!(signature.status(&bench), 0xff);
}

/// More operations than a ring may leave to threads are performed as well.
#[test]
fn many_operations_are_completed_once() {
    let mut bench = bench(2, 0);
    let session = signer(&bench);
    let mut heads: Vec<u32> = (0..100).map(|_| Posted::sign(&mut bench, session).head).collect();
    let mut used: Vec<u32> = complete(&mut bench, 100).iter().map(|&(head, _)| head).collect();
    used.sort_unstable();
    heads.sort_unstable();
    assert_eq!(used, heads);
    let status = bench.queue.status();
    assert_eq!((status.popped, status.completed), (100, 100));
}
