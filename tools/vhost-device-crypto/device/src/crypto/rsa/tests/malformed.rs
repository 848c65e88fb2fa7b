// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests with invalid keys and data.

use super::*;
use crate::crypto::der::{INTEGER, OCTET_STRING};

fn key_error(key_type: KeyType, key: &[u8]) -> Option<StatusError> {
    Rsa::new(key_type, key, RsaPadding::Raw, Some(RsaHash::NoHash)).err()
}

fn bytes(number: &BigNumRef) -> Vec<u8> {
    number.to_vec()
}

/// Returns all numbers of a private key.
fn all_numbers(key: &rsa::Rsa<Private>) -> [Vec<u8>; 8] {
    [
        bytes(key.n()),
        bytes(key.e()),
        bytes(key.d()),
        bytes(key.p().unwrap()),
        bytes(key.q().unwrap()),
        bytes(key.dmp1().unwrap()),
        bytes(key.dmq1().unwrap()),
        bytes(key.iqmp().unwrap()),
    ]
}

#[test]
fn truncated_keys_are_rejected() {
    let (_, private, public) = generate(1024);
    for (key_type, key) in [(KeyType::Private, &private), (KeyType::Public, &public)] {
        assert_eq!(key_error(key_type, key), None);
        for len in 0..key.len() {
            assert_eq!(key_error(key_type, &key[..len]), Some(StatusError::Generic));
        }
        assert_eq!(key_error(key_type, &[key, &[0][..]].concat()), Some(StatusError::Generic));
        assert_eq!(key_error(key_type, &[key, &key[..]].concat()), Some(StatusError::Generic));
    }
}

#[test]
fn keys_of_another_type_are_rejected() {
    let (key, private, public) = generate(1024);
    assert_eq!(key_error(KeyType::Public, &private), Some(StatusError::Generic));
    assert_eq!(key_error(KeyType::Private, &public), Some(StatusError::Generic));
    for (key_type, other) in [
        // PKCS#8, and SubjectPublicKeyInfo.
        (KeyType::Private, PKey::from_rsa(key.clone()).unwrap().private_key_to_pkcs8().unwrap()),
        (KeyType::Public, key.public_key_to_der().unwrap()),
    ] {
        assert_eq!(key_error(key_type, &other), Some(StatusError::Generic));
    }
    let n = bytes(key.n());
    for other in [
        numbers(&[&n]),
        numbers(&[&n, &vec![3], &vec![1]]),
        element(OCTET_STRING, &public[4..]),
        sequence(&[element(OCTET_STRING, &n), unsigned(&[3])]),
        sequence(&[unsigned(&n), element(INTEGER, &[])]),
    ] {
        assert_eq!(key_error(KeyType::Public, &other), Some(StatusError::Generic));
    }
}

/// A key with a wrong bit is rejected, or its operations return without a panic.
#[test]
fn keys_with_a_wrong_bit_do_not_panic() {
    let (_, private, public) = generate(512);
    for (key_type, key) in [(KeyType::Private, private), (KeyType::Public, public)] {
        for bit in 0..key.len() * 8 {
            let mut key = key.clone();
            key[bit / 8] ^= 1 << (bit % 8);
            let scheme = RsaPadding::Pkcs1;
            let Ok(key) = Rsa::new(key_type, &key, scheme, Some(RsaHash::NoHash)) else {
                continue;
            };
            let _ = appended(|out| key.encrypt(b"message", out));
            let _ = appended(|out| key.decrypt(&[1; 64], out));
            let _ = appended(|out| key.sign(b"bytes", out));
            let _ = key.verify(&[1; 64], b"bytes");
        }
    }
}

#[test]
fn private_keys_with_mismatched_numbers_are_rejected() {
    let (key, ..) = generate(1024);
    let valid = all_numbers(&key);
    assert_eq!(key_error(KeyType::Private, &private_der(&valid)), None);
    // Start with `d`: nothing in a key shows whether `n` and `e` are right.
    for at in 2..8 {
        for other in [0, 1, 2, 3] {
            let mut invalid = valid.clone();
            invalid[at] = vec![other];
            assert_eq!(
                key_error(KeyType::Private, &private_der(&invalid)),
                Some(StatusError::Generic)
            );
        }
        let mut invalid = valid.clone();
        *invalid[at].last_mut().unwrap() ^= 2;
        assert_eq!(key_error(KeyType::Private, &private_der(&invalid)), Some(StatusError::Generic));
        let mut invalid = valid.clone();
        invalid[at] = [&[1], &valid[0][..]].concat();
        assert_eq!(key_error(KeyType::Private, &private_der(&invalid)), Some(StatusError::Generic));
        let mut invalid = valid.clone();
        invalid[at] = vec![0x55; 5000];
        assert_eq!(key_error(KeyType::Private, &private_der(&invalid)), Some(StatusError::Generic));
    }
    let [n, e, d, p, q, dp, dq, q_inverse] = &valid;
    for invalid in [
        [n, e, d, q, p, dq, dp, q_inverse],
        [n, e, d, p, q, dq, dp, q_inverse],
        [n, e, d, n, &vec![1], dp, dq, q_inverse],
        [n, e, d, &vec![1], n, dp, dq, q_inverse],
        [n, d, e, p, q, dp, dq, q_inverse],
    ] {
        assert_eq!(key_error(KeyType::Private, &private_der(&invalid)), Some(StatusError::Generic));
    }
}

