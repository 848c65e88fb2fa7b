// SPDX-License-Identifier: GPL-2.0
//! Tests of public-key requests in all layouts and for all operations: the requirements V-26 and
//! V-30 of Documentation/requirements.rst.

#![allow(missing_docs)]

mod harness;

use harness::*;
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::rsa::{Padding, Rsa};
use virtio_crypto_device::capabilities::{Capabilities, EcdsaNumber};
use virtio_crypto_device::protocol::feature;

const RSA: u32 = 1;
const RAW: u32 = 0;
const PKCS1: u32 = 1;
const SHA256: u32 = 6;
const PUBLIC: u32 = 1;
const PRIVATE: u32 = 2;
const ENC: u32 = 0x0400;
const DEC: u32 = 0x0401;
const SIGN: u32 = 0x0402;
const VERIFY: u32 = 0x0403;

/// Sends a request with a destination of `dst_len` bytes.
fn send(kit: &Kit, opcode: u32, id: u64, src: &[u8], dst_len: usize) -> Response {
    kit.data(opcode, id, &[src.len() as u32, dst_len as u32], 32, &[src], dst_len)
}

fn verify(kit: &Kit, id: u64, signature: &[u8], digest: &[u8]) -> Response {
    let fields = [signature.len() as u32, digest.len() as u32];
    kit.data(VERIFY, id, &fields, 32, &[signature, digest], 0)
}

#[test]
fn v26_rsa_results_equal_openssl() {
    let rsa = Rsa::generate(2048).unwrap();
    let (private, public) =
        (rsa.private_key_to_der().unwrap(), rsa.public_key_to_der_pkcs1().unwrap());
    for features in [0, feature::REVISION_1, STATELESS] {
        let kit = Kit::with(Capabilities::default(), features);
        let private_id = kit.akcipher(RSA, PRIVATE, [RAW, 0], &private).unwrap();
        let public_id = kit.akcipher(RSA, PUBLIC, [RAW, 0], &public).unwrap();
        let message = [&[0; 200][..], &[0x5a; 56]].concat();
        let mut expected = vec![0; 256];
        rsa.public_encrypt(&message, &mut expected, Padding::NONE).unwrap();
        let response = send(&kit, ENC, public_id, &message, 256);
        assert_eq!(response, Response { status: OK, output: expected.clone(), written: 257 });
        assert_eq!(send(&kit, DEC, private_id, &expected, 256).output, message);
        // With a longer destination, the device still writes all bytes that it reports.
        let response = send(&kit, ENC, public_id, &message, 300);
        assert_eq!((&response.output[..256], response.written), (&expected[..], 257));
        assert_eq!((response.output[256], &response.output[257..]), (0, &[0xff; 43][..]));
        assert_eq!(send(&kit, ENC, public_id, &message, 255).status, ERR);
        if features == STATELESS {
            let fields = [RSA, PUBLIC, public.len() as u32, RAW, 0, 256, 256];
            let response = kit.stateless(ENC, &fields, 52, &[&public, &message], 256);
            assert_eq!((response.status, response.output), (OK, expected));
        }
        kit.assert_no_violation();
        assert_eq!(send(&kit, SIGN, private_id, &message, 256).status, ERR);
        assert_eq!(kit.violations(), ["D-29"]);
        // A short input is a valid number, but violates a requirement.
        for (opcode, id) in [(ENC, public_id), (DEC, private_id)] {
            let kit = Kit::with(Capabilities::default(), features);
            assert_eq!(kit.akcipher(RSA, PRIVATE, [RAW, 0], &private), Ok(private_id));
            assert_eq!(kit.akcipher(RSA, PUBLIC, [RAW, 0], &public), Ok(public_id));
            assert_eq!(send(&kit, opcode, id, &message[200..], 256).status, OK);
            assert_eq!(kit.violations(), ["D-29"]);
        }
        assert_eq!(kit.destroy(0x0405, private_id), OK);
    }
}

