// SPDX-License-Identifier: GPL-2.0

//! Loads of atomic variables without a call.
//!
//! `Atomic::load` calls a C function unless the kernel is built with `CONFIG_RUST_INLINE_HELPERS`.
//! Debian's kernel is built without it.

use kernel::sync::atomic::{
    Atomic,
    AtomicType, //
};

/// Loads an atomic variable, as `READ_ONCE()` does: relaxed, ordered only before accesses whose
/// address depends on the value.
#[inline(always)]
pub(crate) fn read_once<T: AtomicType>(variable: &Atomic<T>) -> T {
    // SAFETY: The pointer is that of a valid variable. A volatile load of an aligned word is what
    // `atomic_read()` is.
    unsafe { variable.as_ptr().read_volatile() }
}
