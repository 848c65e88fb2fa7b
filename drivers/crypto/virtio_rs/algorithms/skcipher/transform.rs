// SPDX-License-Identifier: GPL-2.0

//! A transform: a key, a software cipher that has it, and sessions of a device that has it.

use super::{
    super::{
        fallback::Reason,
        keyed::{
            Keyed,
            Opener,
            Route,
            Sessions, //
        },
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
    transport::device::Device,
    wire::config::Config, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
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

    /// Returns the way to a device that takes requests, if there is one.
    pub(super) fn route(&self, direction: Direction) -> Option<Route> {
        self.keyed.route(direction)
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

impl Opener for &'static Row {
    fn takes(&self, config: &Config, key: &[u8], _variant: u32) -> bool {
        config.takes_cipher_key(key.len())
    }

    fn open(&self, device: &Arc<Device>, key: &[u8], _variant: u32) -> Result<Sessions> {
        Sessions::both(|direction| create(device, self.cipher, operation(direction), key))
    }
}
