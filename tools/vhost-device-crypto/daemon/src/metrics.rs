// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Counters for monitoring, in the text format of Prometheus, over HTTP on a unix socket.
//!
//! Clients are served one at a time. A client that sends nothing, or reads nothing, delays the
//! others by at most `CLIENT_TIMEOUT`. Guests cannot reach the socket.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use virtio_crypto_device::queue::QueueStatus;

use crate::service::Service;

/// Maximum time to receive a request, and to send a response.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum length of a request, in bytes.
const MAX_REQUEST_LEN: usize = 8192;

/// A counter that each queue has: name, help text, and a function that returns the value.
type QueueCounter = (&'static str, &'static str, fn(&QueueStatus) -> u64);

const QUEUE_COUNTERS: [QueueCounter; 3] = [
    ("requests", "Requests returned to the driver.", |queue| queue.completed),
    ("invalid_chains", "Invalid descriptor chains.", |queue| queue.malformed),
    ("notifications", "Notifications sent to the driver.", |queue| queue.interrupts),
];

/// A gauge that each guest has, which may also decrease: name, help text, and a function that
/// returns the value.
type GuestGauge = (&'static str, &'static str, fn(&Service) -> u64);

const GUEST_GAUGES: [GuestGauge; 5] = [
    ("connected", "Whether a front end is connected.", |service| {
        service.connected.load(Ordering::SeqCst).into()
    }),
    ("sessions", "Sessions that the driver has.", |service| service.device.sessions() as u64),
    ("public_key_operations", "Public-key operations that wait or run in threads.", |service| {
        service.queues.iter().map(|queue| queue.status().deferred).sum()
    }),
    ("queues_running", "Queues that the driver has started.", |service| {
        service.queues.iter().filter(|queue| queue.is_running()).count() as u64
    }),
    ("queues_broken", "Queues that have stopped because their ring is invalid.", |service| {
        service.queues.iter().filter(|queue| queue.status().broken).count() as u64
    }),
];

/// Serves the counters of all guests in a separate thread.
pub fn start(listener: UnixListener, services: Vec<Arc<Service>>) -> io::Result<()> {
    let serve = move || loop {
        let result = listener.accept().and_then(|(client, _)| handle_client(&client, &services));
        if let Err(error) = result {
            tracing::debug!("metrics: serving a client failed: {error}");
            // The error persists if the process has no file descriptors left, so wait before the
            // next attempt.
            thread::sleep(Duration::from_millis(10));
        }
    };
    thread::Builder::new().name("metrics".into()).spawn(serve)?;
    Ok(())
}

/// Receives a request and sends the response.
fn handle_client(mut client: &UnixStream, services: &[Arc<Service>]) -> io::Result<()> {
    let request = receive_request(client)?;
    let (status, body) = match request.starts_with(b"GET ") {
        true => ("200 OK", format_metrics(services)),
        false => ("405 Method Not Allowed", String::new()),
    };
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    client.write_all(
        format!(
            "HTTP/1.0 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    )
}

/// Reads a request up to the empty line after its header.
fn receive_request(mut client: &UnixStream) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + CLIENT_TIMEOUT;
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() || request.len() > MAX_REQUEST_LEN {
            return Err(ErrorKind::TimedOut.into());
        }
        client.set_read_timeout(Some(remaining))?;
        match client.read(&mut bytes)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            len => request.extend(&bytes[..len]),
        }
    }
    Ok(request)
}

/// Returns the metrics of all guests. The label `guest` is the number of the guest's socket.
fn format_metrics(services: &[Arc<Service>]) -> String {
    let mut text = String::new();
    let queues: Vec<Vec<QueueStatus>> = services
        .iter()
        .map(|service| service.queues.iter().map(|queue| queue.status()).collect())
        .collect();
    for (name, help, value) in QUEUE_COUNTERS {
        let name = format!("vhost_device_crypto_{name}_total");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for (guest, queues) in queues.iter().enumerate() {
            for status in queues {
                let (queue, value) = (status.queue, value(status));
                let _ = writeln!(text, "{name}{{guest=\"{guest}\",queue=\"{queue}\"}} {value}");
            }
        }
    }
    for (name, help, value) in GUEST_GAUGES {
        let name = format!("vhost_device_crypto_{name}");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (guest, service) in services.iter().enumerate() {
            let _ = writeln!(text, "{name}{{guest=\"{guest}\"}} {}", value(service));
        }
    }
    text
}
