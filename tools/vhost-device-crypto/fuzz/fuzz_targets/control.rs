// SPDX-License-Identifier: GPL-2.0
//! Fuzzes the control queue with arbitrary requests.
//!
//! Format of the input: a byte of features, then requests. A request is a byte with the segment
//! length minus 1, a byte with the length of the writable part, two bytes with the length of the
//! readable part, and the readable part.

#![no_main]

use crypto_test_device::instrument;
use crypto_test_device::trace::Trace;
use libfuzzer_sys::fuzz_target;
use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::memory::{Chain, Slice, Slices};
use virtio_crypto_device::protocol::feature;

/// Capacity of the session table. It is small, so that the table is sometimes full.
const TABLE_SIZE: usize = 8;

/// Divides a buffer into segments.
fn cut(bytes: &mut [u8], segment_len: usize) -> Slices<'_> {
    let slice = Slice::from(bytes);
    let mut slices = Slices::default();
    let mut at = 0;
    while at < slice.len() {
        let len = segment_len.min(slice.len() - at);
        slices.push(slice.subslice(at, len).unwrap());
        at += len;
    }
    slices
}

fuzz_target!(|input: &[u8]| {
    let Some((features, mut rest)) = input.split_first() else { return };
    let features = u64::from(*features) & feature::ALL;
    let capabilities = Capabilities { features, table_size: TABLE_SIZE, ..Capabilities::default() };
    let device = instrument::device(capabilities, Trace::new(Box::new(std::io::sink())));
    device.start(features);
    while let [segment, writable_len, low, high, tail @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (request, next) = tail.split_at(len);
        rest = next;
        let (mut readable, mut writable) =
            (request.to_vec(), vec![0xff; usize::from(*writable_len)]);
        let segment_len = usize::from(*segment) + 1;
        let (from, to) = (cut(&mut readable, segment_len), cut(&mut writable, segment_len));
        let chain = Chain { readable: from.span(), writable: to.span() };
        let written = device.control(&chain) as usize;
        drop((from, to));
        assert!(written <= writable.len());
        // Without a session ID, the device only writes the status and the padding after the ID.
        let end = if written == 0 && writable.len() >= 16 { 16 } else { written };
        assert!(writable[end..].iter().all(|&byte| byte == 0xff));
        assert_eq!(readable, request);
        assert!(device.sessions() <= TABLE_SIZE);
    }
});
