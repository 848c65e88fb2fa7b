// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Keeps the keys of the guests out of core dumps, swap, and other processes.

use std::io;

use rustix::mm::{mlockall, munlock, MlockAllFlags};
use rustix::process::{
    getrlimit, set_dumpable_behavior, setrlimit, DumpableBehavior, Resource, Rlimit,
};
use rustix::thread::{capabilities, CapabilitySet};
use virtio_crypto_device::queue::Memory;
use vm_memory::{GuestAddressSpace, GuestMemoryBackend, GuestMemoryRegion, MemoryRegionAddress};

/// Disables core dumps, and prevents other processes of the same user from reading the memory of
/// this process.
pub fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Locks the memory of this process, which contains the keys, so it is not swapped out. A page is
/// locked when it is first used.
///
/// With a limit of locked memory, mapping the guest's memory would fail. The memory is then not
/// locked, and a warning is logged.
pub fn lock_memory() {
    if !may_lock() {
        tracing::warn!("keys may be swapped out: the limit of locked memory is too low");
        return;
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if let Err(error) = mlockall(flags) {
        tracing::warn!("keys may be swapped out: memory cannot be locked: {error}");
    }
}

/// Returns whether the process may lock all of its memory.
fn may_lock() -> bool {
    let privileged =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    let limit = getrlimit(Resource::Memlock);
    let remove_limit = || setrlimit(Resource::Memlock, Rlimit { current: None, ..limit }).is_ok();
    privileged || limit.current.is_none() || (limit.maximum.is_none() && remove_limit())
}

/// Unlocks the guest's memory. The front end decides whether it may be swapped out.
pub(crate) fn unlock_guest(memory: &Memory) {
    for region in memory.memory().iter() {
        let Ok(address) = region.get_host_address(MemoryRegionAddress(0)) else { continue };
        let len = usize::try_from(region.len()).unwrap_or(0);
        // SAFETY: The region is mapped at this address while the snapshot of the memory exists.
        // Unlocking does not change the contents.
        if let Err(error) = unsafe { munlock(address.cast(), len) } {
            tracing::warn!("the guest's memory stays locked: {error}");
        }
    }
}
