// SPDX-License-Identifier: GPL-2.0

//! Registration with the crypto API.
//!
//! All devices share the registration of an algorithm. The driver registers an algorithm when the
//! first device supports it. The driver unregisters the algorithm when no device supports it any
//! more.

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

/// The delay before the driver looks for a missing fallback again, in milliseconds. Each failure
/// doubles the delay, at most [`FALLBACK_RETRY_MAX_SHIFT`] times.
const FALLBACK_RETRY: Msecs = 15_000;
const FALLBACK_RETRY_MAX_SHIFT: u32 = 8;

/// The registry, with a work item that updates the registry. The work item waits for responses of
/// devices. Meanwhile the work item of a device can reset the device, if it does not respond.
pub(crate) type Registry = OwnedDelayedWork<RegistryInner>;

/// The algorithms, and their registrations with the crypto API.
#[pin_data]
pub(crate) struct RegistryInner {
    module: &'static ThisModule,
    devices: Arc<Devices>,
    /// The driver's folder in debugfs.
    debugfs: Dir,
    /// The file `fallbacks` in this folder.
    _fallbacks_file: Pin<KBox<File<Arc<FallbackStats>>>>,
    #[pin]
    entries: Mutex<KVec<AlgorithmEntry>>,
    /// The number of successive updates in which a fallback was missing. Relaxed: the number only
    /// determines the next delay.
    missing_fallback_updates: Atomic<u32>,
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
        let fallbacks_file = KBox::pin_init(
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
                _fallbacks_file: fallbacks_file,
                entries <- new_mutex!(entries),
                missing_fallback_updates: Atomic::new(0),
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
        self.devices.list.lock().push(entry, GFP_KERNEL)?;
        Ok(())
    }

    /// Removes a device, so that later searches for a device do not find it. When the device has
    /// stopped accepting requests, the caller must call [`update`](Self::update).
    pub(crate) fn remove(&self, device: &Arc<Device>) {
        let removed = {
            let mut list = self.devices.list.lock();
            let index = list
                .iter()
                .position(|entry| Arc::ptr_eq(&entry.device, device));
            index.and_then(|index| list.remove(index).ok())
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
            let mut list = self.devices.list.lock();
            for entry in &mut *list {
                if Arc::ptr_eq(&entry.device, &device) {
                    entry.capabilities = Some(capabilities);
                }
            }
        }
        Ok(())
    }
}

impl DeviceCallbacks for Registry {
    fn device_changed(&self) {
        self.missing_fallback_updates.store(0, Relaxed);
        self.queue();
    }
}

impl WorkHandler for RegistryInner {
    fn run(&self) -> Option<Msecs> {
        match self.update() {
            Ok(()) => {
                self.missing_fallback_updates.store(0, Relaxed);
                None
            }
            Err(err) if err == ENOENT => {
                // The fallback's module may become available when its file system is mounted.
                let shift = self
                    .missing_fallback_updates
                    .fetch_add(1, Relaxed)
                    .min(FALLBACK_RETRY_MAX_SHIFT);
                Some(FALLBACK_RETRY << shift)
            }
            Err(_) => Some(RETRY),
        }
    }
}

impl RegistryInner {
    /// Registers every algorithm that at least one device supports, and unregisters all others.
    /// Then binds each key that has no usable binding to a device.
    ///
    /// Context: process, may sleep. Waits for responses of devices, for at most the request timeout
    /// each. The work item of a device must not call this function: if a device does not respond,
    /// only that work item can reset the device.
    ///
    /// # Errors
    ///
    /// - `EAGAIN` if the update is incomplete and must be repeated;
    /// - `ENOENT` if the fallback of an algorithm is missing, or the registration failed.
    pub(crate) fn update(&self) -> Result {
        // The lock also serialises updates. Neither transforms nor requests take this lock, so the
        // self-tests of a registration can run while this function holds the lock.
        let mut entries = self.entries.lock();
        let mut outcome = self.detect_capabilities();
        for entry in &mut *entries {
            if !self.devices.is_supported(entry.id) {
                entry.registrations = None;
            } else if entry.registrations.is_none() {
                match entry.id.register(&self.devices, self.module) {
                    Ok(registrations) => entry.registrations = Some(registrations),
                    // The self-test of an earlier registration is still running, so the crypto API
                    // has not removed that registration yet.
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
