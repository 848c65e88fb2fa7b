// SPDX-License-Identifier: GPL-2.0

//! The values of the module parameters, and their checks.

use crate::wire::algorithm::{
    Akcipher,
    Service, //
};
use kernel::{
    prelude::*,
    time::Msecs, //
};

/// The priority with `prefer`. It exceeds the priorities of the kernel's implementations that use
/// CPU instructions. They have priorities up to 800. An `authenc()` of two such implementations has
/// ten times the priority of the cipher plus the priority of the hash, for example 4300.
const PREFERRED: u32 = 9000;

/// The maximum of the parameter `priority`.
const MAX_PRIORITY: u32 = 10000;

/// The maximum priority of public key algorithms without `prefer_public_keys`. The kernel's own
/// implementations have the priority 100.
const MAX_DEFAULT_AKCIPHER_PRIORITY: u32 = 90;

/// The range of request timeouts, in milliseconds.
const TIMEOUTS: core::ops::RangeInclusive<u32> = 100..=600_000;

/// The values of the module parameters. Each value is in the range of its parameter.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    priority: u32,
    timeout: u32,
    stateless: bool,
    services: u32,
    rescue_in_place: u32,
    prefer_public_keys: bool,
    ecdsa_number: Option<Akcipher>,
}

impl Settings {
    /// Checks the values of module parameters.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a value is out of range. The log names the parameter.
    pub(crate) fn new(
        priority: u32,
        prefer: bool,
        timeout: u32,
        stateless: bool,
        services: u32,
    ) -> Result<Self> {
        if priority > MAX_PRIORITY {
            pr_err!("priority={priority} is out of range (0 to {MAX_PRIORITY})\n");
            return Err(EINVAL);
        }
        if !TIMEOUTS.contains(&timeout) {
            pr_err!(
                "timeout_ms={timeout} is out of range ({} to {})\n",
                TIMEOUTS.start(),
                TIMEOUTS.end()
            );
            return Err(EINVAL);
        }
        Ok(Self {
            priority: if prefer { PREFERRED } else { priority },
            timeout,
            stateless,
            services,
            rescue_in_place: 0,
            prefer_public_keys: false,
            ecdsa_number: None,
        })
    }

    /// Sets the maximum source length in bytes of in-place requests that get a checksum. 0 disables
    /// checksums. The parameter has no range, so every value is valid.
    ///
    /// If a device fails during an in-place request, the checksum shows whether the source is
    /// unchanged. Only then can the request be repeated on the fallback.
    pub(crate) fn with_rescue_in_place(self, bytes: u32) -> Self {
        Self {
            rescue_in_place: bytes,
            ..self
        }
    }

    /// Sets the parameters of public keys.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a value is out of range. The log names the parameter.
    pub(crate) fn with_public_keys(self, prefer: bool, ecdsa_number: u32) -> Result<Self> {
        let ecdsa_number = match ecdsa_number {
            0 => None,
            2 => Some(Akcipher::Ecdsa),
            3 => Some(Akcipher::EcdsaUapi),
            other => {
                pr_err!("ecdsa_number={other} is invalid (0, 2 or 3)\n");
                return Err(EINVAL);
            }
        };
        Ok(Self {
            prefer_public_keys: prefer,
            ecdsa_number,
            ..self
        })
    }

    /// Returns the priority of an algorithm. The priority of the synchronous variant is lower by 1.
    /// Users that support both variants then get the asynchronous variant, which does not block.
    pub(crate) fn priority(&self, synchronous: bool) -> i32 {
        let priority = self.priority.saturating_sub(u32::from(synchronous));
        // The conversion cannot fail: the priority is at most `MAX_PRIORITY`.
        i32::try_from(priority).unwrap_or(0)
    }

    /// Returns the priority of public key algorithms. The kernel checks signatures, for example of
    /// modules, with the implementation of the highest priority. Unless `prefer_public_keys` is
    /// set, the driver's priority is therefore below the priority of the kernel's own
    /// implementation.
    pub(crate) fn public_key_priority(&self) -> i32 {
        let priority = if self.prefer_public_keys {
            PREFERRED
        } else {
            self.priority.min(MAX_DEFAULT_AKCIPHER_PRIORITY)
        };
        // The conversion cannot fail: the priority is at most `PREFERRED`.
        i32::try_from(priority).unwrap_or(0)
    }

