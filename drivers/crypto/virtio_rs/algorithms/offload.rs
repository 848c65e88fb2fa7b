// SPDX-License-Identifier: GPL-2.0

//! The common path of a request to a device, for all types of algorithms.

use super::fallback_stats::FallbackReason;
use crate::{
    crypto::{
        DeviceResult,
        Direction,
        Limits,
        Offload,
        OffloadRequest,
        Prepared,
        ReturnCode, //
    },
    support::bh::BhDisabled,
    transport::{
        dataq,
        session::{
            Binding,
            SharedBinding, //
        }, //
    },
};
use kernel::prelude::*;

/// A transform whose key can be bound to a device.
pub(super) trait LookupBinding {
    /// Returns the binding for requests, or `None` if the key is bound to no device.
    fn binding<'a>(&self, direction: Direction, bh: &'a BhDisabled) -> Option<&'a SharedBinding>;
}

/// A request that was not sent to a device: the reason, the error and the request itself.
pub(super) type Unsent<R> = (FallbackReason, Error, R);

/// Sends a request to the device to which its key is bound. `plan` checks whether the device
/// supports the request, and returns a value for `build`, for example the layout of the data.
/// `build` builds the device request.
///
/// Bottom halves stay disabled from the lookup of the binding until the queue has the request.
/// Otherwise the binding could be freed. A synchronous algorithm then waits for the result.
///
/// Context: process or bottom half. If the algorithm is synchronous: process, may sleep.
///
/// # Errors
///
/// On error the request is returned, with
/// - `ENODEV` if the key is bound to no device, or the device is not ready;
/// - `EINVAL` if `plan` rejects the request;
/// - `ENOSPC` if the ring is full and the request may not be backlogged;
/// - other errors of `build` and [`dataq::submit`].
#[inline(always)]
pub(super) fn offload<'a, A, P>(
    request: OffloadRequest<'a, A>,
    direction: Direction,
    plan: impl FnOnce(&Binding) -> Result<P, FallbackReason>,
    build: impl FnOnce(
        OffloadRequest<'a, A>,
        Limits,
        &Binding,
        P,
    ) -> Result<Prepared<'a, A, A::Raw>, (Error, OffloadRequest<'a, A>)>,
) -> Result<ReturnCode, Unsent<OffloadRequest<'a, A>>>
where
    A: Offload<Private = dataq::Private>,
    A::Tfm: LookupBinding,
{
    let (sent, timeout, for_wait) = BhDisabled::scope(|bh| {
        let Some(binding) = request.tfm().binding(direction, bh) else {
            return Err((FallbackReason::NoDevice, ENODEV, request));
        };
        let plan = match plan(binding) {
            Ok(plan) => plan,
            Err(reason) => return Err((reason, EINVAL, request)),
        };
        let device = binding.device();
        let Some(queue) = device.data_queue() else {
            return Err((FallbackReason::NoDevice, ENODEV, request));
        };
        let prepared = build(request, device.limits(), binding, plan)
            .map_err(|(err, request)| (FallbackReason::Unmappable, err, request))?;
        let sent = prepared
            .send(|inflight| dataq::submit(queue, inflight, binding, bh))
            .map_err(|(err, request)| (FallbackReason::from_submit_error(err), err, request))?;
        // A synchronous request needs these from its wait on, when the binding may be freed.
        let for_wait = A::SYNCHRONOUS.then(|| (device.clone(), binding.epoch()));
        Ok((sent, device.timeout(), for_wait))
    })?;
    // The watchdog detects a device that does not return the request. Usually it is armed already.
    let on_timeout = || {
        if let Some((device, _)) = &for_wait {
            device.arm_watchdog();
        }
    };
    // The queue has evaluated the result when the request returned. The driver may have detected a
    // duplicate session ID since then.
    let evaluate = |result| match &for_wait {
        Some((device, epoch)) => device.evaluate(*epoch, result),
        None => result,
    };
    Ok(sent.into_return_code(timeout, on_timeout, evaluate))
}

/// How a request that the device has returned is completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Disposition {
    /// The device has completed the request.
    Done,
    /// The device has not completed the request, and the source is intact. The request runs on the
    /// fallback.
    Fallback,
    /// The request fails with this error.
    Failed(Error),
}

impl Disposition {
    /// Evaluates the result of a request. `is_result` returns true for an error that is a valid
    /// result of the operation, for example `EBADMSG` for a wrong tag. The caller gets this error.
    /// After any other error the request runs on the fallback if its source is intact, and fails
    /// with `EIO` otherwise.
    #[inline]
    pub(super) fn of(outcome: &DeviceResult<'_>, is_result: impl FnOnce(Error) -> bool) -> Self {
        match outcome.result() {
            Ok(()) => Self::Done,
            Err(err) if is_result(err) => Self::Failed(err),
            Err(_) if outcome.is_intact() => Self::Fallback,
            Err(_) => Self::Failed(EIO),
        }
    }
}
