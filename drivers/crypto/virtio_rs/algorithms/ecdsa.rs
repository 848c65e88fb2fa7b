// SPDX-License-Identifier: GPL-2.0

//! ECDSA: registration, verification and signing.
//!
//! The kernel's templates add the signature formats DER (X9.62) and two concatenated integers
//! (P1363). The kernel's implementation does not support private keys, so only a device can sign.

mod kat;
mod point;
mod private;
mod signature;

use self::point::Point;
use super::{
    akcipher_key::{
        AkcipherKey,
        AkcipherKind, //
    },
    fallback_stats::FallbackReason,
    AlgorithmId,
    Devices, //
};
use crate::{
    crypto::{
        algorithm::{
            AlgorithmInfo,
            Registration, //
        },
        sig,
        sig::{
            Algorithm,
            FallbackTfm, //
        },
    },
    settings::Settings,
    transport::device::Device,
    wire::{
        algorithm::{
            Curve,
            KeyType, //
        },
        data,
        data::AkcipherOperation, //
    },
};
use core::pin::Pin;
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{
        Arc,
        SpinLockIrq, //
    }, //
};

/// A row of the table: ECDSA on one curve.
pub(super) struct Row {
    curve: Curve,
    /// Name in the crypto API.
    name: &'static CStr,
    /// Driver name.
    driver_name: &'static CStr,
    /// Size of a key, and of each integer of a signature, in bits.
    bits: u32,
}

impl Row {
    /// Returns the length of a coordinate in bytes.
    const fn field_len(&self) -> usize {
        // CAST: `usize` has at least 32 bits on the supported architectures.
        self.bits.div_ceil(8) as usize
    }
}

/// The supported curves. The kernel's implementation supports the same curves.
pub(super) const TABLE: [Row; 4] = [
    Row {
        curve: Curve::P192,
        name: c"ecdsa-nist-p192",
        driver_name: c"ecdsa-nist-p192-virtio",
        bits: 192,
    },
    Row {
        curve: Curve::P256,
        name: c"ecdsa-nist-p256",
        driver_name: c"ecdsa-nist-p256-virtio",
        bits: 256,
    },
    Row {
        curve: Curve::P384,
        name: c"ecdsa-nist-p384",
        driver_name: c"ecdsa-nist-p384-virtio",
        bits: 384,
    },
    Row {
        curve: Curve::P521,
        name: c"ecdsa-nist-p521",
        driver_name: c"ecdsa-nist-p521-virtio",
        bits: 521,
    },
];

/// Maximum length of a digest in bytes: the length of SHA-512. The kernel's implementation reports
/// the same maximum. For a longer digest, that implementation uses more bits of the digest than the
/// standard defines.
const MAX_DIGEST: usize = 64;

/// Maximum length of the parameters of a request in bytes: fixed-length fields, key, signature and
/// digest.
const PARAMS: usize = data::MAX_FIXED_LEN + private::MAX_LEN + signature::MAX_LEN + MAX_DIGEST;

/// Runs the known-answer test of a row on a device.
///
/// # Errors
///
/// - `EOPNOTSUPP` if the device's number of ECDSA is unknown;
/// - `EIO`, `EOPNOTSUPP`, `ENOSPC` if the device does not support the curve or returns a wrong
///   result;
/// - other errors if the test could not run.
pub(super) fn run_kat(device: &Arc<Device>, settings: &Settings, row: usize) -> Result {
    let row = TABLE.get(row).ok_or(EINVAL)?;
    let kind = AkcipherKind::Ecdsa(row.curve);
    let scheme = kind.scheme(device, settings).ok_or(EOPNOTSUPP)?;
    kat::run_kat(device, scheme, row)
}

