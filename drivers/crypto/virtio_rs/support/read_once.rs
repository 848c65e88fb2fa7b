// SPDX-License-Identifier: GPL-2.0

//! Loads of atomic variables that are always inlined.
//!
//! `Atomic::load` calls a C function unless the kernel is built with `CONFIG_RUST_INLINE_HELPERS`.
//! Debian's kernel is built without that option, and the call slows down every request.

use kernel::sync::atomic::{
    Atomic,
    AtomicType, //
};

/// Loads an atomic variable as `READ_ONCE()` does. The load is relaxed: later accesses can be
/// reordered before the load, unless their address depends on the loaded value.
#[inline(always)]
pub(crate) fn read_once<T: AtomicType>(variable: &Atomic<T>) -> T {
    // SAFETY: The reference guarantees a valid, aligned variable. The load does not race with
    // atomic stores, because `atomic_read()` is also a volatile load of an aligned word.
    unsafe { variable.as_ptr().read_volatile() }
}
