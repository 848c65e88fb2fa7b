// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Keeps the guests' keys in the process.

use std::io;

use rustix::mm::{mlockall, munlock, MlockAllFlags};
use rustix::process::{
    getrlimit, set_dumpable_behavior, setrlimit, DumpableBehavior, Resource, Rlimit,
};
use rustix::thread::{capabilities, CapabilitySet};
use virtio_crypto_device::queue::Memory;
use vm_memory::{GuestAddressSpace, GuestMemoryBackend, GuestMemoryRegion, MemoryRegionAddress};

/// Prevents core dumps of this process, and other processes of the same user from reading its memory.
pub fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Keeps the memory of this process, and with it the keys, out of swap. Pages are locked when they are
/// used. With a limit of locked memory the guest's memory could not be mapped any more, so the process
/// goes on without.
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
    let raised = || setrlimit(Resource::Memlock, Rlimit { current: None, ..limit }).is_ok();
    privileged || limit.current.is_none() || (limit.maximum.is_none() && raised())
}

/// Lets the guest's memory be swapped out, as the front end has it.
pub(crate) fn unlock_guest(memory: &Memory) {
    for region in memory.memory().iter() {
        let Ok(address) = region.get_host_address(MemoryRegionAddress(0)) else { continue };
        let len = usize::try_from(region.len()).unwrap_or(0);
        // SAFETY: The region is mapped at this address for as long as the snapshot of the memory
        // lives, and unlocking it changes nothing that can be seen of it.
        if let Err(error) = unsafe { munlock(address.cast(), len) } {
            tracing::warn!("the guest's memory stays locked: {error}");
        }
    }
}
