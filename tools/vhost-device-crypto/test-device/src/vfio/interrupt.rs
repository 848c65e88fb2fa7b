// SPDX-License-Identifier: GPL-2.0
//! Interrupts of the function: MSI-X vectors, or the INTx line.
//!
//! QEMU sets an eventfd for each vector that it uses. An interrupt of a vector without an eventfd
//! is pending until QEMU sets an eventfd. As in vfio, raising the INTx line also masks the line.
//! QEMU unmasks the line after the guest has handled the interrupt.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use virtio_crypto_device::queue_id::QueueId;

use crate::fault::Kind;
use crate::instrument::Device;

/// `VIRTIO_MSI_NO_VECTOR`
pub const NO_VECTOR: u16 = 0xffff;

/// Bits of the interrupt status register: interrupt of a queue, and config change.
const ISR_QUEUE: u8 = 1;
const ISR_CONFIG: u8 = 2;

/// An MSI-X vector.
#[derive(Default)]
struct Vector {
    /// The eventfd that raises the interrupt in QEMU.
    event: Option<File>,
    /// Whether an interrupt waits for an eventfd.
    pending: bool,
}

/// The INTx line.
#[derive(Default)]
struct IntxLine {
    /// The eventfd that raises the interrupt in QEMU.
    event: Option<File>,
    /// Whether the line is masked, by QEMU or by raising the line.
    masked: bool,
    /// Whether the driver has disabled the line.
    disabled: bool,
}

/// The source of an interrupt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// A config change.
    Config,
    /// The queue with this index. The control queue is the last one.
    Queue(usize),
}

struct State {
    /// Whether MSI-X is enabled, instead of the INTx line.
    msix: bool,
    vectors: Vec<Vector>,
    line: IntxLine,
    /// The interrupt status register (ISR).
    status: u8,
    /// The vector of config changes.
    config_vector: u16,
    /// The vectors of the queues.
    queue_vectors: Vec<u16>,
}

/// The interrupts of the function. While `state` is locked, no other lock is taken.
pub struct Interrupts {
    device: Arc<Device>,
    state: Mutex<State>,
}

