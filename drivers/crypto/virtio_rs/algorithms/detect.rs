// SPDX-License-Identifier: GPL-2.0

//! Capability detection: what a device does is tried. What it advertises is not enough.

use super::{
    algorithm_id::{
        AlgorithmId,
        Kind, //
    },
    devices::Capabilities, //
};
use crate::{
    settings::Settings,
    transport::device::Device, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

impl Capabilities {
    /// Finds out what a device does, of the services that are wanted.
    ///
    /// # Errors
    ///
    /// Any: the device could not be asked, or is not ready any more.
    pub(super) fn detect(device: &Arc<Device>, settings: &Settings) -> Result<Self> {
        let mut capabilities = Self::none();
        let epoch = device.epoch();
        for kind in Kind::ALL {
            let service = kind.service();
            if !settings.service_enabled(service) || !device.config().has_service(service) {
                continue;
            }
            let mut results = DetectionResults::new(kind);
            for advertised in [true, false] {
                for id in (0..kind.rows()).map(|row| AlgorithmId { kind, row }) {
                    if id.is_advertised(device) != advertised
                        || !results.is_worth_testing(advertised)
                    {
                        continue;
                    }
                    let result = id.check_support(device, settings);
                    results.add(result);
                    match result {
                        Ok(()) => capabilities.add(id),
                        // Its sessions are used up, but it needs none.
                        Err(err)
                            if err == ENOSPC
                                && device.features().has_stateless(service)
                                && advertised =>
                        {
                            capabilities.add(id);
                        }
                        // That is its answer, unless it was reset, or is about to be, or is not
                        // ready and refuses everything.
                        Err(err) if [EIO, EOPNOTSUPP, ENOSPC, EINVAL].contains(&err) => {
                            if device.epoch() != epoch
                                || !device.is_ready()
                                || !device.read_hw_ready()
                            {
                                return Err(EAGAIN);
                            }
                        }
                        Err(err) => return Err(err),
                    }
                }
            }
        }
        Ok(capabilities)
    }
}

/// What a device has answered to the trials of a kind.
///
/// Some devices do more than they advertise, so all rows are tried. But a device that lacks the
/// service, or algorithm chaining, writes a line to the host's log for each trial. It does not get
/// the trials of rows that it does not advertise. The rows that it advertises come first.
struct DetectionResults {
    kind: Kind,
    /// A row was done.
    served: bool,
    /// A row was refused in a way that may mean the whole kind.
    refused: bool,
}

impl DetectionResults {
    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            served: false,
            refused: false,
        }
    }

    /// Returns true if the next row is to be tried.
    fn is_worth_testing(&self, advertised: bool) -> bool {
        advertised || self.served || !self.refused
    }

    /// Adds the result of a trial.
    fn add(&mut self, result: Result) {
        match result {
            Ok(()) => self.served = true,
            Err(err) if err == EOPNOTSUPP => self.refused = true,
            // QEMU's device refuses chaining with `VIRTIO_CRYPTO_ERR`.
            Err(err) if err == EIO && self.kind == Kind::Authenc => self.refused = true,
            Err(_) => {}
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_detect)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_a_device_lacks_is_asked_for_once() {
        let mut results = DetectionResults::new(Kind::Mac);
        assert!(results.is_worth_testing(true) && results.is_worth_testing(false));
        // An answer about this row alone.
        results.add(Err(EIO));
        assert!(results.is_worth_testing(false));
        results.add(Err(EOPNOTSUPP));
        assert!(!results.is_worth_testing(false));
        // What is advertised is tried nevertheless.
        assert!(results.is_worth_testing(true));
    }

    #[test]
    fn a_service_that_does_one_algorithm_is_asked_for_all() {
        for refused_first in [true, false] {
            let mut results = DetectionResults::new(Kind::Cipher);
            for done in [!refused_first, refused_first] {
                results.add(if done { Ok(()) } else { Err(EOPNOTSUPP) });
            }
            assert!(results.is_worth_testing(false));
        }
    }

    #[test]
    fn chaining_is_refused_as_such_by_an_error() {
        let mut results = DetectionResults::new(Kind::Authenc);
        results.add(Err(EIO));
        assert!(!results.is_worth_testing(false) && results.is_worth_testing(true));
    }
}
