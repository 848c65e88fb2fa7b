// SPDX-License-Identifier: GPL-2.0

//! Capability detection. The driver tests each algorithm on the device, because devices support fewer
//! or more algorithms than they advertise.

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
    /// Detects which algorithms of the enabled services a device supports.
    ///
    /// # Errors
    ///
    /// Returns any error if the device did not respond, or is not ready any more.
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
                        // The device has no session left, but stateless requests need none.
                        Err(err)
                            if err == ENOSPC
                                && device.features().has_stateless(service)
                                && advertised =>
                        {
                            capabilities.add(id);
                        }
                        // The device rejected the algorithm. Ignore the rejection and detect again
                        // later if the device was reset, has failed or is not ready: it then
                        // rejects everything.
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

/// The results of the tests of a kind on a device.
///
/// Some devices support more algorithms than they advertise, so the driver tests all rows. But QEMU
/// writes a line to the host's log for each test if the device lacks the service or algorithm
/// chaining. So the driver tests the advertised rows first, and leaves out the others if the device
/// rejected one and supports none.
struct DetectionResults {
    kind: Kind,
    /// The device supports a row.
    served: bool,
    /// The device rejected a row with an error that may concern the whole kind.
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

    /// Returns true if the next row must be tested.
    fn is_worth_testing(&self, advertised: bool) -> bool {
        advertised || self.served || !self.refused
    }

    /// Adds the result of a test.
    fn add(&mut self, result: Result) {
        match result {
            Ok(()) => self.served = true,
            Err(err) if err == EOPNOTSUPP => self.refused = true,
            // QEMU's device rejects algorithm chaining with `VIRTIO_CRYPTO_ERR`.
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
        // This error concerns one row only.
        results.add(Err(EIO));
        assert!(results.is_worth_testing(false));
        results.add(Err(EOPNOTSUPP));
        assert!(!results.is_worth_testing(false));
        // Advertised rows are tested nevertheless.
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