impl Interrupts {
    /// Creates interrupts with this number of vectors, which have no eventfd.
    pub fn new(device: Arc<Device>, vectors: u16) -> Self {
        let queue_vectors = vec![NO_VECTOR; usize::from(device.capabilities.queues) + 1];
        let state = State {
            msix: false,
            vectors: (0..vectors).map(|_| Vector::default()).collect(),
            line: IntxLine::default(),
            status: 0,
            config_vector: NO_VECTOR,
            queue_vectors,
        };
        Interrupts { device, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a fault of this kind happens to an interrupt of this source.
    fn fires(&self, kind: Kind, source: Source) -> bool {
        let faults = &self.device.hooks.faults;
        let fired = match source {
            Source::Config => faults.fire_config(kind),
            Source::Queue(index) => faults.fire_queue(kind, self.queue_id(index)),
        };
        fired.is_some()
    }

    fn queue_id(&self, index: usize) -> QueueId {
        match u16::try_from(index) {
            Ok(index) if index < self.device.capabilities.queues => QueueId::Data(index),
            _ => QueueId::Control,
        }
    }

    /// Raises an interrupt.
    pub fn raise(&self, source: Source) -> io::Result<()> {
        if self.fires(Kind::VectorLost, source) {
            return Ok(());
        }
        let mut state = self.lock();
        let state = &mut *state;
        if state.msix {
            let vector = state.vector(source);
            return match state.vectors.get_mut(usize::from(vector)) {
                Some(vector) => vector.raise(),
                None => Ok(()),
            };
        }
        state.status |= match source {
            Source::Config => ISR_CONFIG,
            Source::Queue(_) => ISR_QUEUE,
        };
        state.update_line()
    }

    /// Returns and clears the interrupt status, which lowers the line.
    pub fn take_status(&self) -> u8 {
        std::mem::take(&mut self.lock().status)
    }

    /// Assigns a vector to a source, or `NO_VECTOR` if the vector does not exist.
    pub fn assign(&self, source: Source, vector: u16) {
        let rejected = vector != NO_VECTOR && self.fires(Kind::NoVector, source);
        let mut state = self.lock();
        let exists = usize::from(vector) < state.vectors.len();
        let vector = if exists && !rejected { vector } else { NO_VECTOR };
        match source {
            Source::Config => state.config_vector = vector,
            Source::Queue(index) => {
                if let Some(assigned) = state.queue_vectors.get_mut(index) {
                    *assigned = vector;
                }
            }
        }
    }

    /// Returns the vector of a source.
    pub fn vector(&self, source: Source) -> u16 {
        self.lock().vector(source)
    }

    /// Selects MSI-X or INTx, and enables or disables the line.
    pub fn set_mode(&self, msix: bool, line_disabled: bool) -> io::Result<()> {
        let mut state = self.lock();
        state.msix = msix;
        state.line.disabled = line_disabled;
        state.update_line()
    }

    /// Resets the state that belongs to virtio: assigned vectors, interrupt status, pending
    /// vectors.
    pub fn reset(&self) {
        let mut state = self.lock();
        state.status = 0;
        state.config_vector = NO_VECTOR;
        state.queue_vectors.fill(NO_VECTOR);
        state.vectors.iter_mut().for_each(|vector| vector.pending = false);
    }

    /// Removes all eventfds after the front end has disconnected.
    pub fn disconnect(&self) {
        let mut state = self.lock();
        state.msix = false;
        state.line = IntxLine::default();
        state.vectors.fill_with(Vector::default);
    }

    /// Returns the pending bits of the vectors.
    pub fn pending(&self) -> Vec<u8> {
        let state = self.lock();
        let mut bytes = vec![0; state.vectors.len().div_ceil(64) * 8];
        for (index, vector) in state.vectors.iter().enumerate() {
            bytes[index / 8] |= u8::from(vector.pending) << (index % 8);
        }
        bytes
    }

    /// Returns the number of vectors.
    pub fn vectors(&self) -> usize {
        self.lock().vectors.len()
    }

    /// Sets the eventfds of vectors from `start` on. `None` removes an eventfd.
    pub fn set_events(&self, start: usize, events: Vec<Option<File>>) -> io::Result<()> {
        let mut state = self.lock();
        let end = start.saturating_add(events.len());
        let vectors = state.vectors.get_mut(start..end).ok_or(io::ErrorKind::InvalidInput)?;
        for (vector, event) in vectors.iter_mut().zip(events) {
            vector.event = event;
            if vector.event.is_some() && std::mem::take(&mut vector.pending) {
                vector.raise()?;
            }
        }
        Ok(())
    }

    /// Sets the eventfd of the line, or removes it.
    pub fn set_line_event(&self, event: Option<File>) -> io::Result<()> {
        let mut state = self.lock();
        state.line.event = event;
        state.line.masked = false;
        state.update_line()
    }

    /// Masks or unmasks the line.
    pub fn mask_line(&self, masked: bool) -> io::Result<()> {
        let mut state = self.lock();
        state.line.masked = masked;
        state.update_line()
    }
}

impl Vector {
    fn raise(&mut self) -> io::Result<()> {
        match &self.event {
            Some(event) => raise(event),
            None => {
                self.pending = true;
                Ok(())
            }
        }
    }
}

impl State {
    fn vector(&self, source: Source) -> u16 {
        match source {
            Source::Config => self.config_vector,
            Source::Queue(index) => self.queue_vectors.get(index).copied().unwrap_or(NO_VECTOR),
        }
    }

    /// Raises and masks the line if an interrupt is pending and the line is neither masked nor
    /// disabled.
    fn update_line(&mut self) -> io::Result<()> {
        let IntxLine { event, masked, disabled } = &mut self.line;
        let pending = !self.msix && self.status != 0 && !*disabled;
        match event {
            Some(event) if pending && !*masked => {
                *masked = true;
                raise(event)
            }
            _ => Ok(()),
        }
    }
}

fn raise(mut event: &File) -> io::Result<()> {
    match event.write(&1u64.to_ne_bytes()) {
        // The counter of the eventfd is at its maximum, so QEMU has not handled earlier interrupts.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        result => result.map(|_| ()),
    }
}
