// SPDX-License-Identifier: GPL-2.0

//! A data queue: requests go out from where they were made, and come back in a bottom half.

use crate::{
    crypto::{
        Fifo,
        Inflight,
        Submitted, //
    },
    support::bh::Bh,
    virtio::{
        Handler,
        Queue, //
    },
    wire::status::Status,
};
use kernel::{
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// A data queue of a device.
pub(crate) type DataQueue = Queue<Data>;

/// How many requests are taken from the ring under one lock.
const BATCH: usize = 16;

/// How many requests a bottom half completes before it lets others run.
const BUDGET: usize = 256;

/// What a data queue keeps under its lock.
pub(crate) struct State {
    /// Requests are taken.
    open: bool,
    /// Requests that wait for room.
    backlog: Fifo,
    /// The bottom half has one of the backlog in hand: nobody overtakes it.
    refilling: bool,
}

/// What a data queue does with requests that come back.
pub(crate) struct Data;

impl Data {
    /// Creates data queue `index` of a device.
    pub(crate) fn new_queue(index: usize) -> Result<Arc<DataQueue>> {
        let name = CString::try_from_fmt(fmt!("data.{index}"))?;
        let state = State {
            open: true,
            backlog: Fifo::new(),
            refilling: false,
        };
        Arc::pin_init(Queue::new(name, state), GFP_KERNEL)
    }

    /// Completes up to `BATCH` requests; returns how many.
    fn reap(queue: &DataQueue, bh: &Bh) -> usize {
        let mut batch = [const { None }; BATCH];
        let mut count = 0;
        {
            let mut locked = queue.lock();
            locked.disable_notifications();
            for slot in &mut batch {
                match locked.take_used() {
                    // The length is not looked at: devices count differently. The status says
                    // whether there is a result, and it is where nothing else is written.
                    Some((request, _)) => *slot = Some(request),
                    None => break,
                }
                count += 1;
            }
        }
        for request in batch.into_iter().flatten() {
            let status = Status::from(request.last_result_byte());
            request.complete(status.to_result(), bh);
        }
        count
    }

    /// Sends what waits, as long as there is room.
    fn refill(queue: &DataQueue, bh: &Bh) {
        loop {
            let mut locked = queue.lock();
            locked.state().refilling = false;
            let Some(waiting) = locked.state().backlog.pop_front() else {
                return;
            };
            locked.state().refilling = true;
            drop(locked);

            // The consumer hears of it before the device does: the result must not come first.
            let request = waiting.accept(bh);

            let mut locked = queue.lock();
            if !locked.state().open {
                drop(locked);
                request.refuse(bh);
                continue;
            }
            match locked.add(request) {
                Ok(()) => locked.into_kick().notify(),
                Err((err, request))
                    if (err == ENOSPC || err == ENOMEM) && locked.in_flight() != 0 =>
                {
                    locked.state().backlog.push_front(request);
                    locked.state().refilling = false;
                    return;
                }
                Err((_, request)) => {
                    drop(locked);
                    request.refuse(bh);
                }
            }
        }
    }
}

impl Handler for Data {
    type Buffer = Inflight;
    type State = State;

    fn used(queue: &Queue<Self>, bh: &Bh) {
        let mut done = 0;
        loop {
            let count = Self::reap(queue, bh);
            done += count;
            Self::refill(queue, bh);
            if done >= BUDGET {
                queue.schedule();
                return;
            }
            if count < BATCH && queue.lock().enable_notifications() {
                return;
            }
        }
    }

    fn returned(_queue: &Queue<Self>, request: Inflight, bh: &Bh) {
        // The device may have written a part of the result: only the consumer knows what that is
        // worth.
        request.complete(Err(EIO), bh);
    }

    fn closed(queue: &Queue<Self>, bh: &Bh) {
        queue.lock().state().open = false;
        Self::refill(queue, bh);
    }
}

/// Sends a request, or has it wait for room if it may.
///
/// Context: process or bottom half.
///
/// # Errors
///
/// The request comes back with
/// - `ENOSPC`: the queue is full, and the request may not wait;
/// - `E2BIG`: it has more segments than the ring has descriptors;
/// - `ENODEV`, `EIO`, `ENOMEM`: it cannot be sent at all.
pub(crate) fn submit(queue: &DataQueue, request: Inflight) -> Result<Submitted, (Error, Inflight)> {
    let mut locked = queue.lock();
    if !locked.state().open || !locked.is_live() {
        return Err((ENODEV, request));
    }
    if request.segments() > locked.size() {
        return Err((E2BIG, request));
    }

    let busy = locked.state().refilling || !locked.state().backlog.is_empty();
    let request = if busy {
        request
    } else {
        match locked.add(request) {
            Ok(()) => {
                locked.into_kick().notify();
                return Ok(Submitted::Queued);
            }
            // Somebody has to come back for the backlog to move.
            Err((err, request)) if (err == ENOSPC || err == ENOMEM) && locked.in_flight() != 0 => {
                request
            }
            Err((err, request)) => {
                return Err((if err == ENOSPC { E2BIG } else { err }, request));
            }
        }
    };
    if !request.may_backlog() {
        return Err((ENOSPC, request));
    }
    locked.state().backlog.push_back(request);
    Ok(Submitted::Backlogged)
}

/// Takes no more requests; those that wait for room go back to be done without the device.
pub(super) fn close(queue: &DataQueue) {
    queue.lock().state().open = false;
    queue.schedule();
}

/// Returns true if neither the device nor the backlog has a request.
pub(super) fn is_idle(queue: &DataQueue) -> bool {
    let mut locked = queue.lock();
    locked.in_flight() == 0 && locked.state().backlog.is_empty() && !locked.state().refilling
}
