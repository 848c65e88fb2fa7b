// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The state of a device: capabilities, features, readiness and sessions. For rings see
//! [`crate::queue`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use zeroize::{Zeroize, Zeroizing};

use crate::capabilities::{Capabilities, ChainAad};
use crate::hooks::Hooks;
use crate::protocol::config::{Config, HW_READY};
use crate::protocol::{feature, Layout};
use crate::public_key_threads::PublicKeyThreads;
use crate::rate_limit::RateLimit;
use crate::requirement::Requirement;
use crate::session_table::SessionTable;

/// A virtio crypto device.
pub struct Device<H = ()> {
    /// Services, algorithms and limits.
    pub capabilities: Capabilities,
    /// Hooks that observe and alter what the device does.
    pub hooks: H,
    pub(crate) sessions: SessionTable,
    pub(crate) base: Config,
    pub(crate) akcipher_limit: RateLimit,
    pub(crate) public_key_threads: PublicKeyThreads,
    features: AtomicU64,
    ready: AtomicBool,
}

/// Buffers that a worker keeps from one request to the next.
#[derive(Default)]
pub struct Scratch {
    /// Scattered data that an algorithm needs in one piece.
    pub(crate) data: Zeroizing<Vec<u8>>,
    /// Output that is not in the guest's memory yet.
    pub(crate) output: Zeroizing<Vec<u8>>,
}

impl Scratch {
    /// Wipes the data of a request.
    pub(crate) fn wipe(&mut self) {
        for bytes in [&mut self.data, &mut self.output] {
            bytes.as_mut_slice().zeroize();
            bytes.clear();
        }
    }
}

impl<H: Hooks> Device<H> {
    /// Creates a device that is ready and has no sessions.
    pub fn new(capabilities: Capabilities, hooks: H) -> Self {
        Device {
            sessions: SessionTable::new(
                capabilities.table_size,
                capabilities.session_ids,
                capabilities.queues,
            ),
            base: capabilities.config(),
            akcipher_limit: RateLimit::new(capabilities.akcipher_rate),
            public_key_threads: PublicKeyThreads::new(capabilities.public_key_threads),
            capabilities,
            hooks,
            features: AtomicU64::new(0),
            ready: AtomicBool::new(true),
        }
    }

    /// Resets the device, and sets the features that the driver has accepted.
    pub fn start(&self, features: u64) {
        self.reset();
        self.negotiate(features);
    }

    /// Sets the driver's features. Returns whether they differ from those before.
    pub fn negotiate(&self, features: u64) -> bool {
        self.check(Requirement::Features, feature::consistent(features));
        // Ignore features that were not offered, and all features if a dependency is missing.
        let known = features & self.capabilities.features & feature::ALL;
        let in_force = if feature::consistent(known) { known } else { 0 };
        self.features.swap(in_force, Ordering::SeqCst) != in_force
    }

    /// Drops all sessions, unless [`Capabilities::keep_sessions`] is set.
    pub fn reset(&self) {
        if let Some(ready) = self.hooks.ready_after_reset() {
            self.set_ready(ready);
        }
        if !self.capabilities.keep_sessions {
            self.sessions.clear();
        }
    }

    /// Drops all sessions, also with [`Capabilities::keep_sessions`]: the next driver belongs to
    /// another guest.
    pub fn release(&self) {
        match self.capabilities.keep_sessions {
            true => self.sessions.discard(),
            false => self.sessions.clear(),
        }
    }

    /// Returns the number of sessions.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Returns the number of sessions that resets have dropped.
    pub fn sessions_leaked(&self) -> u64 {
        self.sessions.leaked()
    }

    /// Sets `VIRTIO_CRYPTO_S_HW_READY`. The caller notifies the driver.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
    }

    /// Returns whether the device is ready.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    /// Returns the configuration space as the driver reads it now.
    pub fn config(&self) -> Vec<u8> {
        let mut config = self.base;
        config.status = if self.is_ready() { HW_READY } else { 0 };
        self.hooks.config(config).to_vec()
    }

    /// Reports whether the driver meets a requirement.
    pub(crate) fn check(&self, requirement: Requirement, met: bool) {
        self.hooks.check(requirement, met);
    }

    /// Reports a violation.
    pub(crate) fn violated(&self, requirement: Requirement) {
        self.hooks.check(requirement, false);
    }

    /// Returns the device's own feature bits that are in force.
    pub(crate) fn features(&self) -> u64 {
        self.features.load(Ordering::Relaxed)
    }

    pub(crate) fn layout(&self) -> Layout {
        match self.features() & feature::REVISION_1 {
            0 => Layout::Padded,
            _ => Layout::Natural,
        }
    }

    /// Returns whether a chained request in session mode has its associated data before the source.
    pub(crate) fn chain_aad_first(&self) -> bool {
        match self.capabilities.chain_aad {
            ChainAad::Auto => self.layout() == Layout::Padded,
            ChainAad::BeforeSrc => true,
            ChainAad::AfterSrc => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buffers of a worker that ends are wiped.
    #[test]
    fn scratch_buffers_are_wiped_on_drop() {
        fn is_wiped_on_drop(_: &impl zeroize::ZeroizeOnDrop) {}
        let Scratch { data, output } = &Scratch::default();
        is_wiped_on_drop(data);
        is_wiped_on_drop(output);
    }
}
