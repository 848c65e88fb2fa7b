// SPDX-License-Identifier: GPL-2.0

//! Data queues: submission, the bottom half, the backlog.

mod backlog;
mod batch;
mod kicks;
mod state;
mod timeout;

use self::{
    batch::BatchLimit,
    state::{
        DataQueueState,
        Request, //
    },
    timeout::Overdue, //
};
use crate::{
    crypto::{
        Chain,
        Submission,
        Submitted, //
    },
    support::bh::BhDisabled,
    transport::key::SharedBinding,
    virtio::{
        BufferStatus,
        Handler,
        Queue,
        QueueGuard, //
    },
    wire::status::Status,
};
use kernel::{
    cpu::CpuId,
    prelude::*,
    str::CString,
    sync::Arc, //
};

pub(crate) use self::state::Private;
pub(super) use self::timeout::CHECKS_PER_TIMEOUT;

/// A data queue of a device.
pub(crate) type DataQueue = Queue<DataQueueHandler>;

/// The number of requests that a bottom half completes before other bottom halves can run.
const BUDGET: usize = 256;

/// The part of the ring that requests which may be backlogged leave free, 1/8: a user that keeps the ring
/// full, such as dm-crypt, would otherwise have every request refused that may not wait, such as those of
/// IPsec.
const RESERVE: u32 = 8;

/// The handler of a data queue.
pub(crate) struct DataQueueHandler;

impl DataQueueHandler {
    /// Creates data queue `index` of a device.
    pub(crate) fn new_queue(index: usize) -> Result<Arc<DataQueue>> {
        let name = CString::try_from_fmt(fmt!("dataq.{index}"))?;
        Arc::pin_init(Queue::new(name, index, DataQueueState::new()), GFP_KERNEL)
    }

    /// Takes requests that the device has used, up to [`BatchLimit`].
    #[inline(always)]
    fn take_batch(locked: &mut QueueGuard<'_, Self>, batch: &mut Chain<Private>) {
        let mut limit = BatchLimit::new();
        while !limit.is_reached(batch.len()) {
            // The status, not the length, tells whether there is a result: devices count differently.
            let Some((mut request, used)) = locked.take_used() else {
                break;
            };
            request.set_used(used);
            limit.add(used);
            locked.state().complete(&request);
            Self::evaluate(&mut request, locked);
            batch.push(request);
            // The device has no other request.
            if locked.in_flight() == 0 {
                break;
            }
        }
    }

    /// Evaluates a request that the device has used, and ends the use of its session.
    #[inline(always)]
    fn evaluate(request: &mut Request, locked: &mut QueueGuard<'_, Self>) {
        let status = Status::from(request.last_result_byte());
        request.private_mut().finish(status.to_result(), locked);
    }

    fn complete(request: Request, bh: &BhDisabled) {
        let result = request.private().result();
        request.complete(result, bh);
    }

    /// Sends backlogged requests while the ring has room.
    fn drain_backlog(queue: &DataQueue, bh: &BhDisabled) {
        loop {
            let mut locked = queue.lock(bh);
            let Some(waiting) = locked.state().backlog.take() else {
                return;
            };
            drop(locked);

            // Tell the caller before the device gets the request: the result must not come first.
            let mut request = waiting.accept(bh);

            let mut locked = queue.lock(bh);
            if !locked.state().accepting {
                request.private_mut().unbind(&mut locked);
                drop(locked);
                request.complete_unsent(bh);
                continue;
            }
            match send(&mut locked, request) {
                Ok(()) => kick(locked),
                Err((err, request))
                    if (err == ENOSPC || err == ENOMEM) && locked.in_flight() != 0 =>
                {
                    locked.state().backlog.put_back(request);
                    return;
                }
                Err((_, mut request)) => {
                    request.private_mut().unbind(&mut locked);
                    drop(locked);
                    request.complete_unsent(bh);
                }
            }
        }
    }
}

impl Handler for DataQueueHandler {
    type Buffer = Request;
    type State = DataQueueState;

