// SPDX-License-Identifier: GPL-2.0
//! Tests of the requirements on devices, V-1 to V-32 in Documentation/requirements.rst. Some tests
//! also expect violations by the driver. D-1 to D-38 are defined in the same document, and names
//! such as "exact" in Documentation/reference-device.rst.

#![allow(missing_docs)]

mod harness;

use harness::*;
use virtio_crypto_device::capabilities::{Capabilities, SessionIds};
use virtio_crypto_device::protocol::feature;

const KEY: [u8; 16] = [7; 16];
const R1: u64 = feature::REVISION_1;

fn field(config: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(config[at..at + 4].try_into().unwrap())
}

/// NIST SP 800-38A, F.2.1.
fn cbc_vector() -> (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>) {
    (
        hex("2b7e151628aed2a6abf7158809cf4f3c"),
        hex("000102030405060708090a0b0c0d0e0f"),
        hex("6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51"),
        hex("7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2"),
    )
}

#[test]
fn v1_v2_v7_v8_v9_the_configuration_is_valid() {
    for queues in [1, 2, 16, 63] {
        let kit = Kit::with(Capabilities { queues, ..Capabilities::default() }, 0);
        let config = kit.device.config();
        assert_eq!(config.len(), 56);
        assert_eq!(field(&config, 4), u32::from(queues));
        assert_eq!(field(&config, 0), 1);
        assert_ne!((field(&config, 36), field(&config, 40), field(&config, 48)), (0, 0, 0));
        kit.device.set_ready(false);
        assert_eq!(field(&kit.device.config(), 0), 0);
    }
}

#[test]
fn v4_v5_v6_masks_match_supported_algorithms() {
    let kit = Kit::new();
    let config = kit.device.config();
    assert_eq!(field(&config, 8), 0x1f);
    // KASUMI, SNOW 3G, ZUC, AES-F8 and undefined numbers are not offered.
    let ciphers = field(&config, 12);
    assert_eq!(ciphers & !0b10_0011_1111_1110, 0);
    assert_eq!(ciphers & 0b10_0000_0001_1100, 0b10_0000_0001_1100, "AES in all modes");
    assert_eq!(field(&config, 16), 0);
    assert_eq!(field(&config, 20), 0x1ffe);
    assert_eq!(field(&config, 24), 0x0600_007e);
    assert_eq!(field(&config, 28), 1 << (49 - 32) | 1 << (53 - 32));
    assert_eq!(field(&config, 32), 0b1110);
    assert_eq!(field(&config, 44), 0b10, "ECDSA requires revision 1");
    for algo in 0..64 {
        let lens = [16usize, 24, 32, 8, 5, 64];
        let created = lens.iter().any(|&len| {
            let key: Vec<u8> = (0..len as u8).collect();
            kit.cipher(algo, ENCRYPT, &key).is_ok()
        });
        assert_eq!(created, u64::from(ciphers) >> algo & 1 == 1, "cipher {algo}");
        let hash = algo < 32 && kit.hash(algo, 16).is_ok();
        assert_eq!(hash, algo < 32 && field(&config, 20) >> algo & 1 == 1, "hash {algo}");
        let macs = u64::from(field(&config, 28)) << 32 | u64::from(field(&config, 24));
        let mac = kit.mac(algo, 8, &KEY).is_ok() || kit.mac(algo, 8, &[1; 24]).is_ok();
        assert_eq!(mac, macs >> algo & 1 == 1, "mac {algo}");
        let aead = kit.aead(algo, ENCRYPT, 16, &[1; 32]).is_ok();
        assert_eq!(aead, algo < 32 && field(&config, 32) >> algo & 1 == 1, "aead {algo}");
    }
    kit.assert_no_violation();
}

