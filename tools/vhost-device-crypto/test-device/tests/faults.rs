// SPDX-License-Identifier: GPL-2.0
//! Each fault of the device itself happens when asked for, and only then. Those of
//! completions are tested with the queues.

#![allow(missing_docs)]

mod harness;

use crypto_test_device::fault::Kind;
use harness::*;

const KEY: [u8; 16] = [7; 16];
const CREATE: u32 = 0x0002;

/// A kit with a session, and what an honest device makes of 32 zeros.
fn kit() -> (Kit, u64, Answer) {
    let kit = Kit::new();
    let id = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
    let answer = kit.crypt(id, ENCRYPT, &KEY, &[0; 32]);
    assert_eq!((answer.status, answer.written), (OK, 33));
    (kit, id, answer)
}

/// What the device makes of the same, once, with a fault.
fn with(fault: &str) -> Answer {
    let (kit, id, _) = kit();
    kit.fault(fault);
    let mut head = words(&[0, 0, id as u32, 0, 0, 0, 16, 32, 32]);
    head.resize(64, 0);
    head.extend(words(&[1, 0]));
    let bytes = [&head[..], &KEY, &[0; 32]].concat();
    let (answer, written) = kit.raw_data(&bytes, 33, usize::MAX);
    assert_eq!(kit.device.hooks.faults.list()[0].happened, 1);
    Answer { status: answer[32].into(), output: answer[..32].to_vec(), written }
}

#[test]
fn status_unwritten_leaves_the_byte_alone() {
    let (_, _, honest) = kit();
    let answer = with("status-unwritten");
    assert_eq!((answer.status, answer.written), (0xff, 32));
    assert_eq!(answer.output, honest.output);
    let (kit, id, _) = kit();
    kit.fault("status-unwritten:opcode=3");
    let (answer, written) = kit.raw_control(words(&[3, 0, 0, 0, id as u32, 0]), 1);
    assert_eq!((answer[0], written), (0xff, 0));
}

#[test]
fn status_unknown_is_the_value_asked_for() {
    assert_eq!(with("status-unknown").status, 8);
    assert_eq!(with("status-unknown:value=200").status, 200);
    let (kit, _, _) = kit();
    kit.fault("status-unknown:queue=control:value=0x12345678");
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Err(0x1234_5678));
}

#[test]
fn refused_operations_write_nothing_else() {
    for status in [1, 3, 4, 7, 77] {
        let answer = with(&format!("refuse-operation:value={status}"));
        assert_eq!(answer, Answer { status, output: vec![0xff; 32], written: 0 });
    }
}

#[test]
fn fail_after_write_has_output() {
    let (_, _, honest) = kit();
    let answer = with("fail-after-write");
    assert_eq!((answer.status, answer.output), (ERR, honest.output));
}

#[test]
fn corrupt_output_is_wrong_in_one_bit() {
    let (_, _, honest) = kit();
    let answer = with("corrupt-output");
    assert_eq!((answer.status, answer.written), (OK, 33));
    let bits = honest.output.iter().zip(&answer.output).map(|(a, b)| (a ^ b).count_ones());
    assert_eq!(bits.sum::<u32>(), 1);
}

#[test]
fn wrong_tags_are_made_and_found() {
    let kit = Kit::new();
    let seal = kit.aead(1, ENCRYPT, 16, &KEY).unwrap();
    let open = kit.aead(1, DECRYPT, 16, &KEY).unwrap();
    let iv = [1; 12];
    let sealed = kit.data(0x0300, seal, &[12, 0, 4, 20, 16, 0], 48, &[&iv, b"data"], 20).output;
    let opened = || kit.data(0x0301, open, &[12, 0, 20, 4, 16, 0], 48, &[&iv, &sealed], 4);
    assert_eq!(opened().output, b"data");
    let mac = kit.mac(4, 32, &KEY).unwrap();
    let digest = || kit.data(0x0200, mac, &[4, 32], 32, &[b"data"], 32).output;
    let honest = digest();
    kit.fault("wrong-tag");
    assert_eq!(opened().status, BADMSG);
    assert_ne!(digest(), honest);
    let wrong = kit.data(0x0300, seal, &[12, 0, 4, 20, 16, 0], 48, &[&iv, b"data"], 20);
    assert_eq!((wrong.status, &wrong.output[..19]), (OK, &sealed[..19]));
    assert_ne!(wrong.output[19], sealed[19]);
}

#[test]
fn sessions_are_refused_and_none_is_left() {
    let (kit, _, _) = kit();
    kit.fault("refuse-create:value=5:count=1");
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Err(5));
    assert_eq!(kit.device.sessions(), 1);
    kit.fault("table-full:count=1");
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Err(ERR));
    assert!(kit.cipher(AES_CBC, ENCRYPT, &KEY).is_ok());
}

#[test]
fn session_numbers_are_reused_or_chosen() {
    let (kit, id, _) = kit();
    kit.fault("session-id-reused:count=1");
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Ok(id));
    kit.fault("session-id:count=1");
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Ok(u64::MAX));
    assert_eq!(kit.crypt(u64::MAX, ENCRYPT, &KEY, &[0; 16]).status, OK);
    kit.fault("session-forgotten:count=1");
    let forgotten = kit.cipher(AES_CBC, ENCRYPT, &KEY).unwrap();
    assert_eq!(kit.crypt(forgotten, ENCRYPT, &KEY, &[0; 16]).status, INVSESS);
}

#[test]
fn a_session_that_is_not_destroyed_stays() {
    let (kit, id, _) = kit();
    kit.fault("refuse-destroy:count=1");
    assert_eq!(kit.destroy(0x0003, id), ERR);
    assert_eq!(kit.destroy(0x0003, id), OK);
}

#[test]
fn the_configuration_lies() {
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
fn the_configuration_is_torn_and_random() {
    let kit = Kit::new();
    let honest = kit.device.config();
    kit.fault("config-torn");
    let reads = [kit.device.config(), kit.device.config(), kit.device.config()];
    assert!(reads.contains(&honest) && reads.iter().any(|read| *read != honest));
    kit.device.hooks.faults.clear(None);
    kit.fault("config-random");
    assert_ne!(kit.device.config(), kit.device.config());
    kit.device.hooks.faults.clear(Some(Kind::ConfigRandom));
    assert_eq!(kit.device.config(), honest);
}

#[test]
fn a_fault_of_one_opcode_leaves_the_others_alone() {
    let (kit, id, honest) = kit();
    kit.fault(&format!("refuse-operation:opcode={}", 1));
    kit.fault(&format!("status-unknown:opcode={CREATE}:after=1"));
    assert_eq!(kit.crypt(id, ENCRYPT, &KEY, &[0; 32]), honest);
    assert!(kit.cipher(AES_CBC, ENCRYPT, &KEY).is_ok());
    assert_eq!(kit.cipher(AES_CBC, ENCRYPT, &KEY), Err(8));
}

#[test]
fn what_has_nothing_to_spoil_does_not_count() {
    let (kit, id, honest) = kit();
    kit.fault("wrong-tag:count=1");
    assert_eq!(kit.crypt(id, ENCRYPT, &KEY, &[0; 32]), honest);
    assert_eq!(kit.device.hooks.faults.list()[0].happened, 0);
    let mac = kit.mac(4, 32, &KEY).unwrap();
    let mut request = words(&[0x0200, 0, mac as u32, 0, 0, 0, 0, 32]);
    request.resize(72, 0);
    kit.raw_data(&request, 33, usize::MAX);
    assert_eq!(kit.device.hooks.faults.list()[0].happened, 1);
}