    fn handle_used(queue: &Queue<Self>, bh: &BhDisabled) {
        let mut batch = Chain::new();
        let mut done = 0;
        let mut last = 0;
        let mut first = true;
        // Notifications are enabled.
        let mut enabled = true;
        // After the last batch the device had no request.
        let mut drained = false;
        loop {
            let mut locked = queue.lock(bh);
            // For the requests that the callbacks of the last batch have sent.
            let kick = locked.state().kicks.end_batch();
            let spent = done >= BUDGET;
            // The device rarely returns a request before this bottom half has kicked it. If it does,
            // `enable_notifications` tells.
            if !spent && !drained {
                if core::mem::take(&mut enabled) {
                    locked.disable_notifications();
                }
                Self::take_batch(&mut locked, &mut batch);
            }
            let count = batch.len();
            // Without returned requests the ring has no more room than before.
            let refill = locked.state().backlog.has_waiting() && (first || count + last != 0);
            let done_all = !spent && count == 0 && !refill;
            let idle = done_all && locked.enable_notifications();
            enabled = done_all;
            drained = count != 0 && !refill && locked.in_flight() == 0;
            if !spent && !idle {
                locked.state().kicks.begin_batch(current_cpu());
            }
            if kick {
                locked.into_kick().notify();
            } else {
                drop(locked);
            }
            if spent {
                queue.schedule();
            }
            if spent || idle {
                return;
            }
            while let Some(request) = batch.pop() {
                Self::complete(request, bh);
            }
            if refill {
                Self::drain_backlog(queue, bh);
            }
            done += count;
            last = count;
            first = false;
        }
    }

    fn reclaim(queue: &Queue<Self>, mut request: Request, status: BufferStatus, bh: &BhDisabled) {
        {
            let mut locked = queue.lock(bh);
            locked.state().ages.remove(request.private().age());
            match status {
                BufferStatus::Used => Self::evaluate(&mut request, &mut locked),
                BufferStatus::Unused => request.private_mut().unbind(&mut locked),
            }
        }
        match status {
            BufferStatus::Used => Self::complete(request, bh),
            // The device may have written part of the result. `Offload::finalize` decides whether the request
            // can be repeated.
            BufferStatus::Unused => request.complete(Err(EIO), bh),
        }
    }

    fn queue_reset(queue: &Queue<Self>, bh: &BhDisabled) {
        queue.lock(bh).state().accepting = false;
        Self::drain_backlog(queue, bh);
    }
}

/// Sends a request, or adds it to the backlog if the request allows that. The session of `binding`
/// is not destroyed before the request has come back. Arms the watchdog of the device if it was not
/// armed and a request was sent, or if the ring is broken; the watchdog then calls [`check_progress`]
/// until the queue is idle.
///
/// Context: process or bottom half.
///
/// # Errors
///
/// The request comes back with
/// - `ENOSPC` if the ring is full and the request may not be backlogged;
/// - `E2BIG` if the request has more segments than the ring has descriptors;
/// - `ENODEV` if the queue is closed, the device is not ready, or the session is lost, stale or not
///   in use any more;
/// - `EIO` if the ring is broken;
/// - `ENOMEM` if memory is exhausted and no request is in flight.
#[inline(never)]
pub(crate) fn submit(
    queue: &DataQueue,
    request: Request,
    binding: &SharedBinding,
    bh: &BhDisabled,
) -> Submission<Private> {
    try_submit(queue, request, binding, bh).into()
}

#[inline(always)]
fn try_submit(
    queue: &DataQueue,
    mut request: Request,
    binding: &SharedBinding,
    bh: &BhDisabled,
) -> Result<Submitted, (Error, Request)> {
    let mut locked = queue.lock(bh);
    // A device that has failed is not ready; its queues are closed soon.
    if !locked.state().accepting || !locked.is_live() || !binding.device().is_ready() {
        return Err((ENODEV, request));
    }
    if request.segments() > locked.size() {
        return Err((E2BIG, request));
    }
    if let Err(err) = request.private_mut().bind(binding, &mut locked) {
        return Err((err, request));
    }

    // A request that may not wait does not queue behind those that do.
    let request = if request.may_backlog() && locked.state().backlog.has_waiting() {
        request
    } else {
        match send(&mut locked, request) {
            Ok(()) => {
                let armed = core::mem::replace(&mut locked.state().watchdog_armed, true);
                kick(locked);
                if !armed {
                    arm_watchdog(binding);
                }
                return Ok(Submitted::QUEUED);
            }
            // A request in flight must return to drain the backlog.
            Err((err, request)) if (err == ENOSPC || err == ENOMEM) && locked.in_flight() != 0 => {
                request
            }
            Err((err, mut request)) => {
                request.private_mut().unbind(&mut locked);
                let broken = locked.is_broken();
                drop(locked);
                if broken {
                    arm_watchdog(binding);
                }
                return Err((if err == ENOSPC { E2BIG } else { err }, request));
            }
        }
    };
    locked.state().backlog.push(request).map_err(|mut request| {
        request.private_mut().unbind(&mut locked);
        (ENOSPC, request)
    })
}

