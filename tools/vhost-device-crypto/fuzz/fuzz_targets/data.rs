// SPDX-License-Identifier: GPL-2.0
//! Fuzzes a data queue with arbitrary requests. The device has a session for each algorithm,
//! including public keys.
//!
//! Format of the input: a byte that selects the features, then requests. A request is a byte with
//! the segment length minus 1, two bytes with the length of the writable part, two bytes with the
//! length of the readable part, and the readable part.

#![no_main]

use std::sync::OnceLock;

use crypto_test_device::instrument::{self, Device};
use crypto_test_device::trace::Trace;
use libfuzzer_sys::fuzz_target;
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::nid::Nid;
use openssl::rsa::Rsa;
use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::device::Scratch;
use virtio_crypto_device::memory::{Chain, Slice, Slices, Span};
use virtio_crypto_device::protocol::feature;

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

/// Creates a session with these fields, if the device supports the algorithm. `natural` is the
/// length of header and fixed-length fields.
fn create(device: &Device, opcode: u32, natural: usize, fields: &[u32], op_type: u32, keys: &[u8]) {
    let mut words = vec![opcode, fields[0], 0, 0];
    words.extend(fields);
    let mut request: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    request.resize(natural, 0);
    if op_type != 0 {
        request[64] = op_type as u8;
    }
    request.extend(keys);
    let mut response = [0xff; 16];
    let chain =
        Chain { readable: Span::from(&mut request[..]), writable: Span::from(&mut response[..]) };
    device.control(&chain);
}

/// Returns for each public-key algorithm its number, its parameters, and a public and a private
/// key.
fn public_keys() -> Vec<(u32, [u32; 2], &'static [Vec<u8>; 2])> {
    static RSA: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    static P256: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let rsa = RSA.get_or_init(|| {
        // The shortest key that the device accepts, because short keys are faster.
        let key = Rsa::generate(512).unwrap();
        [key.public_key_to_der_pkcs1().unwrap(), key.private_key_to_der().unwrap()]
    });
    let p256 = P256.get_or_init(|| {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let form = PointConversionForm::UNCOMPRESSED;
        let mut context = BigNumContext::new().unwrap();
        let public = key.public_key().to_bytes(&group, form, &mut context).unwrap();
        [public, key.private_key_to_der().unwrap()]
    });
    // RSA without padding, with PKCS#1 without a hash, with PKCS#1 and SHA-1; ECDSA.
    vec![(1, [0, 0], rsa), (1, [1, 0], rsa), (1, [1, 5], rsa), (2, [3, 0], p256)]
}

/// Creates a device with a session for each algorithm.
fn device(features: u64) -> Device {
    let capabilities =
        Capabilities { features, legacy: true, max_size: 1 << 16, ..Capabilities::default() };
    let device = instrument::device(capabilities, Trace::new(Box::new(std::io::sink())));
    device.start(features);
    let natural = |size| if features & feature::REVISION_1 != 0 { size } else { 72 };
    let key: Vec<u8> = (1..=64).collect();
    for op in [1, 2] {
        for (algo, len) in [(3, 16), (2, 16), (4, 32), (13, 64), (6, 8), (7, 24), (9, 24), (1, 16)]
        {
            create(&device, 0x0002, 72, &[algo, len, op], 1, &key[..len as usize]);
        }
        for (algo, len) in [(1, 16), (2, 16), (3, 32)] {
            let fields = [algo, len, 16, 0, op, 0];
            create(&device, 0x0302, natural(40), &fields, 0, &key[..len as usize]);
        }
        for order in [1, 2] {
            let fields = [order, 2, 3, 16, op, 0, 2, 20, 16, 0, 0];
            create(&device, 0x0002, 72, &fields, 2, &key[..32]);
            let fields = [order, 1, 4, 16, op, 0, 4, 32, 0, 0, 0];
            create(&device, 0x0002, 72, &fields, 2, &key[..16]);
        }
    }
    for algo in 1..=12 {
        create(&device, 0x0102, natural(24), &[algo, 16], 0, &[]);
    }
    for algo in [1, 2, 4, 6, 26, 41, 49, 53] {
        create(&device, 0x0202, natural(32), &[algo, 16, 16, 0], 0, &key[..16]);
    }
    for (algo, detail, keys) in public_keys() {
        for (key_type, key) in (1..).zip(keys) {
            let fields = [algo, key_type, key.len() as u32, detail[0], detail[1]];
            create(&device, 0x0404, 72, &fields, 0, key);
        }
    }
    device
}

fuzz_target!(|input: &[u8]| {
    static DEVICES: OnceLock<[Device; 3]> = OnceLock::new();
    let devices =
        DEVICES.get_or_init(|| [device(0), device(feature::REVISION_1), device(feature::ALL)]);
    let Some((layout, mut rest)) = input.split_first() else { return };
    let device = &devices[usize::from(*layout) % devices.len()];
    let mut scratch = Scratch::default();
    while let [segment, writable_low, writable_high, low, high, tail @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let writable_len = usize::from(u16::from_le_bytes([*writable_low, *writable_high]));
        let (request, next) = tail.split_at(len);
        rest = next;
        let (mut readable, mut writable) = (request.to_vec(), vec![0xff; writable_len]);
        let segment_len = usize::from(*segment) + 1;
        let (from, to) = (cut(&mut readable, segment_len), cut(&mut writable, segment_len));
        let chain = Chain { readable: from.span(), writable: to.span() };
        let written = device.data(0, &mut scratch, &chain) as usize;
        drop((from, to));
        assert!(written <= writable.len());
        assert!(writable.last().is_none_or(|&status| status <= 6));
        if let Some((&status, output)) = writable.split_last() {
            // A failed request does not change the output, with one exception: after a wrong tag
            // (status 2) the output is wiped.
            let intact = output.iter().all(|&byte| byte == 0xff);
            assert!(status == 0 || (written <= 1 && (status == 2 || intact)));
        }
        assert_eq!(readable, request);
    }
});
