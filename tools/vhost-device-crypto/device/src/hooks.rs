// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Hooks by which another crate can observe the device and alter what it does.
//!
//! The device is generic over its hooks and calls them directly. The hooks of `()` do nothing, and
//! the compiler removes the calls.

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

/// Identifies the kind of a request: its queue and opcode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestId {
    /// The queue.
    pub queue: QueueId,
    /// The opcode of the header, or 0 if the request is too short.
    pub opcode: u32,
}

/// The decision about a request that a queue has popped from its ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// The queue serves the request.
    Serve,
    /// The queue does not serve the request now. The hooks keep the request and return it from
    /// [`Hooks::next_due`] later, or never.
    Defer,
    /// The queue serves neither this request nor any later request.
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
    /// A request of the control queue.
    Control(control::Request),
    /// A request of a data queue.
    Data(data::Request),
    /// A request that cannot be decoded.
    Malformed {
        /// The opcode, or `None` if the request is too short.
        opcode: Option<u32>,
    },
}

/// A request that the device has served or rejected.
#[derive(Debug)]
pub struct Served<'a, 'm> {
    /// The queue and the opcode.
    pub id: RequestId,
    /// The header and the fixed-length fields.
    pub request: &'a Decoded,
    /// The memory of the request.
    pub chain: &'a Chain<'m>,
    /// The algorithm's name, or an empty string if the algorithm is not known.
    pub algorithm: &'static str,
    /// Whether the request was stateless.
    pub stateless: bool,
    /// The session ID of a new session.
    pub session_id: Option<u64>,
    /// The status.
    pub status: u8,
    /// Number of written bytes that the used ring reports.
    pub written: u32,
    /// Number of bytes of source data that were processed.
    pub bytes: u32,
}

/// Hooks of a device. Every method has a default that changes nothing.
#[allow(unused_variables)]
pub trait Hooks: Send + Sync + Sized + 'static {
    /// State of the hooks for a ring, from its start to its end.
    type Ring: Default + Send;

    /// Called for each check of a requirement. `met` is false if the driver violates the
    /// requirement.
    fn check(&self, requirement: Requirement, met: bool) {}

    /// Called at a reset. Returns whether the device is ready after the reset, or `None` if the
    /// reset does not change this.
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

    /// Returns the status with which the device rejects a CREATE that has succeeded, or `None`.
    fn reject_create(&self, opcode: u32) -> Option<u32> {
        None
    }

    /// Returns whether the device rejects a DESTROY and keeps the session.
    fn reject_destroy(&self, opcode: u32) -> bool {
        false
    }

    /// Returns the status with which the device rejects a data request before performing it, or
    /// `None`.
    fn reject_data(&self, id: RequestId) -> Option<u8> {
        None
    }

    /// Called after a data request was performed and before its status is written.
    fn processed(
        &self,
        id: RequestId,
        session: &Session,
        request: &data::Request,
        parts: &Parts<'_>,
    ) -> Result<()> {
        Ok(())
    }

    /// Can alter a status. Returns whether the device writes the status.
    fn status(&self, id: RequestId, status: &mut u32) -> bool {
        true
    }

    /// Called when the device has finished a request.
    fn served(&self, served: &Served<'_, '_>) {}

    /// Decides about a request that a queue has popped from a ring of `size` entries.
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

    /// Returns the next held request that must be served now.
    fn next_due(&self, ring: &mut Self::Ring, in_order: bool) -> Option<PoppedChain> {
        None
    }

    /// Returns the time at which the next held request must be served, or `None` if no held request
    /// waits for a time.
    fn deadline(&self, ring: &Self::Ring, in_order: bool) -> Option<Instant> {
        None
    }

    /// Returns the number of held requests.
    fn held(&self, ring: &Self::Ring) -> usize {
        0
    }

    /// Called when a queue has returned a request to the driver.
    fn returned(&self, ring: &mut Self::Ring) {}

    /// Decides how a queue returns a request to the driver.
    fn complete(&self, id: RequestId, elem: UsedElem) -> Completion {
        Completion { elem, times: 1, silent: false }
    }

    /// Called when a ring is invalid and its queue has stopped.
    fn ring_failed(&self) {}
}

/// No hooks.
impl Hooks for () {
    type Ring = ();
}
