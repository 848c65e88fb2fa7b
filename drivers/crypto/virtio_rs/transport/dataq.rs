// SPDX-License-Identifier: GPL-2.0

//! Data queues: the state of a queue and of its requests, and the submission of requests.
//!
//! A kick may leave the guest, which costs more than the request. Most completion callbacks submit another
//! request. If they run on the CPU of the bottom half, the bottom half kicks the device once, at the end of its
//! batch. Other CPUs kick at once, because a callback may take long.

mod backlog;
mod completion;
mod timeout;

use self::{
    backlog::Backlog,
    timeout::AgeBuckets, //
};
use crate::{
    crypto::{
        InFlightRequest,
        Submission,
        Submitted, //
    },
    support::bh::BhDisabled,
    transport::session::{
        Binding,
        SharedBinding, //
    },
    virtio::{
        LastUse,
        Queue,
        QueueGuard,
        Use, //
    },
};
use kernel::{
    cpu::CpuId,
    prelude::*,
    str::CString,
    sync::Arc, //
};

pub(super) use self::timeout::{
    check_progress,
    Progress,
    CHECKS_PER_TIMEOUT, //
};

/// A data queue of a device.
pub(crate) type DataQueue = Queue<DataQueueHandler>;

/// Requests that may be backlogged leave this part of the ring free, 1/8. Otherwise a user that keeps the
/// ring full, such as dm-crypt, would leave no room for requests that may not be backlogged, such as those
/// of IPsec.
const RESERVE: u32 = 8;

/// The handler of a data queue.
pub(crate) struct DataQueueHandler;

impl DataQueueHandler {
    /// Creates data queue `index` of a device.
    pub(crate) fn new_queue(index: usize) -> Result<Arc<DataQueue>> {
        let name = CString::try_from_fmt(fmt!("dataq.{index}"))?;
        Arc::pin_init(Queue::new(name, index, DataQueueState::new()), GFP_KERNEL)
    }
}

/// A request of a data queue.
type Request = InFlightRequest<Private>;

/// The data of a request that a data queue needs.
#[derive(Default)]
pub(crate) struct Private {
    /// The session of the request.
    session: SessionUse,
    /// The epoch of the session. `None` if the request is stateless.
    epoch: Option<u32>,
    /// The age bucket of the request.
    age: u8,
    /// The error of a request that has returned.
    error: Option<Error>,
}

/// The use of a session by a request.
#[derive(Default)]
enum SessionUse {
    /// The request names no session, or the use has ended.
    #[default]
    None,
    /// The request uses the session, which is not destroyed.
    InUse(Use<Binding>),
    /// Dropping this value destroys the session. The request context is detached before the completion
    /// callback, with no queue locked, and drops the value.
    Last { _last: LastUse<Binding> },
}

impl Private {
    /// Counts the request as a user of its session, which is not destroyed before
    /// [`unbind`](Self::unbind).
    ///
    /// # Errors
    ///
    /// `ENODEV` if the transform does not use the session any more, the device does not know the session,
    /// or the session is of another epoch or another device.
    fn bind(
        &mut self,
        binding: &SharedBinding,
        locked: &mut QueueGuard<'_, DataQueueHandler>,
    ) -> Result {
        if let Binding::Session(session) = &**binding {
            let epoch = session.epoch();
            if session.is_lost() || epoch != locked.state().epoch {
                return Err(ENODEV);
            }
            self.session = SessionUse::InUse(Use::begin(binding, locked).ok_or(ENODEV)?);
            self.epoch = Some(epoch);
        }
        Ok(())
    }

    /// Ends the use of the session. The device has returned the request, or does not get it.
    #[inline(always)]
    fn unbind(&mut self, locked: &mut QueueGuard<'_, DataQueueHandler>) {
        if let SessionUse::InUse(session) = core::mem::take(&mut self.session) {
            if let Some(_last) = session.end(locked) {
                self.session = SessionUse::Last { _last };
            }
        }
    }

