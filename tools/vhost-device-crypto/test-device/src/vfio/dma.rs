// SPDX-License-Identifier: GPL-2.0
//! Guest memory that the front end has mapped for the device.

use std::fs::File;
use std::io;
use std::sync::{Arc, PoisonError};

use vm_memory::{
    FileOffset, GuestAddress, GuestAddressSpace, GuestMemoryBackend, GuestMemoryMmap,
    GuestMemoryRegion, GuestRegionMmap, MmapRegion,
};

use virtio_crypto_device::memory::map_read_only;
use virtio_crypto_device::queue::Memory;

/// A mapping of guest memory.
pub struct Mapping {
    /// Guest address.
    pub address: u64,
    /// Length, in bytes.
    pub size: u64,
    /// File with the contents.
    pub file: File,
    /// Offset in the file.
    pub offset: u64,
    /// Whether the device may write the memory.
    pub writable: bool,
}

/// Adds a mapping.
pub(super) fn map(memory: &Memory, mapping: Mapping) -> io::Result<()> {
    let Mapping { address, size, file, offset, writable } = mapping;
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let len = usize::try_from(size).map_err(|_| invalid())?;
    if len == 0 || address.checked_add(size).is_none() {
        return Err(invalid());
    }
    let mapping = match writable {
        true => MmapRegion::from_file(FileOffset::new(file, offset), len),
        false => map_read_only(file, offset, len),
    };
    let mapping = mapping.map_err(io::Error::other)?;
    let region = GuestRegionMmap::new(mapping, GuestAddress(address)).ok_or_else(invalid)?;
    let extended = memory.memory().insert_region(Arc::new(region)).map_err(io::Error::other)?;
    replace(memory, extended);
    Ok(())
}

