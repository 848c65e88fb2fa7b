// SPDX-License-Identifier: GPL-2.0

//! The devices and their capabilities. Transforms choose a device from this list.

use super::{
    algorithm_id::{
        AlgorithmId,
        Kind, //
    },
    fallback_stats::FallbackStats, //
};
use crate::{
    crypto::DeferredRequests,
    settings::Settings,
    support::work::OwnedDelayedWork,
    transport::device::Device, //
};
use kernel::{
    new_mutex, new_spinlock_irq,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex,
        SpinLockIrq, //
    },
};

/// The algorithms that a device supports: for each kind, a bit for each row of its table.
#[derive(Clone, Copy)]
pub(super) struct Capabilities([u32; Kind::ALL.len()]);

impl Capabilities {
    /// Creates the capabilities of a device that supports no algorithm.
    pub(super) const fn none() -> Self {
        Self([0; Kind::ALL.len()])
    }

    /// Returns true if the device supports an algorithm.
    pub(super) fn has(&self, id: AlgorithmId) -> bool {
        // CAST: The discriminants of the kinds are indices, starting at 0.
        self.0[id.kind as usize] & 1 << id.row != 0
    }

    /// Adds an algorithm that the device supports.
    pub(super) fn add(&mut self, id: AlgorithmId) {
        // CAST: The discriminants of the kinds are indices, starting at 0.
        self.0[id.kind as usize] |= 1 << id.row;
    }
}

/// A device and its capabilities.
pub(super) struct DeviceEntry {
    pub(super) device: Arc<Device>,
    /// `None` until the capabilities are detected. Detection requires that the device is ready.
    pub(super) capabilities: Option<Capabilities>,
}

impl DeviceEntry {
    fn supports(&self, id: AlgorithmId) -> bool {
        self.capabilities
            .is_some_and(|capabilities| capabilities.has(id))
    }
}

/// The devices, the keys of all transforms, and data that all algorithms share.
#[pin_data]
pub(crate) struct Devices {
    pub(super) settings: Settings,
    pub(super) fallbacks: Arc<FallbackStats>,
    /// The devices that are bound to the driver.
    #[pin]
    pub(super) list: Mutex<KVec<DeviceEntry>>,
    /// The position in `list` at which the next search for a device starts. Relaxed: every
    /// position gives a correct result.
    next_device: Atomic<usize>,
    /// The keys of all transforms. An owner ID identifies a key.
    #[pin]
    keys: SpinLockIrq<RBTree<u64, Arc<dyn SessionOwner>>>,
    /// The owner ID of the next key. Relaxed: the IDs only need to be unique.
    next_owner_id: Atomic<u64>,
    /// A work item for requests that run on a fallback that may sleep, if their callers must not
    /// sleep.
    #[pin]
    pub(super) deferred: OwnedDelayedWork<DeferredRequests>,
}

/// A key that needs sessions.
pub(super) trait SessionOwner: Send + Sync {
    /// Binds the key to a device again if it has no usable binding.
    ///
    /// Context: process, may sleep.
    fn reestablish(&self);

    /// Destroys the key's session of one direction on a device, if no request has used this session
    /// and a request has used the session of the other direction. Returns true if a session was
    /// destroyed.
    ///
    /// Context: process, may sleep.
    fn give_up_unused(&self, device: &Arc<Device>) -> bool;
}

impl Devices {
    /// Creates an empty list of devices.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if memory is exhausted.
    pub(super) fn create(settings: Settings, fallbacks: Arc<FallbackStats>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Devices {
                settings,
                fallbacks,
                list <- new_mutex!(KVec::new()),
                next_device: Atomic::new(0),
                keys <- new_spinlock_irq!(RBTree::new()),
                next_owner_id: Atomic::new(0),
                deferred <- DeferredRequests::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Adds a key. Returns the owner ID, with which [`remove_owner`](Self::remove_owner) removes
    /// the key.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(super) fn add_owner(&self, key: Arc<dyn SessionOwner>) -> Result<u64> {
        let owner_id = self.next_owner_id.fetch_add(1, Relaxed);
        let node = RBTreeNode::new(owner_id, key, GFP_KERNEL)?;
        self.keys.lock().insert(node);
        Ok(owner_id)
    }

    /// Removes a key.
    ///
    /// Context: process or bottom half, interrupts enabled.
    pub(super) fn remove_owner(&self, owner_id: u64) {
        // Dropping the key may send DESTROY requests. `_node` is dropped at the end of the
        // function, after the lock is released.
        let _node = self.keys.lock().remove_node(&owner_id);
    }

    /// Binds each key that has no usable binding to a device.
    ///
    /// Context: process, may sleep.
    pub(super) fn reestablish_all(&self) {
        self.for_each_key(|key| {
            key.reestablish();
            true
        });
    }

    /// Destroys at most `count` sessions of a device that no request has used, so that the device
    /// can create other sessions. Returns true if a session was destroyed.
    ///
    /// Context: process, may sleep.
    pub(super) fn give_up_unused(&self, device: &Arc<Device>, count: usize) -> bool {
        let mut remaining = count;
        self.for_each_key(|key| {
            remaining -= usize::from(key.give_up_unused(device));
            remaining != 0
        });
        remaining != count
    }

    /// Calls `f` with each key, until `f` returns false. The lock is not held during the calls.
    fn for_each_key(&self, mut f: impl FnMut(&Arc<dyn SessionOwner>) -> bool) {
        let mut next = Some(0);
        while let Some(lower_bound) = next {
            let owner = {
                let keys = self.keys.lock();
                keys.cursor_lower_bound(&lower_bound).map(|cursor| {
                    let (owner_id, key) = cursor.current();
                    (*owner_id, key.clone())
                })
            };
            next = owner
                .filter(|(_, key)| f(key))
                .and_then(|(owner_id, _)| owner_id.checked_add(1));
        }
    }

    /// Returns a ready device that supports an algorithm. Successive calls return the devices in
    /// turn.
    pub(super) fn pick(&self, id: AlgorithmId) -> Option<Arc<Device>> {
        let list = self.list.lock();
        let first = self.next_device.fetch_add(1, Relaxed);
        let count = list.len();
        (0..count)
            .filter_map(|step| first.wrapping_add(step).checked_rem(count))
            .filter_map(|position| list.get(position))
            .find(|entry| entry.device.is_ready() && entry.supports(id))
            .map(|entry| entry.device.clone())
    }

    /// Returns true if any device supports an algorithm, even if that device is not ready now.
    pub(super) fn is_supported(&self, id: AlgorithmId) -> bool {
        let list = self.list.lock();
        list.iter()
            .any(|entry| entry.device.is_alive() && entry.supports(id))
    }

    /// Returns a ready device whose capabilities are not detected yet.
    pub(super) fn next_undetected(&self) -> Option<Arc<Device>> {
        let list = self.list.lock();
        list.iter()
            .find(|entry| entry.device.is_ready() && entry.capabilities.is_none())
            .map(|entry| entry.device.clone())
    }
}