/// Registers the row `id`.
///
/// # Errors
///
/// - `ENOENT` if the kernel has no implementation for a fallback;
/// - `EINVAL` if `id` names no row;
/// - other errors of [`sig::register`].
pub(super) fn register(
    id: AlgorithmId,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<KVec<Registration>> {
    let row = TABLE.get(id.row).ok_or(EINVAL)?;
    let info = AlgorithmInfo {
        name: row.name,
        driver_name: row.driver_name,
        priority: devices.settings.public_key_priority(),
        // Public key algorithms have no block size.
        block_size: 0,
    };
    let data = EcdsaAlgData {
        row,
        id,
        devices: devices.clone(),
        _fallback: FallbackTfm::new(row.name)?,
    };
    let mut registrations = KVec::with_capacity(1, GFP_KERNEL)?;
    registrations.push(sig::register::<Ecdsa>(&info, data, module)?, GFP_KERNEL)?;
    Ok(registrations)
}

/// Data that all transforms of a curve share.
pub(super) struct EcdsaAlgData {
    row: &'static Row,
    id: AlgorithmId,
    devices: Arc<Devices>,
    /// Keeps the module of the kernel's implementation loaded while the driver's implementation is
    /// registered. By default, the kernel's implementation has the higher priority. If its module
    /// was not loaded, users would get the driver's implementation.
    _fallback: FallbackTfm,
}

/// An ECDSA transform.
pub(super) struct EcdsaTfm {
    row: &'static Row,
    id: AlgorithmId,
    devices: Arc<Devices>,
    /// The fallback. It has the same public key.
    fallback: FallbackTfm,
    /// The keys for devices.
    keys: Pin<KBox<SpinLockIrq<EcdsaKeys>>>,
}

/// The public key and the private key, if the caller has set them.
#[derive(Clone, Default)]
struct EcdsaKeys {
    public: Option<Arc<AkcipherKey>>,
    private: Option<Arc<AkcipherKey>>,
}

impl EcdsaTfm {
    /// Returns the keys for devices.
    fn keys(&self) -> EcdsaKeys {
        self.keys.lock().clone()
    }

    /// Replaces the keys for devices.
    fn set_keys(&self, keys: EcdsaKeys) {
        // Dropping a key may send DESTROY requests, so the lock must not be held.
        let old = core::mem::replace(&mut *self.keys.lock(), keys);
        drop(old);
    }

    /// Creates a key for devices.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    fn create_key(&self, key_type: KeyType, key: &[u8]) -> Result<Arc<AkcipherKey>> {
        let kind = AkcipherKind::Ecdsa(self.row.curve);
        let key = AkcipherKey::new(self.id, &self.devices, kind, key_type, key)?;
        Ok(Arc::new(key, GFP_KERNEL)?)
    }

    /// Converts a public key, which the fallback has accepted, to a key for devices.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the key is malformed;
    /// - `ENOMEM` if memory is exhausted.
    fn create_public_key(&self, key: &[u8]) -> Result<Arc<AkcipherKey>> {
        let point = Point::new(key, self.row.field_len())?;
        self.create_key(KeyType::Public, point.bytes())
    }

    /// Removes the fallback's key after an error. The fallback rejects an empty key and then has no
    /// key.
    fn clear_fallback_key(&self) {
        let _ = self.fallback.set_public_key(&[]);
    }

    /// Sets a public key on a transform without a key.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the fallback does not accept the key;
    /// - `ENOMEM` if memory is exhausted.
    fn install_public_key(&self, key: &[u8]) -> Result {
        self.fallback.set_public_key(key)?;
        self.set_keys(EcdsaKeys {
            public: Some(self.create_public_key(key)?),
            private: None,
        });
        Ok(())
    }

    /// Sets a private key and its public key on a transform without a key.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the key is malformed;
    /// - `ENOSYS` if no device accepts the private key;
    /// - `ENOMEM` if memory is exhausted.
    fn install_private_key(&self, key: &[u8]) -> Result {
        let point = private::public_point(key)?;
        self.fallback.set_public_key(point)?;
        let private = self.create_key(KeyType::Private, key)?;
        if !private.is_bound() {
            return Err(ENOSYS);
        }
        self.set_keys(EcdsaKeys {
            public: Some(self.create_public_key(point)?),
            private: Some(private),
        });
        Ok(())
    }

    /// Counts a verification that runs on the fallback. `err` is the error of the verification on a
    /// device.
    fn count_fallback(&self, err: Error) {
        let reason = match err {
            // The request ran on the device, which rejected the signature.
            err if err == EKEYREJECTED || err == EBADMSG => return,
            err if err == E2BIG => FallbackReason::TooLong,
            err if err == EIO => FallbackReason::DeviceError,
            err => FallbackReason::from_submit_error(err),
        };
        self.devices.fallbacks.count(reason);
    }

    /// Verifies a signature on a device.
    ///
    /// # Errors
    ///
    /// Any error if the device did not verify the signature, or rejected the signature.
    fn verify_on_device(&self, signature: &[u8], digest: &[u8]) -> Result {
        let key = self.keys().public.ok_or(ENOKEY)?;
        let mut der = [0; signature::MAX_LEN];
        let len = signature::encode(signature, self.row.bits, &mut der)?;
        if !(1..=MAX_DIGEST).contains(&digest.len()) {
            self.devices.fallbacks.count(FallbackReason::Unsupported);
            return Err(EINVAL);
        }
        let verify = AkcipherOperation::Verify;
        key.run_sync::<PARAMS, { data::STATUS_LEN }>(verify, &der[..len], digest)
            .map(|_| ())
            .inspect_err(|err| self.count_fallback(*err))?;
        Ok(())
    }
}

