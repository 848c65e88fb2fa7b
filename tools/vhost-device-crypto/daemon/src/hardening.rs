// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Keeps the guests' keys in the process.

use std::io;

use rustix::mm::{mlockall, MlockAllFlags};
use rustix::process::{set_dumpable_behavior, setrlimit, DumpableBehavior, Resource, Rlimit};

/// Prevents core dumps of this process, and other processes of the same user from reading its memory.
pub fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Keeps the memory of this process, and with it the keys, out of swap. Pages are locked when they are
/// first used, so the guests' memory is not read in for that. Without the permission, or with too low a
/// limit, the process goes on with a warning.
pub fn lock_memory() {
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if let Err(error) = mlockall(flags) {
        tracing::warn!("keys may be swapped out, memory cannot be locked: {error}");
    }
}
