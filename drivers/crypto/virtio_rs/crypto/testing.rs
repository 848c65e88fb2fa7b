// SPDX-License-Identifier: GPL-2.0

//! Requests for the unit tests of queues.

use super::request::{
    Inflight,
    Slot, //
};
use crate::support::{
    bh::Bh,
    lend::Lists, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// Creates a request that may be backlogged and has no caller. `mark` tells it from other requests.
pub(crate) fn request(mark: u8) -> Result<Inflight> {
    let slot = Slot {
        finish,
        accept,
        next: None,
        lists: Lists::new(),
        segments: 0,
        result: core::ptr::null(),
        result_len: 0,
        mark,
        epoch: None,
        used: 0,
        may_backlog: true,
        owes_accept: false,
        untouched: false,
    };
    let slot = NonNull::from(KBox::leak(KBox::new(slot, GFP_KERNEL)?));
    // SAFETY: `slot` was just allocated and filled, and this is its only pointer. `finish` frees it.
    Ok(unsafe { Inflight::new(slot) })
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
