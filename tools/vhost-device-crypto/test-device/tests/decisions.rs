// SPDX-License-Identifier: GPL-2.0
//! Tests of the device's interpretation of the specification, and of its requirements on requests.

#![allow(missing_docs)]

mod harness;

use harness::*;
use virtio_crypto_device::capabilities::{
    AeadIv, Capabilities, ChainDigest, SessionAad, StatelessBy,
};
use virtio_crypto_device::protocol::feature;

const KEY: [u8; 16] = [7; 16];
const R1: u64 = feature::REVISION_1;

/// Sends an AEAD request in a session. `lens` has the lengths of IV, AAD, source, destination and
/// tag.
fn aead(kit: &Kit, op: u32, id: u64, lens: [u32; 5], input: &[&[u8]]) -> Response {
    let [iv, aad, src, dst, tag] = lens;
    let fields = [iv, aad, src, dst, tag, 0];
    kit.data(AEAD_ENCRYPT + op - ENCRYPT, id, &fields, 48, input, dst as usize)
}

/// Returns the fields of a chained request in a session.
fn chain(src: u32, dst: u32, cipher: [u32; 2], hash: [u32; 2], aad: u32) -> [u32; 12] {
    [16, src, dst, cipher[0], cipher[1], hash[0], hash[1], aad, 20, 0, 2, 0]
}

#[test]
fn associated_data_has_the_length_of_the_session() {
    for (session_aad, session_len, len, valid) in [
        (SessionAad::Open, 0, 5, true),
        (SessionAad::Open, 5, 5, true),
        (SessionAad::Open, 4, 5, false),
        (SessionAad::Open, 5, 0, false),
        (SessionAad::Exact, 0, 5, false),
        (SessionAad::Exact, 0, 0, true),
        (SessionAad::Exact, 5, 5, true),
    ] {
        let kit = Kit::with(Capabilities { session_aad, ..Capabilities::default() }, R1);
        let aad = &[9; 5][..len as usize];
        let id = kit.aead_with(GCM, ENCRYPT, 16, session_len, &KEY).unwrap();
        let sealed = aead(&kit, ENCRYPT, id, [12, len, 4, 20, 16], &[&[1; 12], b"data", aad]);
        let ciphers = [AES_CBC, ENCRYPT];
        let id = kit.chain([CIPHER_THEN_HASH, AUTH], ciphers, [SHA1, 20], &KEY, &KEY, session_len);
        let fields = chain(16, 16, [0, 16], [0, 16], len);
        let input: [&[u8]; 3] = [&[1; 16], &[2; 16], aad];
        let chained = kit.data(0, id.unwrap(), &fields, 72, &input, 36);
        let status = if valid { OK } else { ERR };
        assert_eq!(
            (sealed.status, chained.status),
            (status, status),
            "{session_aad:?} {session_len} {len}"
        );
        assert_eq!(kit.violations(), if valid { vec![] } else { vec!["aad"] });
    }
}

#[test]
fn stateless_chains_have_two_equal_aad_lengths() {
    for (first, second, status) in [(5, 5, OK), (0, 5, ERR), (5, 0, ERR), (5, 6, ERR)] {
        let kit = Kit::with(Capabilities::default(), STATELESS);
        let (order, mode) = (CIPHER_THEN_HASH, AUTH);
        let fields = [
            order, first, AES_CBC, 16, ENCRYPT, SHA1, 16, mode, 16, 16, 16, 0, 16, 0, 16, second,
            20, 0, 2,
        ];
        let input: [&[u8]; 5] = [&KEY, &KEY, &[1; 16], &[9; 6][..second as usize], &[2; 16]];
        assert_eq!(kit.stateless(0, &fields, 100, &input, 36).status, status);
        assert_eq!(kit.violations(), if status == OK { vec![] } else { vec!["aad"] });
    }
}

#[test]
fn tags_have_the_length_of_the_session() {
    let seal = |kit: &Kit, tag: u32| {
        let id = kit.aead(GCM, ENCRYPT, 12, &KEY).unwrap();
        aead(kit, ENCRYPT, id, [12, 0, 4, 16, tag], &[&[1; 12], b"data"]).status
    };
    // Without revision 1, `tag_len` is a padding field in the kernel's header, so it may be 0.
    let padded = Kit::new();
    assert_eq!([12, 0, 16, 4].map(|tag| seal(&padded, tag)), [OK, OK, ERR, ERR]);
    let natural = Kit::with(Capabilities::default(), R1);
    assert_eq!([12, 0, 16, 4].map(|tag| seal(&natural, tag)), [OK, ERR, ERR, ERR]);
    for algo in [GCM, CCM, 3] {
        assert_eq!(natural.aead(algo, ENCRYPT, 0, &[7; 32]), Err(ERR));
    }
    let natural = Kit::with(Capabilities::default(), STATELESS);
    let stateless = |tag: u32, dst: u32| {
        let fields = [GCM, 16, ENCRYPT, 12, tag, 0, 4, dst];
        natural.stateless(0x0300, &fields, 56, &[&KEY, &[1; 12], b"data"], dst as usize).status
    };
    assert_eq!((stateless(16, 20), stateless(0, 4)), (OK, ERR));
}

