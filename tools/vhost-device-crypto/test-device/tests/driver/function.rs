// SPDX-License-Identifier: GPL-2.0
//! A vfio-user client that acts as a front end and as the driver of the PCI function. It finds the
//! registers by the PCI capabilities of the function.

use std::os::fd::AsRawFd;

use vfio_user::Client;
use virtio_crypto_device::queue::Memory;
use vm_memory::{GuestAddressSpace, GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::eventfd::EventFd;

use super::front::{new_eventfd, shared_memory, wait, Server, VERSION_1};
use super::{Ring, AVAIL, TABLE, USED};

pub const RING_RESET: u64 = 1 << 40;
pub const PACKED: u64 = 1 << 34;
pub const IN_ORDER: u64 = 1 << 35;
pub const EVENT_IDX: u64 = 1 << 29;

/// VFIO region indexes of BAR 0 and of the PCI configuration space.
const BAR: u32 = 0;
pub const PCI_CONFIG: u32 = 7;

/// VFIO indexes of interrupt types.
const INTX: u32 = 0;
const MSIX: u32 = 2;

/// Flags of `VFIO_USER_DEVICE_SET_IRQS`: the data of the message, eventfds or nothing, and the
/// action.
const EVENTFD: u32 = 4;
const NO_DATA: u32 = 1;
const UNMASK: u32 = 16;
const TRIGGER: u32 = 32;

/// The status bits ACKNOWLEDGE (1) and DRIVER (2) together.
pub const ACK_DRIVER: u64 = 3;
/// Other status bits.
pub const FEATURES_OK: u64 = 8;
pub const DRIVER_OK: u64 = 4;
pub const NEEDS_RESET: u64 = 64;

/// Types of virtio capabilities.
pub const COMMON: u8 = 1;
pub const NOTIFY: u8 = 2;
pub const ISR: u8 = 3;
pub const DEVICE: u8 = 4;
pub const PCI: u8 = 5;

/// Offsets of registers in the common configuration.
pub const NUM_QUEUES: u64 = 0x12;
pub const STATUS: u64 = 0x14;
pub const GENERATION: u64 = 0x15;
pub const CONFIG_VECTOR: u64 = 0x10;
pub const QUEUE_SELECT: u64 = 0x16;
pub const QUEUE_SIZE: u64 = 0x18;
pub const QUEUE_VECTOR: u64 = 0x1a;
pub const QUEUE_ENABLE: u64 = 0x1c;
pub const QUEUE_DESC: u64 = 0x20;
pub const QUEUE_RESET: u64 = 0x3a;

/// `VIRTIO_MSI_NO_VECTOR`
pub const NO_VECTOR: u64 = 0xffff;

/// The connected client, with the memory and the rings of the driver.
pub struct Guest {
    pub client: Client,
    pub memory: Memory,
    pub rings: Vec<Ring>,
    /// The eventfds of the MSI-X vectors.
    pub vectors: Vec<EventFd>,
    /// The eventfd of the INTx line.
    pub line: EventFd,
}

impl Guest {
    /// Connects, maps guest memory, and sets eventfds.
    pub fn connect(server: &Server) -> Self {
        let mut client = Client::new(&server.path("socket")).unwrap();
        let memory = shared_memory();
        for region in memory.memory().iter() {
            let file = region.file_offset().unwrap();
            let (start, len) = (region.start_addr().0, region.len());
            client.dma_map(file.start(), start, len, file.file().as_raw_fd()).unwrap();
        }
        let count = client.get_irq_info(MSIX).unwrap().count;
        let vectors: Vec<EventFd> = (0..count).map(|_| new_eventfd()).collect();
        let line = new_eventfd();
        let mut guest = Guest { client, memory, rings: Vec::new(), vectors, line };
        guest.client.set_irqs(INTX, EVENTFD | TRIGGER, 0, 1, &[guest.line.as_raw_fd()]).unwrap();
        for vector in 0..guest.vectors.len() {
            guest.set_eventfd(vector);
        }
        guest
    }

    /// Enables MSI-X.
    pub fn enable_msix(&mut self) {
        // The capability has the ID PCI_CAP_ID_MSIX. Bit 15 of its message control enables MSI-X.
        let at = self.capability(0x11, |_| true).unwrap();
        let control = self.pci_config(at + 2, 2) | 1 << 15;
        self.client.region_write(PCI_CONFIG, at + 2, &(control as u16).to_le_bytes()).unwrap();
    }

    /// Connects a vector to its eventfd.
    pub fn set_eventfd(&mut self, vector: usize) {
        let files = [self.vectors[vector].as_raw_fd()];
        self.client.set_irqs(MSIX, EVENTFD | TRIGGER, vector as u32, 1, &files).unwrap();
    }

    /// Disconnects a vector from its eventfd.
    pub fn remove_eventfd(&mut self, vector: usize) {
        self.client.set_irqs(MSIX, EVENTFD | TRIGGER, vector as u32, 1, &[]).unwrap();
    }

    pub fn unmask_line(&mut self) {
        self.client.set_irqs(INTX, NO_DATA | UNMASK, 0, 1, &[]).unwrap();
    }

    pub fn pci_config(&mut self, at: u64, len: usize) -> u64 {
        let mut bytes = [0; 8];
        self.client.region_read(PCI_CONFIG, at, &mut bytes[..len]).unwrap();
        u64::from_le_bytes(bytes)
    }

    /// Returns the offset in the configuration space of the first capability with this ID that
    /// `is_wanted` accepts. The argument of `is_wanted` is byte 3 of the capability: the virtio
    /// type (`cfg_type`) if the capability is vendor-specific.
    fn capability(&mut self, id: u64, is_wanted: impl Fn(&mut u64) -> bool) -> Option<u64> {
        // The register PCI_CAPABILITY_LIST.
        let mut at = self.pci_config(0x34, 1);
        while at != 0 {
            if self.pci_config(at, 1) == id && is_wanted(&mut self.pci_config(at + 3, 1)) {
                return Some(at);
            }
            at = self.pci_config(at + 1, 1);
        }
        None
    }

    /// Returns the offset of the capability of a structure, and offset and length of the structure
    /// in the BAR. `kind` is the virtio type of the capability.
    pub fn structure(&mut self, kind: u8) -> Option<(u64, u64, u64)> {
        // Virtio capabilities have the ID PCI_CAP_ID_VNDR.
        let at = self.capability(9, |virtio_type| *virtio_type == u64::from(kind))?;
        assert_eq!(self.pci_config(at + 4, 1), u64::from(BAR));
        Some((at, self.pci_config(at + 8, 4), self.pci_config(at + 12, 4)))
    }

    /// Reads from the structure of this type.
    pub fn read(&mut self, kind: u8, at: u64, len: usize) -> u64 {
        let (_, offset, _) = self.structure(kind).unwrap();
        let mut bytes = [0; 8];
        self.client.region_read(BAR, offset + at, &mut bytes[..len]).unwrap();
        u64::from_le_bytes(bytes)
    }

    pub fn write(&mut self, kind: u8, at: u64, len: usize, value: u64) {
        let (_, offset, _) = self.structure(kind).unwrap();
        self.client.region_write(BAR, offset + at, &value.to_le_bytes()[..len]).unwrap();
    }

    pub fn common(&mut self, at: u64, len: usize) -> u64 {
        self.read(COMMON, at, len)
    }

    pub fn set_common(&mut self, at: u64, len: usize, value: u64) {
        self.write(COMMON, at, len, value);
    }

    pub fn status(&mut self) -> u64 {
        self.common(STATUS, 1)
    }

    pub fn reset(&mut self) {
        self.set_common(STATUS, 1, 0);
        assert_eq!(self.status(), 0);
        self.rings.clear();
    }

    /// Returns the offered features.
    pub fn offered(&mut self) -> u64 {
        let mut features = 0;
        for half in 0..2 {
            // device_feature_select, then device_feature.
            self.set_common(0, 4, half);
            features |= self.common(4, 4) << (32 * half);
        }
        features
    }

    /// Negotiates features. Returns whether the device accepts them.
    pub fn negotiate(&mut self, features: u64) -> bool {
        self.set_common(STATUS, 1, ACK_DRIVER);
        for half in 0..2 {
            // driver_feature_select, then driver_feature.
            self.set_common(8, 4, half);
            self.set_common(12, 4, features >> (32 * half) & 0xffff_ffff);
        }
        self.set_common(STATUS, 1, ACK_DRIVER | FEATURES_OK);
        self.status() & FEATURES_OK != 0
    }

    /// Returns the base address of the ring of a queue. Rings of even queues begin in the first
    /// region of guest memory, and rings of odd queues in the second.
    pub fn ring_base(index: usize) -> u64 {
        0x80_0000 * (index as u64 % 2) + 0x1000 * (index as u64 / 2)
    }

    /// Sets up and enables a queue. Vector 0 is for config changes.
    pub fn enable(&mut self, index: usize, size: u16) {
        let base = Guest::ring_base(index);
        self.set_common(QUEUE_SELECT, 2, index as u64);
        self.set_common(QUEUE_SIZE, 2, size.into());
        for (part, number) in [TABLE, AVAIL, USED].iter().zip(0..) {
            let address = base + part;
            self.set_common(QUEUE_DESC + 8 * number, 4, address & 0xffff_ffff);
            self.set_common(QUEUE_DESC + 8 * number + 4, 4, address >> 32);
        }
        self.set_common(QUEUE_VECTOR, 2, index as u64 + 1);
        self.set_common(QUEUE_ENABLE, 2, 1);
        assert_eq!(self.common(QUEUE_ENABLE, 2), 1);
    }

    /// Starts the device with split rings, and MSI-X.
    pub fn start(&mut self, features: u64, rings: usize) {
        self.enable_msix();
        assert!(self.negotiate(features | VERSION_1));
        self.set_common(CONFIG_VECTOR, 2, 0);
        for index in 0..rings {
            self.enable(index, 16);
            self.rings.push(Ring::new(self.memory.clone(), Guest::ring_base(index), 16));
        }
        self.set_driver_ok();
    }

    pub fn set_driver_ok(&mut self) {
        self.set_common(STATUS, 1, ACK_DRIVER | FEATURES_OK | DRIVER_OK);
        assert_eq!(self.status(), ACK_DRIVER | FEATURES_OK | DRIVER_OK);
    }

    /// Returns the offset in the BAR of the register that kicks a queue.
    pub fn doorbell(&mut self, index: usize) -> u64 {
        let (at, notify, _) = self.structure(NOTIFY).unwrap();
        let multiplier = self.pci_config(at + 16, 4);
        self.set_common(QUEUE_SELECT, 2, index as u64);
        // The register at 0x1e is queue_notify_off.
        notify + self.common(0x1e, 2) * multiplier
    }

    pub fn kick(&mut self, index: usize) {
        let doorbell = self.doorbell(index);
        self.client.region_write(BAR, doorbell, &(index as u16).to_le_bytes()).unwrap();
    }

    /// Waits for the interrupt of a vector.
    pub fn wait_for_interrupt(&self, vector: usize) {
        wait("interrupt", || self.vectors[vector].read().ok());
    }

    /// Returns the vectors with a new interrupt. An interrupt is new until this function or
    /// `wait_for_interrupt` returns it.
    pub fn raised(&self) -> Vec<usize> {
        let raised = |vector: &usize| self.vectors[*vector].read().is_ok();
        (0..self.vectors.len()).filter(raised).collect()
    }

    /// Kicks a queue, waits for the interrupt, and returns the new used entries: ID and length.
    pub fn kick_and_wait(&mut self, index: usize) -> Vec<(u32, u32)> {
        self.kick(index);
        self.wait_for_interrupt(index + 1);
        self.rings[index].used()
    }

    /// Sends a request with the opcode 0, which the device rejects. Checks that the device returns
    /// the request and has written one byte, the status.
    pub fn run_request(&mut self, index: usize) {
        let head = self.rings[index].request(0);
        assert_eq!(self.kick_and_wait(index), [(head.into(), 1)]);
    }
}