    /// Evaluates the result of a request that the device has used, and ends the use of the session.
    #[inline(always)]
    fn finish(&mut self, result: Result, locked: &mut QueueGuard<'_, DataQueueHandler>) {
        let result = match &self.session {
            SessionUse::InUse(session) => session.value().evaluate(result),
            SessionUse::None | SessionUse::Last { .. } => result,
        };
        self.error = result.err();
        self.unbind(locked);
    }
}

/// The state of a data queue, protected by the lock of the queue.
pub(crate) struct DataQueueState {
    /// The queue accepts requests.
    accepting: bool,
    /// The epoch of the device. Requests in sessions of another epoch are rejected.
    epoch: u32,
    /// The backlogged requests.
    backlog: Backlog,
    /// Determines which thread kicks the device.
    kicks: Kicks,
    /// The watchdog calls [`check_progress`] at intervals, until the queue is idle.
    watchdog_armed: bool,
    /// The number of requests that have returned.
    completed: u64,
    /// The number of requests that had returned at the last [`check_progress`], if a request was overdue
    /// then.
    last_completed: Option<u64>,
    /// The ages of the requests in flight.
    ages: AgeBuckets,
}

impl DataQueueState {
    /// Creates the state of a queue that accepts requests and has none.
    const fn new() -> Self {
        Self {
            accepting: true,
            epoch: 0,
            backlog: Backlog::new(),
            kicks: Kicks::new(),
            watchdog_armed: false,
            completed: 0,
            last_completed: None,
            ages: AgeBuckets::new(),
        }
    }

    /// Counts a request that is about to be sent.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the session of the request is of another epoch.
    #[inline(always)]
    fn admit(&mut self, request: &mut Request) -> Result {
        if request
            .private()
            .epoch
            .is_some_and(|epoch| epoch != self.epoch)
        {
            return Err(ENODEV);
        }
        request.private_mut().age = self.ages.add();
        Ok(())
    }

    /// Counts a request that has returned.
    fn complete(&mut self, request: &Request) {
        self.completed = self.completed.wrapping_add(1);
        self.ages.remove(request.private().age);
    }
}

/// Decides which thread kicks the device.
struct Kicks {
    /// The CPU that runs a batch of the bottom half.
    batch: Option<u32>,
    /// A request of that CPU needs a kick.
    pending: bool,
}

impl Kicks {
    /// Creates the state of a queue whose bottom half is not running.
    const fn new() -> Self {
        Self {
            batch: None,
            pending: false,
        }
    }

    /// Begins a batch of the bottom half on a CPU.
    fn begin_batch(&mut self, cpu: u32) {
        self.batch = Some(cpu);
    }

    /// Returns true if the bottom half will kick the device for a request that was sent on `cpu`. Otherwise
    /// the sender must.
    fn defer(&mut self, cpu: u32) -> bool {
        let defer = self.batch == Some(cpu);
        self.pending |= defer;
        defer
    }

    /// Ends the batch. Returns true if the bottom half must kick the device.
    #[must_use]
    fn end_batch(&mut self) -> bool {
        self.batch = None;
        core::mem::take(&mut self.pending)
    }
}

/// Sends a request, or adds it to the backlog if the request allows that. The session of `binding`
/// is not destroyed before the device has returned the request.
///
/// Arms the watchdog of the device if the watchdog was not armed and a request was sent, or if the ring is
/// broken. The watchdog then calls [`check_progress`] until the queue is idle.
///
/// Context: process or bottom half.
///
/// # Errors
///
/// The request is returned with
/// - `ENOSPC` if the ring is full and the request may not be backlogged;
/// - `E2BIG` if the request has more segments than the ring has descriptors;
/// - `ENODEV` if the queue is closed, the device is not ready, or the session is lost, stale, or no
///   longer used by the transform;
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

