// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The places where another crate can observe the device and alter what it does.
//!
//! The device is generic over its hooks and calls them directly. The hooks of `()` do nothing, and the
//! compiler removes the calls.

use std::time::Instant;

use serde::Serialize;

use crate::memory::Chain;
use crate::parts::Parts;
use crate::protocol::config::{Config, CONFIG_LEN};
use crate::protocol::{control, data};
use crate::queue_id::QueueId;
use crate::requirement::Requirement;
use crate::ring::{PoppedChain, UsedElem};
use crate::session::Session;
use crate::session_table::SessionTable;
use crate::status::Result;

/// A request on its way: its queue, and the opcode of its header, or 0 if it has none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestId {
    /// The queue.
    pub queue: QueueId,
    /// The opcode.
    pub opcode: u32,
}

/// What a queue does with a request that it has taken from its ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// Serves the request.
    Serve,
    /// Leaves the request to the hooks, which return it from [`Hooks::next_due`] later, or never.
    Hold,
    /// Serves neither this request nor any later one.
    Stop,
}

/// How a queue returns a request to the driver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Completion {
    /// The entry of the used ring.
    pub elem: UsedElem,
    /// How often the entry is added.
    pub times: u32,
    /// Whether the entry is added without a notification.
    pub silent: bool,
}

/// A decoded request.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decoded {
    /// One on the control queue.
    Control(control::Request),
    /// One on a data queue.
    Data(data::Request),
    /// One that cannot be decoded.
    Malformed {
        /// The opcode, if the request has as many bytes.
        opcode: Option<u32>,
    },
}

/// A request that the device has served or rejected.
#[derive(Debug)]
pub struct Served<'a, 'm> {
    /// Its queue and opcode.
    pub id: RequestId,
    /// Its fields.
    pub request: &'a Decoded,
    /// Its memory.
    pub chain: &'a Chain<'m>,
    /// The algorithm's name, or an empty string if the algorithm is not known.
    pub algorithm: &'static str,
    /// Whether the request was stateless.
    pub stateless: bool,
    /// The session ID of a new session.
    pub session_id: Option<u64>,
    /// The status.
    pub status: u8,
    /// How many bytes the used ring reports.
    pub written: u32,
    /// How many bytes of source data were processed.
    pub bytes: u32,
}

/// Hooks of a device. Every method has a default that changes nothing.
#[allow(unused_variables)]
pub trait Hooks: Send + Sync + Sized + 'static {
    /// What the hooks keep for a ring, from its start to its end.
    type Ring: Default + Send;

    /// The driver meets a requirement, or violates it.
    fn check(&self, requirement: Requirement, met: bool) {}

    /// The device is reset. Returns the device's readiness from now on, or `None` to leave it.
    fn ready_after_reset(&self) -> Option<bool> {
        None
    }

    /// Returns the bytes of the configuration space that the driver reads.
    fn config(&self, config: Config) -> [u8; CONFIG_LEN] {
        config.to_bytes()
    }

    /// Adds a new session to the table. Returns the session ID.
    fn insert_session(
        &self,
        opcode: u32,
        sessions: &SessionTable,
        session: Session,
    ) -> Result<u64> {
        sessions.insert(session)
    }

    /// Returns the status by which the device rejects a CREATE that it has served otherwise.
    fn reject_create(&self, opcode: u32) -> Option<u32> {
        None
    }

    /// Returns whether the device rejects a DESTROY and keeps the session.
    fn reject_destroy(&self, opcode: u32) -> bool {
        false
    }

    /// Returns the status by which the device rejects a data request before it serves the request.
    fn reject_data(&self, id: RequestId) -> Option<u8> {
        None
    }

    /// The device has processed a data request, and has not written the status yet.
    fn processed(
        &self,
        id: RequestId,
        session: &Session,
        request: &data::Request,
        parts: &Parts<'_>,
    ) -> Result<()> {
        Ok(())
    }

    /// Alters a status. Returns whether the device writes the status.
    fn status(&self, id: RequestId, status: &mut u32) -> bool {
        true
    }

    /// The device is about to return a request to its queue.
    fn served(&self, served: &Served<'_, '_>) {}

    /// Decides what a queue does with a request that it has taken from a ring.
    fn admit(
        &self,
        ring: &mut Self::Ring,
        id: RequestId,
        chain: &PoppedChain,
        in_order: bool,
        size: u16,
    ) -> Admission {
        Admission::Serve
    }

    /// Returns the next of the held requests that has to be served now.
    fn next_due(&self, ring: &mut Self::Ring, in_order: bool) -> Option<PoppedChain> {
        None
    }

    /// Returns when the next held request has to be served, if the time decides that.
    fn deadline(&self, ring: &Self::Ring, in_order: bool) -> Option<Instant> {
        None
    }

    /// Returns how many requests are held.
    fn held(&self, ring: &Self::Ring) -> usize {
        0
    }

    /// A queue has returned one more request to the driver.
    fn returned(&self, ring: &mut Self::Ring) {}

    /// Decides how a queue returns a request to the driver.
    fn complete(&self, id: RequestId, elem: UsedElem) -> Completion {
        Completion { elem, times: 1, silent: false }
    }

    /// A ring is invalid, and its queue has stopped.
    fn ring_failed(&self) {}
}

/// No hooks.
impl Hooks for () {
    type Ring = ();
}
