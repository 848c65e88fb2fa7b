// SPDX-License-Identifier: GPL-2.0

//! A transform: a key, a software cipher that has it, and sessions of a device that has it.

use super::{
    super::{
        fallback::Reason,
        keyed::{
            Bindings,
            Keyed,
            Opener, //
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
            Pool,
            Software, //
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
    software: Software,
    pool: Option<Arc<Pool<Flavour<SYNC>>>>,
    keyed: Keyed<&'static Row, MAX_KEY>,
}

impl<const SYNC: bool> Transform<SYNC> {
    /// Creates a transform without a key.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is no software cipher to stand in for the device. `ENOMEM`: no memory.
    pub(super) fn new(offer: &Offer) -> Result<Self> {
        let (software, pool) = if SYNC {
            let software = Software::new_on_stack(offer.row.name)?;
            (software, Some(Pool::new()?))
        } else {
            (Software::new(offer.row.name)?, None)
        };
        Ok(Self {
            row: offer.row,
            software,
            pool,
            keyed: Keyed::new(offer.place, &offer.devices, offer.row)?,
        })
    }

    /// Returns the row of the table it belongs to.
    pub(super) fn row(&self) -> &'static Row {
        self.row
    }

    /// Returns the software cipher, which has the same key.
    pub(super) fn software(&self) -> &Software {
        &self.software
    }

    /// Returns the request contexts, which only the synchronous variant has.
    pub(super) fn pool(&self) -> Option<&Arc<Pool<Flavour<SYNC>>>> {
        self.pool.as_ref()
    }

    /// Returns how long a device has for an answer, in milliseconds.
    pub(super) fn timeout(&self) -> Msecs {
        self.keyed.timeout()
    }

    /// Counts a request that software does.
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
            .set(key.bytes(), 0, || self.software.set_key(key))
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

    fn open(&self, device: &Arc<Device>, key: &[u8], _variant: u32) -> Result<Bindings> {
        Bindings::both(|direction| create(device, self.cipher, operation(direction), key))
    }
}
