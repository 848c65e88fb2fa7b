// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests of the metrics socket.

mod process;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crypto_test_driver::front::{wait, Front};
use process::{Daemon, PROGRAM};
use rustix::process::Signal;

const METRICS: [&str; 2] = ["--metrics-socket", "DIR/metrics"];

/// Sends a request. Returns the status line and the body of the response.
fn request(path: &Path, text: &str) -> (String, String) {
    let mut client = UnixStream::connect(path).unwrap();
    client.write_all(text.as_bytes()).unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    let (header, body) = response.split_once("\r\n\r\n").unwrap();
    let len = format!("Content-Length: {}", body.len());
    assert!(header.lines().any(|line| line == len), "{header}");
    (header.lines().next().unwrap().into(), body.into())
}

fn metrics(daemon: &Daemon) -> String {
    let (status, body) =
        request(&daemon.path("metrics"), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status, "HTTP/1.0 200 OK");
    body
}

/// Returns the value of a metric. `name` includes the labels.
fn value(text: &str, name: &str) -> u64 {
    let values = text.lines().filter_map(|line| line.strip_prefix("vhost_device_crypto_"));
    let mut values = values.filter_map(|line| line.split_once(' '));
    let entry = values.find(|(metric, _)| *metric == name);
    entry.unwrap_or_else(|| panic!("no {name} in {text}")).1.parse().unwrap()
}

#[test]
fn each_guest_has_its_own_metrics() {
    let arguments = [&["--socket-count", "2"][..], &METRICS].concat();
    let mut daemon = Daemon::start_with(&arguments, &["socket0", "socket1", "metrics"]);
    let text = metrics(&daemon);
    for guest in ["0", "1"] {
        for name in
            ["connected", "sessions", "public_key_operations", "queues_running", "queues_broken"]
        {
            assert_eq!(value(&text, &format!("{name}{{guest=\"{guest}\"}}")), 0);
        }
    }
    // Each name has one HELP and one TYPE line, before its values.
    let names = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(text.lines().filter(|line| line.starts_with("# HELP ")).count(), names);
    assert_eq!(names, 8);

    let mut front = Front::connect_to(&daemon.path("socket1"), 2);
    front.start(0, 2);
    for _ in 0..3 {
        front.rings[0].request(0);
        assert_eq!(front.kick_and_wait(0).len(), 1);
    }
    // A chain with a buffer outside guest memory.
    front.rings[1].add(&[(1 << 40, 16, 0)]);
    assert_eq!(front.kick_and_wait(1).len(), 1);
    let text = wait("metrics", || {
        let text = metrics(&daemon);
        (value(&text, "requests_total{guest=\"1\",queue=\"control\"}") == 1).then_some(text)
    });
    assert_eq!(value(&text, "requests_total{guest=\"1\",queue=\"0\"}"), 3);
    assert_eq!(value(&text, "notifications_total{guest=\"1\",queue=\"0\"}"), 3);
    assert_eq!(value(&text, "invalid_chains_total{guest=\"1\",queue=\"0\"}"), 0);
    assert_eq!(value(&text, "invalid_chains_total{guest=\"1\",queue=\"control\"}"), 1);
    assert_eq!(value(&text, "requests_total{guest=\"0\",queue=\"0\"}"), 0);
    assert_eq!(value(&text, "connected{guest=\"1\"}"), 1);
    assert_eq!(value(&text, "connected{guest=\"0\"}"), 0);
    assert_eq!(value(&text, "queues_running{guest=\"1\"}"), 2);
    drop(front);
    wait("end of the connection", || {
        (value(&metrics(&daemon), "connected{guest=\"1\"}") == 0).then_some(())
    });
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert!(!daemon.path("metrics").exists());
}

#[test]
fn invalid_requests_get_no_metrics() {
    let daemon = Daemon::start_with(&METRICS, &["socket", "metrics"]);
    let path = daemon.path("metrics");
    let (status, body) = request(&path, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.0 405 Method Not Allowed", ""));
    // A request that is too long, without a header: the daemon closes the connection.
    let mut client = UnixStream::connect(&path).unwrap();
    let _ = client.write_all(&vec![b'x'; 1 << 20]);
    assert!(!matches!(client.read(&mut [0]), Ok(1..)));
    drop(UnixStream::connect(&path).unwrap());
    metrics(&daemon);
}

#[test]
fn a_silent_client_delays_others_only_briefly() {
    let daemon = Daemon::start_with(&METRICS, &["socket", "metrics"]);
    let begin = Instant::now();
    let silent = UnixStream::connect(daemon.path("metrics")).unwrap();
    metrics(&daemon);
    assert!(begin.elapsed() < Duration::from_secs(20));
    drop(silent);
}

#[test]
fn the_metrics_socket_is_only_created_on_request() {
    let daemon = Daemon::start(&[]);
    let names = std::fs::read_dir(daemon.path("")).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["socket"]);
    // The socket of another process is not replaced.
    let other = Daemon::start_with(&METRICS, &["socket", "metrics"]);
    let output = Command::new(PROGRAM)
        .args(["--socket-path".as_ref(), daemon.path("new").as_os_str()])
        .args(["--metrics-socket".as_ref(), other.path("metrics").as_os_str()])
        .output();
    assert_eq!(output.unwrap().status.code(), Some(2));
    metrics(&other);
}