/// The ECDSA algorithm.
pub(super) struct Ecdsa;

impl Algorithm for Ecdsa {
    type Data = EcdsaAlgData;
    type Tfm = EcdsaTfm;
    type Signature = [u8; sig::ECDSA_SIGNATURE];

    fn init(data: &EcdsaAlgData) -> Result<EcdsaTfm> {
        Ok(EcdsaTfm {
            row: data.row,
            id: data.id,
            devices: data.devices.clone(),
            fallback: FallbackTfm::new(data.row.name)?,
            keys: KBox::pin_init(new_spinlock_irq!(EcdsaKeys::default()), GFP_KERNEL)?,
        })
    }

    fn set_public_key(tfm: &EcdsaTfm, key: &[u8]) -> Result {
        tfm.set_keys(EcdsaKeys::default());
        tfm.install_public_key(key)
            .inspect_err(|_| tfm.clear_fallback_key())
    }

    fn set_private_key(tfm: &EcdsaTfm, key: &[u8]) -> Result {
        tfm.set_keys(EcdsaKeys::default());
        tfm.install_private_key(key)
            .inspect_err(|_| tfm.clear_fallback_key())
    }

    fn sign(tfm: &EcdsaTfm, digest: &[u8]) -> Result<Self::Signature> {
        const RESULT: usize = signature::MAX_LEN + data::STATUS_LEN;

        let key = tfm.keys().private.ok_or(ENOSYS)?;
        if !(1..=MAX_DIGEST).contains(&digest.len()) {
            return Err(EINVAL);
        }
        let sign = AkcipherOperation::Sign;
        let der = key.run_sync::<PARAMS, RESULT>(sign, digest, &[]);
        let der = der.map_err(|err| if err == ENODEV { ENODEV } else { EIO })?;
        let signature = signature::decode(der.as_ref(), tfm.row.bits).map_err(|_| EIO)?;
        // The fallback cannot sign. It verifies the device's signature, so that the caller never
        // gets a wrong signature.
        tfm.fallback.verify(&signature, digest).map_err(|_| EIO)?;
        Ok(signature)
    }

    fn verify(tfm: &EcdsaTfm, signature: &[u8], digest: &[u8]) -> Result {
        // Trust the device only if it reports a valid signature. Otherwise the fallback verifies
        // the signature and provides the error code. A faulty or removed device cannot reject a
        // valid signature.
        tfm.verify_on_device(signature, digest)
            .or_else(|_| tfm.fallback.verify(signature, digest))
    }

    fn key_bits(tfm: &EcdsaTfm) -> u32 {
        tfm.row.bits
    }

    fn max_size(tfm: &EcdsaTfm) -> u32 {
        let size = if tfm.keys().private.is_some() {
            sig::ECDSA_SIGNATURE
        } else {
            // The kernel's implementation, which can only verify, reports this length.
            tfm.row.field_len()
        };
        // CAST: The size is at most `ECDSA_SIGNATURE`.
        size as u32
    }

    fn digest_size(_tfm: &EcdsaTfm) -> u32 {
        // CAST: The constant is 64.
        MAX_DIGEST as u32
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_ecdsa)]
mod tests {
    use super::*;

    #[test]
    fn names_match_key_sizes() {
        for row in &TABLE {
            let (name, driver_name) = (row.name.to_bytes(), row.driver_name.to_bytes());
            let bits = name.strip_prefix(b"ecdsa-nist-p").unwrap();
            let bits = bits
                .iter()
                .fold(0, |bits, digit| 10 * bits + u32::from(digit - b'0'));
            assert_eq!(bits, row.bits);
            assert_eq!(driver_name.strip_prefix(name).unwrap(), b"-virtio");
        }
    }

    #[test]
    fn generators_are_valid_points() {
        for row in &TABLE {
            let generator = kat::generator(row.curve);
            let point = Point::new(generator, row.field_len()).unwrap();
            assert_eq!(point.bytes(), generator);
        }
    }
}
