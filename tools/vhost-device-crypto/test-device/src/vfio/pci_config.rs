// SPDX-License-Identifier: GPL-2.0
//! The PCI configuration space of the function: the header, and the capabilities by which a driver
//! finds the structures of virtio.

use super::layout::{
    BAR, BAR_LEN, COMMON, COMMON_LEN, DEVICE, ISR, ISR_LEN, MSIX_PENDING, MSIX_TABLE, NOTIFY,
    NOTIFY_MULTIPLIER,
};

/// Size of the configuration space, in bytes.
pub const LEN: usize = 256;

/// IDs of a modern virtio crypto device.
const VENDOR: u16 = 0x1af4;
const DEVICE_ID: u16 = 0x1040 + 20;
const SUBSYSTEM: u16 = 0x1100;

/// Class code: other encryption controller.
const CLASS: [u8; 3] = [0x00, 0x80, 0x10];

/// Registers of the header.
const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const BARS: usize = 0x10;
const CAPABILITIES: usize = 0x34;
const LINE: usize = 0x3c;
const PIN: usize = 0x3d;

/// Writable bits of the command register: memory space, bus master, INTx disable.
const COMMAND_MASK: u16 = 1 << 1 | 1 << 2 | INTX_DISABLE;
const INTX_DISABLE: u16 = 1 << 10;

/// Status bit: the capability list is present.
const HAS_CAPABILITIES: u16 = 1 << 4;

const CAP_VENDOR: u8 = 0x09;
const CAP_MSIX: u8 = 0x11;

/// Bits of the MSI-X control register: enable, mask all.
const MSIX_ENABLE: u16 = 1 << 15;
const MSIX_MASK: u16 = 1 << 14;

/// Types of virtio capabilities.
const CFG_COMMON: u8 = 1;
const CFG_NOTIFY: u8 = 2;
const CFG_ISR: u8 = 3;
const CFG_DEVICE: u8 = 4;
const CFG_PCI: u8 = 5;

/// Length of a virtio capability without additional fields.
const CAP_LEN: usize = 16;

/// Offsets of `bar`, `offset` and `length` in a virtio capability.
const CAP_BAR: usize = 4;
const CAP_OFFSET: usize = 8;
const CAP_LENGTH: usize = 12;

/// An access to the BAR through the PCI configuration access capability. The driver writes BAR,
/// offset and length to the capability. A read or write of the data field then accesses the BAR.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Offset of the data field in the configuration space.
    pub data: usize,
    /// Offset in the BAR.
    pub offset: u64,
    /// Length: 1, 2 or 4 bytes.
    pub len: usize,
}

/// The configuration space.
pub struct PciConfigSpace {
    bytes: [u8; LEN],
    /// Mask of the writable bits.
    writable: [u8; LEN],
    /// Offset at which the next capability is added.
    next: usize,
    /// Offset of the byte that points to the next capability.
    link: usize,
    /// Offset of the MSI-X capability.
    msix: Option<usize>,
    /// Offset of the PCI configuration access capability.
    pci: usize,
}

impl PciConfigSpace {
    /// Creates a configuration space with the values after a reset.
    pub fn new(queues: usize, vectors: u16, config_len: usize) -> Self {
        let mut space = PciConfigSpace {
            bytes: [0; LEN],
            writable: [0; LEN],
            next: 0x40,
            link: CAPABILITIES,
            msix: None,
            pci: 0,
        };
        space.init_header();
        if vectors > 0 {
            space.msix = Some(space.add_msix(vectors));
        }
        space.add_virtio(CFG_COMMON, COMMON, COMMON_LEN, 0);
        let notify = space.add_virtio(CFG_NOTIFY, NOTIFY, queues * NOTIFY_MULTIPLIER as usize, 4);
        space.set(notify + CAP_LEN, &NOTIFY_MULTIPLIER.to_le_bytes());
        space.add_virtio(CFG_ISR, ISR, ISR_LEN, 0);
        if config_len > 0 {
            space.add_virtio(CFG_DEVICE, DEVICE, config_len, 0);
        }
        space.pci = space.add_virtio(CFG_PCI, 0, 0, 4);
        for at in [CAP_BAR, CAP_OFFSET, CAP_LENGTH, CAP_LEN] {
            let len = if at == CAP_BAR { 1 } else { 4 };
            space.writable[space.pci + at..][..len].fill(0xff);
        }
        space
    }

