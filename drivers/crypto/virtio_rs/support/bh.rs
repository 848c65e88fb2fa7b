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

    /// Calls `f` with bottom halves disabled. In a softirq this is cheap, because a softirq already
    /// runs with bottom halves disabled.
    ///
    /// Context: process or softirq, interrupts enabled.
    #[inline(always)]
    pub(crate) fn scope<R>(f: impl FnOnce(&Self) -> R) -> R {
        // SAFETY: `local_bh_disable()` may be nested and has no requirements. `drop` balances the
        // call.
        let disabled_here = unsafe { helpers::local_bh_disable_unless_softirq() };
        // INVARIANT: In process context, bottom halves were just disabled, and `drop` enables them.
        // In a softirq, they are disabled until the softirq ends. The token does not outlive this
        // function, so the token does not outlive the softirq.
        let bh = Self {
            disabled_here,
            _not_send: NotThreadSafe,
        };
        f(&bh)
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

impl Drop for BhDisabled {
    fn drop(&mut self) {
        if self.disabled_here {
            // SAFETY: `disable` or `scope` called `local_bh_disable()` on this thread, because the
            // type is not `Send`. This call balances that call.
            unsafe { helpers::local_bh_enable() };
        }
    }
}