#[test]
fn masked_algorithms_are_neither_offered_nor_served() {
    let capabilities =
        Capabilities { cipher_mask: 1 << AES_CBC, hash_mask: 0, ..Capabilities::default() };
    let kit = Kit::with(capabilities.clone(), 0);
    assert_eq!(field(&kit.device.config(), 12), 1 << AES_CBC);
    assert_eq!(kit.cipher(2, ENCRYPT, &KEY), Err(NOTSUPP));
    assert!(kit.cipher(AES_CBC, ENCRYPT, &KEY).is_ok());
    // A chain requires both of its algorithms.
    let chain = |kit: &Kit, mode| {
        kit.chain([CIPHER_THEN_HASH, mode], [AES_CBC, ENCRYPT], [SHA1, 20], &KEY, &KEY, 0)
    };
    let plain = |kit: &Kit| {
        kit.chain([CIPHER_THEN_HASH, PLAIN], [AES_CBC, ENCRYPT], [SHA1, 20], &KEY, &[], 0)
    };
    assert_eq!((plain(&kit), chain(&kit, 2).is_ok()), (Err(NOTSUPP), true));
    let no_sha1_mac = Kit::with(Capabilities { mac_mask: !(1 << 2), ..Capabilities::default() }, 0);
    assert_eq!((plain(&no_sha1_mac).is_ok(), chain(&no_sha1_mac, 2)), (true, Err(NOTSUPP)));
    let kit = Kit::with(Capabilities { serve_unadvertised: true, ..capabilities }, 0);
    assert_eq!(field(&kit.device.config(), 12), 1 << AES_CBC);
    assert!(kit.cipher(2, ENCRYPT, &KEY).is_ok());
}

#[test]
fn v7_requests_longer_than_max_size_fail() {
    let kit = Kit::with(Capabilities { max_size: 16 + 64, ..Capabilities::default() }, 0);
    let session = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
    assert_eq!(kit.crypt(session, ENCRYPT, &KEY, &[0; 32]).status, OK);
    kit.assert_no_violation();
    assert_eq!(kit.crypt(session, ENCRYPT, &KEY, &[0; 48]).status, ERR);
    assert_eq!(kit.violations(), ["D-8"]);
}

#[test]
fn v8_v9_keys_longer_than_the_maximum_are_rejected() {
    let capabilities =
        Capabilities { max_cipher_key_len: 16, max_auth_key_len: 20, ..Capabilities::default() };
    let kit = Kit::with(capabilities, 0);
    assert!(kit.cipher(AES_CBC, ENCRYPT, &KEY).is_ok());
    assert!(kit.mac(SHA1, 20, &[1; 20]).is_ok());
    kit.assert_no_violation();
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &[7; 24]), Err(ERR));
    assert_eq!(kit.aead(GCM, ENCRYPT, 16, &[7; 24]), Err(ERR));
    assert_eq!(kit.mac(SHA1, 20, &[1; 21]), Err(ERR));
    assert_eq!(kit.violations(), ["D-9", "D-10"]);
}

#[test]
fn v10_every_request_with_a_status_byte_gets_a_status() {
    let kit = Kit::new();
    for opcode in 0..0x700 {
        let request = words(&[opcode, 0, 0, 0, 0, 0]);
        for len in [0, 3, 4, 23, 24] {
            let (response, written) = kit.raw_data(&request[..len], 33, usize::MAX);
            assert_ne!(response[32], 0xff);
            assert_ne!(response[32], 0, "opcode {opcode:#x}");
            assert_eq!(written, 0, "the bytes before the status are not written");
            assert!(response[..32].iter().all(|&byte| byte == 0xff));
        }
        let (response, written) = kit.raw_control(request[..16].to_vec(), 16);
        assert_ne!(response[8], 0xff);
        assert!(written == 0 || written == 1);
    }
    assert_eq!(kit.raw_data(&[], 0, 1).1, 0);
}

#[test]
fn v12_create_returns_ok_notsupp_nospc_or_err() {
    for features in [0, R1] {
        let kit = Kit::with(Capabilities { table_size: 3, ..Capabilities::default() }, features);
        assert_eq!(kit.cipher(99, ENCRYPT, &KEY), Err(NOTSUPP));
        assert_eq!(kit.cipher(10, ENCRYPT, &KEY), Err(NOTSUPP));
        assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &[0; 15]), Err(ERR));
        assert_eq!(kit.cipher(AES_CBC, 3, &KEY), Err(ERR));
        assert_eq!(kit.hash(SHA1, 21), Err(ERR));
        assert_eq!(kit.hash(SHA1, 0), Err(ERR));
        for _ in 0..3 {
            kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
        }
        let full = if features == R1 { NOSPC } else { ERR };
        assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Err(full));
        assert_eq!(kit.destroy(CIPHER_DESTROY, 1), OK);
        assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Ok(1));
        kit.assert_no_violation();
    }
}

