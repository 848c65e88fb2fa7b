// SPDX-License-Identifier: GPL-2.0
//! Fuzzes the control queue with arbitrary requests.
//!
//! Format of the input: a byte of features, then requests. A request is a byte with the size of the
//! buffers, a byte with the length of the writable part, two bytes with the length of the request,
//! and the request.

#![no_main]

use crypto_test_device::instrument;
use crypto_test_device::trace::Trace;
use libfuzzer_sys::fuzz_target;
use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::memory::{Chain, Slice, Span};
use virtio_crypto_device::protocol::feature;

/// Small, so that the table is sometimes full.
const TABLE_SIZE: usize = 8;

fn cut(bytes: &mut [u8], size: usize) -> Span<'_> {
    let slice = Slice::from(bytes);
    let mut span = Span::new();
    let mut at = 0;
    while at < slice.len() {
        let len = size.min(slice.len() - at);
        span.push(slice.subslice(at, len).unwrap());
        at += len;
    }
    span
}

fuzz_target!(|input: &[u8]| {
    let Some((features, mut rest)) = input.split_first() else { return };
    let features = u64::from(*features) & feature::ALL;
    let capabilities = Capabilities { features, table_size: TABLE_SIZE, ..Capabilities::default() };
    let device = instrument::device(capabilities, Trace::new(Box::new(std::io::sink())));
    device.start(features);
    while let [pieces, room, low, high, tail @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (request, next) = tail.split_at(len);
        rest = next;
        let (mut readable, mut writable) = (request.to_vec(), vec![0xff; usize::from(*room)]);
        let size = usize::from(*pieces) + 1;
        let chain =
            Chain { readable: cut(&mut readable, size), writable: cut(&mut writable, size) };
        let written = device.control(&chain) as usize;
        drop(chain);
        assert!(written <= writable.len());
        // If the session ID is not written, the status and padding after it still are.
        let end = if written == 0 && writable.len() >= 16 { 16 } else { written };
        assert!(writable[end..].iter().all(|&byte| byte == 0xff));
        assert_eq!(readable, request);
        assert!(device.sessions() <= TABLE_SIZE);
    }
});
