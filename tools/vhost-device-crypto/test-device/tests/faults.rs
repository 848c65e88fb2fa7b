// SPDX-License-Identifier: GPL-2.0
//! Tests of the faults of requests, sessions and configuration. Faults of completions are tested in
//! `queue.rs`.

#![allow(missing_docs)]

mod harness;

use crypto_test_device::fault::Kind;
use harness::*;
use virtio_crypto_device::protocol::config::CONFIG_LEN;

const KEY: [u8; 16] = [7; 16];

/// Creates a kit with a session, and encrypts 32 zeros without a fault.
fn kit() -> (Kit, u64, Response) {
    let kit = Kit::new();
    let id = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
    let response = kit.crypt(id, ENCRYPT, &KEY, &[0; 32]);
    assert_eq!((response.status, response.written), (OK, 33));
    (kit, id, response)
}

/// Encrypts 32 zeros with a fault, in a single segment.
fn encrypt_with(fault: &str) -> Response {
    let (kit, id, _) = kit();
    kit.fault(fault);
    let mut head = words(&[0, 0, id as u32, 0, 0, 0, 16, 32, 32]);
    head.resize(64, 0);
    head.extend(words(&[1, 0]));
    let bytes = [&head[..], &KEY, &[0; 32]].concat();
    let (response, written) = kit.raw_data(&bytes, 33, usize::MAX);
    assert_eq!(kit.device.hooks.faults.list()[0].happened, 1);
    Response { status: response[32].into(), output: response[..32].to_vec(), written }
}

#[test]
fn status_unwritten_does_not_write_the_status() {
    let (_, _, expected) = kit();
    let response = encrypt_with("status-unwritten");
    assert_eq!((response.status, response.written), (0xff, 32));
    assert_eq!(response.output, expected.output);
    let (kit, id, _) = kit();
    kit.fault("status-unwritten:opcode=3");
    let (response, written) = kit.raw_control(words(&[3, 0, 0, 0, id as u32, 0]), 1);
    assert_eq!((response[0], written), (0xff, 0));
}

#[test]
fn status_unknown_writes_the_value() {
    assert_eq!(encrypt_with("status-unknown").status, 8);
    assert_eq!(encrypt_with("status-unknown:value=200").status, 200);
    let (kit, _, _) = kit();
    kit.fault("status-unknown:queue=control:value=0x12345678");
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Err(0x1234_5678));
}

#[test]
fn refuse_operation_only_writes_the_status() {
    for status in [1, 3, 4, 7, 77] {
        let response = encrypt_with(&format!("refuse-operation:value={status}"));
        assert_eq!(response, Response { status, output: vec![0xff; 32], written: 0 });
    }
}

#[test]
fn fail_after_write_writes_the_output() {
    let (_, _, expected) = kit();
    let response = encrypt_with("fail-after-write");
    assert_eq!((response.status, response.output), (ERR, expected.output));
}

#[test]
fn corrupt_output_flips_one_bit() {
    let (_, _, expected) = kit();
    let response = encrypt_with("corrupt-output");
    assert_eq!((response.status, response.written), (OK, 33));
    let bits = expected.output.iter().zip(&response.output).map(|(a, b)| (a ^ b).count_ones());
    assert_eq!(bits.sum::<u32>(), 1);
}

#[test]
fn wrong_tag_corrupts_and_rejects_tags() {
    let kit = Kit::new();
    let encrypt = kit.aead(GCM, ENCRYPT, 16, &KEY).unwrap();
    let decrypt = kit.aead(GCM, DECRYPT, 16, &KEY).unwrap();
    let iv = [1; 12];
    let sealed =
        kit.data(AEAD_ENCRYPT, encrypt, &[12, 0, 4, 20, 16, 0], 48, &[&iv, b"data"], 20).output;
    let decrypted =
        || kit.data(AEAD_DECRYPT, decrypt, &[12, 0, 20, 4, 16, 0], 48, &[&iv, &sealed], 4);
    assert_eq!(decrypted().output, b"data");
    let mac = kit.mac(SHA256, 32, &KEY).unwrap();
    let digest = || kit.data(MAC, mac, &[4, 32], 32, &[b"data"], 32).output;
    let expected = digest();
    kit.fault("wrong-tag");
    assert_eq!(decrypted().status, BADMSG);
    assert_ne!(digest(), expected);
    let wrong = kit.data(AEAD_ENCRYPT, encrypt, &[12, 0, 4, 20, 16, 0], 48, &[&iv, b"data"], 20);
    assert_eq!((wrong.status, &wrong.output[..19]), (OK, &sealed[..19]));
    assert_ne!(wrong.output[19], sealed[19]);
}

#[test]
fn rejected_creates_leave_no_session() {
    let (kit, _, _) = kit();
    kit.fault("refuse-create:value=5:count=1");
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Err(5));
    assert_eq!(kit.device.sessions(), 1);
    kit.fault("table-full:count=1");
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Err(ERR));
    assert!(kit.cipher(AES_CBC, ENCRYPT, &KEY).is_ok());
}