#[test]
fn v13_session_ids_are_unique_and_only_written_with_ok() {
    for session_ids in [SessionIds::Sequential, SessionIds::Sparse] {
        let kit = Kit::with(Capabilities { session_ids, ..Capabilities::default() }, 0);
        let mut live_ids = std::collections::HashSet::new();
        for round in 0..300 {
            let id = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
            assert!(live_ids.insert(id));
            if round % 3 == 0 {
                assert_eq!(kit.destroy(CIPHER_DESTROY, id), OK);
                live_ids.remove(&id);
            }
        }
        assert_eq!(kit.device.sessions(), live_ids.len());
        if session_ids == SessionIds::Sparse {
            assert!(live_ids.contains(&(1 << 63)) && live_ids.iter().any(|id| *id > 1 << 63));
        }
    }
    let kit = Kit::new();
    let mut request = words(&[CIPHER_CREATE, 99]);
    request.resize(72, 0);
    request[64] = 1;
    let (response, _) = kit.raw_control(request, 16);
    assert_eq!(response[..8], [0xff; 8], "the session ID is not written");
}

#[test]
fn v14_destroy_returns_ok_or_err() {
    for features in [0, R1] {
        let kit = Kit::with(Capabilities::default(), features);
        let id = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
        assert_eq!(kit.destroy(HASH_DESTROY, id), ERR);
        assert_eq!(kit.destroy(CIPHER_DESTROY, id), OK);
        assert_eq!(kit.destroy(CIPHER_DESTROY, id), ERR);
        assert_eq!(kit.violations(), ["D-16", "D-17"]);
    }
}

#[test]
fn a_driver_may_destroy_its_old_sessions_after_a_reset() {
    for keep_sessions in [false, true] {
        let kit = Kit::with(Capabilities { keep_sessions, ..Capabilities::default() }, 0);
        let id = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
        // A front end may cause two resets: when rings stop, and when features are accepted.
        kit.device.reset();
        kit.device.reset();
        assert_eq!(kit.destroy(CIPHER_DESTROY, id), if keep_sessions { OK } else { ERR });
        kit.assert_no_violation();
        assert_eq!(kit.destroy(CIPHER_DESTROY, id), ERR);
        assert_eq!(kit.violations(), ["D-17"]);
    }
}

#[test]
fn v15_v17_the_flag_selects_session_or_stateless_mode() {
    let (key, iv, plain, cipher) = cbc_vector();
    let session_fields = [16, 32, 32, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    let mut fields = [0; 19];
    fields[..6].copy_from_slice(&[AES_CBC, 16, ENCRYPT, 16, 32, 32]);
    fields[18] = 1;

    let kit = Kit::with(Capabilities::default(), R1);
    let id = kit.cipher(AES_CBC, ENCRYPT, &key).unwrap();
    let send = |kit: &Kit, flag| kit.request(0, id, flag, &session_fields, 72, &[&iv, &plain], 32);
    assert_eq!(send(&kit, 1).output, cipher);
    kit.assert_no_violation();
    assert_eq!(send(&kit, 0).status, ERR);
    assert_eq!(kit.violations(), ["D-25"]);
    assert_eq!(send(&kit, 2).status, ERR);

    let kit = Kit::with(Capabilities::default(), STATELESS);
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &key), Ok(id));
    assert_eq!(send(&kit, 1).output, cipher);
    let response = kit.stateless(0, &fields, 100, &[&key, &iv, &plain], 32);
    assert_eq!((response.status, response.output), (OK, cipher));
    kit.assert_no_violation();
    assert_eq!(send(&kit, 2).status, ERR);
    assert_eq!(kit.violations(), ["D-24"]);
}

