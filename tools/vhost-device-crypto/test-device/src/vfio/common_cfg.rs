// SPDX-License-Identifier: GPL-2.0
//! `struct virtio_pci_common_cfg`: the registers by which a driver negotiates features and sets up
//! queues. A write returns an [`Action`] that the caller must carry out.

use std::ops::Range;

use super::interrupt::{Interrupts, Source};
use super::layout::COMMON_LEN;
use super::{PACKED, RING_RESET, VERSION_1};
use virtio_crypto_device::protocol::feature;
use virtio_crypto_device::queue_id::QueueId;
use virtio_crypto_device::warn_limited;

use crate::fault::{Faults, Kind};

/// Status bit: the driver has accepted the features.
pub const FEATURES_OK: u8 = 8;
/// Status bit: the driver is ready.
pub const DRIVER_OK: u8 = 4;
/// Status bit: the driver has failed.
pub const FAILED: u8 = 128;
/// Status bit: the device must be reset.
pub const NEEDS_RESET: u8 = 64;

/// Offsets of the registers.
const DEVICE_FEATURE_SELECT: usize = 0x00;
const DEVICE_FEATURE: usize = 0x04;
const DRIVER_FEATURE_SELECT: usize = 0x08;
const DRIVER_FEATURE: usize = 0x0c;
const CONFIG_VECTOR: usize = 0x10;
const NUM_QUEUES: usize = 0x12;
const STATUS: usize = 0x14;
const GENERATION: usize = 0x15;
const QUEUE_SELECT: usize = 0x16;
const QUEUE_SIZE: usize = 0x18;
const QUEUE_VECTOR: usize = 0x1a;
const QUEUE_ENABLE: usize = 0x1c;
const QUEUE_NOTIFY_OFF: usize = 0x1e;
const QUEUE_DESC: usize = 0x20;
const QUEUE_DRIVER: usize = 0x28;
const QUEUE_DEVICE: usize = 0x30;
const QUEUE_NOTIFY_DATA: usize = 0x38;
const QUEUE_RESET: usize = 0x3a;

/// The registers of a queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QueueSetup {
    /// Number of descriptors.
    pub size: u16,
    /// Whether the driver has enabled the queue.
    pub enabled: bool,
    /// Address of the descriptor area.
    pub descriptors: u64,
    /// Address of the driver area.
    pub driver: u64,
    /// Address of the device area.
    pub device: u64,
}

/// The action that a write requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// No action.
    Nothing,
    /// Reset the device, then call [`Common::reset`].
    Reset,
    /// Accept these features.
    Accept(u64),
    /// Reject these features.
    Refuse(u64),
    /// The driver negotiates again without a reset.
    Renegotiate,
    /// The driver is ready, and may already have added requests.
    DriverOk,
    /// Start this queue.
    Start(usize),
    /// Stop this queue.
    Stop(usize),
}

/// The registers.
pub struct Common {
    offered: u64,
    /// The feature bits that `offer-features` inverted when the driver last read the offered features.
    toggled: u64,
    max_size: u16,
    device_select: u32,
    driver_select: u32,
    features: u64,
    status: u8,
    /// Whether the driver has set FEATURES_OK since the last reset, even without success.
    negotiated: bool,
    generation: u8,
    select: u16,
    queues: Vec<QueueSetup>,
}

impl Common {
    /// Creates registers with the values after a reset.
    pub fn new(offered: u64, queues: usize, max_size: u16) -> Self {
        let mut common = Common {
            offered,
            toggled: 0,
            max_size,
            device_select: 0,
            driver_select: 0,
            features: 0,
            status: 0,
            negotiated: false,
            generation: 0,
            select: 0,
            queues: vec![QueueSetup::default(); queues],
        };
        common.reset();
        common
    }

    /// Resets the registers, except the config generation.
    pub fn reset(&mut self) {
        (self.device_select, self.driver_select) = (0, 0);
        (self.features, self.status, self.select) = (0, 0, 0);
        self.negotiated = false;
        self.queues.fill(QueueSetup { size: self.max_size, ..QueueSetup::default() });
    }

    /// Returns the features that the driver has accepted.
    pub fn features(&self) -> u64 {
        self.features
    }

    /// Returns whether the driver is ready and the device needs no reset.
    pub fn is_operational(&self) -> bool {
        self.is_driver_ok() && self.status & NEEDS_RESET == 0
    }

    /// Returns whether the status is 0, that is, no driver uses the device.
    pub fn is_idle(&self) -> bool {
        self.status == 0
    }

    /// Returns whether the driver is ready.
    pub fn is_driver_ok(&self) -> bool {
        self.status & DRIVER_OK != 0
    }

    /// Returns the registers of a queue.
    pub fn queue(&self, index: usize) -> Option<QueueSetup> {
        self.queues.get(index).copied()
    }

