// SPDX-License-Identifier: GPL-2.0

//! A key, and how a device gets to know it: what transforms of all kinds have.

use super::{
    fallback::Reason,
    Devices,
    Place,
    Rekey, //
};
use crate::{
    crypto::{
        Direction,
        Outcome, //
    },
    support::secret::Secret,
    transport::{
        device::Device,
        session::Session, //
    },
    wire::config::Config,
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

    /// Takes the only session of an algorithm that knows no direction.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(super) fn one(session: Session) -> Result<Self> {
        let session = Arc::new(session, GFP_KERNEL)?;
        Ok(Self {
            encrypt: session.clone(),
            decrypt: session,
        })
    }
}

/// How the sessions of a key are made.
pub(super) trait Opener: Send + Sync + 'static {
    /// Returns true if a device takes keys of that length, in a session or along with a request;
    /// `variant` as for [`open`](Self::open).
    fn takes(&self, config: &Config, key: &[u8], variant: u32) -> bool;

    /// Makes the sessions of a key; `variant` is what else they depend on.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// As [`Session::create`] has them. `EINVAL`: the device does not take such a key.
    fn open(&self, device: &Arc<Device>, key: &[u8], variant: u32) -> Result<Sessions>;
}

/// How a device gets to know a key.
enum Way {
    /// It keeps it.
    Sessions(Sessions),
    /// It is sent with each request.
    Stateless(Arc<Device>),
}

impl Way {
    /// Returns true if requests can go that way.
    fn is_open(&self) -> bool {
        match self {
            Self::Sessions(sessions) => {
                sessions.encrypt.is_usable() && sessions.decrypt.is_usable()
            }
            Self::Stateless(device) => device.is_ready(),
        }
    }
}

/// What a key has come to.
struct Known {
    key: Arc<Secret>,
    /// What else the sessions depend on: the length of an AEAD's tag.
    variant: u32,
    /// None if no device took it: software does the work.
    way: Option<Way>,
}

impl Known {
    /// Returns true if requests can go to a device.
    fn is_open(&self) -> bool {
        self.way.as_ref().is_some_and(Way::is_open)
    }
}

/// How one request gets to a device.
pub(super) enum Route {
    /// In a session.
    Session(Arc<Session>),
    /// With its key.
    Stateless(Arc<Device>, Arc<Secret>),
}

/// The key of a transform, if it has one. Keys of up to `MAX_KEY` bytes may be sent along.
///
/// When devices come and go it finds another way by itself: see [`Devices::rekey`].
pub(super) struct Keyed<O: Opener, const MAX_KEY: usize> {
    inner: Arc<Inner<O, MAX_KEY>>,
    serial: u64,
}

/// What of it may live on for a while when the transform is gone.
#[pin_data]
struct Inner<O: Opener, const MAX_KEY: usize> {
    place: Place,
    devices: Arc<Devices>,
    opener: O,
    #[pin]
    known: SpinLockIrq<Option<Known>>,
}

impl<O: Opener, const MAX_KEY: usize> Keyed<O, MAX_KEY> {
    /// Creates one without a key.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(super) fn new(place: Place, devices: &Arc<Devices>, opener: O) -> Result<Self> {
        let inner = Arc::pin_init(
            pin_init!(Inner {
                place,
                devices: devices.clone(),
                opener,
                known <- new_spinlock_irq!(None),
            }),
            GFP_KERNEL,
        )?;
        let serial = devices.enter(inner.clone())?;
        Ok(Self { inner, serial })
    }

    /// Returns the way to a device that takes requests, if there is one.
    pub(super) fn route(&self, direction: Direction) -> Option<Route> {
        let known = self.inner.known.lock();
        let known = known.as_ref()?;
        match known.way.as_ref()? {
            Way::Sessions(sessions) => {
                let session = match direction {
                    Direction::Encrypt => &sessions.encrypt,
                    Direction::Decrypt => &sessions.decrypt,
                };
                session.is_usable().then(|| Route::Session(session.clone()))
            }
            Way::Stateless(device) => device
                .is_ready()
                .then(|| Route::Stateless(device.clone(), known.key.clone())),
        }
    }

    /// Counts a request that software does.
    pub(super) fn fall_back(&self, reason: Reason) {
        self.inner.devices.fallbacks.count(reason);
    }

    /// Sets a key, once `software` has found it good.
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
    ) -> Result {
        // What is dropped here may talk to a device, so not under the lock.
        let old = self.inner.known.lock().take();
        software()?;
        if let Some(old) = old {
            if old.is_open() && old.variant == variant && old.key.is(key) {
                self.inner.replace(old);
                // Its way may have been closed while nobody could see it.
                self.inner.rekey();
                return Ok(());
            }
        }
        let key = Arc::new(Secret::new(&[key])?, GFP_KERNEL)?;
        self.inner.learn(key, variant);
        Ok(())
    }

    /// Makes what there is fit another variant.
    ///
    /// Context: process, may sleep.
    pub(super) fn set_variant(&self, variant: u32) {
        let old = {
            let mut known = self.inner.known.lock();
            match &*known {
                Some(old) if old.variant != variant => known.take(),
                _ => None,
            }
        };
        if let Some(old) = old {
            // There may be no room for the new sessions otherwise.
            drop(old.way);
            self.inner.learn(old.key, variant);
        }
    }
}