/// NIST SP 800-38C, example 1: key, nonce, AAD, plaintext, ciphertext with tag.
fn ccm_vector() -> [Vec<u8>; 5] {
    [
        "404142434445464748494a4b4c4d4e4f",
        "10111213141516",
        "0001020304050607",
        "20212223",
        "7162015b4dac255d",
    ]
    .map(hex)
}

#[test]
fn ccm_nonce_is_the_iv_or_part_of_a_block() {
    let [key, nonce, aad, plain, sealed] = ccm_vector();
    let block = [&[0xee][..], &nonce, &[0xdd; 8]].concat();
    for (ccm_iv, iv) in [(AeadIv::Nonce, &nonce), (AeadIv::Block, &block)] {
        for features in [0, R1] {
            let kit = Kit::with(Capabilities { ccm_iv, ..Capabilities::default() }, features);
            let encrypt = kit.aead(CCM, ENCRYPT, 4, &key).unwrap();
            let response = aead(&kit, ENCRYPT, encrypt, [7, 8, 4, 8, 4], &[iv, &plain, &aad]);
            assert_eq!(response, Response { status: OK, output: sealed.clone(), written: 9 });
            let decrypt = kit.aead(CCM, DECRYPT, 4, &key).unwrap();
            let response = aead(&kit, DECRYPT, decrypt, [7, 8, 8, 4, 4], &[iv, &sealed, &aad]);
            assert_eq!((response.status, response.output), (OK, plain.clone()));
            kit.assert_no_violation();
            // The nonce must be within the block and have a valid length.
            for len in [6, 14, 16, u32::MAX] {
                let status = aead(&kit, ENCRYPT, encrypt, [len, 8, 4, 8, 4], &[&[0; 40]]).status;
                assert_eq!(status, ERR, "{len}");
            }
        }
    }
}

#[test]
fn gcm_iv_of_16_bytes_may_be_the_counter_block() {
    let seal = |kit: &Kit, iv: &[u8]| {
        let id = kit.aead(GCM, ENCRYPT, 16, &KEY).unwrap();
        aead(kit, ENCRYPT, id, [iv.len() as u32, 0, 4, 20, 16], &[iv, b"data"])
    };
    let nonce = [3; 12];
    let first = [&nonce[..], &[0, 0, 0, 1]].concat();
    let expected = seal(&Kit::new(), &nonce);
    assert_eq!(expected.status, OK);
    assert_eq!(seal(&Kit::new(), &first).status, ERR);
    let kit = Kit::with(Capabilities { gcm_iv: AeadIv::Block, ..Capabilities::default() }, 0);
    assert_eq!(seal(&kit, &first), expected);
    assert_eq!(seal(&kit, &nonce), expected);
    // This is not a counter block of a 12-byte nonce.
    assert_eq!(seal(&kit, &[3; 16]).status, ERR);
}

