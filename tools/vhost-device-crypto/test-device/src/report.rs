// SPDX-License-Identifier: GPL-2.0
//! The status of a device, and the report that is written at the end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::queue::QueueStatus;

use crate::counters;
use crate::fault::Fault;
use crate::violations::Violation;

/// State and counters of a device.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Whether a front end is connected.
    pub connected: bool,
    /// How often a driver has started the device.
    pub starts: u64,
    /// The features that the driver has accepted, including bit 30 of vhost-user.
    pub features: u64,
    /// Whether the device is ready.
    pub ready: bool,
    /// Number of sessions.
    pub sessions: usize,
    /// Number of sessions that existed at a reset.
    pub sessions_leaked: u64,
    /// Number of config change notifications sent.
    pub config_changes: u64,
    /// The queues.
    pub queues: Vec<QueueStatus>,
    /// Counters of requests.
    pub counters: Vec<counters::Line>,
    /// Requirements that the driver has violated.
    pub violations: Vec<Violation>,
    /// The active faults.
    pub faults: Vec<Fault>,
}

/// The report that is written when the process ends.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The status when the process ends.
    #[serde(flatten)]
    pub status: Status,
    /// Whether the fault `crash` ended the server.
    pub crashed_by_fault: bool,
    /// The capabilities of the device.
    pub capabilities: Capabilities,
}

/// Writes a report to a file. The file appears only when the report is complete.
pub fn write(path: &Path, report: &Report) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    let written = File::create(&name)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&name, path));
    written.inspect_err(|_| {
        // Remove the incomplete file. The first error is the one to report.
        let _ = fs::remove_file(&name);
    })
}