impl<O: Opener, const MAX_KEY: usize> Drop for Keyed<O, MAX_KEY> {
    fn drop(&mut self) {
        self.inner.devices.leave(self.serial);
    }
}

impl<O: Opener, const MAX_KEY: usize> Inner<O, MAX_KEY> {
    fn learn(&self, key: Arc<Secret>, variant: u32) {
        // First, so that whoever has news of a device sees that this key has no way.
        let none = Known {
            key,
            variant,
            way: None,
        };
        self.replace(none);
        self.rekey();
    }

    /// Replaces what is known. What was there may talk to a device when it is dropped, so that is not
    /// under the lock: two callers may set keys at the same time.
    fn replace(&self, known: Known) {
        let old = self.known.lock().replace(known);
        drop(old);
    }

    /// Finds a device for a key. A session is cheaper for every request, but a device has only so
    /// many: without one the key goes along, where the device takes that.
    fn find_way(&self, key: &[u8], variant: u32) -> Option<Way> {
        let device = self.devices.pick(self.place)?;
        if !self.opener.takes(device.config(), key, variant) {
            return None;
        }
        let service = self.place.kind.service();
        let stateless = device.features().has_stateless(service) && key.len() <= MAX_KEY;
        if stateless && self.devices.settings.stateless() {
            return Some(Way::Stateless(device));
        }
        match self.opener.open(&device, key, variant) {
            Ok(sessions) => Some(Way::Sessions(sessions)),
            Err(_) if stateless && device.is_ready() => Some(Way::Stateless(device)),
            Err(_) => None,
        }
    }
}

impl<O: Opener, const MAX_KEY: usize> Rekey for Inner<O, MAX_KEY> {
    fn rekey(&self) {
        let (key, variant, void) = match &mut *self.known.lock() {
            Some(known) if !known.is_open() => (known.key.clone(), known.variant, known.way.take()),
            _ => return,
        };
        // A session that the device has lost keeps its number from being used again.
        drop(void);
        let Some(way) = self.find_way(key.bytes(), variant) else {
            return;
        };
        // What is not needed any more may talk to a device: not under the lock.
        let _unneeded = match &mut *self.known.lock() {
            Some(known)
                if Arc::ptr_eq(&known.key, &key)
                    && known.variant == variant
                    && !known.is_open() =>
            {
                known.way.replace(way)
            }
            // It was set anew meanwhile.
            _ => Some(way),
        };
    }
}

impl Route {
    /// Returns the epoch of the device that the route is for; none if it is for any.
    pub(super) fn epoch(&self) -> Option<u32> {
        match self {
            Self::Session(session) => Some(session.epoch()),
            Self::Stateless(..) => None,
        }
    }

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

    /// Returns what is to be held until the request is back.
    pub(super) fn into_hold(self) -> Hold {
        match self {
            Self::Session(session) => Hold(Some(session)),
            Self::Stateless(..) => Hold(None),
        }
    }
}

/// What a request holds that a device has: its session, if there is one, is not destroyed under it.
pub(super) struct Hold(Option<Arc<Session>>);

/// What is to be done with a request that has come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The device has done it.
    Done,
    /// The device has not done it, and has left the data as it was: software can.
    Software,
    /// It has failed.
    Failed(Error),
}

impl Hold {
    /// Nothing.
    pub(super) const NOTHING: Self = Self(None);

    /// A session.
    pub(super) fn of(session: Arc<Session>) -> Self {
        Self(Some(session))
    }

    /// Judges what has become of a request. Of the errors that a device may report those are answers
    /// for which `is_answer` says so; all others mean that the device, not the data, is at fault.
    pub(super) fn judge(
        &self,
        outcome: &Outcome<'_>,
        is_answer: impl FnOnce(Error) -> bool,
    ) -> Verdict {
        let is_trusted = self.0.as_ref().is_none_or(|session| session.is_trusted());
        let err = match outcome.result() {
            Ok(()) if is_trusted => return Verdict::Done,
            // With whatever key.
            Ok(()) => EIO,
            Err(err) => err,
        };
        if is_trusted && is_answer(err) {
            return Verdict::Failed(err);
        }
        if let (true, Some(session)) = (err == ENOKEY, &self.0) {
            // The device does not know the session any more.
            session.invalidate();
        }
        if outcome.is_intact() {
            Verdict::Software
        } else {
            Verdict::Failed(EIO)
        }
    }
}
