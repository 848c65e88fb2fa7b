// SPDX-License-Identifier: GPL-2.0

//! Bottom-half context as a type.
//!
//! C header: [`include/linux/bottom_half.h`](srctree/include/linux/bottom_half.h)

use crate::bindings::helpers;
use kernel::types::NotThreadSafe;

/// Proof that bottom halves are disabled on this CPU.
///
/// The crypto framework wants asynchronous requests completed in this context: completion callbacks
/// take locks that are shared with softirqs.
///
/// # Invariants
///
/// Bottom halves are disabled on the current CPU as long as a reference to an instance exists:
/// either the instance disabled them and enables them when dropped, or it lives in a bottom half.
pub(crate) struct Bh {
    disabled_here: bool,
    _not_send: NotThreadSafe,
}

impl Bh {
    /// Disables bottom halves until the returned value is dropped.
    ///
    /// Context: process or bottom half, interrupts enabled, also when the value is dropped.
    pub(crate) fn disable() -> Self {
        // SAFETY: Disabling bottom halves nests and has no requirements; `drop` enables them again.
        unsafe { helpers::local_bh_disable() };
        // INVARIANT: They were just disabled.
        Self {
            disabled_here: true,
            _not_send: NotThreadSafe,
        }
    }

    /// Takes it for granted that the caller runs in a bottom half.
    ///
    /// # Safety
    ///
    /// The caller must run in softirq context, or with bottom halves disabled, as long as the
    /// returned value lives.
    pub(crate) unsafe fn assume() -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            disabled_here: false,
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for Bh {
    fn drop(&mut self) {
        if self.disabled_here {
            // SAFETY: `disable` disabled them on this CPU; the type cannot leave the thread.
            unsafe { helpers::local_bh_enable() };
        }
    }
}