/// Removes the mappings within an address range, or all mappings. Returns an error if a mapping is
/// only partly in the range.
pub(super) fn unmap(memory: &Memory, address: u64, size: u64, all: bool) -> io::Result<()> {
    let mut reduced = GuestMemoryMmap::clone(&memory.memory());
    let is_within = |start: u64, len: u64| {
        all || start >= address && (start - address).checked_add(len).is_some_and(|end| end <= size)
    };
    let overlaps = |start: u64, len: u64| {
        start < address.saturating_add(size) && address < start.saturating_add(len)
    };
    let before = memory.memory();
    for (start, len) in before.iter().map(|region| (region.start_addr(), region.len())) {
        if is_within(start.0, len) {
            reduced = reduced.remove_region(start, len).map_err(io::Error::other)?.0;
        } else if overlaps(start.0, len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
    }
    replace(memory, reduced);
    Ok(())
}

fn replace(memory: &Memory, new: GuestMemoryMmap) {
    memory.lock().unwrap_or_else(PoisonError::into_inner).replace(new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use virtio_crypto_device::descriptors::{ChainBuilder, ChainError, ParsedChain};
    use vm_memory::{Bytes, GuestMemoryAtomic};
    use vmm_sys_util::tempfile::TempFile;

    const PAGE: u64 = 4096;

    #[test]
    fn read_only_memory_is_not_writable() {
        let file = TempFile::new().unwrap().into_file();
        file.set_len(2 * PAGE).unwrap();
        let memory: Memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
        for (offset, writable) in [(0, true), (PAGE, false)] {
            let file = file.try_clone().unwrap();
            map(&memory, Mapping { address: offset, size: PAGE, file, offset, writable }).unwrap();
        }
        let memory = memory.memory();
        let push = |address: u64, writable: bool| {
            let mut parsed = ParsedChain::default();
            ChainBuilder::new(&memory, PAGE, &mut parsed).push(GuestAddress(address), 16, writable)
        };
        for address in [0, PAGE - 16, PAGE - 8, PAGE] {
            assert_eq!(push(address, false), Ok(()));
        }
        assert_eq!(push(PAGE - 16, true), Ok(()));
        for address in [PAGE - 8, PAGE, 2 * PAGE - 16] {
            assert_eq!(push(address, true), Err(ChainError::ReadOnly(address, 16)));
        }
    }

    #[test]
    fn rings_in_read_only_memory_are_rejected() {
        use virtio_crypto_device::ring::packed::{Layout, PackedRing};
        use virtio_crypto_device::ring::split::SplitRing;
        use virtio_crypto_device::ring::{Ring, RingError, UsedElem};
        use virtio_queue::{Queue, QueueT};

        let file = TempFile::new().unwrap().into_file();
        file.set_len(2 * PAGE).unwrap();
        let memory: Memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
        for (offset, writable) in [(0, true), (PAGE, false)] {
            let file = file.try_clone().unwrap();
            map(&memory, Mapping { address: offset, size: PAGE, file, offset, writable }).unwrap();
        }
        let memory = memory.memory();
        let entry = UsedElem { id: 0, len: 0, slots: 1 };
        let signal = || -> virtio_crypto_device::ring::Signal { Box::new(|| Ok(())) };
        // Returns for each write operation whether it is rejected because of read-only memory.
        let rejected = |ring: &mut dyn Ring| {
            let is_read_only = |result: Result<(), RingError>| match result {
                Ok(()) => false,
                Err(RingError::ReadOnly(_)) => true,
                Err(error) => panic!("{error}"),
            };
            [
                is_read_only(ring.publish(&memory, &[entry])),
                is_read_only(ring.disable_notification(&memory)),
                is_read_only(ring.enable_notification(&memory).map(|_| ())),
            ]
        };
        for event_idx in [false, true] {
            let split = |used: u64| {
                let mut queue = Queue::new(4).unwrap();
                queue.set_event_idx(event_idx);
                queue.try_set_desc_table_address(GuestAddress(0)).unwrap();
                queue.try_set_avail_ring_address(GuestAddress(0x100)).unwrap();
                queue.try_set_used_ring_address(GuestAddress(used)).unwrap();
                queue.set_ready(true);
                rejected(&mut SplitRing::new(queue, false, signal()))
            };
            assert_eq!(split(0x200), [false; 3]);
            // The used ring is completely in read-only memory.
            assert_eq!(split(PAGE), [true; 3]);
            // The first entry is in read-only memory. So is the field after the last entry, which
            // is only written with the event index.
            assert_eq!(split(PAGE - 8), [true, event_idx, event_idx]);
            let packed = |descriptors: u64, device: u64| {
                let layout = Layout {
                    size: 4,
                    descriptors,
                    driver: 0x100,
                    device,
                    event_idx,
                    in_order: false,
                };
                rejected(&mut PackedRing::new(layout, signal()))
            };
            assert_eq!(packed(0, 0x200), [false; 3]);
            assert_eq!(packed(PAGE, 0x200), [true, false, false]);
            assert_eq!(packed(0, PAGE), [false, true, true]);
            assert_eq!(packed(0, PAGE - 2), [false, true, true]);
        }
        let mut bytes = [1; PAGE as usize];
        use std::os::unix::fs::FileExt;
        file.read_exact_at(&mut bytes, PAGE).unwrap();
        assert_eq!(bytes, [0; PAGE as usize]);
    }

    #[test]
    fn memory_is_mapped_and_unmapped() {
        let file = TempFile::new().unwrap().into_file();
        file.set_len(8 * PAGE).unwrap();
        let memory: Memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
        let map_at = |address: u64, size: u64, offset: u64| {
            let file = file.try_clone().unwrap();
            map(&memory, Mapping { address, size, file, offset, writable: true })
        };
        map_at(16 * PAGE, 2 * PAGE, PAGE).unwrap();
        map_at(PAGE, PAGE, 0).unwrap();
        map_at(18 * PAGE, PAGE, 4 * PAGE).unwrap();
        let write = |address: u64| memory.memory().write_slice(&[7; 8], GuestAddress(address));
        write(18 * PAGE - 4).unwrap();
        use std::os::unix::fs::FileExt;
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, 3 * PAGE - 4).unwrap();
        assert_eq!(bytes, [7; 4]);
        file.read_exact_at(&mut bytes, 4 * PAGE).unwrap();
        assert_eq!(bytes, [7; 4]);
        // Mappings that overlap another one, are empty, exceed the address space, or have an offset
        // that is not aligned to a page.
        for (address, size, offset) in
            [(17 * PAGE, PAGE, 0), (0, 0, 0), (u64::MAX - 1, PAGE, 0), (30 * PAGE, PAGE, 1)]
        {
            map_at(address, size, offset).unwrap_err();
        }
        unmap(&memory, 16 * PAGE, PAGE, false).unwrap_err();
        unmap(&memory, 17 * PAGE, PAGE, false).unwrap_err();
        write(16 * PAGE).unwrap();
        unmap(&memory, 16 * PAGE, 3 * PAGE, false).unwrap();
        write(16 * PAGE).unwrap_err();
        write(PAGE).unwrap();
        // The range has no mapping.
        unmap(&memory, 0, PAGE, false).unwrap();
        unmap(&memory, 0, 0, true).unwrap();
        write(PAGE).unwrap_err();
        map_at(PAGE, PAGE, 0).unwrap();
        write(PAGE).unwrap();
    }
}
