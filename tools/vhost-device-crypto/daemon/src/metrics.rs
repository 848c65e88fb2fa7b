// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Counters for monitoring, in Prometheus' text format, over HTTP at a unix socket.
//!
//! A client that says nothing, or reads nothing, delays others for `PATIENCE` at most. No guest can
//! reach the socket.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use virtio_crypto_device::queue::QueueStatus;

use crate::service::Service;

/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest request, in bytes.
const MAX_REQUEST_LEN: usize = 8192;

/// A counter of each queue: its name, its help, and its value.
type QueueCounter = (&'static str, &'static str, fn(&QueueStatus) -> u64);

const QUEUE_COUNTERS: [QueueCounter; 3] = [
    ("requests", "Requests returned to the driver.", |queue| queue.completed),
    ("invalid_chains", "Descriptor chains that were no requests.", |queue| queue.malformed),
    ("notifications", "Notifications sent to the driver.", |queue| queue.interrupts),
];

/// A value of each guest that may fall: its name, its help, and its value.
type GuestGauge = (&'static str, &'static str, fn(&Service) -> u64);

const GUEST_GAUGES: [GuestGauge; 4] = [
    ("connected", "Whether a front end is connected.", |service| {
        service.connected.load(Ordering::SeqCst).into()
    }),
    ("sessions", "Sessions that the driver has.", |service| service.device.sessions() as u64),
    ("queues_running", "Queues that the driver has started.", |service| {
        service.queues.iter().filter(|queue| queue.is_running()).count() as u64
    }),
    ("queues_broken", "Queues that have stopped because their ring is invalid.", |service| {
        service.queues.iter().filter(|queue| queue.status().broken).count() as u64
    }),
];

/// Serves the counters of all guests in a thread of its own.
pub fn start(listener: UnixListener, services: Vec<Arc<Service>>) -> io::Result<()> {
    let serve = move || loop {
        let served = listener.accept().and_then(|(client, _)| answer(&client, &services));
        if let Err(error) = served {
            tracing::debug!("a client of the counters: {error}");
            // Out of descriptors, for example: the next attempt may fail as soon.
            thread::sleep(Duration::from_millis(10));
        }
    };
    thread::Builder::new().name("metrics".into()).spawn(serve)?;
    Ok(())
}

/// Answers one request.
fn answer(mut client: &UnixStream, services: &[Arc<Service>]) -> io::Result<()> {
    let request = receive(client)?;
    let (status, body) = match request.starts_with(b"GET ") {
        true => ("200 OK", text(services)),
        false => ("405 Method Not Allowed", String::new()),
    };
    client.set_write_timeout(Some(PATIENCE))?;
    client.write_all(
        format!(
            "HTTP/1.0 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    )
}

/// Reads a request up to the empty line behind its header.
fn receive(mut client: &UnixStream) -> io::Result<Vec<u8>> {
    let end = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || request.len() > MAX_REQUEST_LEN {
            return Err(ErrorKind::TimedOut.into());
        }
        client.set_read_timeout(Some(left))?;
        match client.read(&mut bytes)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            len => request.extend(&bytes[..len]),
        }
    }
    Ok(request)
}

/// The counters of all guests. A guest has the number of its socket.
fn text(services: &[Arc<Service>]) -> String {
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