#[test]
fn v16_requests_for_another_service_are_rejected() {
    let kit = Kit::new();
    let ids = [
        (CIPHER_ENCRYPT, kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap()),
        (HASH, kit.hash(SHA256, 32).unwrap()),
        (MAC, kit.mac(SHA256, 32, &KEY).unwrap()),
        (AEAD_ENCRYPT, kit.aead(GCM, ENCRYPT, 16, &KEY).unwrap()),
    ];
    for (session_opcode, id) in ids {
        for opcode in [0x0000, 0x0100, 0x0200, 0x0300, 0x0400, 0x0403] {
            let mut fields = [0; 12];
            fields[10] = 1;
            let status = kit.data(opcode, id, &fields, 72, &[], 64).status;
            if opcode & 0xff00 != session_opcode {
                assert_eq!(status, ERR, "{opcode:#x} in a session of {session_opcode:#x}");
            }
        }
        for opcode in [0x0004, 0x0101, 0x0201, 0x0302, 0x0404, 0x0500, 0x10000, u32::MAX] {
            assert_eq!(kit.data(opcode, id, &[0; 12], 72, &[], 0).status, NOTSUPP);
        }
    }
}

#[test]
fn v18_v19_v21_digests_are_copied_to_the_result() {
    // FIPS 180-4 examples; RFC 4231, test case 2.
    let abc = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let jefe = hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    for features in [0, R1, STATELESS] {
        let kit = Kit::with(Capabilities::default(), features);
        let hash = kit.hash(SHA256, 32).unwrap();
        let response = kit.data(HASH, hash, &[3, 32], 32, &[b"abc"], 32);
        assert_eq!((response.status, response.output, response.written), (OK, abc.clone(), 33));
        let mac = kit.mac(SHA256, 32, b"Jefe").unwrap();
        let message = b"what do ya want for nothing?";
        let response = kit.data(MAC, mac, &[28, 32], 32, &[message], 32);
        assert_eq!((response.status, response.output, response.written), (OK, jefe.clone(), 33));
        if features == STATELESS {
            let response = kit.stateless(HASH, &[SHA256, 3, 32, 0], 40, &[b"abc"], 32);
            assert_eq!((response.status, response.output), (OK, abc.clone()));
            let response = kit.stateless(MAC, &[SHA256, 4, 28, 32], 40, &[b"Jefe", message], 32);
            assert_eq!((response.status, response.output), (OK, jefe.clone()));
        }
        // The result may be truncated, but must have the length in the parameters of the session.
        let short = kit.mac(SHA256, 12, b"Jefe").unwrap();
        let response = kit.data(MAC, short, &[28, 12], 32, &[message], 12);
        assert_eq!((response.status, &response.output[..]), (OK, &jefe[..12]));
        assert_eq!(kit.data(MAC, short, &[28, 16], 32, &[message], 16).status, ERR);
        kit.assert_no_violation();
    }
}

#[test]
fn v20_cipher_output_is_in_dst() {
    let (key, iv, plain, cipher) = cbc_vector();
    for features in [0, R1] {
        let kit = Kit::with(Capabilities::default(), features);
        let encrypt = kit.cipher(AES_CBC, ENCRYPT, &key).unwrap();
        let decrypt = kit.cipher(AES_CBC, DECRYPT, &key).unwrap();
        let response = kit.crypt(encrypt, ENCRYPT, &iv, &plain);
        assert_eq!(response, Response { status: OK, output: cipher.clone(), written: 33 });
        assert_eq!(kit.crypt(decrypt, DECRYPT, &iv, &cipher).output, plain);
        assert_eq!(kit.crypt(encrypt, ENCRYPT, &iv, &[]).status, OK);
        kit.assert_no_violation();
        assert_eq!(kit.crypt(encrypt, ENCRYPT, &iv, &plain[..17]).status, ERR);
        assert_eq!(kit.crypt(encrypt, ENCRYPT, &iv[..8], &plain).status, ERR);
        assert_eq!(kit.crypt(decrypt, ENCRYPT, &iv, &plain).status, ERR);
        assert_eq!(kit.violations(), ["D-20"]);
    }
}

/// Returns the fields of a chained request in a session.
fn chain_fields(src: u32, cipher: [u32; 2], hash: [u32; 2], aad: u32, result: u32) -> [u32; 12] {
    [16, src, src, cipher[0], cipher[1], hash[0], hash[1], aad, result, 0, 2, 0]
}