/// Does the work of [`submit`].
#[inline(always)]
fn try_submit(
    queue: &DataQueue,
    mut request: Request,
    binding: &SharedBinding,
    bh: &BhDisabled,
) -> Result<Submitted, (Error, Request)> {
    let mut locked = queue.lock(bh);
    // A failed device is not ready, but its queues may still be open.
    if !locked.state().accepting || !locked.is_live() || !binding.device().is_ready() {
        return Err((ENODEV, request));
    }
    if request.segments() > locked.size() {
        return Err((E2BIG, request));
    }
    if let Err(err) = request.private_mut().bind(binding, &mut locked) {
        return Err((err, request));
    }

    // A request that may not be backlogged is not sent after the backlogged ones.
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
            // Add the request to the backlog, which is sent when a request in flight returns.
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

/// Arms the watchdog of a binding's device. Few requests arm it.
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
    // An empty ring takes every request, because no request would return to free descriptors.
    if !locked.has_room(segments, reserve)
        && (locked.in_flight() != 0 || !locked.has_room(segments, 0))
    {
        return Err((ENOSPC, request));
    }
    if let Err(err) = locked.state().admit(&mut request) {
        return Err((err, request));
    }
    let age = request.private().age;
    locked
        .add(request)
        .inspect_err(|_| locked.state().ages.remove(age))
}

/// Kicks the device, unless the bottom half will kick it.
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

/// Formats the line of a data queue in debugfs.
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

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_dataq)]
mod tests {
    use super::{
        timeout::Overdue,
        *, //
    };
    use crate::crypto::testing::request;

    #[test]
    fn a_request_of_another_epoch_is_not_admitted() {
        let mut state = DataQueueState::new();
        state.epoch = 7;
        for stale in [6, 8] {
            let mut request = request::<Private>().unwrap();
            request.private_mut().epoch = Some(stale);
            assert_eq!(state.admit(&mut request), Err(ENODEV));
            request.complete(Err(ENODEV), &BhDisabled::disable());
        }
        // Rejected requests are not counted, so no request becomes overdue.
        for _ in 0..=CHECKS_PER_TIMEOUT {
            assert_eq!(state.ages.advance(0, 0), Overdue::No);
        }
    }

    #[test]
    fn a_request_that_is_admitted_gets_old() {
        let mut state = DataQueueState::new();
        state.epoch = 7;
        for epoch in [None, Some(7)] {
            let mut request = request::<Private>().unwrap();
            request.private_mut().epoch = epoch;
            assert!(state.admit(&mut request).is_ok());
            for _ in 0..CHECKS_PER_TIMEOUT {
                assert_eq!(state.ages.advance(0, 1), Overdue::No);
            }
            assert_eq!(state.ages.advance(0, 1), Overdue::Lost);
            state.complete(&request);
            request.complete(Ok(()), &BhDisabled::disable());
        }
    }

    #[test]
    fn one_kick_is_for_all_requests_of_a_batch() {
        let mut kicks = Kicks::new();
        for _ in 0..2 {
            kicks.begin_batch(3);
            assert!(kicks.defer(3) && kicks.defer(3));
            assert!(kicks.end_batch());
        }
    }

    #[test]
    fn a_batch_that_sends_nothing_does_not_kick() {
        let mut kicks = Kicks::new();
        kicks.begin_batch(0);
        assert!(!kicks.end_batch());
    }

    #[test]
    fn other_cpus_kick_at_once() {
        let mut kicks = Kicks::new();
        kicks.begin_batch(1);
        assert!(!kicks.defer(0) && !kicks.defer(2));
        assert!(!kicks.end_batch());
    }

    #[test]
    fn without_the_bottom_half_everybody_kicks() {
        let mut kicks = Kicks::new();
        assert!(!kicks.defer(0));
        kicks.begin_batch(0);
        assert!(kicks.defer(0) && kicks.end_batch());
        assert!(!kicks.defer(0));
        kicks.begin_batch(0);
        assert!(!kicks.end_batch());
    }
}
