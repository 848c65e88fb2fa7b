// SPDX-License-Identifier: GPL-2.0

//! ECDSA: how it is registered, and how a signature is verified or made.
//!
//! The kernel's templates make of it what takes signatures in DER (X9.62) and as two numbers one
//! behind the other (P1363). The kernel's software knows no private keys: with one everything is
//! the device's.

mod point;
mod private;
mod signature;
mod trial;

use self::point::Point;
use super::{
    fallback::Reason,
    public_key::{
        Family,
        Half, //
    },
    Devices,
    Place, //
};
use crate::{
    crypto::{
        algorithm::{
            Names,
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

/// A curve the driver knows.
pub(super) struct Row {
    curve: Curve,
    /// What the crypto framework calls it.
    name: &'static CStr,
    /// What it is called here.
    driver_name: &'static CStr,
    /// The size of a key, and of each number of a signature.
    bits: u32,
}

impl Row {
    /// Returns how many bytes a coordinate has.
    const fn field(&self) -> usize {
        // CAST: Both targets of this driver have 32 bits at least.
        self.bits.div_ceil(8) as usize
    }
}

/// The curves the driver knows: those that the kernel has.
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

/// The longest digest that the kernel says it takes, in bytes: SHA-512. Of a longer one the kernel
/// uses more bits than the standard has it.
const MAX_DIGEST: usize = 64;

/// The most bytes of parameters that a request has: the fixed part, a key, a signature, a digest.
const PARAMS: usize = data::MAX_HEAD + private::MAX_LEN + signature::MAX_LEN + MAX_DIGEST;

/// Has a device do a row of the table, as a trial.
///
/// # Errors
///
/// `EIO`, `EOPNOTSUPP`, `ENOSPC`: it does not do it, or it is not known which number it has for ECDSA.
/// Others: it could not be asked.
pub(super) fn try_out(device: &Arc<Device>, settings: &Settings, row: usize) -> Result {
    let row = TABLE.get(row).ok_or(EINVAL)?;
    let family = Family::Ecdsa(row.curve);
    let scheme = family.scheme(device, settings).ok_or(EOPNOTSUPP)?;
    trial::try_out(device, scheme, row)
}

/// Registers a row of the table.
///
/// # Errors
///
/// As the crypto framework has them. `ENOENT`: there is no software to stand in for the device.
pub(super) fn register(
    place: Place,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<KVec<Registration>> {
    let row = TABLE.get(place.row).ok_or(EINVAL)?;
    let names = Names {
        name: row.name,
        driver_name: row.driver_name,
        priority: devices.settings.public_key_priority(),
        // Of no meaning for public keys.
        block_size: 0,
    };
    let offer = Offer {
        row,
        place,
        devices: devices.clone(),
        _fallback: FallbackTfm::new(row.name)?,
    };
    let mut registrations = KVec::with_capacity(1, GFP_KERNEL)?;
    registrations.push(sig::register::<Ecdsa>(&names, offer, module)?, GFP_KERNEL)?;
    Ok(registrations)
}

/// What all transforms of a curve share.
pub(super) struct Offer {
    row: &'static Row,
    place: Place,
    devices: Arc<Devices>,
    /// As for RSA: the kernel's own is there as long as this one is.
    _fallback: FallbackTfm,
}

/// A transform.
pub(super) struct Transform {
    row: &'static Row,
    place: Place,
    devices: Arc<Devices>,
    /// Has the same public key.
    fallback: FallbackTfm,
    /// What devices get of the key.
    halves: Pin<KBox<SpinLockIrq<Halves>>>,
}

/// The halves of a key.
#[derive(Clone, Default)]
struct Halves {
    public: Option<Arc<Half>>,
    private: Option<Arc<Half>>,
}

impl Transform {
    /// Returns what devices get of the key.
    fn halves(&self) -> Halves {
        self.halves.lock().clone()
    }

    /// Takes other halves in place of those that there were.
    fn set_halves(&self, halves: Halves) {
        // What is dropped here may talk to a device, so not under the lock.
        let old = core::mem::replace(&mut *self.halves.lock(), halves);
        drop(old);
    }

    /// Makes half of a key.
    fn half(&self, key_type: KeyType, key: &[u8]) -> Result<Arc<Half>> {
        let family = Family::Ecdsa(self.row.curve);
        let half = Half::new(self.place, &self.devices, family, key_type, key)?;
        Ok(Arc::new(half, GFP_KERNEL)?)
    }

    /// Makes the public half of a key that software takes.
    fn public_half(&self, key: &[u8]) -> Result<Arc<Half>> {
        let point = Point::new(key, self.row.field())?;
        self.half(KeyType::Public, point.bytes())
    }

    /// Has nothing of what was to be a key.
    fn forget(&self) {
        let _ = self.fallback.set_public_key(&[]);
    }

    /// Sets a public key where there is none.
    fn set_public(&self, key: &[u8]) -> Result {
        self.fallback.set_public_key(key)?;
        self.set_halves(Halves {
            public: Some(self.public_half(key)?),
            private: None,
        });
        Ok(())
    }

    /// Sets both halves of a key where there is none.
    fn set_private(&self, key: &[u8]) -> Result {
        let point = private::public(key)?;
        self.fallback.set_public_key(point)?;
        let private = self.half(KeyType::Private, key)?;
        if !private.is_bound() {
            return Err(ENOSYS);
        }
        self.set_halves(Halves {
            public: Some(self.public_half(point)?),
            private: Some(private),
        });
        Ok(())
    }

    /// Counts a signature that software verifies, for the reason that a device has not done it.
    fn fall_back(&self, err: Error) {
        let reason = match err {
            // It has.
            err if err == EKEYREJECTED || err == EBADMSG => return,
            err if err == E2BIG => Reason::TooLong,
            err if err == EIO => Reason::DeviceFailed,
            err => Reason::of_queue(err),
        };
        self.devices.fallbacks.count(reason);
    }

    /// Has a device verify a signature.
    ///
    /// # Errors
    ///
    /// Any: that has not happened, or the signature was not found to be right.
    fn verify_by_device(&self, signature: &[u8], digest: &[u8]) -> Result {
        let half = self.halves().public.ok_or(ENOKEY)?;
        let mut der = [0; signature::MAX_LEN];
        let len = signature::encode(signature, self.row.bits, &mut der)?;
        if !(1..=MAX_DIGEST).contains(&digest.len()) {
            self.devices.fallbacks.count(Reason::Form);
            return Err(EINVAL);
        }
        let verify = AkcipherOperation::Verify;
        half.call::<PARAMS, { data::STATUS }>(verify, &der[..len], digest)
            .map(|_| ())
            .inspect_err(|err| self.fall_back(*err))?;
        Ok(())
    }
}

/// The algorithm.
pub(super) struct Ecdsa;

impl Algorithm for Ecdsa {
    type Data = Offer;
    type Tfm = Transform;
    type Signature = [u8; sig::ECDSA_SIGNATURE];

    fn init(offer: &Offer) -> Result<Transform> {
        Ok(Transform {
            row: offer.row,
            place: offer.place,
            devices: offer.devices.clone(),
            fallback: FallbackTfm::new(offer.row.name)?,
            halves: KBox::pin_init(new_spinlock_irq!(Halves::default()), GFP_KERNEL)?,
        })
    }

    fn set_public_key(transform: &Transform, key: &[u8]) -> Result {
        transform.set_halves(Halves::default());
        transform
            .set_public(key)
            .inspect_err(|_| transform.forget())
    }

    fn set_private_key(transform: &Transform, key: &[u8]) -> Result {
        transform.set_halves(Halves::default());
        transform
            .set_private(key)
            .inspect_err(|_| transform.forget())
    }

    fn sign(transform: &Transform, digest: &[u8]) -> Result<Self::Signature> {
        const RESULT: usize = signature::MAX_LEN + data::STATUS;

        let half = transform.halves().private.ok_or(ENOSYS)?;
        if !(1..=MAX_DIGEST).contains(&digest.len()) {
            return Err(EINVAL);
        }
        let sign = AkcipherOperation::Sign;
        let der = half.call::<PARAMS, RESULT>(sign, digest, &[]);
        let der = der.map_err(|err| if err == ENODEV { ENODEV } else { EIO })?;
        let signature = signature::decode(der.as_ref(), transform.row.bits).map_err(|_| EIO)?;
        // Nobody else can have made it; that it is right can be seen.
        transform
            .fallback
            .verify(&signature, digest)
            .map_err(|_| EIO)?;
        Ok(signature)
    }

    fn verify(transform: &Transform, signature: &[u8], digest: &[u8]) -> Result {
        // Only what the device finds right is its word: a device that is wrong, or gone, does not
        // make a signature a bad one, and why it is one software knows.
        transform
            .verify_by_device(signature, digest)
            .or_else(|_| transform.fallback.verify(signature, digest))
    }

    fn key_bits(transform: &Transform) -> u32 {
        transform.row.bits
    }

    fn max_size(transform: &Transform) -> u32 {
        let size = if transform.halves().private.is_some() {
            sig::ECDSA_SIGNATURE
        } else {
            // What the kernel says who only verifies.
            transform.row.field()
        };
        // CAST: It is a small number.
        size as u32
    }

    fn digest_size(_transform: &Transform) -> u32 {
        // CAST: It is a small number.
        MAX_DIGEST as u32
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_ecdsa)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_their_names_say() {
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
    fn every_generator_is_a_point_of_its_field() {
        for row in &TABLE {
            let generator = trial::generator(row.curve);
            let point = Point::new(generator, row.field()).unwrap();
            assert_eq!(point.bytes(), generator);
        }
    }
}