#[test]
fn v20_v21_v22_chains_cipher_and_digest_in_either_order() {
    // Key, IV and plaintext of RFC 3602, case 2. OpenSSL computes the expected digests.
    let (key, iv, plain, cipher) = cbc_vector();
    let auth_key = [0x0b; 20];
    let hmac = |parts: &[&[u8]]| {
        let pkey = openssl::pkey::PKey::hmac(&auth_key).unwrap();
        let sha1 = openssl::hash::MessageDigest::sha1();
        let mut signer = openssl::sign::Signer::new(sha1, &pkey).unwrap();
        parts.iter().for_each(|part| signer.update(part).unwrap());
        signer.sign_to_vec().unwrap()
    };
    let aad = hex("0102030405060708090a");
    for features in [0, R1, STATELESS] {
        let kit = Kit::with(Capabilities::default(), features);
        for aad in [&aad[..], &[]] {
            let (len, hash) = (aad.len() as u32, [SHA1, 20]);
            // Cipher then hash, with AAD, like an IPsec request.
            let order = [CIPHER_THEN_HASH, AUTH];
            let id = kit.chain(order, [AES_CBC, ENCRYPT], hash, &key, &auth_key, len).unwrap();
            let fields = chain_fields(32, [0, 32], [0, 32], len, 20);
            let input: [&[u8]; 3] =
                if features == 0 { [&iv, aad, &plain] } else { [&iv, &plain, aad] };
            let response = kit.data(0, id, &fields, 72, &input, 52);
            assert_eq!(response.status, OK);
            assert_eq!(response.output, [&cipher[..], &hmac(&[aad, &cipher])].concat());
            assert_eq!(response.written, 53);
            // The reverse: hash then decrypt.
            let order = [HASH_THEN_CIPHER, AUTH];
            let id = kit.chain(order, [AES_CBC, DECRYPT], hash, &key, &auth_key, len).unwrap();
            let input: [&[u8]; 3] =
                if features == 0 { [&iv, aad, &cipher] } else { [&iv, &cipher, aad] };
            let response = kit.data(1, id, &fields, 72, &input, 52);
            assert_eq!(response.output, [&plain[..], &hmac(&[aad, &cipher])].concat());
            if features == STATELESS {
                let order = CIPHER_THEN_HASH;
                let fields = [
                    order, len, AES_CBC, 16, ENCRYPT, SHA1, 20, AUTH, 16, 32, 32, 0, 32, 0, 32,
                    len, 20, 0, 2,
                ];
                let input: [&[u8]; 5] = [&key, &auth_key, &iv, aad, &plain];
                let response = kit.stateless(0, &fields, 100, &input, 52);
                assert_eq!(response.output, [&cipher[..], &hmac(&[aad, &cipher])].concat());
            }
        }
        // A plain hash of a range, and a header that is not encrypted.
        let id = kit
            .chain([CIPHER_THEN_HASH, PLAIN], [AES_CBC, ENCRYPT], [SHA1, 20], &key, &[], 0)
            .unwrap();
        let src = [&[0xee; 8][..], &plain].concat();
        let fields = chain_fields(40, [8, 32], [4, 20], 0, 20);
        let response = kit.data(0, id, &fields, 72, &[&iv, &src], 60);
        let dst = [&[0xee; 8][..], &cipher].concat();
        let digest = openssl::sha::sha1(&dst[4..24]);
        assert_eq!(response.output, [&dst[..], &digest].concat());
        kit.assert_no_violation();
        // Ranges beyond the source.
        for (cipher, hash) in [([8, 48], [0, 1]), ([0, 32], [40, 1]), ([u32::MAX, 16], [0, 0])] {
            let fields = chain_fields(40, cipher, hash, 0, 20);
            assert_eq!(kit.data(0, id, &fields, 72, &[&iv, &src], 60).status, ERR);
        }
        assert_eq!(kit.chain([3, 1], [AES_CBC, 1], [SHA1, 20], &key, &[], 0), Err(NOTSUPP));
        assert_eq!(kit.chain([1, 3], [AES_CBC, 1], [SHA1, 20], &key, &[], 0), Err(NOTSUPP));
    }
}