/// Each of these keys fails exactly one check.
#[test]
fn every_check_of_private_keys_is_needed() {
    let (key, ..) = generate(1024);
    let (another, ..) = generate(1024);
    let valid = all_numbers(&key);
    let [n, e, d, p, q, dp, dq, q_inverse] = valid.each_ref();
    let plus =
        |number: &[u8], more: &BigNumRef| (&BigNum::from_slice(number).unwrap() + more).to_vec();
    let two = BigNum::from_u32(2).unwrap();
    let [d_2, dp_2, dq_2] = [d, dp, dq].map(|number| plus(number, &two));
    let large = plus(q_inverse, key.p().unwrap());
    let mut another = all_numbers(&another);
    another[0] = n.clone();
    for invalid in [
        [n, e, &d_2, p, q, &dp_2, &dq_2, q_inverse],
        [n, e, d, p, q, dp, dq, &large],
        another.each_ref(),
    ] {
        assert_eq!(key_error(KeyType::Private, &private_der(&invalid)), Some(StatusError::Generic));
    }
    // Without the primes only the range and parity of `d` can be checked.
    let zero = &vec![];
    let even = [&d[..d.len() - 1], &[d[d.len() - 1] ^ 1]].concat();
    for (d, expected) in [
        (d, None),
        (zero, Some(StatusError::Generic)),
        (&vec![1], Some(StatusError::Generic)),
        (&even, Some(StatusError::Generic)),
        (n, Some(StatusError::Generic)),
        (&plus(n, &two), Some(StatusError::Generic)),
    ] {
        let key = [n, e, d, zero, zero, zero, zero, zero];
        assert_eq!(key_error(KeyType::Private, &private_der(&key)), expected);
    }
}

#[test]
fn other_primes_require_version_1() {
    let valid = three_primes();
    assert_eq!(key_error(KeyType::Private, &sequence(&valid)), None);
    let info = numbers(&[[3], [5], [7]]);
    let many = element(SEQUENCE, &info.repeat(20));
    for (at, field, expected) in [
        (9, many, None),
        (0, unsigned(&[]), Some(StatusError::Generic)),
        (0, unsigned(&[2]), Some(StatusError::Generic)),
        (9, element(SEQUENCE, &[]), Some(StatusError::Generic)),
        (9, info.clone(), Some(StatusError::Generic)),
        (9, element(SEQUENCE, &numbers(&[[3], [5]])), Some(StatusError::Generic)),
        (9, element(SEQUENCE, &numbers(&[[3], [5], [7], [9]])), Some(StatusError::Generic)),
        (9, element(SEQUENCE, &[&info[..], &[0]].concat()), Some(StatusError::Generic)),
        (9, element(SEQUENCE, &numbers(&[&[3; 1025][..], &[5], &[7]])), Some(StatusError::Generic)),
        (9, vec![], Some(StatusError::Generic)),
    ] {
        let mut fields = valid.clone();
        fields[at] = field;
        assert_eq!(key_error(KeyType::Private, &sequence(&fields)), expected);
    }
}

#[test]
fn key_sizes_are_limited() {
    let odd = |bits: usize| {
        let mut number = vec![0xff; bits.div_ceil(8)];
        number[0] >>= number.len() * 8 - bits;
        number
    };
    for (n, e, expected) in [
        (odd(511), vec![3], Some(StatusError::Generic)),
        (odd(512), vec![3], None),
        (odd(8192), vec![3], None),
        (odd(8193), vec![3], Some(StatusError::Generic)),
        (vec![], vec![3], Some(StatusError::Generic)),
        (vec![1], vec![3], Some(StatusError::Generic)),
        ([&odd(1016)[..], &[0]].concat(), vec![3], Some(StatusError::Generic)),
        (odd(1024), vec![], Some(StatusError::Generic)),
        (odd(1024), vec![1], Some(StatusError::Generic)),
        (odd(1024), vec![2], Some(StatusError::Generic)),
        (odd(1024), vec![1, 0, 0], Some(StatusError::Generic)),
        (odd(1024), odd(1023), None),
        (odd(1024), odd(1024), Some(StatusError::Generic)),
        (odd(1024), odd(1032), Some(StatusError::Generic)),
        (odd(3072), odd(3071), None),
        (odd(3073), odd(64), None),
        (odd(3073), odd(65), Some(StatusError::NotSupp)),
    ] {
        let key = numbers(&[&n, &e]);
        assert_eq!(key_error(KeyType::Public, &key), expected);
        if expected.is_none() {
            // Accepted keys work.
            let key = raw(KeyType::Public, &key);
            assert!(appended(|out| key.encrypt(&[7], out)).is_ok());
        }
    }
}

