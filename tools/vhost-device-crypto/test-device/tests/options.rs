// SPDX-License-Identifier: GPL-2.0
//! Tests of the command line.

use std::process::{Command as Process, Output};

use clap::{CommandFactory, Parser};
use crypto_test_device::fault::Kind;
use crypto_test_device::options::{Command, Options, Serve};
use vhost_device_crypto::backend::{EVENT_IDX, INDIRECT_DESC};
use virtio_crypto_device::capabilities::{
    AeadIv, Capabilities, ChainAad, ChainDigest, EcdsaNumber, SessionAad, SessionIds, StatelessBy,
};
use virtio_crypto_device::protocol::algorithm::Service;

fn parse(arguments: &[&str]) -> Result<Serve, String> {
    let base = ["crypto-test-device", "serve", "--socket-path", "s"];
    match Options::try_parse_from(base.iter().chain(arguments)) {
        Ok(options) => match options.command {
            Command::Serve(serve) => Ok(*serve),
            other => panic!("{other:?}"),
        },
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn clap_definition_is_valid() {
    Options::command().debug_assert();
}

#[test]
fn without_options_the_defaults_apply() {
    let capabilities = parse(&[]).unwrap().capabilities();
    let text = |capabilities: &Capabilities| serde_json::to_value(capabilities).unwrap();
    // The test device also offers the legacy algorithms.
    let default = Capabilities { legacy: true, ..Capabilities::default() };
    assert_eq!(text(&capabilities), text(&default));
    assert_eq!(parse(&[]).unwrap().withheld_features(), 0);
}

#[test]
fn all_options_are_parsed() {
    let options = parse(&[
        "--queues=63",
        "--features=revision-1,hash-stateless",
        "--services=cipher,akcipher",
        "--cipher-mask=0xffffffffffffffff",
        "--hash-mask=0x10",
        "--mac-mask=2",
        "--aead-mask=3",
        "--akcipher-mask=4",
        "--serve-unadvertised",
        "--max-cipher-key-len=32",
        "--max-auth-key-len=0x40",
        "--max-size=18446744073709551615",
        "--table-size=0",
        "--session-ids=sparse",
        "--chain-aad=before-src",
        "--chain-digest=verify",
        "--session-aad=exact",
        "--ccm-iv=block",
        "--gcm-iv=block",
        "--stateless-by=feature",
        "--ecdsa-number=uapi",
        "--no-event-idx",
        "--not-ready",
        "--fault=delay:value=5",
        "--fault",
        "crash:after=3",
        "--log=debug",
    ])
    .unwrap();
    let capabilities = options.capabilities();
    assert_eq!(capabilities.queues, 63);
    assert_eq!(capabilities.features, 0b101);
    assert_eq!(capabilities.services, [Service::Cipher, Service::Akcipher]);
    assert_eq!((capabilities.cipher_mask, capabilities.hash_mask), (u64::MAX, 16));
    assert_eq!(
        (capabilities.mac_mask, capabilities.aead_mask, capabilities.akcipher_mask),
        (2, 3, 4)
    );
    assert!(capabilities.serve_unadvertised);
    assert_eq!((capabilities.max_cipher_key_len, capabilities.max_auth_key_len), (32, 64));
    assert_eq!((capabilities.max_size, capabilities.table_size), (u64::MAX, 0));
    assert_eq!(capabilities.session_ids, SessionIds::Sparse);
    assert_eq!(capabilities.chain_aad, ChainAad::BeforeSrc);
    assert_eq!(capabilities.chain_digest, ChainDigest::Verify);
    assert_eq!(capabilities.session_aad, SessionAad::Exact);
    assert_eq!((capabilities.ccm_iv, capabilities.gcm_iv), (AeadIv::Block, AeadIv::Block));
    assert_eq!(capabilities.stateless_by, StatelessBy::Feature);
    assert_eq!(capabilities.ecdsa_number, EcdsaNumber::Uapi);
    assert_eq!(options.withheld_features(), EVENT_IDX);
    assert!(options.not_ready && !options.keep_serving);
    let names: Vec<Kind> = options.faults.iter().map(|fault| fault.name).collect();
    assert_eq!(names, [Kind::Delay, Kind::Crash]);

    let none = parse(&["--services=none"]).unwrap().capabilities();
    assert_eq!(none.services, []);

    let features = |arguments: &[&str]| parse(arguments).unwrap().capabilities().features;
    assert_eq!(features(&["--revision-1"]), 1);
    assert_eq!(features(&["--stateless"]), 0x3f);
    assert_eq!(features(&["--features", "aead-stateless", "--revision-1"]), 0x11);
    assert_eq!(features(&["--features=akcipher-stateless"]), 0x20);
    assert_eq!(parse(&["--no-indirect-desc"]).unwrap().withheld_features(), INDIRECT_DESC);
}

#[test]
fn invalid_values_are_rejected_with_a_reason() {
    for (argument, reason) in [
        ("--queues=0", "1 to 63"),
        ("--socket-count=0", "1 to 64"),
        ("--socket-fd=5", "cannot be used with"),
        ("--queues=64", "vhost-user-backend"),
        ("--queues=65537", "too big"),
        ("--queues=-1", "invalid"),
        ("--queues=x", "invalid digit"),
        ("--features=revision-2", "revision-1"),
        ("--services=cipher,magic", "'magic' is not one of cipher, hash"),
        ("--services=none,cipher", "'none' is not one of"),
        ("--services=", "not one of cipher, hash"),
        ("--cipher-mask=0x10000000000000000", "too large"),
        ("--hash-mask=0x100000000", "too big"),
        ("--mac-mask=0x", "empty"),
        ("--max-size=1M", "invalid digit"),
        ("--table-size=", "empty"),
        ("--session-ids=random", "sparse"),
        ("--chain-aad=behind", "after-src"),
        ("--fault=magic", "unknown fault 'magic'"),
        ("--fault=delay:5", "'5' is not KEY=VALUE"),
        ("--log=a=b=c", "level filter"),
        ("--magic", "unexpected argument"),
    ] {
        let error = parse(&[argument]).expect_err(argument);
        assert!(error.contains(reason), "{argument}: {error}");
    }
    assert!(Options::try_parse_from(["crypto-test-device", "serve"]).is_err());
    assert!(Options::try_parse_from(["crypto-test-device"]).is_err());
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = env!("CARGO_BIN_EXE_crypto-test-device");
    let output = Process::new(program).args(arguments).output().unwrap();
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn help_lists_the_faults() {
    let (code, help, _) = run(&["serve", "--help"]);
    assert_eq!(code, Some(0));
    let faults = help.split("Faults").nth(1).unwrap();
    for kind in Kind::ALL {
        assert!(faults.contains(kind.name()));
        assert!(faults.contains(kind.help()));
    }
    let delay = faults.lines().find(|line| line.contains(" delay ")).unwrap();
    assert!(delay.ends_with("[100]"));
}

#[test]
fn faults_are_listed() {
    let (code, text, _) = run(&["faults"]);
    assert_eq!((code, text.lines().count()), (Some(0), Kind::ALL.len()));
    let (_, json, _) = run(&["faults", "--json"]);
    let faults: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(faults.len(), Kind::ALL.len());
    assert_eq!(faults[0]["name"], Kind::ALL[0].name());
    assert!(faults.iter().all(|fault| fault["default_value"].is_u64()));
}

#[test]
fn print_capabilities_ignores_other_options() {
    for arguments in
        [&["--print-capabilities"][..], &["serve", "--nonsense", "--print-capabilities"]]
    {
        let (code, text, _) = run(arguments);
        let capabilities: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, &capabilities["type"]), (Some(0), &"crypto".into()));
        assert_eq!(capabilities["features"], serde_json::json!([]));
    }
}

#[test]
fn startup_errors_are_reported() {
    for (arguments, code, reason) in [
        (&["serve", "--socket-path", "/nowhere/socket"][..], 2, "/nowhere/socket"),
        (&["serve", "--socket-path", "/dev/null"], 2, "not a socket"),
        (&["serve", "--socket-path=/tmp/x", "--trace=/nowhere/trace"], 2, "/nowhere/trace"),
        (&["serve", "--socket-path=/tmp/x", "--monitor=/nowhere/m"], 2, "/nowhere/m"),
        (&["serve", "--socket-path=/tmp/x", "--queues=64"], 2, "1 to 63"),
        (&["ctl", "/nowhere/monitor", "status"], 2, "/nowhere/monitor"),
        (&["ctl"], 2, "is missing"),
        (&["ctl", "m", "magic"], 2, "unknown command 'magic'"),
    ] {
        let (status, _, text) = run(arguments);
        assert_eq!(status, Some(code), "{arguments:?}");
        assert!(text.contains(reason), "{arguments:?}: {text}");
    }
}

#[test]
fn function_options_are_parsed() {
    use crypto_test_device::vfio::{Settings, ACCESS_PLATFORM, IN_ORDER, PACKED, RING_RESET};
    let default = parse(&[]).unwrap().function_settings();
    let features = RING_RESET | INDIRECT_DESC | EVENT_IDX;
    assert_eq!(default, Settings { features, ..Settings::default() });
    let options = parse(&[
        "--front-end=vfio-user",
        "--packed",
        "--in-order",
        "--access-platform",
        "--no-ring-reset",
        "--no-indirect-desc",
        "--no-event-idx",
        "--vectors=0",
        "--queue-size=32768",
        "--config-size=4096",
    ]);
    let expected = Settings {
        features: PACKED | IN_ORDER | ACCESS_PLATFORM,
        vectors: Some(0),
        queue_size: 32768,
        config_len: 4096,
    };
    assert_eq!(options.unwrap().function_settings(), expected);
    for (argument, reason) in [
        ("--front-end=vdpa", "vfio-user"),
        ("--vectors=257", "0 to 256"),
        ("--queue-size=0", "power of 2"),
        ("--queue-size=96", "power of 2"),
        ("--config-size=4097", "0 to 4096"),
    ] {
        let error = parse(&[argument]).expect_err(argument);
        assert!(error.contains(reason), "{argument}: {error}");
    }
}

#[test]
fn faults_of_the_function_require_vfio_user() {
    let (code, _, text) = run(&["serve", "--socket-path=/tmp/x", "--fault=needs-reset"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("needs-reset requires --front-end=vfio-user"), "{text}");
    let vfio_only = Kind::ALL.iter().filter(|kind| kind.requires_vfio());
    assert_eq!(vfio_only.count(), 12);
}
