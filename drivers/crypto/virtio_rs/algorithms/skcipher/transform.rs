// SPDX-License-Identifier: GPL-2.0

//! A transform: a key, a software cipher that has it, and sessions of a device that has it.

use super::super::Devices;
use super::{
    create,
    operation,
    table::MAX_KEY,
    Offer,
    Row, //
};
use crate::{
    crypto::{
        skcipher::Software,
        Direction,
        Key, //
    },
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
struct Sessions {
    encrypt: Arc<Session>,
    decrypt: Arc<Session>,
}

/// How a device gets to know a key.
enum Way {
    /// It keeps it.
    Sessions(Sessions),
    /// It is sent with each request.
    Stateless(Arc<Device>),
}

/// What a key has come to.
struct Keyed {
    key: Secret,
    /// None if no device took it: software does the work.
    way: Option<Way>,
}

/// How one request gets to a device.
pub(super) enum Route {
    /// In a session.
    Session(Arc<Session>),
    /// With its key.
    Stateless(Arc<Device>, ShortSecret<MAX_KEY>),
}

/// A transform.
pub(crate) struct Transform {
    row: &'static Row,
    index: usize,
    devices: Arc<Devices>,
    software: Software,
    keyed: Pinned<SpinLockIrq<Option<Keyed>>>,
}

impl Transform {
    /// Creates a transform without a key.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is no software cipher to stand in for the device. `ENOMEM`: no memory.
    pub(super) fn new(offer: &Offer) -> Result<Self> {
        Ok(Self {
            row: offer.row,
            index: offer.index,
            devices: offer.devices.clone(),
            software: Software::new(offer.row.name)?,
            keyed: Pinned::new(new_spinlock_irq!(None))?,
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

    /// Returns the way to a device that takes requests, if there is one.
    pub(super) fn route(&self, direction: Direction) -> Option<Route> {
        let keyed = self.keyed.lock();
        let keyed = keyed.as_ref()?;
        match keyed.way.as_ref()? {
            Way::Sessions(sessions) => {
                let session = match direction {
                    Direction::Encrypt => &sessions.encrypt,
                    Direction::Decrypt => &sessions.decrypt,
                };
                session.is_usable().then(|| Route::Session(session.clone()))
            }
            Way::Stateless(device) if device.is_ready() => {
                let key = ShortSecret::new(keyed.key.bytes()).ok()?;
                Some(Route::Stateless(device.clone(), key))
            }
            Way::Stateless(_) => None,
        }
    }

    /// Sets a key.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the cipher does not take it. `ENOMEM`: no memory. The old key is gone then.
    pub(super) fn set_key(&self, key: &Key<'_>) -> Result {
        // What is dropped here may talk to a device, so not under the lock.
        let old = self.keyed.lock().take();
        self.software.set_key(key)?;

        if let Some(old) = old {
            // The same key again: consumers do that for every message.
            if old.is_current(key.bytes()) {
                *self.keyed.lock() = Some(old);
                return Ok(());
            }
        }
        let keyed = Keyed {
            key: Secret::new(&[key.bytes()])?,
            way: self.find_way(key.bytes()),
        };
        *self.keyed.lock() = Some(keyed);
        Ok(())
    }

    /// Finds a device for a key. A session is cheaper for every request, but a device has only so
    /// many: without one the key goes along, where the device takes that.
    fn find_way(&self, key: &[u8]) -> Option<Way> {
        let device = self.devices.pick(self.index)?;
        let stateless = device.features().has_stateless_ciphers();
        if stateless && self.devices.settings.stateless() {
            return Some(Way::Stateless(device));
        }
        match self.create_sessions(&device, key) {
            Ok(sessions) => Some(Way::Sessions(sessions)),
            Err(_) if stateless && device.is_ready() => Some(Way::Stateless(device)),
            Err(_) => None,
        }
    }

    fn create_sessions(&self, device: &Arc<Device>, key: &[u8]) -> Result<Sessions> {
        let create = |direction| {
            let session = create(device, self.row.cipher, operation(direction), key)?;
            Ok::<_, Error>(Arc::new(session, GFP_KERNEL)?)
        };
        Ok(Sessions {
            encrypt: create(Direction::Encrypt)?,
            decrypt: create(Direction::Decrypt)?,
        })
    }
}

impl Keyed {
    /// Returns true if it is that key, and a device has it.
    fn is_current(&self, key: &[u8]) -> bool {
        let alive = match &self.way {
            Some(Way::Sessions(sessions)) => sessions.encrypt.is_usable(),
            Some(Way::Stateless(device)) => device.is_ready(),
            None => false,
        };
        alive && self.key.is(key)
    }
}

impl Route {
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
