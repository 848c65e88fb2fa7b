// SPDX-License-Identifier: GPL-2.0
//! Tests the detection of unused bytes that are not 0, for each byte of each layout.

// Some lists have a single range.
#![allow(missing_docs, clippy::single_range_in_vec_init)]

mod harness;

use std::ops::Range;

use harness::*;
use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::protocol::feature;

const R1: u64 = feature::REVISION_1;

/// Returns the bytes of a request that are reported as unused if they are not 0. The session ID of
/// the request is invalid, which does not affect the check.
fn unused(features: u64, control: bool, words: &[(usize, u32)], len: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for at in 0..len {
        let kit = Kit::with(Capabilities::default(), features);
        let mut bytes = vec![0; len];
        for (at, word) in words {
            bytes[*at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes[at] ^= 0x80;
        match control {
            true => drop(kit.raw_control(bytes, 16)),
            false => drop(kit.raw_data(&bytes, 1, usize::MAX)),
        }
        if kit.violations().contains(&"D-28") {
            match ranges.last_mut() {
                Some(range) if range.end == at => range.end = at + 1,
                _ => ranges.push(at..at + 1),
            }
        }
    }
    ranges
}

#[test]
fn unused_bytes_of_control_requests_are_detected() {
    let create = |opcode, fields: &[(usize, u32)]| [&[(0, opcode)], fields].concat();
    let padded = |words: &[(usize, u32)]| unused(0, true, words, 72);
    // Unused are the flag of the header, the bytes after the fields, and those after `op_type`.
    assert_eq!(padded(&create(2, &[(64, 1)])), [8..12, 28..64, 68..72]);
    let auth = create(2, &[(64, 2), (20, 2)]);
    assert_eq!(padded(&auth), [8..12, 36..40, 52..56, 60..64, 68..72]);
    let plain = create(2, &[(64, 2), (20, 1)]);
    assert_eq!(padded(&plain), [8..12, 36..40, 48..56, 60..64, 68..72]);
    assert_eq!(padded(&create(0x0102, &[])), [8..12, 24..72]);
    assert_eq!(padded(&create(0x0202, &[])), [8..12, 28..72]);
    assert_eq!(padded(&create(0x0302, &[])), [8..12, 36..72]);
    assert_eq!(padded(&create(0x0404, &[(16, 1)])), [8..12, 36..72]);
    assert_eq!(padded(&create(0x0404, &[(16, 2)])), [8..12, 32..72]);
    for opcode in [3, 0x0103, 0x0203, 0x0303, 0x0405] {
        assert_eq!(padded(&create(opcode, &[])), [8..12, 24..72]);
    }
    let natural = |words: &[(usize, u32)], len| unused(R1, true, words, len);
    assert_eq!(natural(&create(0x0202, &[]), 32), [8..12, 28..32]);
    assert_eq!(natural(&create(0x0302, &[]), 40), [8..12, 36..40]);
    assert_eq!(natural(&create(0x0102, &[]), 24), [8..12]);
    assert_eq!(natural(&create(3, &[]), 24), [8..12]);
}

#[test]
fn unused_bytes_of_requests_in_sessions_are_detected() {
    let padded = |opcode, op_type| unused(0, false, &[(0, opcode), (64, op_type)], 72);
    assert_eq!(padded(0, 1), [20..24, 36..64, 68..72]);
    assert_eq!(padded(1, 2), [20..24, 60..64, 68..72]);
    assert_eq!(padded(0x0100, 0), [20..24, 32..72]);
    assert_eq!(padded(0x0200, 0), [20..24, 32..72]);
    assert_eq!(padded(0x0300, 0), [20..24, 44..72]);
    assert_eq!(padded(0x0401, 0), [20..24, 32..72]);
    let natural = |opcode, len| unused(R1, false, &[(0, opcode), (16, 1)], len);
    assert_eq!(natural(0x0100, 32), [20..24]);
    assert_eq!(natural(0x0301, 48), [20..24, 44..48]);
    assert_eq!(natural(0x0402, 32), [20..24]);
}

#[test]
fn unused_bytes_of_stateless_requests_are_detected() {
    let words = |opcode, fields: &[(usize, u32)]| [&[(0, opcode)], fields].concat();
    let stateless = |words: &[(usize, u32)], len| unused(STATELESS, false, words, len);
    assert_eq!(stateless(&words(0, &[(96, 1)]), 100), [20..24, 48..96]);
    assert_eq!(stateless(&words(0, &[(96, 2)]), 100), [20..24, 92..96]);
    assert_eq!(stateless(&words(0x0100, &[]), 40), [20..24, 36..40]);
    assert_eq!(stateless(&words(0x0200, &[]), 40), [20..24]);
    assert_eq!(stateless(&words(0x0300, &[]), 56), [20..24]);
    assert_eq!(stateless(&words(0x0400, &[(24, 1)]), 52), [20..24]);
    assert_eq!(stateless(&words(0x0403, &[(24, 2)]), 52), [20..24, 40..44]);
}