#[test]
fn v23_v24_v25_aead_tag_follows_the_ciphertext_and_is_verified() {
    // Test case 4 of the GCM specification.
    let key = hex("feffe9928665731c6d6a8f9467308308");
    let iv = hex("cafebabefacedbaddecaf888");
    let plain = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let sealed = hex(
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
         21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091 5bc94fbc3221a5db94fae95ae7121a47",
    );
    let decrypt_fields = [12, 20, 76, 60, 16, 0];
    for features in [0, R1, STATELESS] {
        let kit = Kit::with(Capabilities::default(), features);
        let encrypt = kit.aead(GCM, ENCRYPT, 16, &key).unwrap();
        let decrypt = kit.aead(GCM, DECRYPT, 16, &key).unwrap();
        let response =
            kit.data(AEAD_ENCRYPT, encrypt, &[12, 20, 60, 76, 16, 0], 48, &[&iv, &plain, &aad], 76);
        assert_eq!(response, Response { status: OK, output: sealed.clone(), written: 77 });
        let response =
            kit.data(AEAD_DECRYPT, decrypt, &decrypt_fields, 48, &[&iv, &sealed, &aad], 60);
        assert_eq!(response, Response { status: OK, output: plain.clone(), written: 61 });
        if features == STATELESS {
            let fields = [GCM, 16, ENCRYPT, 12, 16, 20, 60, 76];
            let response = kit.stateless(AEAD_ENCRYPT, &fields, 56, &[&key, &iv, &plain, &aad], 76);
            assert_eq!((response.status, response.output), (OK, sealed.clone()));
        }
        for at in [0, 59, 60, 75] {
            let mut wrong = sealed.clone();
            wrong[at] ^= 0x10;
            let response =
                kit.data(AEAD_DECRYPT, decrypt, &decrypt_fields, 48, &[&iv, &wrong, &aad], 60);
            assert_eq!((response.status, response.written), (BADMSG, 0));
            assert_ne!(response.output, plain);
        }
        kit.assert_no_violation();
        let short = [12, 20, 15, 0, 16, 0];
        assert_eq!(
            kit.data(AEAD_DECRYPT, decrypt, &short, 48, &[&iv, &sealed[..15], &aad], 0).status,
            ERR
        );
        let short_dst = [12, 20, 60, 75, 16, 0];
        let response = kit.data(AEAD_ENCRYPT, encrypt, &short_dst, 48, &[&iv, &plain, &aad], 75);
        assert_eq!(response.status, ERR);
    }
}

#[test]
fn v27_to_v30_unknown_sessions_return_invsess() {
    for features in [0, R1, STATELESS] {
        let kit = Kit::with(Capabilities::default(), features);
        for opcode in [0x0000, 0x0001, 0x0100, 0x0200, 0x0300, 0x0301, 0x0400, 0x0403] {
            let mut fields = [0; 12];
            fields[10] = 1;
            let response = kit.data(opcode, 5, &fields, 72, &[], 0);
            assert_eq!((response.status, response.written), (INVSESS, 1), "{opcode:#x}");
        }
        assert_eq!(kit.violations()[0], "D-23");
    }
}

#[test]
fn v32_failed_requests_only_write_the_status() {
    let kit = Kit::new();
    let id = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
    let response = kit.crypt(id, ENCRYPT, &KEY, &[0; 15]);
    assert_eq!(response, Response { status: ERR, output: vec![0xff; 15], written: 0 });
    // Without output the status is the first writable byte.
    let response = kit.crypt(id, DECRYPT, &KEY, &[]);
    assert_eq!((response.status, response.written), (ERR, 1));
}

#[test]
fn resets_drop_sessions_and_count_them_as_leaked() {
    let kit = Kit::new();
    for _ in 0..5 {
        kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
    }
    kit.device.reset();
    assert_eq!((kit.device.sessions(), kit.device.sessions_leaked()), (0, 5));
    assert_eq!(kit.crypt(0, ENCRYPT, &KEY, &[0; 16]).status, INVSESS);
}

#[test]
fn requests_fail_while_the_device_is_not_ready() {
    let kit = Kit::new();
    let id = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
    kit.device.set_ready(false);
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Err(ERR));
    assert_eq!(kit.crypt(id, ENCRYPT, &KEY, &[0; 16]).status, ERR);
    assert_eq!(kit.violations(), ["D-3"]);
    kit.device.set_ready(true);
    assert_eq!(kit.crypt(id, ENCRYPT, &KEY, &[0; 16]).status, OK);
}

