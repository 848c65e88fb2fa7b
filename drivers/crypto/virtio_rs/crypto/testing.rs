// SPDX-License-Identifier: GPL-2.0

//! Requests for the unit tests of queues.

use super::request::{
    Inflight,
    Slot,
    SlotOps, //
};
use crate::support::bh::Bh;
use core::ptr::NonNull;
use kernel::prelude::*;

/// Creates a request that may be backlogged and has no caller. `mark` tells it from other requests.
pub(crate) fn request(mark: u8) -> Result<Inflight> {
    static OPS: SlotOps = SlotOps { finish, accept };

    let slot = KBox::leak(KBox::<Slot>::new_uninit(GFP_KERNEL)?);
    // SAFETY: `slot` is valid for writes.
    unsafe { Slot::init(slot.as_mut_ptr(), &OPS, true) };
    let slot = NonNull::from(slot).cast();
    // SAFETY: `slot` was just allocated and filled, and this is its only pointer. `finish` frees it.
    let mut request = unsafe { Inflight::new(slot) };
    request.set_mark(mark);
    Ok(request)
}

/// Frees the request.
///
/// # Safety
///
/// `slot` must come from [`request`] and must not be used afterwards.
unsafe fn finish(slot: NonNull<Slot>, _result: Result, _bh: &Bh) {
    // SAFETY: By the safety requirements `slot` is the leaked `KBox` of `request`.
    drop(unsafe { KBox::from_raw(slot.as_ptr()) });
}

/// Does nothing: there is no caller to notify.
///
/// # Safety
///
/// None.
unsafe fn accept(_slot: NonNull<Slot>, _bh: &Bh) {}
