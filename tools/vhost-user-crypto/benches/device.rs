// SPDX-License-Identifier: GPL-2.0
//! What the device adds to the arithmetic: requests and bytes per second by size, of
//! the device alone (no ring, no guest) and of OpenSSL called in a loop with a context
//! that is made once. Prints the ratio of the two, medians of several runs.
//!
//! `cargo bench`, on an idle machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::md::Md;
use openssl::md_ctx::MdCtx;
use vhost_user_crypto::device::{Device, Worker};
use vhost_user_crypto::memory::{Chain, Slice, Span};
use vhost_user_crypto::offer::Offer;
use vhost_user_crypto::trace::Trace;

const SIZES: [usize; 6] = [16, 256, 1024, 4096, 16384, 65536];
const RUNS: usize = 7;
const RUN: Duration = Duration::from_millis(60);
const KEY: [u8; 16] = [7; 16];
/// How many bytes the pieces have that the larger requests come in.
const PAGE: usize = 4096;

/// How long one call takes, the median of several runs, in seconds.
fn time(mut call: impl FnMut()) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let (begin, mut calls) = (Instant::now(), 0);
            while begin.elapsed() < RUN {
                (0..16).for_each(|_| call());
                calls += 16;
            }
            begin.elapsed().as_secs_f64() / f64::from(calls)
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}

fn words(words: &[u32], len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize(len, 0);
    bytes
}

fn create(device: &Device, mut request: Vec<u8>) -> u32 {
    let mut answer = [0xff; 16];
    let chain =
        Chain { readable: Span::from(&mut request[..]), writable: Span::from(&mut answer[..]) };
    device.control(&chain);
    drop(chain);
    assert_eq!(answer[8..12], [0; 4]);
    u32::from_le_bytes(answer[..4].try_into().unwrap())
}

fn pages<'m>(span: &mut Span<'m>, bytes: &'m mut [u8]) {
    let slice = Slice::from(bytes);
    let mut at = 0;
    while at < slice.len() {
        let len = PAGE.min(slice.len() - at);
        span.push(slice.subslice(at, len).unwrap());
        at += len;
    }
}

/// A request to the device: `head` and IV, the data in pages, a result of `result` bytes.
fn device(device: &Device, head: &[u8], size: usize, dst: bool, result: usize) -> f64 {
    let (mut head, mut src) = (head.to_vec(), vec![1; size]);
    let (mut out, mut tail) = (vec![0; size], vec![0; result + 1]);
    let mut chain = Chain::default();
    chain.readable.push(Slice::from(&mut head[..]));
    pages(&mut chain.readable, &mut src);
    if dst {
        pages(&mut chain.writable, &mut out);
    }
    chain.writable.push(Slice::from(&mut tail[..]));
    let mut worker = Worker::default();
    let took = time(|| {
        black_box(device.data(0, &mut worker, &chain));
    });
    drop(chain);
    assert_eq!(tail[result], 0, "the request was not served");
    took
}

fn cbc(dev: &Device, size: usize) -> (f64, f64) {
    let mut request = words(&[2, 3, 0, 0, 3, 16, 1], 64);
    request.extend(words(&[1, 0], 8));
    request.extend(KEY);
    let id = create(dev, request);
    let mut head = words(&[0, 3, id, 0, 0, 0, 16, size as u32, size as u32], 64);
    head.extend(words(&[1, 0], 8));
    head.extend(KEY);
    let ours = device(dev, &head, size, true, 0);

    let mut context = CipherCtx::new().unwrap();
    context.encrypt_init(Some(Cipher::aes_128_cbc()), Some(&KEY), None).unwrap();
    context.set_padding(false);
    let (src, mut dst) = (vec![1; size], vec![0; size + 16]);
    let theirs = time(|| {
        context.encrypt_init(None, None, Some(&KEY)).unwrap();
        black_box(context.cipher_update(&src, Some(&mut dst)).unwrap());
    });
    (ours, theirs)
}

fn sha256(dev: &Device, size: usize) -> (f64, f64) {
    let id = create(dev, words(&[0x102, 4, 0, 0, 4, 32], 72));
    let head = words(&[0x100, 4, id, 0, 0, 0, size as u32, 32], 72);
    let ours = device(dev, &head, size, false, 32);
    let (src, mut digest) = (vec![1; size], [0; 32]);
    let mut context = MdCtx::new().unwrap();
    let theirs = time(|| {
        context.digest_init(Md::sha256()).unwrap();
        context.digest_update(&src).unwrap();
        black_box(context.digest_final(&mut digest).unwrap());
    });
    (ours, theirs)
}

/// What one request of this size takes here, and OpenSSL alone, in seconds.
type Measure = fn(&Device, usize) -> (f64, f64);

fn main() {
    let dev = Device::new(Offer::default(), Trace::default());
    dev.start(0);
    println!(
        "{:<12}{:>8}{:>14}{:>12}{:>12}",
        "algorithm", "bytes", "requests/s", "MB/s", "of OpenSSL"
    );
    let rows: [(&str, Measure); 2] = [("aes-128-cbc", cbc), ("sha-256", sha256)];
    for (name, measure) in rows {
        for size in SIZES {
            let (ours, theirs) = measure(&dev, size);
            println!(
                "{name:<12}{size:>8}{:>14.0}{:>12.1}{:>11.0}%",
                1.0 / ours,
                size as f64 / ours / 1e6,
                100.0 * theirs / ours
            );
        }
    }
}