    fn init_header(&mut self) {
        self.set(0, &VENDOR.to_le_bytes());
        self.set(2, &DEVICE_ID.to_le_bytes());
        self.writable[COMMAND..][..2].copy_from_slice(&COMMAND_MASK.to_le_bytes());
        self.set(STATUS, &HAS_CAPABILITIES.to_le_bytes());
        // The revision of a modern device.
        self.set(8, &[1]);
        self.set(9, &CLASS);
        // One BAR: 32 bits, not prefetchable, so all low bits are 0.
        let mask = !(BAR_LEN as u32 - 1);
        self.writable[BARS + 4 * usize::from(BAR)..][..4].copy_from_slice(&mask.to_le_bytes());
        self.set(0x2c, &VENDOR.to_le_bytes());
        self.set(0x2e, &SUBSYSTEM.to_le_bytes());
        self.writable[LINE] = 0xff;
        self.set(PIN, &[1]);
    }

    fn set(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Allocates a capability and links it to the previous one. Returns its offset.
    fn add(&mut self, id: u8, len: usize) -> usize {
        let at = self.next;
        // Capabilities are below offset 256.
        self.set(self.link, &[at as u8]);
        self.set(at, &[id, 0]);
        self.link = at + 1;
        self.next = at + len.next_multiple_of(4);
        at
    }

    /// Adds the MSI-X capability. Returns its offset.
    fn add_msix(&mut self, vectors: u16) -> usize {
        let at = self.add(CAP_MSIX, 12);
        self.set(at + 2, &(vectors - 1).to_le_bytes());
        self.writable[at + 2..][..2].copy_from_slice(&(MSIX_ENABLE | MSIX_MASK).to_le_bytes());
        let location = |offset: u64| (offset as u32 | u32::from(BAR)).to_le_bytes();
        self.set(at + 4, &location(MSIX_TABLE));
        self.set(at + 8, &location(MSIX_PENDING));
        at
    }

    /// Adds a virtio capability with `extra` bytes after the common fields. Returns its offset.
    fn add_virtio(&mut self, kind: u8, offset: u64, len: usize, extra: usize) -> usize {
        let size = CAP_LEN + extra;
        let at = self.add(CAP_VENDOR, size);
        self.set(at + 2, &[size as u8, kind, BAR]);
        self.set(at + CAP_OFFSET, &(offset as u32).to_le_bytes());
        self.set(at + CAP_LENGTH, &(len as u32).to_le_bytes());
        at
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }

    /// Reads bytes from an offset on. Bytes beyond the end are 0.
    pub fn read(&self, at: usize, to: &mut [u8]) {
        to.fill(0);
        let from = self.bytes.get(at..).unwrap_or_default();
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }

    /// Writes bytes. Read-only bits are unchanged.
    pub fn write(&mut self, at: usize, from: &[u8]) {
        for (at, from) in (at..LEN).zip(from) {
            let mask = self.writable[at];
            self.bytes[at] = self.bytes[at] & !mask | from & mask;
        }
    }

    /// Returns whether MSI-X is enabled.
    pub fn msix_enabled(&self) -> bool {
        self.msix.is_some_and(|at| self.u16(at + 2) & MSIX_ENABLE != 0)
    }

    /// Returns whether the INTx line is disabled.
    pub fn intx_disabled(&self) -> bool {
        self.u16(COMMAND) & INTX_DISABLE != 0
    }

    /// Returns the access to the BAR that an access to these `len` bytes causes, or `None` if the
    /// bytes do not include the data field or the fields of the capability are invalid.
    pub fn window(&self, at: usize, len: usize) -> Option<Window> {
        let data = self.pci + CAP_LEN;
        if at >= data + 4 || at.saturating_add(len) <= data || self.bytes[self.pci + CAP_BAR] != BAR
        {
            return None;
        }
        let len = self.u32(self.pci + CAP_LENGTH) as usize;
        let offset = u64::from(self.u32(self.pci + CAP_OFFSET));
        let is_valid = matches!(len, 1 | 2 | 4) && offset % len as u64 == 0;
        is_valid.then_some(Window { data, offset, len })
    }

    /// Stores data that was read from the BAR in the data field of the capability.
    pub fn store_window_data(&mut self, window: Window, bytes: &[u8]) {
        self.set(window.data, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> PciConfigSpace {
        PciConfigSpace::new(3, 5, 56)
    }

    /// Returns offset and ID of all capabilities.
    fn capabilities(space: &PciConfigSpace) -> Vec<(usize, u8)> {
        let mut list = Vec::new();
        let mut at = usize::from(space.bytes[CAPABILITIES]);
        while at != 0 {
            assert!(at % 4 == 0 && list.len() < 16);
            list.push((at, space.bytes[at]));
            at = usize::from(space.bytes[at + 1]);
        }
        list
    }

    #[test]
    fn all_structures_have_a_capability() {
        let space = space();
        assert_eq!(space.u32(0), 0x1054_1af4);
        assert_ne!(space.u16(STATUS) & HAS_CAPABILITIES, 0);
        let list = capabilities(&space);
        assert_eq!(list[0].1, CAP_MSIX);
        assert_eq!(space.u16(list[0].0 + 2), 4);
        let structures: Vec<_> = list[1..]
            .iter()
            .map(|&(at, id)| {
                assert_eq!(id, CAP_VENDOR);
                let offset = u64::from(space.u32(at + CAP_OFFSET));
                (space.bytes[at + 3], offset, space.u32(at + CAP_LENGTH) as usize)
            })
            .collect();
        assert_eq!(
            structures,
            [
                (CFG_COMMON, COMMON, COMMON_LEN),
                (CFG_NOTIFY, NOTIFY, 12),
                (CFG_ISR, ISR, 1),
                (CFG_DEVICE, DEVICE, 56),
                (CFG_PCI, 0, 0)
            ]
        );
        let notify = list[2].0;
        assert_eq!((space.bytes[notify + 2], space.u32(notify + CAP_LEN)), (20, 4));
    }

    #[test]
    fn missing_structures_have_no_capability() {
        let space = PciConfigSpace::new(1, 0, 0);
        let ids: Vec<u8> = capabilities(&space).iter().map(|(_, id)| *id).collect();
        assert_eq!(ids, [CAP_VENDOR; 4]);
        assert!(!space.msix_enabled());
    }

    #[test]
    fn only_writable_bits_change() {
        let mut space = space();
        let before = space.bytes;
        space.write(0, &[0xff; LEN + 10]);
        let bits = space.bytes.iter().zip(before).zip(space.writable);
        for ((after, before), writable) in bits {
            assert_eq!((after ^ before) & !writable, 0);
        }
        assert_eq!(space.u32(BARS), !(BAR_LEN as u32 - 1));
        assert_eq!(space.u32(BARS + 4), 0);
        assert!(space.msix_enabled() && space.intx_disabled());
        space.write(LEN - 1, &[0; 8]);
        space.write(usize::MAX, &[0; 8]);
        let mut bytes = [1; 4];
        space.read(LEN - 2, &mut bytes);
        assert_eq!(bytes[2..], [0; 2]);
        space.read(usize::MAX, &mut bytes);
        assert_eq!(bytes, [0; 4]);
    }

    #[test]
    fn window_requires_a_valid_access() {
        let mut space = space();
        let data = space.pci + CAP_LEN;
        let mut set = |offset: u32, len: u32, bar: u8| {
            space.write(space.pci + CAP_OFFSET, &offset.to_le_bytes());
            space.write(space.pci + CAP_LENGTH, &len.to_le_bytes());
            space.write(space.pci + CAP_BAR, &[bar]);
            space.window(data, 4)
        };
        for len in [1, 2, 4] {
            let offset = 0x2004;
            let window = Window { data, offset, len };
            assert_eq!(set(offset as u32, len as u32, 0), Some(window));
        }
        for (offset, len, bar) in [(0, 3, 0), (0, 0, 0), (0, 8, 0), (2, 4, 0), (0, 4, 1)] {
            assert_eq!(set(offset, len, bar), None);
        }
        set(0, 4, 0);
        assert!(space.window(data - 4, 4).is_none() && space.window(data + 4, 1).is_none());
        assert!(space.window(data - 1, 2).is_some() && space.window(0, LEN).is_some());
        assert!(space.window(usize::MAX, 4).is_none());
    }
}
