// SPDX-License-Identifier: GPL-2.0
//! What is told about a device: while it runs, and in the end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::queue::QueueStatus;

use crate::counters;
use crate::fault::Fault;
use crate::violations::Violation;

/// How a device is, and what it has done.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Whether a front end is connected.
    pub connected: bool,
    /// How often a driver has started the device.
    pub starts: u64,
    /// The features of the driver, vhost-user's own (bit 30) among them.
    pub features: u64,
    /// Whether the device is ready.
    pub ready: bool,
    /// How many sessions there are.
    pub sessions: usize,
    /// How many sessions resets have found.
    pub sessions_left_behind: u64,
    /// How often the driver was told that the configuration has changed.
    pub config_changes: u64,
    /// The queues.
    pub queues: Vec<QueueStatus>,
    /// Requests, by kind and outcome.
    pub counters: Vec<counters::Line>,
    /// What the driver has done wrong.
    pub violations: Vec<Violation>,
    /// What is wrong with the device.
    pub faults: Vec<Fault>,
}

/// What is written when the device ends.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The last status.
    #[serde(flatten)]
    pub status: Status,
    /// Whether the fault `crash` ended the server.
    pub died_on_purpose: bool,
    /// What the device has offered.
    pub offer: Capabilities,
}

/// Writes a report to a file, which nobody ever sees in part.
pub fn write(path: &Path, report: &Report) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    let written = File::create(&name)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&name, path));
    written.inspect_err(|_| {
        // What is left of it is of no use; that it cannot be removed is no news.
        let _ = fs::remove_file(&name);
    })
}