#[test]
fn session_ids_are_reused_chosen_or_dropped() {
    let (kit, id, _) = kit();
    kit.fault("session-id-reused:count=1");
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Ok(id));
    kit.fault("session-id:count=1");
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Ok(u64::MAX));
    assert_eq!(kit.crypt(u64::MAX, ENCRYPT, &KEY, &[0; 16]).status, OK);
    kit.fault("session-forgotten:count=1");
    let dropped = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
    assert_eq!(kit.crypt(dropped, ENCRYPT, &KEY, &[0; 16]).status, INVSESS);
}

#[test]
fn refuse_destroy_keeps_the_session() {
    let (kit, id, _) = kit();
    kit.fault("refuse-destroy:count=1");
    assert_eq!(kit.destroy(CIPHER_DESTROY, id), ERR);
    assert_eq!(kit.destroy(CIPHER_DESTROY, id), OK);
}

#[test]
fn config_faults_change_fields() {
    let field = |fault: &str, at: usize| {
        let kit = Kit::new();
        kit.fault(fault);
        let config = kit.device.config();
        u32::from_le_bytes(config[at..at + 4].try_into().unwrap())
    };
    assert_eq!(field("config-queues", 4), 65535);
    assert_eq!(field("config-queues:value=0", 4), 0);
    assert_eq!((field("config-max-size", 48), field("config-max-size", 52)), (0, 0));
    assert_eq!(field("config-max-size:value=0xffffffffffffffff", 52), u32::MAX);
    assert_eq!(field("config-max-key-len", 36), 0);
    assert_eq!(field("config-status", 0), 3);
    for at in [8, 12, 16, 20, 24, 28, 32, 44] {
        assert_eq!(field("config-masks-all", at), u32::MAX);
    }
}

#[test]
fn config_torn_and_config_random_change_reads() {
    let kit = Kit::new();
    let expected = kit.device.config();
    kit.fault("config-torn");
    let reads = [kit.device.config(), kit.device.config(), kit.device.config()];
    assert!(reads.contains(&expected) && reads.iter().any(|read| *read != expected));
    kit.device.hooks.faults.clear(None);
    kit.fault("config-random");
    assert_ne!(kit.device.config(), kit.device.config());
    kit.device.hooks.faults.clear(Some(Kind::ConfigRandom));
    assert_eq!(kit.device.config(), expected);
}

#[test]
fn config_bits_inverts_bits() {
    let kit = Kit::new();
    let expected_bytes = kit.device.config();
    for (value, offset, mask) in [
        (0x100_u64, 0, [1, 0, 0, 0]),
        (0x80_0000_ff30, 48, [0xff, 0, 0, 0x80]),
        // The offset is taken modulo the length. Mask bytes beyond the end are ignored.
        (0xff_ffff_ff00 | (CONFIG_LEN as u64 * 2 - 1), CONFIG_LEN - 1, [0xff; 4]),
    ] {
        kit.fault(&format!("config-bits:value={value}:count=1"));
        let mut expected = expected_bytes.clone();
        for (byte, mask) in expected[offset..].iter_mut().zip(mask) {
            *byte ^= mask;
        }
        assert_eq!(kit.device.config(), expected);
        assert_eq!(kit.device.config(), expected_bytes);
    }
}

#[test]
fn overwrite_fills_all_writable_bytes() {
    let response = encrypt_with("overwrite:value=0x1a5:count=1");
    assert_eq!((response.status, response.written), (0xa5, 33));
    assert_eq!(response.output, [0xa5; 32]);
    let (kit, _, _) = kit();
    kit.fault("overwrite:queue=control:value=0xee");
    let bytes = words(&[3, 0, 0, 0, 7, 0]);
    let (response, written) = kit.raw_control(bytes, 4);
    assert_eq!((response, written), (vec![0xee; 4], 1));
}

#[test]
fn faults_of_an_opcode_do_not_affect_other_opcodes() {
    let (kit, id, expected) = kit();
    kit.fault(&format!("refuse-operation:opcode={}", 1));
    kit.fault(&format!("status-unknown:opcode={CIPHER_CREATE}:after=1"));
    assert_eq!(kit.crypt(id, ENCRYPT, &KEY, &[0; 32]), expected);
    assert!(kit.cipher(AES_CBC, ENCRYPT, &KEY).is_ok());
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Err(8));
}

#[test]
fn wrong_tag_does_not_count_requests_without_a_tag() {
    let (kit, id, expected) = kit();
    kit.fault("wrong-tag:count=1");
    assert_eq!(kit.crypt(id, ENCRYPT, &KEY, &[0; 32]), expected);
    assert_eq!(kit.device.hooks.faults.list()[0].happened, 0);
    let mac = kit.mac(SHA256, 32, &KEY).unwrap();
    let mut request = words(&[MAC, 0, mac as u32, 0, 0, 0, 0, 32]);
    request.resize(72, 0);
    kit.raw_data(&request, 33, usize::MAX);
    assert_eq!(kit.device.hooks.faults.list()[0].happened, 1);
}
