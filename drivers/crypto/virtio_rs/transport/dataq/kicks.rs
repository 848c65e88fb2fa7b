// SPDX-License-Identifier: GPL-2.0

//! Device notifications of a data queue.
//!
//! A kick may leave the guest, which costs more than the request. Most completion callbacks submit another
//! request. If they run on the CPU of the bottom half, the bottom half kicks the device once, at the end of its
//! batch. Other CPUs kick at once, because a callback may take long.

/// The kicks of a data queue.
pub(super) struct Kicks {
    /// The CPU that runs a batch of the bottom half.
    batch: Option<u32>,
    /// A request of that CPU needs a kick.
    pending: bool,
}

impl Kicks {
    /// Creates the state of a queue whose bottom half is not running.
    pub(super) const fn new() -> Self {
        Self {
            batch: None,
            pending: false,
        }
    }

    /// Begins a batch of the bottom half on a CPU.
    pub(super) fn begin_batch(&mut self, cpu: u32) {
        self.batch = Some(cpu);
    }

    /// Returns true if the bottom half will kick the device for a request that was sent on `cpu`. Otherwise
    /// the sender must.
    pub(super) fn defer(&mut self, cpu: u32) -> bool {
        let defer = self.batch == Some(cpu);
        self.pending |= defer;
        defer
    }

    /// Ends the batch. Returns true if the bottom half must kick the device.
    #[must_use]
    pub(super) fn end_batch(&mut self) -> bool {
        self.batch = None;
        core::mem::take(&mut self.pending)
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_kicks)]
mod tests {
    use super::*;

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