    /// Returns the number that devices without VIRTIO_CRYPTO_F_REVISION_1 use for ECDSA, or `None`
    /// if the driver must not use ECDSA on these devices.
    pub(crate) fn ecdsa_number(&self) -> Option<Akcipher> {
        self.ecdsa_number
    }

    /// Returns true if the driver may use a service.
    pub(crate) fn service_enabled(&self, service: Service) -> bool {
        self.services & 1 << service.number() != 0
    }

    /// Returns true if requests must use stateless mode on devices that support stateless mode.
    pub(crate) fn stateless(&self) -> bool {
        self.stateless
    }

    /// Returns the maximum source length in bytes of in-place requests that get a checksum.
    pub(crate) fn rescue_in_place(&self) -> u32 {
        self.rescue_in_place
    }

    /// Returns the request timeout in milliseconds.
    pub(crate) fn timeout(&self) -> Msecs {
        self.timeout
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_settings)]
mod tests {
    use super::*;

    fn new(priority: u32, prefer: bool, timeout: u32) -> Result<Settings> {
        Settings::new(priority, prefer, timeout, false, u32::MAX)
    }

    #[test]
    fn out_of_range_values_are_rejected() {
        assert!(new(MAX_PRIORITY + 1, false, 1000).is_err());
        assert!(new(u32::MAX, true, 1000).is_err());
        assert!(new(0, false, 99).is_err());
        assert!(new(0, false, 600_001).is_err());
        assert!(new(0, false, 100).is_ok());
        assert!(new(MAX_PRIORITY, false, 600_000).is_ok());
    }

    #[test]
    fn synchronous_variant_has_lower_priority() {
        let settings = new(90, false, 1000).unwrap();
        assert_eq!(settings.priority(false), 90);
        assert_eq!(settings.priority(true), 89);
        let settings = new(0, false, 1000).unwrap();
        assert_eq!(settings.priority(true), 0);
    }

    #[test]
    fn prefer_exceeds_priority_of_cpu_implementations() {
        let settings = new(90, true, 1000).unwrap();
        assert!(settings.priority(true) > 4300 + 800);
    }

    #[test]
    fn public_keys_are_preferred_only_with_prefer_public_keys() {
        for (priority, prefer) in [(90, true), (MAX_PRIORITY, false), (95, true)] {
            let settings = new(priority, prefer, 1000).unwrap();
            assert_eq!(settings.public_key_priority(), 90);
            let settings = settings.with_public_keys(true, 0).unwrap();
            assert!(settings.public_key_priority() > 100);
        }
        let settings = new(10, false, 1000).unwrap();
        assert_eq!(settings.public_key_priority(), 10);
    }

    #[test]
    fn ecdsa_number_is_0_2_or_3() {
        let ecdsa_number = |parameter| {
            let settings = new(90, false, 1000).unwrap();
            let settings = settings.with_public_keys(false, parameter)?;
            Ok::<_, Error>(settings.ecdsa_number())
        };
        assert_eq!(ecdsa_number(0), Ok(None));
        assert_eq!(ecdsa_number(2), Ok(Some(Akcipher::Ecdsa)));
        assert_eq!(ecdsa_number(3), Ok(Some(Akcipher::EcdsaUapi)));
        for invalid in [1, 4, u32::MAX] {
            assert_eq!(ecdsa_number(invalid), Err(EINVAL));
        }
    }

    #[test]
    fn services_is_a_bit_mask() {
        let settings = Settings::new(90, false, 1000, false, 0b1001).unwrap();
        assert!(
            settings.service_enabled(Service::Cipher) && settings.service_enabled(Service::Aead)
        );
        assert!(
            !settings.service_enabled(Service::Hash) && !settings.service_enabled(Service::Mac)
        );
    }
}
