// SPDX-License-Identifier: GPL-2.0

//! A transform: a key, a software cipher that has it, and sessions of a device that has it.

use super::super::Devices;
use super::{
    create,
    operation,
    Offer,
    Row, //
};
use crate::{
    crypto::{
        skcipher::Key,
        software::Software,
        Direction, //
    },
    support::{
        pinned::Pinned,
        secret::Secret, //
    },
    transport::session::Session,
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

/// What a key has come to.
struct Keyed {
    key: Secret,
    /// None if no device took it: software does the work.
    sessions: Option<Sessions>,
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

    /// Returns the session for a direction, if there is one on a device that takes requests.
    pub(super) fn session(&self, direction: Direction) -> Option<Arc<Session>> {
        let keyed = self.keyed.lock();
        let sessions = keyed.as_ref()?.sessions.as_ref()?;
        let session = match direction {
            Direction::Encrypt => &sessions.encrypt,
            Direction::Decrypt => &sessions.decrypt,
        };
        session.is_usable().then(|| session.clone())
    }

    /// Sets a key.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the cipher does not take it. `ENOMEM`: no memory. The old key is gone then.
    pub(super) fn set_key(&self, key: &Key<'_>) -> Result {
        // What is dropped here may talk to a device, so not under the lock.
        let old = self.keyed.lock().take();
        key.set_for(&self.software)?;

        if let Some(old) = old {
            // The same key again: consumers do that for every message.
            if old.is_current(key.bytes()) {
                *self.keyed.lock() = Some(old);
                return Ok(());
            }
        }
        let keyed = Keyed {
            key: Secret::new(&[key.bytes()])?,
            sessions: self.create_sessions(key.bytes()),
        };
        *self.keyed.lock() = Some(keyed);
        Ok(())
    }

    fn create_sessions(&self, key: &[u8]) -> Option<Sessions> {
        let device = self.devices.pick(self.index)?;
        let create = |direction| {
            let session = create(&device, self.row.cipher, operation(direction), key).ok()?;
            Arc::new(session, GFP_KERNEL).ok()
        };
        Some(Sessions {
            encrypt: create(Direction::Encrypt)?,
            decrypt: create(Direction::Decrypt)?,
        })
    }
}

impl Keyed {
    /// Returns true if it is that key, and a device has it.
    fn is_current(&self, key: &[u8]) -> bool {
        let alive = |sessions: &Sessions| sessions.encrypt.is_usable();
        self.key.is(key) && self.sessions.as_ref().is_some_and(alive)
    }
}