#[test]
fn v30_pkcs1_signs_verifies_and_rejects() {
    let rsa = Rsa::generate(2048).unwrap();
    let (private, public) =
        (rsa.private_key_to_der().unwrap(), rsa.public_key_to_der_pkcs1().unwrap());
    let kit = Kit::new();
    let signer = kit.akcipher(RSA, PRIVATE, [PKCS1, SHA256], &private).unwrap();
    let verifier = kit.akcipher(RSA, PUBLIC, [PKCS1, SHA256], &public).unwrap();
    let digest = openssl::sha::sha256(b"message");
    let signature = send(&kit, SIGN, signer, &digest, 256);
    assert_eq!((signature.status, signature.written), (OK, 257));
    assert_eq!(verify(&kit, verifier, &signature.output, &digest).status, OK);
    let mut wrong = signature.output.clone();
    wrong[100] ^= 1;
    assert_eq!(verify(&kit, verifier, &wrong, &digest).status, KEY_REJECTED);
    assert_eq!(verify(&kit, verifier, &signature.output, &[0; 32]).status, KEY_REJECTED);
    // A decrypted message is shorter than the destination: D-31.
    let sealed = send(&kit, ENC, verifier, b"short", 256).output;
    let response = send(&kit, DEC, signer, &sealed, 256);
    assert_eq!((&response.output[..6], response.written), (&b"short\0"[..], 6));
    assert_eq!(kit.akcipher(RSA, PRIVATE, [2, 0], &private), Err(NOTSUPP));
    // Encryption and decryption ignore the hash, even an invalid one.
    for hash in [2, 77] {
        let key = kit.akcipher(RSA, PRIVATE, [PKCS1, hash], &private).unwrap();
        assert_eq!(send(&kit, DEC, key, &sealed, 256).output[..5], b"short"[..]);
        let again = send(&kit, ENC, key, b"short", 256);
        assert_eq!(send(&kit, DEC, signer, &again.output, 256).output[..5], b"short"[..]);
        assert_eq!(send(&kit, SIGN, key, &digest, 256).status, NOTSUPP);
        assert_eq!(verify(&kit, key, &signature.output, &digest).status, NOTSUPP);
    }
    assert_eq!(kit.akcipher(RSA, 3, [RAW, 0], &private), Err(ERR));
    assert_eq!(kit.akcipher(RSA, PRIVATE, [RAW, 0], &private[..100]), Err(ERR));
    kit.assert_no_violation();
}

#[test]
fn v26_v30_ecdsa_signs_verifies_and_rejects() {
    let curves = [
        (1, Nid::X9_62_PRIME192V1),
        (2, Nid::SECP224R1),
        (3, Nid::X9_62_PRIME256V1),
        (4, Nid::SECP384R1),
        (5, Nid::SECP521R1),
    ];
    for (number, nid) in curves {
        let group = EcGroup::from_curve_name(nid).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let private = key.private_key_to_der().unwrap();
        let mut context = BigNumContext::new().unwrap();
        let form = PointConversionForm::UNCOMPRESSED;
        let public = key.public_key().to_bytes(&group, form, &mut context).unwrap();
        for (ecdsa_number, algo, features) in [
            (EcdsaNumber::Specification, 2, feature::REVISION_1),
            (EcdsaNumber::Always, 2, 0),
            (EcdsaNumber::Uapi, 3, 0),
        ] {
            let kit = Kit::with(Capabilities { ecdsa_number, ..Capabilities::default() }, features);
            let mask = u32::from_le_bytes(kit.device.config()[44..48].try_into().unwrap());
            assert_eq!(mask, 1 << RSA | 1 << algo);
            let signer = kit.akcipher(algo, PRIVATE, [number, 0], &private).unwrap();
            let verifier = kit.akcipher(algo, PUBLIC, [number, 0], &public).unwrap();
            let digest = openssl::sha::sha256(b"message");
            let response = send(&kit, SIGN, signer, &digest, 150);
            assert_eq!(response.status, OK);
            let signature = &response.output[..response.written as usize - 1];
            let parsed = EcdsaSig::from_der(signature).unwrap();
            assert!(parsed.verify(&digest, &key).unwrap());
            assert_eq!(verify(&kit, verifier, signature, &digest).status, OK);
            assert_eq!(verify(&kit, verifier, signature, &[0; 32]).status, KEY_REJECTED);
            assert_eq!(verify(&kit, verifier, &signature[1..], &digest).status, KEY_REJECTED);
            assert_eq!(send(&kit, ENC, verifier, &digest, 150).status, NOTSUPP);
            assert_eq!(kit.akcipher(5 - algo, PUBLIC, [number, 0], &public), Err(NOTSUPP));
            assert_eq!(kit.akcipher(algo, PUBLIC, [0, 0], &public), Err(NOTSUPP));
            kit.assert_no_violation();
        }
    }
}

#[test]
fn ecdsa_is_not_offered_without_revision_1() {
    let kit = Kit::new();
    assert_eq!(kit.device.config()[44..48], [1 << RSA, 0, 0, 0]);
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let private = EcKey::generate(&group).unwrap().private_key_to_der().unwrap();
    assert_eq!(kit.akcipher(2, PRIVATE, [3, 0], &private), Err(NOTSUPP));
    // ECDSA is not served to a driver that does not accept revision 1 either.
    let kit = Kit::with(Capabilities::default(), feature::REVISION_1);
    assert_eq!(kit.device.config()[44..48], [1 << RSA | 1 << 2, 0, 0, 0]);
    kit.device.start(0);
    let mut request = words(&[0x0404, 2, 0, 0, 2, PRIVATE, private.len() as u32, 3]);
    request.resize(72, 0);
    request.extend(private);
    let (response, _) = kit.raw_control(request, 16);
    assert_eq!(u32::from(response[8]), NOTSUPP);
}
