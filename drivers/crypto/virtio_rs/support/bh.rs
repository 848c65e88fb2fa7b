// SPDX-License-Identifier: GPL-2.0

//! A token for code that runs with bottom halves disabled.
//!
//! C header: [`include/linux/bottom_half.h`](srctree/include/linux/bottom_half.h)

use crate::bindings::helpers;
use kernel::types::NotThreadSafe;

/// Proof that bottom halves are disabled on this CPU.
///
/// The crypto API requires this context for the completion of asynchronous requests, because
/// completion callbacks take locks that are shared with softirqs.
///
/// # Invariants
///
/// Bottom halves are disabled on the current CPU for the lifetime of an instance. Either the
/// instance disabled them and enables them on drop, or the creator guarantees that they stay
/// disabled.
pub(crate) struct BhDisabled {
    disabled_here: bool,
    _not_send: NotThreadSafe,
}

impl BhDisabled {
    /// Disables bottom halves until the returned token is dropped.
    ///
    /// Context: process or softirq, interrupts enabled, both here and when the token is dropped.
    pub(crate) fn disable() -> Self {
        // SAFETY: `local_bh_disable()` may be nested and has no requirements. `drop` balances the
        // call.
        unsafe { helpers::local_bh_disable() };
        // INVARIANT: `local_bh_disable()` just disabled bottom halves, and `drop` enables them.
        Self {
            disabled_here: true,
            _not_send: NotThreadSafe,
        }
    }

    /// Calls `f` with bottom halves disabled. Disables them only in process context, because a softirq
    /// runs with bottom halves disabled.
    ///
    /// Context: process or softirq, interrupts enabled.
    #[inline(always)]
    pub(crate) fn scope<T, E>(
        f: impl FnOnce(&Self) -> core::result::Result<T, E>,
    ) -> core::result::Result<T, E> {
        // SAFETY: `local_bh_disable()` may be nested and has no requirements. `drop` balances the call.
        let disabled_here = unsafe { helpers::local_bh_disable_unless_softirq() };
        // INVARIANT: Either `local_bh_disable()` just disabled bottom halves, and `drop` enables them. Or this
        // is a softirq, which ends after this function has returned: the token does not leave it.
        let bh = Self {
            disabled_here,
            _not_send: NotThreadSafe,
        };
        let result = f(&bh);
        // Drop in two branches. After one common call the compiler would keep value and error in memory.
        if result.is_ok() {
            drop(bh);
        } else {
            drop_cold(bh);
        }
        result
    }

    /// Creates the token without disabling bottom halves.
    ///
    /// # Safety
    ///
    /// The caller must run in softirq context, or with bottom halves disabled, for the lifetime of
    /// the returned token.
    pub(crate) unsafe fn new_unchecked() -> Self {
        // INVARIANT: The caller guarantees that bottom halves stay disabled.
        Self {
            disabled_here: false,
            _not_send: NotThreadSafe,
        }
    }
}

/// Enables bottom halves again after an error.
#[cold]
fn drop_cold(bh: BhDisabled) {
    drop(bh);
}

impl Drop for BhDisabled {
    fn drop(&mut self) {
        if self.disabled_here {
            // SAFETY: `disable` or `scope` called `local_bh_disable()` on this thread, because the
            // type is not `Send`. This call balances that call.
            unsafe { helpers::local_bh_enable() };
        }
    }
}
