// SPDX-License-Identifier: GPL-2.0

//! What is registered with the crypto framework.
//!
//! An algorithm is registered once for all devices, as soon as one of them has shown that it does
//! it, and unregistered when the last of these is gone. What a device says it can do is not enough:
//! some refuse what they advertise, some do more than they advertise.

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

/// An algorithm, and its registrations with the crypto framework if there are any.
struct AlgorithmEntry {
    id: AlgorithmId,
    registrations: Option<KVec<Registration>>,
}

/// How long after it could not be done at once something is tried again, in milliseconds.
const RETRY: Msecs = 1000;

/// How soon what could not be registered is tried again, in milliseconds; each further time after twice
/// as long, up to [`FALLBACK_RETRY_MAX_SHIFT`] times.
const FALLBACK_RETRY: Msecs = 15_000;
const FALLBACK_RETRY_MAX_SHIFT: u32 = 8;

/// What is registered with the crypto framework, with a worker that brings it up to date: it waits for
/// devices, whose own workers look after them meanwhile.
pub(crate) type Registry = OwnedDelayedWork<RegistryInner>;

/// What is registered with the crypto framework.
#[pin_data]
pub(crate) struct RegistryInner {
    module: &'static ThisModule,
    devices: Arc<Devices>,
    /// The driver's folder.
    debugfs: Dir,
    _fallbacks: Pin<KBox<File<Arc<FallbackStats>>>>,
    #[pin]
    entries: Mutex<KVec<AlgorithmEntry>>,
    /// How often in a row software was missing.
    missing: Atomic<u32>,
}

impl Registry {
    /// Creates a registry without devices.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
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

    /// Returns the user's settings.
    pub(crate) fn settings(&self) -> &Settings {
        &self.devices.settings
    }

    /// Takes a device into account.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(crate) fn add(&self, device: &Arc<Device>) -> Result {
        let entry = DeviceEntry {
            device: device.clone(),
            capabilities: None,
        };
        self.devices.members.lock().push(entry, GFP_KERNEL)?;
        Ok(())
    }

    /// Leaves a device out of account: no transform chooses it any more.
    /// [`update`](Self::update) is to be called when it takes no requests.
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

    /// Asks devices that became ready what they do.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: one has not answered.
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
                // It may be there when a file system is that it lies on.
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
    /// Registers what there is a device for, unregisters what there is none for any more, and has keys
    /// find their way to a device.
    ///
    /// Context: process, may sleep. A device may be waited for, each time for as long as it has for an
    /// answer; its own worker must not be what calls this.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: not everything could be done; to be called again after a while. `ENOENT`: there is an
    /// algorithm without software in the kernel, or that cannot be registered just now.
    pub(crate) fn update(&self) -> Result {
        // The lock serialises updates, too. Neither transforms nor requests take
        // this lock, so self-tests go on while it is held.
        let mut entries = self.entries.lock();
        let mut outcome = self.detect_capabilities();
        for entry in &mut *entries {
            if !self.devices.is_supported(entry.id) {
                entry.registrations = None;
            } else if entry.registrations.is_none() {
                match entry.id.register(&self.devices, self.module) {
                    Ok(registrations) => entry.registrations = Some(registrations),
                    // The self-test of an earlier registration is still under way.
                    Err(err) if err == EEXIST => outcome = Err(EAGAIN),
                    // Nothing can be offered that there is no software for.
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
