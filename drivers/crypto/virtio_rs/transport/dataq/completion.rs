// SPDX-License-Identifier: GPL-2.0

//! The bottom half of a data queue. It takes requests that the device has returned in batches, completes
//! them, and sends backlogged requests.
//!
//! The queue is locked while a batch is taken. With bounce buffers, taking a request copies its result. So
//! the results of a batch have a limit in bytes, too.

use super::{
    current_cpu,
    kick,
    send,
    DataQueue,
    DataQueueHandler,
    DataQueueState,
    Private,
    Request, //
};
use crate::{
    crypto::Chain,
    support::bh::BhDisabled,
    virtio::{
        BufferStatus,
        Handler,
        Queue,
        QueueGuard, //
    },
    wire::status::Status,
};
use kernel::prelude::*;

/// The number of requests that a bottom half completes before other bottom halves can run.
const BUDGET: usize = 256;

/// The size of a batch.
struct BatchLimit {
    bytes: u64,
}

impl BatchLimit {
    /// The maximum number of requests.
    const REQUESTS: usize = 16;

    /// The number of bytes that ends a batch: 8 requests of 64 KiB. The last request may exceed the limit.
    /// The device reports the lengths. A device that reports less than it has written makes batches longer.
    const BYTES: u64 = 512 << 10;

    /// Creates the limit of a new batch.
    #[inline]
    const fn new() -> Self {
        Self { bytes: 0 }
    }

    /// Counts a request. The device reports that it has written `used` bytes.
    #[inline]
    fn add(&mut self, used: u32) {
        self.bytes += u64::from(used);
    }

    /// Returns true if a batch of `requests` requests is complete.
    #[inline]
    fn is_reached(&self, requests: usize) -> bool {
        requests >= Self::REQUESTS || self.bytes >= Self::BYTES
    }
}

impl DataQueueHandler {
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
            // The device has no other request, so the ring has no other used entry.
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
        let result = request.private().error.map_or(Ok(()), Err);
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

            // Notify the caller before the device gets the request. Otherwise the result could come first.
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
        // The last batch has left no request in flight.
        let mut drained = false;
        loop {
            let mut locked = queue.lock(bh);
            // For the requests that the callbacks of the last batch have sent.
            let kick = locked.state().kicks.end_batch();
            let spent = done >= BUDGET;
            // The requests that the callbacks have sent are rarely finished before the kick. If one is,
            // `enable_notifications` returns false, and the next round takes the request.
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
            locked.state().ages.remove(request.private().age);
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

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_completion)]
mod tests {
    use super::*;

    /// Returns the number of requests in a batch, if the device writes `used` bytes for each.
    fn taken(used: u32) -> usize {
        let mut limit = BatchLimit::new();
        let mut requests = 0;
        while !limit.is_reached(requests) {
            limit.add(used);
            requests += 1;
        }
        requests
    }

    #[test]
    fn a_batch_is_limited_by_requests_and_by_bytes() {
        assert_eq!(taken(0), 16);
        // A result and its status.
        assert_eq!(taken(4096 + 1), 16);
        assert_eq!(taken((64 << 10) + 1), 8);
        assert_eq!(taken(256 << 10), 2);
        assert_eq!(taken(512 << 10), 1);
        // The sum does not overflow, and each batch has at least one request.
        assert_eq!(taken(u32::MAX), 1);
    }
}
