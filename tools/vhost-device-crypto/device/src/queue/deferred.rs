// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requests whose public-key operation another thread performs.
//!
//! The worker prepares the request and copies the input. Later it parses the chain again, because
//! the driver may have changed it, and writes the output.

use std::time::Instant;

use super::finished::{Finished, Operation};
use super::processor::RingProcessor;
use crate::data::Deferred;
use crate::descriptors::ParsedChain;
use crate::hooks::Hooks;
use crate::memory::Chain;
use crate::ring::{PoppedChain, RingError};

/// Maximum number of deferred requests of a ring. The worker performs further operations itself, so
/// that a ring can be stopped soon.
const MAX_DEFERRED: usize = 64;

impl<'a, H: Hooks> RingProcessor<'a, H> {
    /// Returns whether another thread may perform an operation. A ring that returns requests in
    /// order gains nothing from it.
    pub(super) fn may_defer(&self) -> bool {
        let active = &*self.active;
        active.finished.is_some() && active.deferred < MAX_DEFERRED && !active.ring.in_order()
    }

    /// Leaves an operation to another thread, which must not begin before `start`.
    pub(super) fn defer(
        &mut self,
        popped: &PoppedChain,
        chain: &Chain<'_>,
        deferred: Box<Deferred>,
        start: Option<Instant>,
    ) -> Result<(), RingError> {
        let device = &self.queue.device;
        match &self.active.finished {
            Some(finished) if device.public_key_threads.start() => {
                device.public_key_threads.submit(Box::new(Operation {
                    popped: popped.clone(),
                    deferred,
                    start: start.unwrap_or_else(Instant::now),
                    finished: finished.clone(),
                }));
                self.active.deferred += 1;
                Ok(())
            }
            _ => {
                self.throttle(start);
                let len = device.finish_data(&deferred, deferred.task.run(), chain);
                self.finish(popped, deferred.id(), len)
            }
        }
    }

    /// Returns the requests to the driver whose operation was performed.
    pub(super) fn finish_deferred(
        &mut self,
        parsed: &mut ParsedChain<'a>,
    ) -> Result<(), RingError> {
        if !self.active.has_finished() {
            return Ok(());
        }
        let finished = self.active.finished.as_ref().map(|finished| finished.take());
        finished.into_iter().flatten().try_for_each(|request| self.conclude(request, parsed))
    }

    /// Waits for all operations, and returns their requests to the driver.
    pub(super) fn finish_all_deferred(&mut self) -> Result<(), RingError> {
        let Some(finished) = self.active.finished.clone() else { return Ok(()) };
        let parsed = &mut ParsedChain::default();
        finished.hurry();
        self.queue.device.public_key_threads.wake();
        while self.active.deferred != 0 {
            finished.wait().into_iter().try_for_each(|request| self.conclude(request, parsed))?;
        }
        self.publish()
    }

    fn conclude(
        &mut self,
        request: Finished,
        parsed: &mut ParsedChain<'a>,
    ) -> Result<(), RingError> {
        let Finished { popped, deferred, output } = request;
        self.active.deferred -= 1;
        if let Err(error) = self.parse(&popped, parsed) {
            return self.reject(&popped, error);
        }
        let len = self.queue.device.finish_data(&deferred, output, &parsed.chain());
        self.finish(&popped, deferred.id(), len)
    }
}
