// SPDX-License-Identifier: GPL-2.0
//! A running device with the state of the test device.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use serde::Deserialize;
use vhost_device_crypto::service::Service;
use virtio_crypto_device::queue::Queue;

use crate::fault::{Fault, Faults};
use crate::front_end::FunctionSlot;
use crate::instrument::{Device, FatalFault, Instrument};
use crate::report::{self, Report, Status};
use crate::vfio;
use crate::wakeup::Wakeup;

/// The exit status of the fault `crash`.
pub const CRASH_STATUS: i32 = 42;

/// A kind of front end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
#[value(rename_all = "kebab-case")]
pub enum FrontEnd {
    /// QEMU's vhost-user-test-device-pci
    #[default]
    VhostUser,
    /// QEMU's vfio-user-pci
    VfioUser,
}

/// How the driver learns that the device became ready, or not ready.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Notice {
    /// By a config change notification.
    #[default]
    Interrupt,
    /// Not at all: the driver has to read the status.
    None,
    /// The status changes at the next reset, as with QEMU's device.
    Reset,
}

/// Settings of a device that do not belong to [`Capabilities`].
///
/// [`Capabilities`]: virtio_crypto_device::capabilities::Capabilities
#[derive(Debug, Default)]
pub struct Settings {
    /// The kind of front end.
    pub front_end: FrontEnd,
    /// File for the report.
    pub report: Option<PathBuf>,
    /// Sockets to remove at the end.
    pub sockets: Vec<PathBuf>,
    /// Ring features that are not offered over vhost-user.
    pub withheld_features: u64,
    /// Settings of the PCI function for vfio-user.
    pub function: vfio::Settings,
}

impl Settings {
    /// Returns an error if a fault can never happen, or requires another front end.
    pub fn check(&self, fault: &Fault) -> Result<(), String> {
        fault.check()?;
        if fault.name.requires_vfio() && self.front_end != FrontEnd::VfioUser {
            return Err(format!("{} requires --front-end=vfio-user", fault.name.name()));
        }
        Ok(())
    }
}

/// A running device.
pub struct TestDevice {
    /// The device and its queues.
    pub service: Arc<Service<Instrument>>,
    /// The PCI function, if a vfio-user front end is connected.
    pub function: FunctionSlot,
    /// Wakes the thread of the periodic faults.
    pub wakeup: Wakeup,
    /// The settings.
    pub settings: Settings,
    /// All devices of the process, including this one.
    devices: OnceLock<Vec<Weak<TestDevice>>>,
}

/// Held by the thread that ends the process, so reports are written once.
static EXIT_LOCK: Mutex<()> = Mutex::new(());

impl TestDevice {
    /// Creates a running device, which has no front end yet.
    pub fn new(device: Device, settings: Settings) -> std::io::Result<Arc<Self>> {
        let service = Arc::new(Service::new(device, settings.withheld_features)?);
        let test_device = Arc::new(TestDevice {
            service: service.clone(),
            function: FunctionSlot::default(),
            wakeup: Wakeup::default(),
            settings,
            devices: OnceLock::new(),
        });
        let weak = Arc::downgrade(&test_device);
        service.device.hooks.on_fatal_fault(Box::new(move |fault| {
            if let Some(device) = weak.upgrade() {
                device.on_fatal_fault(fault);
            }
        }));
        Ok(test_device)
    }

    /// Returns the active faults.
    pub fn faults(&self) -> &Faults {
        &self.service.device.hooks.faults
    }

    /// Returns state and counters of the device.
    pub fn status(&self) -> Status {
        let Service { device, queues, channel, connected, starts, features, .. } = &*self.service;
        Status {
            connected: connected.load(Ordering::SeqCst),
            starts: starts.load(Ordering::SeqCst),
            features: features.load(Ordering::SeqCst),
            ready: device.is_ready(),
            sessions: device.sessions(),
            sessions_leaked: device.sessions_leaked(),
            config_changes: channel.config_changes(),
            queues: queues.iter().map(Queue::status).collect(),
            counters: device.hooks.counters.lines(),
            violations: device.hooks.violations.list(),
            faults: self.faults().list(),
        }
    }

    /// Makes the device ready or not ready.
    pub fn set_ready(&self, ready: bool, notice: Notice) {
        let device = &self.service.device;
        match notice {
            Notice::Interrupt | Notice::None => device.set_ready(ready),
            Notice::Reset => device.hooks.set_ready_at_reset(ready),
        }
        if notice != Notice::Interrupt {
            return;
        }
        if let Err(error) = self.service.channel.config_change() {
            tracing::debug!("sending a config change notification failed: {error}");
        }
    }

    /// Carries out a fatal fault. Takes no lock of a queue.
    pub fn on_fatal_fault(&self, fault: FatalFault) {
        let result = match fault {
            FatalFault::Crash => self.finish(CRASH_STATUS),
            FatalFault::NeedsReset => self.need_reset(),
            FatalFault::Disconnect => self.function.get().and_then(|front| front.disconnect()),
        };
        if let Err(error) = result {
            tracing::debug!("notifying the front end failed: {error}");
        }
    }

    /// Sets `DEVICE_NEEDS_RESET`: the device processes no requests until it is reset. Returns an
    /// error if the front end cannot be notified.
    pub fn need_reset(&self) -> std::io::Result<()> {
        self.function.get()?.need_reset()
    }

    /// Sets the devices of the process, which end together.
    pub fn share_process(&self, devices: &[Arc<TestDevice>]) {
        self.devices.get_or_init(|| devices.iter().map(Arc::downgrade).collect());
    }

    /// Writes the reports and ends the process.
    pub fn finish(&self, status: i32) -> ! {
        // The first thread that takes the lock ends the process with its status.
        let _guard = EXIT_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let succeeded = match self.devices.get() {
            None => self.clean_up(status),
            // Clean up every device, also after an error.
            Some(all) => all
                .iter()
                .filter_map(Weak::upgrade)
                .fold(true, |succeeded, device| device.clean_up(status) && succeeded),
        };
        std::process::exit(if succeeded { status } else { status.max(1) })
    }

    /// Writes the report and removes the sockets of a device. Returns false if the report cannot
    /// be written.
    fn clean_up(&self, status: i32) -> bool {
        let mut succeeded = true;
        if let Some(path) = &self.settings.report {
            let report = Report {
                status: self.status(),
                crashed_by_fault: status == CRASH_STATUS,
                capabilities: self.service.device.capabilities.clone(),
            };
            if let Err(error) = report::write(path, &report) {
                tracing::error!("{}: {error}", path.display());
                succeeded = false;
            }
        }
        for path in &self.settings.sockets {
            // Another process may already have removed the socket.
            let _ = std::fs::remove_file(path);
        }
        succeeded
    }
}
