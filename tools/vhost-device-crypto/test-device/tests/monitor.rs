// SPDX-License-Identifier: GPL-2.0
//! Tests of the monitor with valid and invalid commands.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;

use crypto_test_device::ctl;
use crypto_test_device::instrument;
use crypto_test_device::monitor;
use crypto_test_device::options::Ctl;
use crypto_test_device::periodic_faults;
use crypto_test_device::test_device::{Settings, TestDevice};
use crypto_test_device::trace::Trace;
use serde_json::{json, Value};
use virtio_crypto_device::capabilities::Capabilities;
use vmm_sys_util::tempdir::TempDir;

/// A test device with a monitor, in this process.
struct Bench {
    directory: TempDir,
    device: Arc<TestDevice>,
}

impl Bench {
    fn new() -> Self {
        let directory = TempDir::new_with_prefix("/tmp/crypto-test-device-test-").unwrap();
        let device = instrument::device(Capabilities::default(), Trace::default());
        let device = TestDevice::new(device, Settings::default()).unwrap();
        let bench = Bench { directory, device };
        let listener = UnixListener::bind(bench.path()).unwrap();
        monitor::start(bench.device.clone(), listener).unwrap();
        periodic_faults::start(bench.device.clone()).unwrap();
        bench
    }

    fn path(&self) -> PathBuf {
        self.directory.as_path().join("monitor")
    }

    fn client(&self) -> Client {
        Client(BufReader::new(UnixStream::connect(self.path()).unwrap()))
    }
}

struct Client(BufReader<UnixStream>);

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    fn reply(&mut self) -> Value {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).unwrap(), 0);
        serde_json::from_str(&line).unwrap()
    }

    fn run(&mut self, command: Value) -> Value {
        self.send(format!("{command}\n").as_bytes());
        self.reply()
    }

    /// Sends a line and checks that the reply is an error.
    fn check_error(&mut self, bytes: &[u8]) {
        self.send(bytes);
        self.send(b"\n");
        let reply = self.reply();
        let error = reply["error"].as_str().unwrap();
        assert!(!error.is_empty() && reply.get("ok").is_none());
    }
}

#[test]
fn status_has_all_fields() {
    let bench = Bench::new();
    let reply = bench.client().run(json!({"command": "status"}));
    assert_eq!(reply["ok"], true);
    for (name, value) in [
        ("connected", json!(false)),
        ("starts", json!(0)),
        ("features", json!(0)),
        ("ready", json!(true)),
        ("sessions", json!(0)),
        ("sessions_leaked", json!(0)),
        ("config_changes", json!(0)),
        ("counters", json!([])),
        ("violations", json!([])),
        ("faults", json!([])),
    ] {
        assert_eq!(reply[name], value, "{name}");
    }
    let queues = reply["queues"].as_array().unwrap();
    assert_eq!(queues.len(), 2);
    assert_eq!((&queues[0]["queue"], &queues[1]["queue"]), (&json!(0), &json!("control")));
    assert_eq!(queues[0]["held"], 0);
}

#[test]
fn faults_are_added_and_cleared() {
    let bench = Bench::new();
    let mut client = bench.client();
    let ok = json!({"ok": true});
    for fault in [
        json!({"command": "fault", "fault": "delay:value=5:queue=control"}),
        json!({"command": "fault", "fault": {"name": "crash", "queue": 3, "happened": 9}}),
        json!({"fault": "table-full"}),
    ] {
        assert_eq!(client.run(fault), ok);
    }
    let status = client.run(json!({"command": "status"}));
    let faults = status["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 3);
    assert_eq!((&faults[0]["value"], &faults[0]["queue"]), (&json!(5), &json!("control")));
    assert_eq!((&faults[1]["queue"], &faults[1]["happened"]), (&json!(3), &json!(0)));
    assert_eq!(client.run(json!({"command": "clear", "name": "crash"})), ok);
    assert_eq!(bench.device.service.device.hooks.faults.list().len(), 2);
    assert_eq!(client.run(json!({"command": "clear"})), ok);
    assert!(bench.device.service.device.hooks.faults.list().is_empty());
}

#[test]
fn ready_and_complete_are_executed() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.run(json!({"command": "ready", "ready": false}));
    assert!(!bench.device.service.device.is_ready());
    client.run(json!({"command": "ready", "ready": true}));
    assert!(bench.device.service.device.is_ready());
    client.run(json!({"command": "ready", "ready": false, "notice": "reset"}));
    assert!(bench.device.service.device.is_ready());
    bench.device.service.device.reset();
    assert!(!bench.device.service.device.is_ready());
    client.run(json!({"command": "ready", "ready": true, "notice": "none"}));
    assert!(bench.device.service.device.is_ready());
    assert_eq!(client.run(json!({"command": "complete"}))["completed"], 0);
    let reply = client.run(json!({"command": "complete", "order": "lifo", "queue": "control"}));
    assert_eq!(reply, json!({"ok": true, "completed": 0}));
}

