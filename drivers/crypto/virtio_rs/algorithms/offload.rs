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

/// Sends a request to a device, and answers it. `plan` decides whether the device can do it, and `build`
/// builds the device request.
///
/// Bottom halves are disabled from the lookup of the binding until the request is in the queue: that is
/// what keeps the binding. A synchronous algorithm waits after that.
///
/// # Errors
///
/// The request comes back. The error is `ENOSPC` if the queue is full and the request may not wait.
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
