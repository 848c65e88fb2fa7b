// SPDX-License-Identifier: GPL-2.0
//! All that the threads of a running device share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use serde::Deserialize;

use crate::channel::Channel;
use crate::device::Device;
use crate::fault::{Fault, QueueId};
use crate::queue::{Disaster, Queue};
use crate::report::{self, Report, Status};
use crate::ticker::Ticker;
use crate::vfio;

/// The exit status of a device that dies on purpose.
pub const DIED_ON_PURPOSE: i32 = 42;

/// Who is served.
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

/// What is chosen about the process, rather than about the device.
#[derive(Debug, Default)]
pub struct Settings {
    /// Who is served.
    pub front_end: FrontEnd,
    /// Where the report is to be left.
    pub report: Option<PathBuf>,
    /// Sockets, which are removed in the end.
    pub sockets: Vec<PathBuf>,
    /// Features of rings that are not offered by vhost-user.
    pub without: u64,
    /// The function that vfio-user serves.
    pub function: vfio::Settings,
}

impl Settings {
    /// Whether a fault makes sense, and the front end can show it.
    pub fn check(&self, fault: &Fault) -> Result<(), String> {
        fault.check()?;
        if fault.name.is_of_function() && self.front_end != FrontEnd::VfioUser {
            return Err(format!("only a vfio-user device can have {}", fault.name.name()));
        }
        Ok(())
    }
}

/// A device at work.
pub struct Service {
    /// The device itself.
    pub device: Arc<Device>,
    /// Its data queues, and behind them the control queue.
    pub queues: Vec<Queue>,
    /// The way to the front end.
    pub channel: Channel,
    /// What is done from time to time.
    pub ticker: Ticker,
    /// Whether a front end is connected.
    pub connected: AtomicBool,
    /// How often the driver's features were told.
    pub starts: AtomicU64,
    /// What they were.
    pub features: AtomicU64,
    /// What was chosen.
    pub settings: Settings,
    /// The place in the control ring where the device was suspended, or was to go on.
    control_place: Mutex<Option<u32>>,
    /// The devices of the process, this one among them.
    devices: OnceLock<Vec<Weak<Service>>>,
}

/// Held by who ends the process.
static END: Mutex<()> = Mutex::new(());

impl Service {
    /// A device that waits for its front end.
    pub fn new(device: Device, settings: Settings) -> std::io::Result<Arc<Self>> {
        let device = Arc::new(device);
        let count = device.offer.queues;
        let ids = (0..count).map(QueueId::Data).chain([QueueId::Control]);
        let mut failure = None;
        let service = Arc::new_cyclic(|service: &Weak<Service>| {
            let queue = |id| {
                let service = service.clone();
                let strike = move |disaster| {
                    if let Some(service) = service.upgrade() {
                        service.strike(disaster);
                    }
                };
                Queue::new(id, device.clone(), Box::new(strike))
            };
            let queues: Result<Vec<Queue>, _> = ids.map(queue).collect();
            Service {
                queues: queues.unwrap_or_else(|error| {
                    failure = Some(error);
                    Vec::new()
                }),
                device: device.clone(),
                channel: Channel::default(),
                ticker: Ticker::default(),
                connected: AtomicBool::new(false),
                starts: AtomicU64::new(0),
                features: AtomicU64::new(0),
                settings,
                control_place: Mutex::new(None),
                devices: OnceLock::new(),
            }
        });
        failure.map_or(Ok(service), Err)
    }

    /// How it is.
    pub fn status(&self) -> Status {
        Status {
            connected: self.connected.load(Ordering::SeqCst),
            starts: self.starts.load(Ordering::SeqCst),
            features: self.features.load(Ordering::SeqCst),
            ready: self.device.is_ready(),
            sessions: self.device.sessions(),
            sessions_left_behind: self.device.sessions_left_behind(),
            config_changes: self.channel.config_changes(),
            queues: self.queues.iter().map(Queue::status).collect(),
            counters: self.device.counters.lines(),
            violations: self.device.violations.list(),
            faults: self.device.faults.list(),
        }
    }

    /// Makes the device ready, or not.
    pub fn set_ready(&self, ready: bool, notice: Notice) {
        match notice {
            Notice::Interrupt | Notice::None => self.device.set_ready(ready),
            Notice::Reset => self.device.set_ready_at_reset(ready),
        }
        if notice != Notice::Interrupt {
            return;
        }
        if let Err(error) = self.channel.config_change() {
            tracing::debug!("the driver is not told: {error}");
        }
    }

    /// Something has happened that ends more than a request. Takes no queue's lock.
    pub fn strike(&self, disaster: Disaster) {
        let result = match disaster {
            Disaster::Death => self.finish(DIED_ON_PURPOSE),
            Disaster::NeedsReset => self.need_reset(),
            Disaster::Gone => self.channel.front().and_then(|front| front.disconnect()),
        };
        if let Err(error) = result {
            tracing::debug!("the front end is not told: {error}");
        }
    }

    /// The device is broken: it does nothing more until it is reset. An error if the front
    /// end cannot be told.
    pub fn need_reset(&self) -> std::io::Result<()> {
        self.channel.front()?.need_reset()
    }

    /// The driver has begun to negotiate anew, or is gone: there are no requests any more.
    pub fn forget_requests(&self) {
        self.queues.iter().for_each(Queue::forget);
    }

    fn control_place(&self) -> MutexGuard<'_, Option<u32>> {
        self.control_place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ring was stopped, and its next request was to be this one.
    pub fn suspend_ring(&self, index: usize, place: u16) {
        if index + 1 == self.queues.len() {
            *self.control_place() = Some(place.into());
        }
    }

    /// A ring is to go on at this place. Where it was stopped, a guest has been suspended that knows
    /// its sessions still; anywhere else the driver has begun anew. A driver begins with place 0.
    pub fn place_ring(&self, index: u32, place: u32) {
        if index as usize + 1 != self.queues.len() {
            return;
        }
        let last = self.control_place().replace(place);
        if place == 0 || last != Some(place) {
            self.device.reset();
        }
    }

    /// The front end is gone, and with it the guest whose keys the sessions have.
    pub fn release(&self) {
        *self.control_place() = None;
        self.device.release();
    }

    /// The process has these devices, which end together.
    pub fn share_process(&self, devices: &[Arc<Service>]) {
        self.devices.get_or_init(|| devices.iter().map(Arc::downgrade).collect());
    }

    /// Writes the reports and ends the process.
    pub fn finish(&self, status: i32) -> ! {
        // The first one to come here ends the process, with its own status.
        let _end = END.lock().unwrap_or_else(PoisonError::into_inner);
        let leave = |failed: bool, device: &Service| !device.leave(status) || failed;
        let failed = match self.devices.get() {
            None => leave(false, self),
            Some(all) => all
                .iter()
                .filter_map(Weak::upgrade)
                .fold(false, |failed, device| leave(failed, &device)),
        };
        std::process::exit(if failed { status.max(1) } else { status })
    }

    /// Writes the report of a process that ends so; returns whether that went well.
    fn leave(&self, status: i32) -> bool {
        let mut written = true;
        if let Some(path) = &self.settings.report {
            let report = Report {
                status: self.status(),
                died_on_purpose: status == DIED_ON_PURPOSE,
                offer: self.device.offer.clone(),
            };
            if let Err(error) = report::write(path, &report) {
                tracing::error!("{}: {error}", path.display());
                written = false;
            }
        }
        for path in &self.settings.sockets {
            // Whoever needed it may have removed it.
            let _ = std::fs::remove_file(path);
        }
        written
    }
}
