// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The counters, as a monitoring system gets them.

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

/// Sends a request, and returns the line of the status and the body.
fn ask(path: &Path, request: &str) -> (String, String) {
    let mut client = UnixStream::connect(path).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    let (header, body) = response.split_once("\r\n\r\n").unwrap();
    let len = format!("Content-Length: {}", body.len());
    assert!(header.lines().any(|line| line == len), "{header}");
    (header.lines().next().unwrap().into(), body.into())
}

fn counters(daemon: &Daemon) -> String {
    let (status, body) = ask(&daemon.path("metrics"), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status, "HTTP/1.0 200 OK");
    body
}

/// A value; the labels are a part of its name.
fn value(text: &str, name: &str) -> u64 {
    let values = text.lines().filter_map(|line| line.strip_prefix("vhost_device_crypto_"));
    let mut values = values.filter_map(|line| line.split_once(' '));
    let found = values.find(|(found, _)| *found == name);
    found.unwrap_or_else(|| panic!("there is no {name} in {text}")).1.parse().unwrap()
}

#[test]
fn the_counters_are_those_of_each_guest() {
    let arguments = [&["--socket-count", "2"][..], &METRICS].concat();
    let mut daemon = Daemon::start_with(&arguments, &["socket0", "socket1", "metrics"]);
    let text = counters(&daemon);
    for guest in ["0", "1"] {
        for name in ["connected", "sessions", "queues_running", "queues_broken"] {
            assert_eq!(value(&text, &format!("{name}{{guest=\"{guest}\"}}")), 0);
        }
    }
    // Each name has one HELP and one TYPE line, before its values.
    let names = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(text.lines().filter(|line| line.starts_with("# HELP ")).count(), names);
    assert_eq!(names, 7);

    let mut front = Front::connect_to(&daemon.path("socket1"), 2);
    front.start(0, 2);
    for _ in 0..3 {
        front.rings[0].request(0);
        assert_eq!(front.answers(0).len(), 1);
    }
    // Memory that the guest does not have.
    front.rings[1].add(&[(1 << 40, 16, 0)]);
    assert_eq!(front.answers(1).len(), 1);
    let text = wait("counters", || {
        let text = counters(&daemon);
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
        (value(&counters(&daemon), "connected{guest=\"1\"}") == 0).then_some(())
    });
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert!(!daemon.path("metrics").exists());
}

#[test]
fn what_is_no_request_for_them_gets_none() {
    let daemon = Daemon::start_with(&METRICS, &["socket", "metrics"]);
    let path = daemon.path("metrics");
    let (status, body) = ask(&path, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.0 405 Method Not Allowed", ""));
    // Too long, and no request: the connection ends.
    let mut client = UnixStream::connect(&path).unwrap();
    let _ = client.write_all(&vec![b'x'; 1 << 20]);
    assert!(!matches!(client.read(&mut [0]), Ok(1..)));
    drop(UnixStream::connect(&path).unwrap());
    counters(&daemon);
}

#[test]
fn a_client_that_says_nothing_delays_others_for_a_moment_only() {
    let daemon = Daemon::start_with(&METRICS, &["socket", "metrics"]);
    let begin = Instant::now();
    let silent = UnixStream::connect(daemon.path("metrics")).unwrap();
    counters(&daemon);
    assert!(begin.elapsed() < Duration::from_secs(20));
    drop(silent);
}

#[test]
fn there_is_no_socket_unless_it_is_asked_for() {
    let daemon = Daemon::start(&[]);
    let names = std::fs::read_dir(daemon.path("")).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["socket"]);
    // A socket that another process has is left alone.
    let other = Daemon::start_with(&METRICS, &["socket", "metrics"]);
    let output = Command::new(PROGRAM)
        .args(["--socket-path".as_ref(), daemon.path("new").as_os_str()])
        .args(["--metrics-socket".as_ref(), other.path("metrics").as_os_str()])
        .output();
    assert_eq!(output.unwrap().status.code(), Some(2));
    counters(&other);
}
