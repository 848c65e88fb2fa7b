// SPDX-License-Identifier: GPL-2.0

//! Requests for the unit tests of queues.

use super::request::{
    CtxHeader,
    CtxOps,
    InFlightRequest, //
};
use crate::support::bh::BhDisabled;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// The status byte of all test requests. It has the poison value, because no device writes it.
static STATUS: u8 = 0xff;

/// The type of the test requests. `D` is the private data of a queue.
struct Test<D: 'static>(PhantomData<D>);

impl<D: 'static> Test<D> {
    const OPS: &'static CtxOps<D> = &CtxOps {
        complete: complete::<D>,
        in_progress: in_progress::<D>,
    };
}

/// Creates a request that may be backlogged and has no caller.
pub(crate) fn request<D: Default + 'static>() -> Result<InFlightRequest<D>> {
    let mut header = KBox::new(CtxHeader::new(Test::<D>::OPS, true), GFP_KERNEL)?;
    header.status = NonNull::from(&STATUS);
    let header = NonNull::from(KBox::leak(header));
    // SAFETY: `header` was just allocated and initialised, and is the only pointer to the allocation.
    // `complete` frees the allocation.
    Ok(unsafe { InFlightRequest::new(header) })
}

/// Frees the request.
///
/// # Safety
///
/// `header` must come from [`request`] and must not be used afterwards.
unsafe fn complete<D: 'static>(header: NonNull<CtxHeader<D>>, _result: Result, _bh: &BhDisabled) {
    // SAFETY: The caller guarantees that `header` comes from `request`, which has leaked its `KBox`.
    drop(unsafe { KBox::from_raw(header.as_ptr()) });
}

/// Does nothing: there is no caller to notify.
///
/// # Safety
///
/// None.
unsafe fn in_progress<D: 'static>(_header: NonNull<CtxHeader<D>>, _bh: &BhDisabled) {}
