// SPDX-License-Identifier: GPL-2.0

//! Capability detection. The driver tests each algorithm on the device, because devices support
//! fewer or more algorithms than they advertise. An algorithm is a row of the table of its
//! [`Kind`].

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
    /// The capabilities are unknown after an error:
    ///
    /// - `EAGAIN` if the device rejected an algorithm, and was reset, has failed or is not ready;
    /// - any other error of [`AlgorithmId::check_support`], for example if the device did not
    ///   respond.
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
                        // The device has no free session for the test. Trust its advertisement,
                        // because stateless requests need no session.
                        Err(err)
                            if err == ENOSPC
                                && device.features().has_stateless(service)
                                && advertised =>
                        {
                            capabilities.add(id);
                        }
                        // The device rejected the algorithm. The rejection says nothing about the
                        // algorithm if the device was reset, has failed or is not ready: such a
                        // device rejects every algorithm. The caller must repeat the detection.
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

/// The results of the tests of one kind of algorithms on a device.
///
/// Some devices support more algorithms than they advertise, so the driver also tests rows that are
/// not advertised. If QEMU's device lacks a service or algorithm chaining, QEMU writes a line to
/// the host's log for each test. To limit these lines, the driver tests the advertised rows first.
/// It skips the other rows if the device has rejected a row and supports no row.
struct DetectionResults {
    kind: Kind,
    /// The device supports a row.
    any_supported: bool,
    /// The device rejected a row with an error that may apply to all rows of the kind.
    any_rejected: bool,
}

impl DetectionResults {
    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            any_supported: false,
            any_rejected: false,
        }
    }

    /// Returns true if the next row must be tested. `advertised` is true if the device advertises
    /// the row.
    fn is_worth_testing(&self, advertised: bool) -> bool {
        advertised || self.any_supported || !self.any_rejected
    }

    /// Adds the result of a test.
    fn add(&mut self, result: Result) {
        match result {
            Ok(()) => self.any_supported = true,
            Err(err) if err == EOPNOTSUPP => self.any_rejected = true,
            // QEMU's device rejects algorithm chaining with `VIRTIO_CRYPTO_ERR`.
            Err(err) if err == EIO && self.kind == Kind::Authenc => self.any_rejected = true,
            Err(_) => {}
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_detect)]
mod tests {
    use super::*;

    #[test]
    fn unadvertised_rows_of_rejected_kind_are_not_tested() {
        let mut results = DetectionResults::new(Kind::Mac);
        assert!(results.is_worth_testing(true) && results.is_worth_testing(false));
        // `EIO` only applies to one row.
        results.add(Err(EIO));
        assert!(results.is_worth_testing(false));
        results.add(Err(EOPNOTSUPP));
        assert!(!results.is_worth_testing(false));
        // Advertised rows are always tested.
        assert!(results.is_worth_testing(true));
    }

    #[test]
    fn one_supported_row_makes_all_rows_worth_testing() {
        for rejected_first in [true, false] {
            let mut results = DetectionResults::new(Kind::Cipher);
            for is_supported in [!rejected_first, rejected_first] {
                results.add(if is_supported {
                    Ok(())
                } else {
                    Err(EOPNOTSUPP)
                });
            }
            assert!(results.is_worth_testing(false));
        }
    }

    #[test]
    fn eio_rejects_algorithm_chaining() {
        let mut results = DetectionResults::new(Kind::Authenc);
        results.add(Err(EIO));
        assert!(!results.is_worth_testing(false) && results.is_worth_testing(true));
    }
}