#[test]
fn max_size_counts_keys_iv_associated_data_and_results() {
    let capabilities = |max_size: u64| Capabilities { max_size, ..Capabilities::default() };
    let check = |features, total: u64, send: &dyn Fn(&Kit) -> Response| {
        let kit = Kit::with(capabilities(total), features);
        assert_eq!(send(&kit).status, OK);
        kit.assert_no_violation();
        let kit = Kit::with(capabilities(total - 1), features);
        assert_eq!(send(&kit).status, ERR);
        assert_eq!(kit.violations(), ["D-8"]);
    };
    check(R1, 12 + 5 + 4 + 20, &|kit| {
        let id = kit.aead(GCM, ENCRYPT, 16, &KEY).unwrap();
        aead(kit, ENCRYPT, id, [12, 5, 4, 20, 16], &[&[1; 12], b"data", &[9; 5]])
    });
    check(R1, 16 + 16 + 16 + 5 + 20, &|kit| {
        let order = [CIPHER_THEN_HASH, AUTH];
        let id = kit.chain(order, [AES_CBC, ENCRYPT], [SHA1, 20], &KEY, &KEY, 5).unwrap();
        let fields = chain(16, 16, [0, 16], [0, 16], 5);
        kit.data(0, id, &fields, 72, &[&[1; 16], &[2; 16], &[9; 5]], 36)
    });
    check(R1, 3 + 20, &|kit| {
        let id = kit.hash(SHA1, 20).unwrap();
        kit.data(HASH, id, &[3, 20], 32, &[b"abc"], 20)
    });
    let cipher = [AES_CBC, 16, ENCRYPT, 16, 16, 16];
    check(STATELESS, 16 + 16 + 16 + 16, &|kit| {
        let mut fields = [0; 19];
        fields[..6].copy_from_slice(&cipher);
        fields[18] = 1;
        kit.stateless(0, &fields, 100, &[&KEY, &[1; 16], &[2; 16]], 16)
    });
    check(STATELESS, 4 + 28 + 20, &|kit| {
        let message = b"what do ya want for nothing?";
        kit.stateless(MAC, &[SHA1, 4, 28, 20], 40, &[b"Jefe", message], 20)
    });
}