/// Linux ignores the sign of numbers, and has keys with a wrong sign in its self-tests.
#[test]
fn the_sign_of_numbers_is_ignored() {
    let (key, _, public) = generate(1024);
    let unmarked = sequence(&[element(INTEGER, &bytes(key.n())), unsigned(&bytes(key.e()))]);
    assert_eq!(unmarked.len(), public.len() - 1);
    let marked = [&[0; 20], &bytes(key.n())[..]].concat();
    let marked = sequence(&[element(INTEGER, &marked), unsigned(&bytes(key.e()))]);
    let results = [public, unmarked, marked].map(|der| {
        let key = raw(KeyType::Public, &der);
        appended(|out| key.encrypt(b"message", out)).unwrap()
    });
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

#[test]
fn inputs_must_be_less_than_the_modulus() {
    let (key, private, _) = generate(1024);
    let n = bytes(key.n());
    let mut less_one = n.clone();
    less_one[127] -= 1;
    let key = raw(KeyType::Private, &private);
    for (src, valid) in [
        (&n[..], false),
        (&[&n[..], &[0]].concat(), false),
        (&[&[0], &n[..]].concat(), false),
        (&[1; 129], false),
        (&[0xff; 128], false),
        (&[], false),
        (&less_one, true),
        (&[&[0; 9], &less_one[..]].concat(), true),
        (&[0], true),
        (&[0; 128], true),
        (&[0; 129], true),
        (&[1], true),
    ] {
        for result in [appended(|out| key.encrypt(src, out)), appended(|out| key.decrypt(src, out))]
        {
            // 0, 1 and n - 1 are equal to their powers with an odd exponent.
            let expected = src[src.len().saturating_sub(128)..].to_vec();
            let expected = [&vec![0; 128 - expected.len()], &expected[..]].concat();
            assert_eq!(result, if valid { Ok(expected) } else { Err(StatusError::Generic) });
        }
    }
}

#[test]
fn keys_without_padding_do_not_sign() {
    let (_, private, _) = generate(1024);
    let key = raw(KeyType::Private, &private);
    assert_eq!(appended(|out| key.sign(&[1; 20], out)), Err(StatusError::Generic));
    assert_eq!(key.verify(&[1; 128], &[1; 20]), Err(StatusError::Generic));
}

#[test]
fn ciphertexts_must_have_the_length_of_the_modulus_and_padding() {
    let (_, private, public) = generate(1024);
    let raw = raw(KeyType::Public, &public);
    let key = pkcs1(KeyType::Private, &private, RsaHash::NoHash);
    let valid = [&[0, 2][..], &[9; 8], &[0], &[7; 117]].concat();
    let ciphertext = appended(|out| raw.encrypt(&valid, out)).unwrap();
    assert_eq!(appended(|out| key.decrypt(&ciphertext, out)), Ok(vec![7; 117]));
    for invalid in [&[][..], &ciphertext[1..], &[&[0], &ciphertext[..]].concat(), &[0xff; 128]] {
        assert_eq!(appended(|out| key.decrypt(invalid, out)), Err(StatusError::Generic));
    }
    for (at, octet) in [(0, 1), (1, 1), (1, 0), (2, 0), (9, 0)] {
        let mut invalid = valid.clone();
        invalid[at] = octet;
        let ciphertext = appended(|out| raw.encrypt(&invalid, out)).unwrap();
        assert_eq!(appended(|out| key.decrypt(&ciphertext, out)), Err(StatusError::Generic));
    }
}

#[test]
fn insecure_hashes_are_not_supported() {
    let (_, private, _) = generate(512);
    for hash in [Some(RsaHash::Md2), Some(RsaHash::Md3), Some(RsaHash::Md4), None] {
        let key = Rsa::new(KeyType::Private, &private, RsaPadding::Pkcs1, hash).unwrap();
        let not_supported = Err(StatusError::NotSupp);
        assert_eq!(appended(|out| key.sign(&[1; 16], out)), not_supported);
        assert_eq!(key.verify(&[1; 64], &[1; 16]).map(|()| Vec::new()), not_supported);
        // Encryption, decryption and keys without padding do not use the hash.
        let ciphertext = appended(|out| key.encrypt(b"data", out)).unwrap();
        assert_eq!(appended(|out| key.decrypt(&ciphertext, out)).unwrap(), b"data");
        assert!(Rsa::new(KeyType::Private, &private, RsaPadding::Raw, hash).is_ok());
    }
}
