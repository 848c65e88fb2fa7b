// SPDX-License-Identifier: GPL-2.0

//! Registration with the crypto API.
//!
//! An algorithm is registered once for all devices, as soon as one device supports it, and unregistered
//! when no device is left that supports it.

use super::{
    algorithm_id::{
        AlgorithmId,
        Kind, //
    },
    devices::{
        Capabilities,
        DeviceEntry,
        Devices, //
    },
    fallback_stats,
    fallback_stats::FallbackStats, //
};
use crate::{
    crypto::algorithm::Registration,
    settings::Settings,
    support::work::{
        OwnedDelayedWork,
        WorkHandler, //
    },
    transport::device::{
        Device,
        DeviceCallbacks, //
    },
};
use core::pin::Pin;
use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    time::Msecs, //
};

/// An algorithm, and its registrations with the crypto API if it is registered.
struct AlgorithmEntry {
    id: AlgorithmId,
    registrations: Option<KVec<Registration>>,
}

/// The delay before a failed update is repeated, in milliseconds.
const RETRY: Msecs = 1000;

/// The delay before the driver looks for a missing fallback again, in milliseconds. Each further time
/// doubles it, at most [`FALLBACK_RETRY_MAX_SHIFT`] times.
const FALLBACK_RETRY: Msecs = 15_000;
const FALLBACK_RETRY_MAX_SHIFT: u32 = 8;

/// The registry with the work item that updates it. The work item waits for devices. Their own work
/// items can recover them meanwhile.
pub(crate) type Registry = OwnedDelayedWork<RegistryInner>;

/// The algorithms, and their registrations with the crypto API.
#[pin_data]
pub(crate) struct RegistryInner {
    module: &'static ThisModule,
    devices: Arc<Devices>,
    /// The driver's folder in debugfs.
    debugfs: Dir,
    _fallbacks: Pin<KBox<File<Arc<FallbackStats>>>>,
    #[pin]
    entries: Mutex<KVec<AlgorithmEntry>>,
    /// The number of successive updates in which a fallback was missing. Relaxed: only the next delay
    /// depends on it.
    missing: Atomic<u32>,
}

impl Registry {
    /// Creates a registry without devices.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(crate) fn create(module: &'static ThisModule, settings: Settings) -> Result<Arc<Self>> {
        let fallbacks = Arc::new(FallbackStats::new(), GFP_KERNEL)?;
        let debugfs = Dir::new(c"virtio_crypto_rs");
        let file = KBox::pin_init(
            debugfs.read_callback_file(
                c"fallbacks",
                Ok::<_, Error>(fallbacks.clone()),
                &fallback_stats::show,
            ),
            GFP_KERNEL,
        )?;
        let devices = Devices::create(settings, fallbacks)?;
        let mut entries = KVec::new();
        for kind in Kind::ALL {
            for row in 0..kind.rows() {
                let entry = AlgorithmEntry {
                    id: AlgorithmId { kind, row },
                    registrations: None,
                };
                entries.push(entry, GFP_KERNEL)?;
            }
        }
        Arc::pin_init(
            OwnedDelayedWork::new_high_priority(pin_init!(RegistryInner {
                module,
                devices,
                debugfs,
                _fallbacks: file,
                entries <- new_mutex!(entries),
                missing: Atomic::new(0),
            })),
            GFP_KERNEL,
        )
    }
}

impl RegistryInner {
    /// Returns the driver's folder in debugfs.
    pub(crate) fn debugfs(&self) -> &Dir {
        &self.debugfs
    }

    /// Returns the values of the module parameters.
    pub(crate) fn settings(&self) -> &Settings {
        &self.devices.settings
    }

    /// Adds a device.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(crate) fn add(&self, device: &Arc<Device>) -> Result {
        let entry = DeviceEntry {
            device: device.clone(),
            capabilities: None,
        };
        self.devices.members.lock().push(entry, GFP_KERNEL)?;
        Ok(())
    }

    /// Removes a device, so that no transform chooses it any more. The caller must call
    /// [`update`](Self::update) when the device accepts no more requests.
    pub(crate) fn remove(&self, device: &Arc<Device>) {
        let removed = {
            let mut members = self.devices.members.lock();
            let index = members
                .iter()
                .position(|member| Arc::ptr_eq(&member.device, device));
            index.and_then(|index| members.remove(index).ok())
        };
        drop(removed);
    }

    /// Detects the capabilities of devices that became ready.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if a device did not respond.
    fn detect_capabilities(&self) -> Result {
        while let Some(device) = self.devices.next_undetected() {
            let capabilities =
                Capabilities::detect(&device, self.settings()).map_err(|_| EAGAIN)?;
            let mut members = self.devices.members.lock();
            for member in &mut *members {
                if Arc::ptr_eq(&member.device, &device) {
                    member.capabilities = Some(capabilities);
                }
            }
        }
        Ok(())
    }
}

impl DeviceCallbacks for Registry {
    fn device_changed(&self) {
        self.missing.store(0, Relaxed);
        self.queue();
    }
}

impl WorkHandler for RegistryInner {
    fn run(&self) -> Option<Msecs> {
        match self.update() {
            Ok(()) => {
                self.missing.store(0, Relaxed);
                None
            }
            Err(err) if err == ENOENT => {
                // The fallback's module may become available when its file system is mounted.
                let times = self
                    .missing
                    .fetch_add(1, Relaxed)
                    .min(FALLBACK_RETRY_MAX_SHIFT);
                Some(FALLBACK_RETRY << times)
            }
            Err(_) => Some(RETRY),
        }
    }
}

impl RegistryInner {
    /// Registers the algorithms that a device supports, unregisters the others, and binds keys without a
    /// usable binding to devices.
    ///
    /// Context: process, may sleep. Waits for devices, each time for at most the request timeout. The
    /// work item of a device must not call this.
    ///
    /// # Errors
    ///
    /// - `EAGAIN` if the update is incomplete and must be repeated;
    /// - `ENOENT` if the fallback of an algorithm is missing, or its registration failed.
    pub(crate) fn update(&self) -> Result {
        // The lock also serialises updates. Neither transforms nor requests take this lock, so
        // self-tests make progress while it is held.
        let mut entries = self.entries.lock();
        let mut outcome = self.detect_capabilities();
        for entry in &mut *entries {
            if !self.devices.is_supported(entry.id) {
                entry.registrations = None;
            } else if entry.registrations.is_none() {
                match entry.id.register(&self.devices, self.module) {
                    Ok(registrations) => entry.registrations = Some(registrations),
                    // The self-test of an earlier registration still runs.
                    Err(err) if err == EEXIST => outcome = Err(EAGAIN),
                    // The kernel has no implementation for the fallback.
                    Err(err) if err == ENOENT => outcome = outcome.and(Err(ENOENT)),
                    Err(err) => {
                        pr_err!("failed to register {:?}: {err:?}\n", entry.id);
                        outcome = outcome.and(Err(ENOENT));
                    }
                }
            }
        }
        self.devices.reestablish_all();
        outcome
    }
}
