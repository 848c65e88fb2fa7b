// SPDX-License-Identifier: GPL-2.0

//! A key, and how a device gets to know it: what transforms of all kinds have.

use super::{
    Devices,
    Place, //
};
use crate::{
    crypto::Direction,
    support::{
        pinned::Pinned,
        secret::{
            Secret,
            ShortSecret, //
        },
    },
    transport::{
        device::Device,
        session::Session, //
    },
};
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{
        Arc,
        SpinLockIrq, //
    }, //
};

/// The sessions of a key: one for each direction.
#[derive(Clone)]
pub(super) struct Sessions {
    encrypt: Arc<Session>,
    decrypt: Arc<Session>,
}

impl Sessions {
    /// Takes a session for each direction; `create` makes them.
    ///
    /// # Errors
    ///
    /// As `create` has them. `ENOMEM`: no memory.
    pub(super) fn both(create: impl Fn(Direction) -> Result<Session>) -> Result<Self> {
        let create = |direction| Ok::<_, Error>(Arc::new(create(direction)?, GFP_KERNEL)?);
        Ok(Self {
            encrypt: create(Direction::Encrypt)?,
            decrypt: create(Direction::Decrypt)?,
        })
    }
}

/// How a device gets to know a key.
enum Way {
    /// It keeps it.
    Sessions(Sessions),
    /// It is sent with each request.
    Stateless(Arc<Device>),
}

/// What a key has come to.
struct Known {
    key: Secret,
    /// What else the sessions depend on: the length of an AEAD's tag.
    variant: u32,
    /// None if no device took it: software does the work.
    way: Option<Way>,
}

/// How one request gets to a device.
pub(super) enum Route<const MAX_KEY: usize> {
    /// In a session.
    Session(Arc<Session>),
    /// With its key.
    Stateless(Arc<Device>, ShortSecret<MAX_KEY>),
}

/// The key of a transform, if it has one. Keys of up to `MAX_KEY` bytes may be sent along.
pub(super) struct Keyed<const MAX_KEY: usize> {
    place: Place,
    devices: Arc<Devices>,
    known: Pinned<SpinLockIrq<Option<Known>>>,
}

impl<const MAX_KEY: usize> Keyed<MAX_KEY> {
    /// Creates one without a key.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(super) fn new(place: Place, devices: &Arc<Devices>) -> Result<Self> {
        Ok(Self {
            place,
            devices: devices.clone(),
            known: Pinned::new(new_spinlock_irq!(None))?,
        })
    }

    /// Returns the way to a device that takes requests, if there is one.
    pub(super) fn route(&self, direction: Direction) -> Option<Route<MAX_KEY>> {
        let known = self.known.lock();
        let known = known.as_ref()?;
        match known.way.as_ref()? {
            Way::Sessions(sessions) => {
                let session = match direction {
                    Direction::Encrypt => &sessions.encrypt,
                    Direction::Decrypt => &sessions.decrypt,
                };
                session.is_usable().then(|| Route::Session(session.clone()))
            }
            Way::Stateless(device) if device.is_ready() => {
                let key = ShortSecret::new(known.key.bytes()).ok()?;
                Some(Route::Stateless(device.clone(), key))
            }
            Way::Stateless(_) => None,
        }
    }

    /// Sets a key, once `software` has found it good; `create` makes the sessions of it.
    ///
    /// Nothing is asked of a device if it has this key, for this variant, already: consumers set
    /// the same key for every message.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// As `software` has them. `ENOMEM`: no memory. The old key is gone then.
    pub(super) fn set(
        &self,
        key: &[u8],
        variant: u32,
        software: impl FnOnce() -> Result,
        create: impl FnOnce(&Arc<Device>, &[u8]) -> Result<Sessions>,
    ) -> Result {
        // What is dropped here may talk to a device, so not under the lock.
        let old = self.known.lock().take();
        software()?;
        if let Some(old) = old {
            if old.is_current(key, variant) {
                *self.known.lock() = Some(old);
                return Ok(());
            }
        }
        self.learn(Secret::new(&[key])?, variant, create);
        Ok(())
    }

    /// Makes what there is fit another variant; `create` makes the sessions.
    ///
    /// Context: process, may sleep.
    pub(super) fn set_variant(
        &self,
        variant: u32,
        create: impl FnOnce(&Arc<Device>, &[u8]) -> Result<Sessions>,
    ) {
        let old = self.known.lock().take();
        match old {
            Some(old) if old.variant != variant => self.learn(old.key, variant, create),
            old => *self.known.lock() = old,
        }
    }

    fn learn(
        &self,
        key: Secret,
        variant: u32,
        create: impl FnOnce(&Arc<Device>, &[u8]) -> Result<Sessions>,
    ) {
        let way = self.find_way(key.bytes(), create);
        *self.known.lock() = Some(Known { key, variant, way });
    }

    /// Finds a device for a key. A session is cheaper for every request, but a device has only so
    /// many: without one the key goes along, where the device takes that.
    fn find_way(
        &self,
        key: &[u8],
        create: impl FnOnce(&Arc<Device>, &[u8]) -> Result<Sessions>,
    ) -> Option<Way> {
        let device = self.devices.pick(self.place)?;
        let service = self.place.kind.service();
        let stateless = device.features().has_stateless(service) && key.len() <= MAX_KEY;
        if stateless && self.devices.settings.stateless() {
            return Some(Way::Stateless(device));
        }
        match create(&device, key) {
            Ok(sessions) => Some(Way::Sessions(sessions)),
            Err(_) if stateless && device.is_ready() => Some(Way::Stateless(device)),
            Err(_) => None,
        }
    }
}

impl Known {
    /// Returns true if it is that key for that variant, and a device has it.
    fn is_current(&self, key: &[u8], variant: u32) -> bool {
        let alive = match &self.way {
            Some(Way::Sessions(sessions)) => sessions.encrypt.is_usable(),
            Some(Way::Stateless(device)) => device.is_ready(),
            None => false,
        };
        alive && self.variant == variant && self.key.is(key)
    }
}

impl<const MAX_KEY: usize> Route<MAX_KEY> {
    /// Returns the device.
    pub(super) fn device(&self) -> &Arc<Device> {
        match self {
            Self::Session(session) => session.device(),
            Self::Stateless(device, _) => device,
        }
    }

    /// Returns the key to send along; empty in a session.
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Self::Session(_) => &[],
            Self::Stateless(_, key) => key.bytes(),
        }
    }

    /// Returns the session, to be held until the request is back.
    pub(super) fn into_session(self) -> Option<Arc<Session>> {
        match self {
            Self::Session(session) => Some(session),
            Self::Stateless(..) => None,
        }
    }
}