#[test]
fn chains_copy_unencrypted_data_and_used_len_ends_at_a_gap() {
    let kit = Kit::new();
    let order = [HASH_THEN_CIPHER, PLAIN];
    let id = kit.chain(order, [AES_CBC, ENCRYPT], [SHA1, 20], &KEY, &[], 0).unwrap();
    let src = [&[0xa1; 8][..], &[0xa2; 16], &[0xa3; 9]].concat();
    let fields = |dst| chain(33, dst, [8, 16], [0, 33], 0);
    let response = kit.data(0, id, &fields(33), 72, &[&[1; 16], &src], 53);
    assert_eq!((response.status, response.written), (OK, 54));
    let whole = response.output;
    assert_eq!((&whole[..8], &whole[24..33]), (&src[..8], &src[24..]));
    assert_ne!(whole[8..24], src[8..24]);
    assert_eq!(whole[33..], openssl::sha::sha1(&src));
    // The digest follows the destination. If the destination is longer than the source, there is a
    // gap before the digest, and the used length only counts the bytes before the gap.
    let response = kit.data(0, id, &fields(40), 72, &[&[1; 16], &src], 60);
    assert_eq!((response.status, response.written), (OK, 33));
    let expected = [&whole[..33], &[0xff; 7], &whole[33..]].concat();
    assert_eq!(response.output, expected);
    // The used length of a cipher request also ends before the gap.
    let id = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
    let fields = [16, 16, 32, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    let response = kit.data(0, id, &fields, 72, &[&[1; 16], &[2; 16]], 32);
    assert_eq!(
        (response.status, response.written, &response.output[16..]),
        (OK, 16, &[0xff; 16][..])
    );
}

#[test]
fn chains_require_an_offered_cipher() {
    let kit = Kit::with(Capabilities { cipher_mask: 1 << 4, ..Capabilities::default() }, 0);
    let order = [CIPHER_THEN_HASH, AUTH];
    let create = |cipher| kit.chain(order, [cipher, ENCRYPT], [SHA1, 20], &KEY, &KEY, 0).err();
    assert_eq!((create(4), create(AES_CBC)), (None, Some(NOTSUPP)));
    kit.assert_no_violation();
}

#[test]
fn both_keys_of_a_chain_are_limited() {
    let kit = Kit::with(Capabilities { max_auth_key_len: 20, ..Capabilities::default() }, 0);
    let order = [CIPHER_THEN_HASH, AUTH];
    let create =
        |auth_key: &[u8]| kit.chain(order, [AES_CBC, ENCRYPT], [SHA1, 20], &KEY, auth_key, 0).err();
    assert_eq!(create(&[1; 20]), None);
    kit.assert_no_violation();
    assert_eq!(create(&[1; 21]), Some(ERR));
    assert_eq!(kit.violations(), ["D-10"]);
}

#[test]
fn gmac_is_not_supported_even_in_a_chain() {
    let kit = Kit::with(Capabilities { serve_unadvertised: true, ..Capabilities::default() }, 0);
    assert_eq!(kit.mac(41, 16, &KEY), Err(NOTSUPP));
    let order = [CIPHER_THEN_HASH, AUTH];
    let chain = kit.chain(order, [AES_CBC, ENCRYPT], [41, 16], &KEY, &KEY, 0);
    assert_eq!(chain, Err(NOTSUPP));
}

#[test]
fn services_without_algorithms_are_not_offered() {
    let settings = [
        Capabilities { cipher_mask: 0, ..Capabilities::default() },
        Capabilities { hash_mask: 1, ..Capabilities::default() },
        Capabilities { mac_mask: 1 << 41, ..Capabilities::default() },
        Capabilities { aead_mask: 0, ..Capabilities::default() },
        Capabilities { akcipher_mask: 1 << 2, ..Capabilities::default() },
    ];
    for (service, capabilities) in settings.into_iter().enumerate() {
        assert_eq!(Kit::with(capabilities, 0).device.config()[8], 0x1f & !(1 << service));
    }
}

#[test]
fn the_feature_may_select_the_stateless_layout() {
    let capabilities =
        Capabilities { stateless_by: StatelessBy::Feature, ..Capabilities::default() };
    let kit = Kit::with(capabilities, STATELESS);
    let id = kit.hash(SHA1, 20).unwrap();
    let digest = openssl::sha::sha1(b"abc").to_vec();
    // Fields: algorithm, source, result. With the flag, the algorithm of the session is used.
    for (flag, session, algo) in [(1, id, 99), (0, 77, SHA1)] {
        let fields = [algo, 3, 20, 0];
        let response = kit.request(HASH, session, flag, &fields, 40, &[b"abc"], 20);
        assert_eq!((response.status, &response.output), (OK, &digest), "flag {flag}");
    }
    kit.assert_no_violation();
    // A request in the session layout is too short.
    assert_eq!(kit.request(HASH, id, 1, &[3, 20], 32, &[b"abc"], 20).status, ERR);
}

#[test]
fn chains_may_verify_the_digest() {
    let capabilities =
        Capabilities { chain_digest: ChainDigest::Verify, ..Capabilities::default() };
    let kit = Kit::with(capabilities, 0);
    let session =
        |order, op| kit.chain([order, AUTH], [AES_CBC, op], [SHA1, 20], &KEY, &[5; 20], 0).unwrap();
    let fields = chain(32, 32, [0, 32], [0, 32], 0);
    let sealed =
        kit.data(0, session(CIPHER_THEN_HASH, ENCRYPT), &fields, 72, &[&[1; 16], &[2; 32]], 52);
    assert_eq!((sealed.status, sealed.written), (OK, 53));
    let (ciphertext, digest) = sealed.output.split_at(32);
    let id = session(HASH_THEN_CIPHER, DECRYPT);
    let mut head = words(&[1, 0, id as u32, (id >> 32) as u32, 0, 0]);
    head.extend(words(&fields));
    let request = [&head[..], &[1; 16], ciphertext].concat();
    let decrypt = |digest: &[u8]| {
        let mut writable = [&[0xff; 32][..], digest, &[0xff]].concat();
        let written = kit.raw_data_into(&request, &mut writable);
        (writable[52], writable[..32].to_vec(), writable[32..52].to_vec(), written)
    };
    assert_eq!(decrypt(digest), (0, vec![2; 32], digest.to_vec(), 32));
    for at in [0, 19] {
        let mut forged = digest.to_vec();
        forged[at] ^= 1;
        assert_eq!(decrypt(&forged), (1, vec![0xff; 32], forged.clone(), 0));
    }
    // Sessions that hash and then encrypt still return a digest.
    let id = session(HASH_THEN_CIPHER, ENCRYPT);
    assert_eq!(kit.data(0, id, &fields, 72, &[&[1; 16], &[2; 32]], 52).written, 53);
}

#[test]
fn lengths_of_failed_requests_are_not_counted() {
    let kit = Kit::with(Capabilities { max_size: u64::MAX, ..Capabilities::default() }, 0);
    let id = kit.hash(SHA1, 20).unwrap();
    assert_eq!(kit.data(HASH, id, &[3, 20], 32, &[b"abc"], 20).status, OK);
    for _ in 0..3 {
        assert_eq!(kit.data(HASH, id, &[u32::MAX, 20], 32, &[b"abc"], 20).status, ERR);
    }
    let lines = kit.device.hooks.counters.lines();
    let count = |status| {
        let line = lines.iter().find(|line| line.operation == "HASH" && line.status == status);
        line.map(|line| (line.requests, line.bytes)).unwrap()
    };
    // The harness sends each request once for each segment length.
    let repeats = SEGMENT_LENS.len() as u64;
    assert_eq!((count("OK"), count("ERR")), ((repeats, 3 * repeats), (3 * repeats, 0)));
}
