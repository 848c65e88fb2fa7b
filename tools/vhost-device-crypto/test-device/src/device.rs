// SPDX-License-Identifier: GPL-2.0
//! The device itself: what it offers, its state, and how it takes requests. It knows
//! nothing of rings; see [`crate::backend`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use zeroize::{Zeroize, Zeroizing};

use crate::control;
use crate::counters::Counters;
use crate::data;
use crate::fault::{Faults, Kind, QueueId};
use crate::memory::Chain;
use crate::offer::{ChainAad, Offer};
use crate::protocol::config::{Config, HW_READY};
use crate::protocol::{feature, Layout};
use crate::requirement::{Requirement, Violations};
use crate::table::Table;
use crate::trace::Trace;

/// A virtio crypto device.
pub struct Device {
    /// What it offers.
    pub offer: Offer,
    /// What is wrong with it.
    pub faults: Faults,
    /// What it has done.
    pub counters: Counters,
    /// What the driver has done wrong.
    pub violations: Violations,
    pub(crate) trace: Trace,
    pub(crate) sessions: Table,
    pub(crate) base: Config,
    features: AtomicU64,
    ready: AtomicBool,
    ready_at_reset: Mutex<Option<bool>>,
    config_reads: AtomicU64,
}

/// What a worker keeps from one request to the next.
#[derive(Default)]
pub struct Worker {
    /// Data that was in pieces, brought together.
    pub(crate) scratch: Zeroizing<Vec<u8>>,
    /// Output on its way.
    pub(crate) output: Zeroizing<Vec<u8>>,
}

impl Worker {
    /// Wipes what a request has left, as far as it has used the memory.
    pub(crate) fn wipe(&mut self) {
        for bytes in [&mut self.scratch, &mut self.output] {
            bytes.as_mut_slice().zeroize();
            bytes.clear();
        }
    }
}

impl Device {
    /// A device that is ready, without a session.
    pub fn new(offer: Offer, trace: Trace) -> Self {
        Device {
            counters: Counters::new(offer.queues),
            sessions: Table::new(offer.table_size, offer.session_ids),
            base: offer.config(),
            offer,
            faults: Faults::default(),
            violations: Violations::default(),
            trace,
            features: AtomicU64::new(0),
            ready: AtomicBool::new(true),
            ready_at_reset: Mutex::new(None),
            config_reads: AtomicU64::new(0),
        }
    }

    /// The driver has accepted these features: a new life begins, without the sessions
    /// of the last one, which are counted as left behind.
    pub fn start(&self, features: u64) {
        self.reset();
        self.negotiate(features);
    }

    /// The driver's features are these. Returns whether other ones were in force.
    pub fn negotiate(&self, features: u64) -> bool {
        self.violations.check(Requirement::Features, feature::consistent(features));
        // What was not offered, or lacks what it needs, is not in force.
        let known = features & self.offer.features & feature::ALL;
        let in_force = if feature::consistent(known) { known } else { 0 };
        self.features.swap(in_force, Ordering::SeqCst) != in_force
    }

