// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests of hashes: published vectors, and messages that are split into slices in many ways.

use super::*;
use crate::crypto::testing::{cut, cuts, hex};
use crate::memory::Slice;
use HashAlgorithm::*;

fn check(algorithm: HashAlgorithm, message: &[u8], expected: &str) {
    let expected = hex(expected);
    let mut message = message.to_vec();
    let len = message.len();
    let memory = Slice::from(&mut message[..]);
    for offsets in cuts(len.min(200)) {
        let mut out = vec![0; expected.len()];
        digest(algorithm, &cut(memory, len, &offsets).span(), &mut out).unwrap();
        assert_eq!(out, expected, "{algorithm:?} {offsets:?}");
    }
    for short in 1..expected.len() {
        let mut out = vec![0; short];
        digest(algorithm, &cut(memory, len, &[]).span(), &mut out).unwrap();
        assert_eq!(out, expected[..short], "{algorithm:?}");
    }
}

#[test]
fn md5_rfc_1321() {
    check(Md5, b"", "d41d8cd98f00b204e9800998ecf8427e");
    check(Md5, b"abc", "900150983cd24fb0d6963f7d28e17f72");
    let digits = b"1234567890".repeat(8);
    check(Md5, &digits, "57edf4a22be3c955ac49da2e2107b67a");
}

#[test]
fn sha_nist_examples() {
    let blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    let long = b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";
    check(Sha1, b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    check(Sha1, blocks, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    check(Sha224, b"abc", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7");
    check(Sha224, blocks, "75388b16512776cc5dba5da1fd890150b0c6455cb4f58b1952522525");
    check(Sha256, b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(Sha256, blocks, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check(Sha384, b"abc", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
    check(Sha384, long, "09330c33f71147e83d192fc782cd1b4753111b173b3b05d22fa08086e3b0f712fcc7c71a557e2db966c3e9fa91746039");
    check(Sha512, b"abc", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    check(Sha512, long, "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909");
    // Longer than `LONGEST`, so the message is processed in several calls.
    let million = vec![b'a'; 1_000_000];
    check(Sha1, &million, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    check(Sha256, &million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

#[test]
fn sha_3_fips_202() {
    let blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    check(Sha3_224, b"", "6b4e03423667dbb73b6e15454f0eb1abd4597f9a1b078e3f5b5a6bc7");
    check(Sha3_224, blocks, "8a24108b154ada21c9fd5574494479ba5c7e7ab76ef264ead0fcce33");
    check(Sha3_256, b"", "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
    check(Sha3_256, blocks, "41c0dba2a9d6240849100376a8235e2c82e1b9998a999e21db32dd97496d3376");
    check(Sha3_384, b"", "0c63a75b845e4f7d01107d852e4c2485c51a50aaaa94fc61995e71bbee983a2ac3713831264adb47fb6bd1e058d5f004");
    check(Sha3_384, blocks, "991c665755eb3a4b6bbdfb75c78a492e8c56a22c5c4d7e429bfdbc32b9d4ad5aa04a1f076e62fea19eef51acd0657c22");
    check(Sha3_512, b"", "a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a615b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26");
    check(Sha3_512, blocks, "04a371e84ecfb5b8b77cb48610fca8182dd457ce6f326a0fd3d7ec2f1e91636dee691fbe0c985302ba1b0d8dc78c086346b533b49c030d99a27daf1139d6e75e");
    check(Shake128, b"", "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26");
    check(Shake256, b"", "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762fd75dc4ddd8c0f200cb05019d67b592f6fc821c49479ab48640292eacb3b7c4be");
    // 200 bytes 0xa3: the first and the last 16 of 512 bytes of output.
    for (algorithm, first, last) in [
        (Shake128, "131ab8d2b594946b9c81333f9bb6e0ce", "f17d7259ab075216c0699511643b6439"),
        (Shake256, "cd8a920ed141aa0407a22d59288652e9", "ca92bf0be5615e96959d767197a0beeb"),
    ] {
        let mut message = [0xa3; 200];
        let mut out = [0; 512];
        digest(algorithm, &Span::from(&mut message[..]), &mut out).unwrap();
        assert_eq!(out[..16], hex(first));
        assert_eq!(out[496..], hex(last));
    }
}

#[test]
fn digest_lengths_are_checked() {
    for &algorithm in HashAlgorithm::ALL {
        assert!(available(algorithm), "{algorithm:?}");
        let run = |len| digest(algorithm, &Span::new(), &mut vec![0; len]);
        assert_eq!(run(0), Err(StatusError::Generic));
        match digest_len(algorithm) {
            Some(len) => {
                assert_eq!(run(len), Ok(()));
                assert_eq!(run(len + 1), Err(StatusError::Generic));
            }
            None => assert_eq!(run(100_000), Ok(())),
        }
    }
}
