// SPDX-License-Identifier: GPL-2.0

//! The debugfs file `status` of a device.

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

/// Writes the state and the counters of a device, one on each line.
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
