// SPDX-License-Identifier: GPL-2.0

//! A transform: a key, software that has it, and sessions of a device that has it.

use super::{
    super::{
        fallback::Reason,
        keyed::{
            Bindings,
            Keyed,
            Opener,
            Wanted, //
        },
        offload::Keyholder,
        operation, //
    },
    Keys,
    Method,
    Offer,
    Row,
    Salt,
    MAX_KEY, //
};
use crate::{
    crypto::{
        aead::FallbackTfm,
        Direction,
        Key, //
    },
    support::{
        bh::Bh,
        secret::Secret, //
    },
    transport::{
        device::Device,
        key::SharedBinding, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// What the sessions of a transform depend on besides the bytes of its keys. Lengths are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Variant {
    tag: u16,
    /// How much of the keys is that of the cipher.
    cipher_key: u16,
}

impl Variant {
    fn number(self) -> u32 {
        u32::from(self.tag) | u32::from(self.cipher_key) << 16
    }

    /// Returns the keys that are in `bytes`, one behind the other.
    pub(super) fn split(self, bytes: &[u8]) -> Keys<'_> {
        let len = bytes.len().min(self.cipher_key.into());
        let (cipher, auth) = bytes.split_at(len);
        Keys { cipher, auth }
    }

    fn from_number(number: u32) -> Self {
        // CAST: The other half is meant to go.
        Self {
            tag: number as u16,
            cipher_key: (number >> 16) as u16,
        }
    }
}

/// A transform.
///
/// Keys and tag lengths are not set while a request is under way. Where a consumer does that all
/// the same, what is not under a lock here may not fit what is: the request goes wrong, no more.
pub(crate) struct Transform<M: Method> {
    row: &'static Row<M>,
    fallback: FallbackTfm,
    keyed: Keyed<&'static Row<M>, MAX_KEY>,
    variant: Atomic<u32>,
    salt: Atomic<u32>,
}

impl<M: Method> Transform<M> {
    /// Creates a transform without a key.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is no software to stand in for the device. `ENOMEM`: no memory.
    pub(super) fn new(offer: &Offer<M>) -> Result<Self> {
        let variant = Variant {
            tag: u16::try_from(offer.row.max_tag)?,
            cipher_key: 0,
        };
        Ok(Self {
            row: offer.row,
            fallback: FallbackTfm::new(offer.row.name)?,
            keyed: Keyed::new(offer.place, &offer.devices, offer.row)?,
            variant: Atomic::new(variant.number()),
            salt: Atomic::new(0),
        })
    }

    /// Returns the row of the table it belongs to.
    pub(super) fn row(&self) -> &'static Row<M> {
        self.row
    }

    /// Returns the software, which has the same key and makes the same tags.
    pub(super) fn fallback(&self) -> &FallbackTfm {
        &self.fallback
    }

    /// Returns what of the key goes into nonces.
    pub(super) fn salt(&self) -> Salt {
        self.salt.load(Relaxed).to_ne_bytes()
    }

    /// Counts a request that software does.
    pub(super) fn fall_back(&self, reason: Reason) {
        self.keyed.fall_back(reason);
    }

    /// Returns what else than the key its sessions depend on.
    pub(super) fn variant(&self) -> Variant {
        Variant::from_number(self.variant.load(Relaxed))
    }

    /// Sets a key.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm does not take it. `ENOMEM`: no memory. The old key is gone then.
    pub(super) fn set_key(&self, key: &Key<'_>) -> Result {
        let apart = self.row.method.take_apart(key);
        let is_apart = apart.is_some();
        let (keys, salt) = apart.unwrap_or_default();
        let variant = Variant {
            cipher_key: u16::try_from(keys.cipher.len())?,
            ..self.variant()
        };
        let joined = Secret::new(&[keys.cipher, keys.auth])?;
        self.variant.store(variant.number(), Relaxed);
        self.salt.store(u32::from_ne_bytes(salt), Relaxed);
        self.keyed.set(joined.bytes(), variant.number(), || {
            self.fallback.set_key(key)?;
            is_apart.then_some(()).ok_or(EINVAL)
        })
    }

    /// Sets the length of tags in bytes.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm does not have tags of this length.
    pub(super) fn set_auth_size(&self, size: u32) -> Result {
        self.fallback.set_auth_size(size)?;
        let variant = Variant {
            tag: u16::try_from(size)?,
            ..self.variant()
        };
        self.variant.store(variant.number(), Relaxed);
        self.keyed.set_variant(variant.number());
        Ok(())
    }
}

impl<M: Method> Keyholder for Transform<M> {
    #[inline]
    fn binding<'a>(&self, direction: Direction, bh: &'a Bh) -> Option<&'a SharedBinding> {
        self.keyed.binding(direction, bh)
    }
}

impl<M: Method> Opener for &'static Row<M> {
    fn takes(&self, device: &Device, key: &[u8], variant: u32) -> bool {
        let keys = Variant::from_number(variant).split(key);
        self.method.takes(device.config(), &keys)
    }

    fn open(
        &self,
        device: &Arc<Device>,
        key: &[u8],
        variant: u32,
        wanted: Wanted,
    ) -> Result<Bindings> {
        let variant = Variant::from_number(variant);
        let keys = variant.split(key);
        Bindings::each(wanted, |direction| {
            let operation = operation(direction);
            self.method
                .create(device, operation, &keys, variant.tag.into())
        })
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_aead_transform)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_survives_being_a_number() {
        for tag in [0, 1, 16, 64, u16::MAX] {
            for cipher_key in [0, 16, 32, u16::MAX] {
                let variant = Variant { tag, cipher_key };
                assert_eq!(Variant::from_number(variant.number()), variant);
            }
        }
    }
}
