// SPDX-License-Identifier: GPL-2.0

//! How a request is sent to a device, whatever its type.

use super::fallback::Reason;
use crate::{
    crypto::{
        Answer,
        Direction,
        Limits,
        Offload,
        OffloadRequest,
        Prepared, //
    },
    support::bh::Bh,
    transport::{
        dataq,
        key::{
            Binding,
            SharedBinding, //
        },
    },
};
use kernel::prelude::*;

/// A transform with a key that devices may have.
pub(super) trait Keyholder {
    /// Returns the binding for requests, if there is one.
    fn binding<'a>(&self, direction: Direction, bh: &'a Bh) -> Option<&'a SharedBinding>;
}

/// A request that does not go to a device: why, the error of that, and the request.
pub(super) type Refused<R> = (Reason, Error, R);

/// Sends a request to the device that its key is bound to. `plan` checks whether the device
/// supports the request, `build` builds the device request.
///
/// Bottom halves stay disabled from the lookup of the binding until the queue has the request,
/// because only that keeps the binding valid. A synchronous algorithm then waits for the result.
///
/// Context: process or bottom half. If the algorithm is synchronous: process, may sleep.
///
/// # Errors
///
/// The request comes back with
/// - `ENODEV` if no device has the key, or is ready;
/// - `EINVAL` if `plan` rejects the request;
/// - `ENOSPC` if the ring is full and the request may not be backlogged;
/// - the other errors of `build` and [`dataq::submit`].
#[inline(always)]
pub(super) fn offload<'a, A, P>(
    request: OffloadRequest<'a, A>,
    direction: Direction,
    plan: impl FnOnce(&Binding) -> Result<P, Reason>,
    build: impl FnOnce(
        OffloadRequest<'a, A>,
        Limits,
        &Binding,
        P,
    ) -> Result<Prepared<'a, A, A::Raw>, (Error, OffloadRequest<'a, A>)>,
) -> Result<Answer, Refused<OffloadRequest<'a, A>>>
where
    A: Offload<Private = dataq::Private>,
    A::Tfm: Keyholder,
{
    let bh = Bh::disable();
    let Some(binding) = request.tfm().binding(direction, &bh) else {
        return Err((Reason::NoDevice, ENODEV, request));
    };
    let plan = match plan(binding) {
        Ok(plan) => plan,
        Err(reason) => return Err((reason, EINVAL, request)),
    };
    let device = binding.device();
    let Some(queue) = device.data_queue() else {
        return Err((Reason::NoDevice, ENODEV, request));
    };
    let prepared = build(request, device.limits(), binding, plan)
        .map_err(|(err, request)| (Reason::Pieces, err, request))?;
    let sent = prepared
        .send(|inflight| dataq::submit(queue, inflight, binding, &bh, || device.watch()))
        .map_err(|(err, request)| (Reason::of_queue(err), err, request))?;
    let limit = device.timeout();
    let waiter = A::SYNCHRONOUS.then(|| (device.clone(), binding.epoch()));
    drop(bh);
    let stuck = || {
        if let Some((device, _)) = &waiter {
            device.watch();
        }
    };
    let judge = |result| match &waiter {
        Some((device, epoch)) => device.judge(*epoch, result),
        None => result,
    };
    Ok(sent.answer(limit, stuck, judge))
}