    /// Drops all sessions, as a reset does, unless they are to be kept.
    pub fn reset(&self) {
        let ready = self.ready_at_reset.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ready) = ready {
            self.set_ready(ready);
        }
        if !self.offer.keep_sessions {
            self.sessions.clear();
        }
    }

    /// Drops all sessions, whatever becomes of them at a reset: whoever comes next is somebody else.
    pub fn release(&self) {
        match self.offer.keep_sessions {
            true => self.sessions.discard(),
            false => self.sessions.clear(),
        }
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many sessions resets have found.
    pub fn sessions_left_behind(&self) -> u64 {
        self.sessions.left_behind()
    }

    /// Sets `VIRTIO_CRYPTO_S_HW_READY`; the caller tells the driver.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
    }

    /// Sets `VIRTIO_CRYPTO_S_HW_READY` at the next reset.
    pub fn set_ready_at_reset(&self, ready: bool) {
        *self.ready_at_reset.lock().unwrap_or_else(PoisonError::into_inner) = Some(ready);
    }

    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    /// The device's own feature bits that are in force.
    pub(crate) fn features(&self) -> u64 {
        self.features.load(Ordering::Relaxed)
    }

    pub(crate) fn layout(&self) -> Layout {
        match self.features() & feature::REVISION_1 {
            0 => Layout::Padded,
            _ => Layout::Natural,
        }
    }

    /// Whether a chained request in session mode has its associated data before the source.
    pub(crate) fn chain_aad_first(&self) -> bool {
        match self.offer.chain_aad {
            ChainAad::Auto => self.layout() == Layout::Padded,
            ChainAad::BeforeSrc => true,
            ChainAad::AfterSrc => false,
        }
    }

    /// The configuration space as the driver reads it now.
    pub fn config(&self) -> Vec<u8> {
        let mut config = self.base;
        config.status = if self.is_ready() { HW_READY } else { 0 };
        let read = self.config_reads.fetch_add(1, Ordering::Relaxed);
        self.lie(&mut config, read);
        let mut bytes = config.to_bytes();
        if self.faults.fire_config(Kind::ConfigRandom).is_some() {
            // A failure leaves what was there, which is as good.
            let _ = openssl::rand::rand_bytes(&mut bytes);
        }
        bytes.to_vec()
    }

    fn lie(&self, config: &mut Config, read: u64) {
        let lie = |kind| self.faults.fire_config(kind);
        if let Some(queues) = lie(Kind::ConfigQueues) {
            config.max_dataqueues = queues as u32;
        }
        if let Some(max_size) = lie(Kind::ConfigMaxSize) {
            config.max_size = max_size;
        }
        if let Some(len) = lie(Kind::ConfigMaxKeyLen) {
            config.max_cipher_key_len = len as u32;
        }
        if let Some(status) = lie(Kind::ConfigStatus) {
            config.status = status as u32;
        }
        if lie(Kind::ConfigMasksAll).is_some() {
            config.crypto_services = u32::MAX;
            config.cipher_algo = u64::MAX;
            config.hash_algo = u32::MAX;
            config.mac_algo = u64::MAX;
            config.aead_algo = u32::MAX;
            config.akcipher_algo = u32::MAX;
        }
        if lie(Kind::ConfigTorn).is_some() && read % 2 == 1 {
            config.max_size ^= 0xffff_ffff << 32;
        }
    }

    /// Takes a request from the control queue; returns how many bytes it has written.
    pub fn control(&self, chain: &Chain<'_>) -> u32 {
        control::serve(self, chain)
    }

    /// Takes a request from a data queue; returns how many bytes it has written.
    pub fn data(&self, queue: u16, worker: &mut Worker, chain: &Chain<'_>) -> u32 {
        data::serve(self, QueueId::Data(queue), worker, chain)
    }
}

/// A request's opcode, to tell faults by; 0 if there is none.
pub fn opcode(chain: &Chain<'_>) -> u32 {
    let mut bytes = [0; 4];
    chain.readable.read(&mut bytes);
    u32::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Slice, Span};

    /// A request that goes through the scratch buffer: its data is in pieces, and XTS wants it whole.
    #[test]
    fn nothing_of_a_request_is_left_in_a_worker() {
        let device = Device::new(Offer::default(), Trace::default());
        device.start(0);
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut create: Vec<u8> = words(&[2, 13, 0, 0, 13, 32, 1]);
        create.resize(72, 0);
        create[64] = 1;
        create.extend(0..32);
        let mut outcome = [0xff; 16];
        let chain =
            Chain { readable: Span::from(&mut create[..]), writable: Span::from(&mut outcome[..]) };
        assert_eq!(device.control(&chain), 16);
        let mut request: Vec<u8> = words(&[0, 0, 0, 0, 0, 0, 16, 40, 40]);
        request.resize(72, 0);
        request[64] = 1;
        request.resize(72 + 16 + 40, 0x5a);
        let mut answer = [0xff; 41];
        let (readable, writable) = (Slice::from(&mut request[..]), Slice::from(&mut answer[..]));
        let mut chain = Chain::default();
        for at in 0..readable.len() {
            chain.readable.push(readable.subslice(at, 1).unwrap());
        }
        for at in 0..writable.len() {
            chain.writable.push(writable.subslice(at, 1).unwrap());
        }
        let mut worker = Worker::default();
        assert_eq!(device.data(0, &mut worker, &chain), 41);
        assert!(worker.scratch.is_empty() && worker.scratch.capacity() >= 40);
        // SAFETY: The allocation has that many bytes, and the request has written them all.
        let left = unsafe { std::slice::from_raw_parts(worker.scratch.as_ptr(), 40) };
        assert_eq!(left, [0; 40]);
        worker.output.extend([7; 8]);
        worker.wipe();
        assert!(worker.output.is_empty());
        // SAFETY: As above.
        let left = unsafe { std::slice::from_raw_parts(worker.output.as_ptr(), 8) };
        assert_eq!(left, [0; 8]);
    }

    /// What is not wiped after a request is when the worker goes.
    #[test]
    fn a_workers_buffers_wipe_themselves() {
        fn wipes_itself(_: &impl zeroize::ZeroizeOnDrop) {}
        let Worker { scratch, output } = &Worker::default();
        wipes_itself(scratch);
        wipes_itself(output);
    }
}
