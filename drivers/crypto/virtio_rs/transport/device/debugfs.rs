// SPDX-License-Identifier: GPL-2.0

//! What is shown of a device in debugfs.

use super::{
    super::dataq,
    Device, //
};
use crate::support::bh::BhDisabled;
use kernel::{
    fmt,
    sync::{
        atomic::Relaxed,
        Arc, //
    },
};

/// Writes how a device is, a line for each thing.
pub(crate) fn show(device: &Arc<Device>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "state: {}", device.state.get().name())?;
    writeln!(f, "restarts: {}", device.restarts.load(Relaxed))?;
    writeln!(f, "sessions: {}", device.sessions.count())?;
    for queue in &device.data {
        writeln!(f, "{}", dataq::QueueStats(queue))?;
    }
    let in_flight = device.control.lock(&BhDisabled::disable()).in_flight();
    writeln!(f, "controlq: {in_flight} in flight")
}
