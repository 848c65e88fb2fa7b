// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Data requests whose public-key operation another thread performs.

use super::layout::{parts, Mode, Rest};
use super::response::{conclude, Frame};
use crate::akcipher::{store, Output, Task};
use crate::device::Device;
use crate::hooks::{Decoded, Hooks, RequestId};
use crate::memory::Chain;
use crate::protocol::data::Request;
use crate::queue_id::QueueId;
use crate::session_table::SessionRef;
use crate::status::{Result, StatusError};

/// A request with a public-key operation that another thread performs.
pub(crate) struct Deferred {
    /// The operation.
    pub(crate) task: Task,
    pub(super) session: SessionRef,
    pub(super) queue: QueueId,
    pub(super) mode: Mode,
    pub(super) request: Request,
}

impl Deferred {
    /// Returns queue and opcode.
    pub(crate) fn id(&self) -> RequestId {
        RequestId { queue: self.queue, opcode: self.request.header.opcode }
    }
}

impl<H: Hooks> Device<H> {
    /// Concludes a request whose operation was performed. Its chain was parsed again. Returns how
    /// many bytes the used ring reports.
    pub(crate) fn finish_data(
        &self,
        deferred: &Deferred,
        output: Result<Output>,
        chain: &Chain<'_>,
    ) -> u32 {
        let (Deferred { session, mode, request, .. }, id) = (deferred, deferred.id());
        let mut writable = chain.writable;
        let Some(status_byte) = writable.take_last() else { return 0 };
        let frame = Frame { id, chain, status_byte, room: writable.len() };
        let finish = || {
            let output = output?;
            let mut rest = Rest { readable: chain.readable, writable };
            let (key_len, auth_key_len) = match (mode, request.stateless) {
                (Mode::Stateless, Some(parameters)) => parameters.key_lens(),
                _ => (0, 0),
            };
            for len in [request.fixed_len as u32, key_len, auth_key_len] {
                rest.input(self, len)?;
            }
            let parts = parts(self, session, request, *mode, &mut rest)?;
            let written = store(&output, &parts)?;
            self.hooks.processed(id, session, request, &parts)?;
            Ok(written)
        };
        let result = finish().map_err(|error: StatusError| error.into());
        let stateless = *mode == Mode::Stateless;
        conclude(self, frame, &Decoded::Data(*request), stateless, session.algorithm, result)
    }
}
