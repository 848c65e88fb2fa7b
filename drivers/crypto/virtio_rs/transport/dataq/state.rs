// SPDX-License-Identifier: GPL-2.0

//! The state of a data queue.

use super::{
    backlog::Backlog,
    kicks::Kicks,
    timeout::AgeBuckets,
    DataQueueHandler, //
};
use crate::{
    crypto::InFlightRequest,
    transport::key::{
        Binding,
        SharedBinding, //
    },
    virtio::{
        LastUse,
        QueueGuard,
        Use, //
    },
};
use kernel::prelude::*;

/// A request of a data queue.
pub(super) type Request = InFlightRequest<Private>;

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
    /// The session is not destroyed.
    InUse(Use<Binding>),
    /// Dropping this destroys the session. That happens with no queue locked, when the request
    /// context is detached, which is before the completion callback.
    Last { _last: LastUse<Binding> },
}

impl Private {
    /// Counts the request as a user of its session, which is not destroyed before
    /// [`unbind`](Self::unbind).
    ///
    /// # Errors
    ///
    /// `ENODEV` if the transform does not use the session any more, the device does not know it, or
    /// it is of another epoch or another device.
    pub(super) fn bind(
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

    /// Ends the use of the session. The request does not go to the device, or has come back.
    #[inline(always)]
    pub(super) fn unbind(&mut self, locked: &mut QueueGuard<'_, DataQueueHandler>) {
        if let SessionUse::InUse(session) = core::mem::take(&mut self.session) {
            if let Some(_last) = session.end(locked) {
                self.session = SessionUse::Last { _last };
            }
        }
    }

    /// Evaluates the result of a request that the device has used, and ends the use of the session.
    #[inline(always)]
    pub(super) fn finish(&mut self, result: Result, locked: &mut QueueGuard<'_, DataQueueHandler>) {
        let result = match &self.session {
            SessionUse::InUse(session) => session.value().evaluate(result),
            SessionUse::None | SessionUse::Last { .. } => result,
        };
        self.error = result.err();
        self.unbind(locked);
    }

    /// Returns the result of the request.
    pub(super) fn result(&self) -> Result {
        self.error.map_or(Ok(()), Err)
    }

    /// Sets the epoch of the session of the request.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn set_epoch(&mut self, epoch: Option<u32>) {
        self.epoch = epoch;
    }

    /// Returns the epoch of the session of the request.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn epoch(&self) -> Option<u32> {
        self.epoch
    }

    /// Returns the age bucket of the request, for [`AgeBuckets::remove`].
    pub(super) fn age(&self) -> u8 {
        self.age
    }
}

/// The state of a data queue, protected by the lock of the queue.
pub(crate) struct DataQueueState {
    /// The queue accepts requests.
    pub(super) accepting: bool,
    /// The epoch of the device. Requests in sessions of another epoch are rejected.
    pub(super) epoch: u32,
    /// The backlogged requests.
    pub(super) backlog: Backlog,
    /// Determines which thread kicks the device.
    pub(super) kicks: Kicks,
    /// The watchdog calls [`check_progress`](super::check_progress) at intervals, until the queue is idle.
    pub(super) watchdog_armed: bool,
    /// The number of requests that have returned.
    pub(super) completed: u64,
    /// The number of requests that had returned at the last
    /// [`check_progress`](super::check_progress), if a request was overdue then.
    pub(super) last_completed: Option<u64>,
    /// The ages of the requests in flight.
    pub(super) ages: AgeBuckets,
}

impl DataQueueState {
    /// Creates the state of a queue that accepts requests and has none.
    pub(super) const fn new() -> Self {
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
    pub(super) fn admit(&mut self, request: &mut Request) -> Result {
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
    pub(super) fn complete(&mut self, request: &Request) {
        self.completed = self.completed.wrapping_add(1);
        self.ages.remove(request.private().age);
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_dataq)]
mod tests {
    use super::{
        super::timeout::{
            Overdue,
            CHECKS_PER_TIMEOUT, //
        },
        *, //
    };
    use crate::{
        crypto::testing::request,
        support::bh::BhDisabled, //
    };

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
}