#[cold]
fn arm_watchdog(binding: &SharedBinding) {
    binding.device().arm_watchdog();
}

/// Adds a request to the ring, if its epoch is the current one.
#[inline(always)]
fn send(
    locked: &mut QueueGuard<'_, DataQueueHandler>,
    mut request: Request,
) -> Result<(), (Error, Request)> {
    let reserve = if request.may_backlog() {
        locked.size() / RESERVE
    } else {
        0
    };
    let segments = request.segments();
    // An empty ring takes every request: nothing would return to make room.
    if !locked.has_room(segments, reserve)
        && (locked.in_flight() != 0 || !locked.has_room(segments, 0))
    {
        return Err((ENOSPC, request));
    }
    if let Err(err) = locked.state().admit(&mut request) {
        return Err((err, request));
    }
    let age = request.private().age();
    locked
        .add(request)
        .inspect_err(|_| locked.state().ages.remove(age))
}

/// Kicks the device, or leaves that to the bottom half.
#[inline(always)]
fn kick(mut locked: QueueGuard<'_, DataQueueHandler>) {
    if !locked.state().kicks.defer(current_cpu()) {
        locked.into_kick().notify();
    }
}

/// Returns the current CPU, which does not change while the queue is locked.
fn current_cpu() -> u32 {
    CpuId::current().as_u32()
}

/// The result of [`check_progress`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Progress {
    /// The device has no request.
    Idle,
    /// The device makes progress, or has not had its time.
    Busy,
    /// A request has timed out.
    Stalled,
}

/// Checks whether the device makes progress. It must be called at regular intervals. Returns
/// [`Progress::Stalled`] if the ring is broken, or if a request has been in flight for [`CHECKS_PER_TIMEOUT`]
/// checks and the device has returned nothing since the last check, or all earlier requests.
pub(super) fn check_progress(queue: &DataQueue) -> Progress {
    let bh = BhDisabled::disable();
    let mut locked = queue.lock(&bh);
    let (in_flight, broken) = (locked.in_flight(), locked.is_broken());
    let state = locked.state();
    let found = state.ages.advance(state.completed, in_flight);
    let returned = state.completed;
    let seen = core::mem::replace(
        &mut state.last_completed,
        (found == Overdue::Slow).then_some(returned),
    );
    // The bottom half sends a backlogged request without arming the watchdog, so a queue that drains its
    // backlog is not idle.
    if in_flight == 0 && !state.backlog.has_waiting() && !broken {
        state.watchdog_armed = false;
        return Progress::Idle;
    }
    drop(locked);
    // An interrupt may be lost.
    queue.schedule();
    if broken || found == Overdue::Lost || seen.is_some_and(|seen| seen == returned) {
        Progress::Stalled
    } else {
        Progress::Busy
    }
}

/// Accepts requests from now on. Requests in sessions must be of `epoch`.
pub(super) fn open(queue: &DataQueue, epoch: u32) {
    let bh = BhDisabled::disable();
    let mut locked = queue.lock(&bh);
    locked.state().accepting = true;
    locked.state().epoch = epoch;
}

/// Rejects requests from now on. Backlogged requests run on the fallback.
pub(super) fn close(queue: &DataQueue) {
    queue.lock(&BhDisabled::disable()).state().accepting = false;
    queue.schedule();
}

/// The line of a data queue in debugfs.
pub(super) struct QueueStats<'a>(pub(super) &'a DataQueue);

impl core::fmt::Display for QueueStats<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (in_flight, backlogged, completed) = {
            let bh = BhDisabled::disable();
            let mut locked = self.0.lock(&bh);
            let in_flight = locked.in_flight();
            let state = locked.state();
            (in_flight, state.backlog.len(), state.completed)
        };
        write!(
            f,
            "{}: {in_flight} in flight, {backlogged} backlogged, {completed} completed",
            self.0.name().to_str().unwrap_or_default()
        )
    }
}

/// Returns the number of requests that the device has returned.
pub(super) fn completed(queue: &DataQueue) -> u64 {
    queue.lock(&BhDisabled::disable()).state().completed
}

/// Returns true if neither the device nor the backlog has a request.
pub(super) fn is_idle(queue: &DataQueue) -> bool {
    let bh = BhDisabled::disable();
    let mut locked = queue.lock(&bh);
    locked.in_flight() == 0 && !locked.state().backlog.has_waiting()
}
