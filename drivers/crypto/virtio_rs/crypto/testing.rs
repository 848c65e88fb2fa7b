// SPDX-License-Identifier: GPL-2.0

//! Requests for the unit tests of queues.

use super::request::{
    Inflight,
    Slot,
    SlotOps, //
};
use crate::support::bh::Bh;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// The status of all requests: no device has written it.
static STATUS: u8 = 0xff;

/// What the requests of a queue do.
struct Test<D: 'static>(PhantomData<D>);

impl<D: 'static> Test<D> {
    const OPS: &'static SlotOps<D> = &SlotOps {
        finish: finish::<D>,
        accept: accept::<D>,
    };
}

/// Creates a request that may be backlogged and has no caller.
pub(crate) fn request<D: Default + 'static>() -> Result<Inflight<D>> {
    let mut slot = KBox::new(Slot::new(Test::<D>::OPS, true), GFP_KERNEL)?;
    slot.status = NonNull::from(&STATUS);
    let slot = NonNull::from(KBox::leak(slot));
    // SAFETY: `slot` was just allocated and filled, and this is its only pointer. `finish` frees it.
    Ok(unsafe { Inflight::new(slot) })
}

/// Frees the request.
///
/// # Safety
///
/// `slot` must come from [`request`] and must not be used afterwards.
unsafe fn finish<D: 'static>(slot: NonNull<Slot<D>>, _result: Result, _bh: &Bh) {
    // SAFETY: By the safety requirements `slot` is the leaked `KBox` of `request`.
    drop(unsafe { KBox::from_raw(slot.as_ptr()) });
}

/// Does nothing: there is no caller to notify.
///
/// # Safety
///
/// None.
unsafe fn accept<D: 'static>(_slot: NonNull<Slot<D>>, _bh: &Bh) {}