    /// Sets DEVICE_NEEDS_RESET.
    pub fn need_reset(&mut self) {
        self.status |= NEEDS_RESET;
    }

    /// Increments the config generation after a config change.
    pub fn change_config(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// Reads registers from an offset on. Bytes beyond the end are 0.
    pub fn read(&mut self, at: usize, to: &mut [u8], faults: &Faults, interrupts: &Interrupts) {
        let end = at.saturating_add(to.len());
        let changes = || faults.fire_config(Kind::GenerationChanges).is_some();
        if (at..end).contains(&GENERATION) && changes() {
            self.change_config();
        }
        let mut image = self.image(interrupts);
        self.apply_faults(&mut image, at..end, faults);
        let from = image.get(at..).unwrap_or_default();
        to.fill(0);
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }

    /// Applies faults to the registers that the driver reads.
    fn apply_faults(&mut self, image: &mut [u8; COMMON_LEN], read: Range<usize>, faults: &Faults) {
        let mut put = |at: usize, bytes: &[u8]| image[at..][..bytes.len()].copy_from_slice(bytes);
        if read.contains(&DEVICE_FEATURE) && self.device_select < 2 {
            let mask = 0xffff_ffff << (32 * self.device_select);
            let bits = faults.fire_config(Kind::OfferFeatures).unwrap_or(0);
            self.toggled = self.toggled & !mask | bits & mask;
            put(
                DEVICE_FEATURE,
                &half(self.offered_with_faults(), self.device_select).to_le_bytes(),
            );
        }
        if read.contains(&STATUS) {
            if let Some(status) = faults.fire_config(Kind::StatusRegister) {
                put(STATUS, &[status as u8]);
            }
        }
        let index = usize::from(self.select);
        if read.contains(&QUEUE_SIZE) && index < self.queues.len() {
            if let Some(size) = faults.fire_queue(Kind::QueueSize, self.queue_id(index)) {
                put(QUEUE_SIZE, &(size as u16).to_le_bytes());
            }
        }
    }

    /// Returns the offered features that the driver has read, with the changes by `offer-features`.
    fn offered_with_faults(&self) -> u64 {
        self.offered ^ self.toggled
    }

    /// Returns the ID of a queue. The last queue is the control queue.
    fn queue_id(&self, index: usize) -> QueueId {
        match index + 1 == self.queues.len() {
            true => QueueId::Control,
            false => QueueId::Data(index as u16),
        }
    }

    fn image(&self, interrupts: &Interrupts) -> [u8; COMMON_LEN] {
        let mut image = [0; COMMON_LEN];
        let mut put = |at: usize, bytes: &[u8]| image[at..][..bytes.len()].copy_from_slice(bytes);
        put(DEVICE_FEATURE_SELECT, &self.device_select.to_le_bytes());
        put(DEVICE_FEATURE, &half(self.offered, self.device_select).to_le_bytes());
        put(DRIVER_FEATURE_SELECT, &self.driver_select.to_le_bytes());
        put(DRIVER_FEATURE, &half(self.features, self.driver_select).to_le_bytes());
        put(CONFIG_VECTOR, &interrupts.vector(Source::Config).to_le_bytes());
        put(NUM_QUEUES, &(self.queues.len() as u16).to_le_bytes());
        put(STATUS, &[self.status]);
        put(GENERATION, &[self.generation]);
        put(QUEUE_SELECT, &self.select.to_le_bytes());
        let index = usize::from(self.select);
        // A queue size of 0 tells the driver that the queue does not exist.
        let Some(queue) = self.queues.get(index) else { return image };
        put(QUEUE_SIZE, &queue.size.to_le_bytes());
        put(QUEUE_VECTOR, &interrupts.vector(Source::Queue(index)).to_le_bytes());
        put(QUEUE_ENABLE, &u16::from(queue.enabled).to_le_bytes());
        put(QUEUE_NOTIFY_OFF, &self.select.to_le_bytes());
        put(QUEUE_DESC, &queue.descriptors.to_le_bytes());
        put(QUEUE_DRIVER, &queue.driver.to_le_bytes());
        put(QUEUE_DEVICE, &queue.device.to_le_bytes());
        put(QUEUE_NOTIFY_DATA, &self.select.to_le_bytes());
        // A reset of a queue completes within the write, so it always reads as complete.
        put(QUEUE_RESET, &[0; 2]);
        image
    }

    /// Writes a register. The access must have the size of the register; registers of 64 bits can
    /// also be written in two halves.
    pub fn write(
        &mut self,
        at: usize,
        from: &[u8],
        faults: &Faults,
        interrupts: &Interrupts,
    ) -> Action {
        let value = from.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        let index = usize::from(self.select);
        match (at, from.len()) {
            (DEVICE_FEATURE_SELECT, 4) => self.device_select = value as u32,
            (DRIVER_FEATURE_SELECT, 4) => self.driver_select = value as u32,
            (DRIVER_FEATURE, 4) => return self.write_features(value as u32),
            (CONFIG_VECTOR, 2) => interrupts.assign(Source::Config, value as u16),
            (STATUS, 1) => return self.write_status(value as u8, faults),
            (QUEUE_SELECT, 2) => self.select = value as u16,
            (QUEUE_VECTOR, 2) if index < self.queues.len() => {
                interrupts.assign(Source::Queue(index), value as u16);
            }
            (QUEUE_RESET, 2) if value == 1 => return self.reset_queue(index, faults),
            (QUEUE_ENABLE, 2) if value == 1 => return self.enable_queue(index),
            _ => self.write_queue(index, at, value, from.len()),
        }
        Action::Nothing
    }

    fn write_features(&mut self, value: u32) -> Action {
        if self.status & FEATURES_OK == 0 {
            match self.driver_select {
                0 => self.features = self.features & !0xffff_ffff | u64::from(value),
                1 => self.features = self.features & 0xffff_ffff | u64::from(value) << 32,
                _ => {}
            }
        }
        // This is not a violation after FAILED: Linux may then bind the device again without a
        // reset.
        match self.negotiated && self.status & FAILED == 0 {
            true => Action::Renegotiate,
            false => Action::Nothing,
        }
    }

    fn write_status(&mut self, value: u8, faults: &Faults) -> Action {
        if faults.fire_config(Kind::StatusStuck).is_some() {
            return Action::Nothing;
        }
        if value == 0 {
            return Action::Reset;
        }
        // Status bits stay set until a reset. The driver cannot set DEVICE_NEEDS_RESET.
        let new = value & !self.status & !NEEDS_RESET;
        self.status |= new;
        if new & FEATURES_OK != 0 {
            self.negotiated = true;
            if !self.are_features_valid(faults) {
                self.status &= !FEATURES_OK;
                return Action::Refuse(self.features);
            }
            return Action::Accept(self.features);
        }
        match new & DRIVER_OK != 0 {
            true => Action::DriverOk,
            false => Action::Nothing,
        }
    }

    fn are_features_valid(&self, faults: &Faults) -> bool {
        let rejected = faults.fire_config(Kind::RefuseFeatures).is_some();
        let were_offered = self.features & !self.offered_with_faults() == 0;
        let consistent = self.features & VERSION_1 != 0 && feature::consistent(self.features);
        were_offered && consistent && !rejected
    }

    /// Enables a queue, if its setup is valid.
    fn enable_queue(&mut self, index: usize) -> Action {
        let packed = self.features & PACKED != 0;
        let negotiated = self.status & FEATURES_OK != 0;
        let Some(queue) = self.queues.get_mut(index) else { return Action::Nothing };
        let is_size_valid =
            (1..=self.max_size).contains(&queue.size) && (packed || queue.size.is_power_of_two());
        if queue.enabled || !negotiated || !is_size_valid {
            warn_limited!("queue {index}: invalid setup: {queue:?}");
            return Action::Nothing;
        }
        queue.enabled = true;
        Action::Start(index)
    }

    fn reset_queue(&mut self, index: usize, faults: &Faults) -> Action {
        let id = self.queue_id(index);
        let Some(queue) = self.queues.get_mut(index) else { return Action::Nothing };
        if self.features & RING_RESET == 0
            || faults.fire_queue(Kind::RingResetRefused, id).is_some()
        {
            return Action::Nothing;
        }
        *queue = QueueSetup { size: self.max_size, ..QueueSetup::default() };
        Action::Stop(index)
    }

    /// Writes the size or an address of a queue, unless the queue is enabled.
    fn write_queue(&mut self, index: usize, at: usize, value: u64, len: usize) {
        let Some(queue) = self.queues.get_mut(index).filter(|queue| !queue.enabled) else {
            return;
        };
        if (at, len) == (QUEUE_SIZE, 2) {
            queue.size = value as u16;
            return;
        }
        for (field, register) in [
            (QUEUE_DESC, &mut queue.descriptors),
            (QUEUE_DRIVER, &mut queue.driver),
            (QUEUE_DEVICE, &mut queue.device),
        ] {
            match at.checked_sub(field) {
                Some(0) if len == 8 => *register = value,
                Some(0) if len == 4 => *register = *register & !0xffff_ffff | value,
                Some(4) if len == 4 => *register = *register & 0xffff_ffff | value << 32,
                _ => {}
            }
        }
    }
}

/// Returns bits 0 to 31 if `select` is 0, bits 32 to 63 if it is 1, and otherwise 0.
fn half(features: u64, select: u32) -> u32 {
    match select {
        0 => features as u32,
        1 => (features >> 32) as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
