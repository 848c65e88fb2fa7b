// SPDX-License-Identifier: GPL-2.0

//! Backlogged requests, in order.

use super::{
    Private,
    Request, //
};
use crate::crypto::{
    BacklogList,
    Backlogged,
    Submitted, //
};

/// The backlog of a data queue.
pub(super) struct Backlog {
    requests: BacklogList<Private>,
    /// The bottom half has taken the first request, and not sent it yet.
    taken: bool,
}

impl Backlog {
    /// Creates an empty backlog.
    pub(super) const fn new() -> Self {
        Self {
            requests: BacklogList::new(),
            taken: false,
        }
    }

    /// Returns the number of requests, without one that is taken.
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Returns true if there are backlogged requests, which are sent before new ones.
    pub(super) fn has_waiting(&self) -> bool {
        self.taken || !self.requests.is_empty()
    }

    /// Appends a request. Returns it if it may not be backlogged.
    pub(super) fn push(&mut self, request: Request) -> Result<Submitted, Request> {
        self.requests.push_back(request)
    }

    /// Takes the first request. It counts as backlogged until the next call of this or of
    /// [`put_back`](Self::put_back).
    pub(super) fn take(&mut self) -> Option<Backlogged<Private>> {
        let first = self.requests.pop_front();
        self.taken = first.is_some();
        first
    }

    /// Puts back the request of [`take`](Self::take), for which the ring has no room.
    pub(super) fn put_back(&mut self, request: Request) {
        self.requests.push_front(request);
        self.taken = false;
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_backlog)]
mod tests {
    use super::*;
    use crate::{
        crypto::testing::request,
        support::bh::BhDisabled, //
    };

    #[test]
    fn no_request_overtakes_a_backlogged_one() {
        let mut backlog = Backlog::new();
        assert!(!backlog.has_waiting());
        for epoch in [1, 2] {
            let mut request = request::<Private>().unwrap();
            request.private_mut().epoch = Some(epoch);
            assert!(backlog.push(request).is_ok());
        }
        // The bottom half has the first request, and the ring is full.
        let first = backlog.take().unwrap().accept(&BhDisabled::disable());
        assert!(backlog.has_waiting());
        backlog.put_back(first);
        let sent = [1, 2].map(|epoch| {
            let request = backlog.take().unwrap().accept(&BhDisabled::disable());
            assert_eq!(request.private().epoch, Some(epoch));
            // A new request is behind it, even if it was the last one in the backlog.
            assert!(backlog.has_waiting());
            request
        });
        assert!(backlog.take().is_none() && !backlog.has_waiting());
        for request in sent {
            request.complete(Ok(()), &BhDisabled::disable());
        }
    }
}
