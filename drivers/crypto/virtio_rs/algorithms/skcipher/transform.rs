// SPDX-License-Identifier: GPL-2.0

//! A transform: a key, a fallback with the key, and sessions of a device for the key.

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
    create,
    table::MAX_KEY,
    Flavour,
    Offer,
    Row, //
};
use crate::{
    crypto::{
        skcipher::{
            FallbackTfm, //
            Pool,
        },
        Direction,
        Key, //
    },
    support::bh::Bh,
    transport::{
        device::Device,
        key::SharedBinding, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::Msecs, //
};

/// A transform.
pub(crate) struct Transform<const SYNC: bool> {
    row: &'static Row,
    fallback: FallbackTfm,
    pool: Option<Arc<Pool<Flavour<SYNC>>>>,
    keyed: Keyed<&'static Row, MAX_KEY>,
}

impl<const SYNC: bool> Transform<SYNC> {
    /// Creates a transform without a key.
    ///
    /// # Errors
    ///
    /// - `ENOENT` if the kernel has no implementation for a fallback;
    /// - `ENOMEM` if memory is exhausted.
    pub(super) fn new(offer: &Offer) -> Result<Self> {
        let (fallback, pool) = if SYNC {
            let fallback = FallbackTfm::new_on_stack(offer.row.name)?;
            (fallback, Some(Pool::new()?))
        } else {
            (FallbackTfm::new(offer.row.name)?, None)
        };
        Ok(Self {
            row: offer.row,
            fallback,
            pool,
            keyed: Keyed::new(offer.place, &offer.devices, offer.row)?,
        })
    }

    /// Returns the row of the table it belongs to.
    pub(super) fn row(&self) -> &'static Row {
        self.row
    }

    /// Returns the fallback, which has the same key.
    pub(super) fn fallback(&self) -> &FallbackTfm {
        &self.fallback
    }

    /// Returns the request contexts, which only the synchronous variant has.
    pub(super) fn pool(&self) -> Option<&Arc<Pool<Flavour<SYNC>>>> {
        self.pool.as_ref()
    }

    /// Returns how long a device has for an answer, in milliseconds.
    pub(super) fn timeout(&self) -> Msecs {
        self.keyed.timeout()
    }

    /// Counts a request that runs on the fallback.
    pub(super) fn fall_back(&self, reason: Reason) {
        self.keyed.fall_back(reason);
    }

    /// Sets a key.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the cipher does not take it. `ENOMEM`: no memory. The old key is gone then.
    pub(super) fn set_key(&self, key: &Key<'_>) -> Result {
        self.keyed
            .set(key.bytes(), 0, || self.fallback.set_key(key))
    }
}

impl<const SYNC: bool> Keyholder for Transform<SYNC> {
    #[inline]
    fn binding<'a>(&self, direction: Direction, bh: &'a Bh) -> Option<&'a SharedBinding> {
        self.keyed.binding(direction, bh)
    }
}

impl Opener for &'static Row {
    fn takes(&self, device: &Device, key: &[u8], _variant: u32) -> bool {
        device.config().takes_cipher_key(key.len())
    }

    fn open(&self, device: &Arc<Device>, key: &[u8], _: u32, wanted: Wanted) -> Result<Bindings> {
        Bindings::each(wanted, |direction| {
            create(device, self.cipher, operation(direction), key)
        })
    }
}