#[test]
fn readiness_may_change_at_the_next_reset() {
    let kit = Kit::new();
    for ready in [false, true] {
        kit.device.hooks.set_ready_at_reset(ready);
        assert_eq!(kit.device.is_ready(), !ready);
        kit.device.reset();
        assert_eq!(kit.device.is_ready(), ready);
        // The next reset does not change the readiness again.
        kit.device.reset();
        assert_eq!(kit.device.is_ready(), ready);
    }
}

#[test]
fn features_without_their_dependency_are_ignored() {
    let kit = Kit::with(Capabilities::default(), feature::ALL);
    kit.device.start(0b10);
    assert_eq!(kit.violations(), ["D-12"]);
    // Without revision 1 control requests are padded to 72 bytes, so this DESTROY is too short.
    let (response, _) = kit.raw_control(words(&[3, 0, 0, 0, 0, 0]), 1);
    assert_eq!(u32::from(response[0]), ERR);
}

#[test]
fn violations_of_the_driver_are_detected() {
    let violations = |send: &dyn Fn(&Kit)| {
        let kit = Kit::new();
        send(&kit);
        kit.violations()
    };
    let create = || {
        let mut bytes = words(&[2, AES_CBC, 0, 0, AES_CBC, 16, ENCRYPT]);
        bytes.resize(72, 0);
        bytes[64] = 1;
        bytes.extend(KEY);
        bytes
    };
    let control = |change: &dyn Fn(&mut Vec<u8>)| {
        violations(&|kit| {
            let mut bytes = create();
            change(&mut bytes);
            kit.raw_control(bytes, 16);
        })
    };
    assert!(control(&|_| ()).is_empty());
    assert_eq!(control(&|bytes| bytes[12] = 1), ["D-15"]);
    assert_eq!(control(&|bytes| bytes[64] = 3), ["D-26"]);
    assert_eq!(control(&|bytes| bytes.truncate(80)), ["D-14"]);
    assert_eq!(control(&|bytes| bytes.truncate(40)), ["D-14"]);
    assert_eq!(control(&|bytes| bytes.push(0)), ["exact"]);
    assert_eq!(violations(&|kit| drop(kit.raw_control(create(), 17))), ["exact"]);
    let destroy = |features, len, response_len| {
        let kit = Kit::with(Capabilities::default(), features);
        let id = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
        let mut bytes = words(&[3, 0, 0, 0, id as u32, 0]);
        bytes.resize(len, 0);
        kit.raw_control(bytes, response_len);
        kit.violations()
    };
    assert!(destroy(0, 72, 1).is_empty() && destroy(R1, 24, 1).is_empty());
    for (features, len, response_len) in [(0, 73, 1), (0, 72, 2), (R1, 72, 1), (R1, 24, 16)] {
        assert_eq!(destroy(features, len, response_len), ["exact"]);
    }
    assert_eq!(control(&|bytes| bytes[0] = 9), ["D-13"]);
    let data = |change: &dyn Fn(&mut Vec<u8>), response_len| {
        violations(&|kit| {
            let id = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
            let mut bytes = words(&[0, 0, id as u32, 0, 0, 0, 16, 16, 16]);
            bytes.resize(72, 0);
            bytes[64] = 1;
            bytes.resize(72 + 32, 0);
            change(&mut bytes);
            kit.raw_data(&bytes, response_len, 7);
        })
    };
    assert!(data(&|_| (), 17).is_empty());
    assert_eq!(data(&|_| (), 0), ["D-27"]);
    assert_eq!(data(&|_| (), 16), ["D-27"]);
    assert_eq!(data(&|_| (), 18), ["exact"]);
    assert_eq!(data(&|bytes| bytes[32] = 17, 18), ["exact"]);
    assert_eq!(data(&|bytes| bytes[0] = 7, 17), ["D-18"]);
    assert_eq!(data(&|bytes| bytes[8] = 7, 17), ["D-23"]);
    assert_eq!(data(&|bytes| bytes[64] = 0, 17), ["D-26"]);
    assert_eq!(data(&|bytes| bytes[64] = 2, 17), ["D-26"]);
    assert_eq!(data(&|bytes| bytes.truncate(90), 17), ["D-27"]);
}
