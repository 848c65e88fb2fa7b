// SPDX-License-Identifier: GPL-2.0
//! The PCI function: registers, interrupts and queues.
//!
//! All accesses of the driver come from one thread. Lock order: first a queue, then the registers.
//! A worker that holds the lock of its queue takes the lock of the registers when the device fails.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vhost_device_crypto::backend::EVENT_IDX;
use vhost_device_crypto::channel::FrontEnd;
use vhost_device_crypto::service::Service;
use virtio_crypto_device::protocol::feature;
use virtio_crypto_device::queue::Memory;
use virtio_crypto_device::requirement::Requirement;
use virtio_crypto_device::ring::packed::{Layout, PackedRing};
use virtio_crypto_device::ring::split::SplitRing;
use virtio_crypto_device::ring::{Ring, Signal};
use virtio_crypto_device::warn_limited;
use virtio_queue::QueueT;
use vm_memory::{GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;

use super::common_cfg::{Action, Common, QueueSetup};
use super::dma::{self, Mapping};
use super::interrupt::{Interrupts, Source};
use super::layout::{
    COMMON, COMMON_LEN, DEVICE, ISR, ISR_LEN, MAX_VECTORS, MSIX_PENDING, NOTIFY, NOTIFY_MULTIPLIER,
};
use super::pci_config::PciConfigSpace;
use super::{worker, IN_ORDER, PACKED, VERSION_1};
use crate::front_end::FunctionFrontEnd;
use crate::instrument::{FatalFault, Instrument, Queue};
use crate::test_device::TestDevice;

/// The PCI function of a device.
pub struct Function {
    device: Arc<TestDevice>,
    service: Arc<Service<Instrument>>,
    memory: Memory,
    /// Number of MSI-X vectors.
    vectors: u16,
    /// The registers of virtio.
    common: Mutex<Common>,
    /// The PCI configuration space.
    space: Mutex<PciConfigSpace>,
    interrupts: Arc<Interrupts>,
    /// Events that kick the workers of the queues.
    kicks: Vec<EventFd>,
    /// The connection to the front end.
    socket: Mutex<Option<UnixStream>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the offset of an access in a structure, or `None` if the access starts outside the
/// structure.
fn offset_in(offset: u64, structure: u64, len: u64) -> Option<u64> {
    offset.checked_sub(structure).filter(|&at| at < len)
}

impl Function {
    /// Creates the function of a device and a worker for each queue.
    pub fn new(device: Arc<TestDevice>) -> io::Result<Arc<Self>> {
        let service = device.service.clone();
        let settings = &device.settings.function;
        let queues = service.queues.len();
        // One vector for each queue and one for config changes. There are at most 64 queues.
        let vectors = settings.vectors.unwrap_or(queues as u16 + 1).min(MAX_VECTORS);
        let device_features = service.device.capabilities.features & feature::ALL;
        let offered = device_features | settings.features | VERSION_1;
        let common = Common::new(offered, queues, settings.queue_size);
        let interrupts = Arc::new(Interrupts::new(service.device.clone(), vectors));
        let kicks = (0..queues).map(|index| worker::start(service.clone(), index));
        Ok(Arc::new(Function {
            memory: GuestMemoryAtomic::new(GuestMemoryMmap::new()),
            vectors,
            common: Mutex::new(common),
            space: Mutex::new(PciConfigSpace::new(queues, vectors, settings.config_len)),
            interrupts,
            kicks: kicks.collect::<io::Result<_>>()?,
            socket: Mutex::new(None),
            service,
            device,
        }))
    }

    /// Returns the number of MSI-X vectors.
    pub fn vectors(&self) -> u16 {
        self.vectors
    }

    /// Returns the device.
    pub fn device(&self) -> &Arc<TestDevice> {
        &self.device
    }

    /// Returns the interrupts.
    pub fn interrupts(&self) -> &Interrupts {
        &self.interrupts
    }

    /// Called when a front end has connected.
    pub fn connect(self: &Arc<Self>, socket: UnixStream) {
        *lock(&self.socket) = Some(socket);
        self.service.connected.store(true, Ordering::SeqCst);
        self.service.channel.set(Some(self.clone()));
        self.device.function.set(Some(self.clone()));
    }

    /// Called when the front end has disconnected. Resets the function and unmaps guest memory.
    pub fn handle_disconnect(&self) {
        self.service.channel.set(None);
        self.device.function.set(None);
        self.service.connected.store(false, Ordering::SeqCst);
        *lock(&self.socket) = None;
        self.reset_function();
        self.interrupts.disconnect();
        // Unmapping all memory cannot fail.
        let _ = self.unmap(0, 0, true);
    }

    /// Resets the function, like a function level reset.
    pub fn reset_function(&self) {
        self.reset();
        let config_len = self.device.settings.function.config_len;
        *lock(&self.space) =
            PciConfigSpace::new(self.service.queues.len(), self.vectors, config_len);
        self.update_mode();
    }

    /// Resets the device, as requested by the driver.
    fn reset(&self) {
        for queue in &self.service.queues {
            queue.stop();
        }
        self.interrupts.reset();
        self.service.device.reset();
        lock(&self.common).reset();
    }

    /// Maps guest memory.
    pub fn map(&self, mapping: Mapping) -> io::Result<()> {
        dma::map(&self.memory, mapping)?;
        self.quiesce_memory();
        Ok(())
    }

    /// Unmaps guest memory. When this returns, the device does not access the memory any more.
    pub fn unmap(&self, address: u64, size: u64, all: bool) -> io::Result<()> {
        dma::unmap(&self.memory, address, size, all)?;
        self.quiesce_memory();
        Ok(())
    }

    /// Waits until all queues use the current memory map.
    fn quiesce_memory(&self) {
        for (index, queue) in self.service.queues.iter().enumerate() {
            if queue.is_running() {
                queue.quiesce_memory();
                self.kick(index);
            }
        }
    }

    /// Kicks the worker of a queue, if the driver is ready.
    fn kick(&self, index: usize) {
        if lock(&self.common).is_operational() {
            if let Some(Err(error)) = self.kicks.get(index).map(|kick| kick.write(1)) {
                tracing::error!("queue {index}: kick failed: {error}");
            }
        }
    }

    /// Reads the PCI configuration space.
    pub fn read_pci_config(&self, at: usize, to: &mut [u8]) {
        let window = lock(&self.space).window(at, to.len());
        if let Some(window) = window {
            let mut bytes = [0; 4];
            let bytes = &mut bytes[..window.len];
            self.read(window.offset, bytes);
            lock(&self.space).store_window_data(window, bytes);
        }
        lock(&self.space).read(at, to);
    }

    /// Writes the PCI configuration space.
    pub fn write_pci_config(&self, at: usize, from: &[u8]) {
        let (window, bytes) = {
            let mut space = lock(&self.space);
            let window = space.window(at, from.len());
            space.write(at, from);
            let mut bytes = [0; 4];
            if let Some(window) = window {
                space.read(window.data, &mut bytes);
            }
            (window, bytes)
        };
        if let Some(window) = window {
            self.write(window.offset, &bytes[..window.len]);
        }
        self.update_mode();
    }

    /// Passes the interrupt mode of the PCI configuration space to the interrupts.
    fn update_mode(&self) {
        let (msix, disabled) = {
            let space = lock(&self.space);
            (space.msix_enabled(), space.intx_disabled())
        };
        if let Err(error) = self.interrupts.set_mode(msix, disabled) {
            warn_limited!("raising an interrupt failed: {error}");
        }
    }

    /// Reads the BAR. Unused areas read as 0.
    pub fn read(&self, offset: u64, to: &mut [u8]) {
        to.fill(0);
        let config_len = self.device.settings.function.config_len;
        if let Some(at) = offset_in(offset, COMMON, COMMON_LEN as u64) {
            let faults = &self.service.device.hooks.faults;
            lock(&self.common).read(at as usize, to, faults, &self.interrupts);
        } else if offset_in(offset, ISR, ISR_LEN as u64).is_some() {
            if let Some(to) = to.first_mut() {
                *to = self.interrupts.take_status();
            }
        } else if let Some(at) = offset_in(offset, DEVICE, config_len as u64) {
            let mut config = self.service.device.config();
            config.resize(config_len, 0);
            copy(to, &config, at);
        } else if let Some(at) = offset_in(offset, MSIX_PENDING, u64::from(MAX_VECTORS) / 8) {
            copy(to, &self.interrupts.pending(), at);
        }
    }

    /// Writes the BAR. Writes to read-only and unused areas are ignored.
    pub fn write(&self, offset: u64, from: &[u8]) {
        let notify_len = self.kicks.len() as u64 * u64::from(NOTIFY_MULTIPLIER);
        if let Some(at) = offset_in(offset, COMMON, COMMON_LEN as u64) {
            let faults = &self.service.device.hooks.faults;
            let action = lock(&self.common).write(at as usize, from, faults, &self.interrupts);
            self.perform(action);
        } else if let Some(at) = offset_in(offset, NOTIFY, notify_len) {
            // The offset selects the queue. The written value, the index of the queue, is ignored.
            self.kick((at / u64::from(NOTIFY_MULTIPLIER)) as usize);
        }
    }

    /// Carries out the action that a register write requests.
    fn perform(&self, action: Action) {
        let device = &self.service.device;
        match action {
            Action::Nothing => {}
            Action::Reset => self.reset(),
            Action::Accept(features) => {
                self.service.set_features(features);
                device.start(features);
            }
            Action::Refuse(features) => {
                device.hooks.violations.check(Requirement::Features, feature::consistent(features));
                warn_limited!("rejected features {features:#x}");
            }
            Action::Renegotiate => device.hooks.violations.record(Requirement::Negotiation),
            Action::DriverOk => (0..self.kicks.len()).for_each(|index| self.kick(index)),
            Action::Start(index) => self.start(index),
            Action::Stop(index) => {
                if let Some(queue) = self.service.queues.get(index) {
                    queue.stop();
                }
                self.interrupts.assign(Source::Queue(index), super::interrupt::NO_VECTOR);
            }
        }
    }

    /// Starts a queue that the driver has enabled.
    fn start(&self, index: usize) {
        let (features, setup) = {
            let common = lock(&self.common);
            (common.features(), common.queue(index).unwrap_or_default())
        };
        let Some(queue) = self.service.queues.get(index) else { return };
        match self.create_ring(index, features, setup) {
            Ok(ring) => {
                queue.start(ring, &self.memory);
                self.kick(index);
            }
            Err(error) => {
                warn_limited!("queue {}: invalid setup: {error}", queue.id());
                self.device.on_fatal_fault(FatalFault::NeedsReset);
            }
        }
    }

    /// Creates the ring that the driver has set up. Returns an error if a split ring is invalid.
    fn create_ring(
        &self,
        index: usize,
        features: u64,
        setup: QueueSetup,
    ) -> Result<Box<dyn Ring>, virtio_queue::Error> {
        let interrupts = self.interrupts.clone();
        let signal: Signal = Box::new(move || interrupts.raise(Source::Queue(index)));
        let (event_idx, in_order) = (features & EVENT_IDX != 0, features & IN_ORDER != 0);
        if features & PACKED != 0 {
            let QueueSetup { size, descriptors, driver, device, .. } = setup;
            let layout = Layout { size, descriptors, driver, device, event_idx, in_order };
            return Ok(Box::new(PackedRing::new(layout, signal)));
        }
        let mut queue = virtio_queue::Queue::new(self.device.settings.function.queue_size)?;
        queue.try_set_size(setup.size)?;
        queue.try_set_desc_table_address(GuestAddress(setup.descriptors))?;
        queue.try_set_avail_ring_address(GuestAddress(setup.driver))?;
        queue.try_set_used_ring_address(GuestAddress(setup.device))?;
        queue.set_event_idx(event_idx);
        queue.set_ready(true);
        if !queue.is_valid(&*self.memory.memory()) {
            return Err(virtio_queue::Error::QueueNotReady);
        }
        Ok(Box::new(SplitRing::new(queue, in_order, signal)))
    }
}

impl FrontEnd for Function {
    fn config_change(&self) -> io::Result<()> {
        let driver_ok = {
            let mut common = lock(&self.common);
            common.change_config();
            common.is_driver_ok()
        };
        match driver_ok {
            true => self.interrupts.raise(Source::Config),
            false => Ok(()),
        }
    }
}

impl FunctionFrontEnd for Function {
    fn need_reset(&self) -> io::Result<()> {
        let driver_ok = {
            let mut common = lock(&self.common);
            // Without a driver the status must stay 0, as after a reset.
            if common.is_idle() {
                return Err(io::Error::other("there is no driver"));
            }
            common.need_reset();
            // Halt the queues before the lock of the registers is released. A driver that reads the
            // new status may reset the device and start queues, which must not be halted.
            self.service.queues.iter().for_each(Queue::halt);
            common.is_driver_ok()
        };
        // A driver that is not ready gets no notification.
        match driver_ok {
            true => self.interrupts.raise(Source::Config),
            false => Ok(()),
        }
    }

    fn disconnect(&self) -> io::Result<()> {
        match &*lock(&self.socket) {
            Some(socket) => socket.shutdown(Shutdown::Both),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn interrupt(&self) -> io::Result<()> {
        if lock(&self.common).is_driver_ok() {
            let queues = 0..self.service.queues.len();
            queues.map(Source::Queue).try_for_each(|source| self.interrupts.raise(source))?;
        }
        Ok(())
    }
}

/// Copies bytes of `from`, starting at offset `at`. Bytes of `to` beyond the end of `from` are
/// unchanged.
fn copy(to: &mut [u8], from: &[u8], at: u64) {
    let from = usize::try_from(at).ok().and_then(|at| from.get(at..)).unwrap_or_default();
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