#[test]
fn malformed_commands_keep_the_connection() {
    let bench = Bench::new();
    let mut client = bench.client();
    for malformed in [
        &b"x"[..],
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b"\"status\"",
        b"\xff\xfe",
        b"\0",
        br#"{"command":"unknown"}"#,
        br#"{"command":1}"#,
        br#"{"command":"status","x":1}"#,
        br#"{"command":"fault"}"#,
        br#"{"command":"fault","fault":"unknown"}"#,
        br#"{"command":"fault","fault":{}}"#,
        br#"{"command":"fault","fault":{"name":"unknown"}}"#,
        br#"{"command":"fault","fault":{"name":"crash","x":1}}"#,
        br#"{"command":"fault","fault":{"name":"crash","value":-1}}"#,
        br#"{"command":"fault","fault":7}"#,
        br#"{"command":"status","fault":"crash"}"#,
        br#"{"command":"clear","name":"unknown"}"#,
        br#"{"command":"ready"}"#,
        br#"{"command":"ready","ready":1}"#,
        br#"{"command":"ready","ready":true,"notice":"soon"}"#,
        br#"{"command":"complete","order":"best"}"#,
        br#"{"command":"config-change"}"#,
        br#"{"command":"needs-reset"}"#,
        br#"{"command":"disconnect"}"#,
        br#"{"fault":"needs-reset"}"#,
    ] {
        client.check_error(malformed);
    }
    client.check_error("[".repeat(60_000).as_bytes());
    client.check_error(&[b' '; 65 << 10]);
    client.check_error(&vec![b'x'; 1 << 20]);
    assert_eq!(client.run(json!({"command": "status"}))["faults"], json!([]));
}

#[test]
fn lines_may_be_split() {
    let bench = Bench::new();
    let mut client = bench.client();
    for piece in [&b"{\"comm"[..], b"and\":\"rea", b"dy\",\"ready\":fal", b"se}"] {
        client.send(piece);
    }
    client.send(b"\r\n\n  \n{\"command\":\"status\"}\nx\n");
    assert_eq!(client.reply(), json!({"ok": true}));
    assert_eq!(client.reply()["ready"], false);
    assert!(client.reply()["error"].is_string());
    // The last line may lack its line break.
    client.send(br#"{"command":"clear"}"#);
    client.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.reply(), json!({"ok": true}));
    assert_eq!(client.0.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn clients_do_not_wait_for_each_other() {
    let bench = Bench::new();
    let mut slow = bench.client();
    slow.send(b"{");
    let mut clients: Vec<Client> = (0..20).map(|_| bench.client()).collect();
    for client in &mut clients {
        assert_eq!(client.run(json!({"command": "status"}))["ok"], true);
    }
    slow.send(b"\"command\":\"clear\"}\n");
    assert_eq!(slow.reply()["ok"], true);
    // The number of clients is limited.
    clients.extend((0..20).map(|_| bench.client()));
    assert!(clients.last_mut().unwrap().reply()["error"].is_string());
    drop(clients);
    for _ in 0..1000 {
        let mut client = bench.client();
        client.send(b"{\"command\":\"clear\"}\n");
        if client.reply().get("ok").is_some() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("disconnected clients are still counted");
}

#[test]
fn ctl_sends_commands() {
    let bench = Bench::new();
    let ctl = |words: &[&str]| {
        ctl::run(&Ctl {
            monitor: Some(bench.path()),
            words: words.iter().map(ToString::to_string).collect(),
        })
    };
    assert!(ctl(&["fault", "delay:value=5", "table-full"]).unwrap());
    assert_eq!(bench.device.service.device.hooks.faults.list().len(), 2);
    assert!(ctl(&["clear", "delay"]).unwrap());
    assert!(ctl(&[r#"{"command":"ready","ready":false}"#]).unwrap());
    assert!(!bench.device.service.device.is_ready());
    assert!(ctl(&["ready", "on"]).unwrap());
    assert!(bench.device.service.device.is_ready());
    assert!(!ctl(&["fault", "unknown"]).unwrap());
    assert!(!ctl(&["config-change"]).unwrap());
    assert!(ctl(&["malformed"]).is_err());
}
