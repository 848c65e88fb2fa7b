// SPDX-License-Identifier: GPL-2.0

//! The key of a transform, and how devices get it.

use super::{
    devices::{
        Devices,
        Rekey, //
    },
    fallback::Reason,
    place::Place, //
};
use crate::{
    crypto::{
        Direction,
        Outcome, //
    },
    support::{
        bh::Bh,
        secret::Secret, //
    },
    transport::{
        device::Device,
        key::{
            Binding,
            BindingRef,
            PublishedBinding,
            SharedBinding, //
        },
        session::Session, //
    },
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
    time::Msecs, //
};

/// The bindings of a key, one for each direction. An algorithm without directions uses `encrypt`
/// only. [`one`](Self::one) leaves `decrypt` empty, [`stateless`](Self::stateless) does not.
pub(super) struct Bindings {
    encrypt: BindingRef,
    decrypt: Option<BindingRef>,
}

impl Bindings {
    /// Creates a session for each direction; `create` creates one.
    ///
    /// # Errors
    ///
    /// As `create` has them. `ENOMEM`: no memory.
    pub(super) fn both(create: impl Fn(Direction) -> Result<Session>) -> Result<Self> {
        let create = |direction| Binding::session(create(direction)?);
        Ok(Self {
            encrypt: create(Direction::Encrypt)?,
            decrypt: Some(create(Direction::Decrypt)?),
        })
    }

    /// Takes the only session of an algorithm that knows no direction.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(super) fn one(session: Session) -> Result<Self> {
        Ok(Self {
            encrypt: Binding::session(session)?,
            decrypt: None,
        })
    }

    /// Has requests carry the key.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    fn stateless(device: &Arc<Device>, key: &Arc<Secret>) -> Result<Self> {
        Ok(Self {
            encrypt: Binding::stateless(device, key)?,
            decrypt: Some(Binding::stateless(device, key)?),
        })
    }
}

/// Where requests find the bindings of a key.
struct Published {
    encrypt: PublishedBinding,
    decrypt: PublishedBinding,
}

impl Published {
    /// Creates a place without bindings: the fallback does the work.
    const fn new() -> Self {
        Self {
            encrypt: PublishedBinding::new(),
            decrypt: PublishedBinding::new(),
        }
    }

    /// Returns true if requests can go to a device.
    fn is_open(&self, bh: &Bh) -> bool {
        let encrypt = self.encrypt.get(bh);
        let mut others = self.decrypt.get(bh).into_iter();
        encrypt.is_some_and(|binding| binding.is_usable()) && others.all(|other| other.is_usable())
    }

    /// Replaces the bindings, and returns the old ones. Dropping them may send DESTROY requests.
    fn replace(&self, new: Option<Bindings>) -> [Option<BindingRef>; 2] {
        let (encrypt, decrypt) = match new {
            Some(Bindings { encrypt, decrypt }) => (Some(encrypt), decrypt),
            None => (None, None),
        };
        [self.encrypt.replace(encrypt), self.decrypt.replace(decrypt)]
    }
}

/// How devices get a key.
pub(super) trait Opener: Send + Sync + 'static {
    /// Returns true if a device takes such keys, in a session or along with a request; `variant` as
    /// for [`open`](Self::open).
    fn takes(&self, device: &Device, key: &[u8], variant: u32) -> bool;

    /// Makes the sessions of a key; `variant` is what else they depend on.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the device does not take such a key;
    /// - `EOPNOTSUPP` if the number of the algorithm is not known;
    /// - `ENOMEM` if memory is exhausted;
    /// - others as [`Session::create`] has them.
    fn open(&self, device: &Arc<Device>, key: &[u8], variant: u32) -> Result<Bindings>;
}

/// A key.
struct Known {
    key: Arc<Secret>,
    /// What else the sessions depend on: the length of an AEAD's tag.
    variant: u32,
}

impl Known {
    /// Returns true if it is this key, for this variant.
    fn is(&self, key: &[u8], variant: u32) -> bool {
        self.variant == variant && self.key.is(key)
    }
}

/// The key of a transform, if it has one. Keys of up to `MAX_KEY` bytes may be sent along.
///
/// When devices come and go it gets other bindings by itself: see [`Devices::rekey`].
pub(super) struct Keyed<O: Opener, const MAX_KEY: usize> {
    inner: Arc<Inner<O, MAX_KEY>>,
    serial: u64,
}

/// What of it may live on for a while when the transform is gone.
#[pin_data]
struct Inner<O: Opener, const MAX_KEY: usize> {
    published: Published,
    place: Place,
    devices: Arc<Devices>,
    opener: O,
    /// Requests do not take this lock.
    #[pin]
    known: SpinLock<Option<Known>>,
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
                published: Published::new(),
                place,
                devices: devices.clone(),
                opener,
                known <- new_spinlock!(None),
            }),
            GFP_KERNEL,
        )?;
        let serial = devices.enter(inner.clone())?;
        Ok(Self { inner, serial })
    }

    /// Returns the binding for requests. The queue rejects them if the device is not ready, or does
    /// not know the session.
    #[inline]
    pub(super) fn binding<'a>(
        &self,
        direction: Direction,
        bh: &'a Bh,
    ) -> Option<&'a SharedBinding> {
        let published = match direction {
            Direction::Encrypt => &self.inner.published.encrypt,
            Direction::Decrypt => &self.inner.published.decrypt,
        };
        published.get(bh)
    }

    /// Counts a request that software does.
    pub(super) fn fall_back(&self, reason: Reason) {
        self.inner.devices.fallbacks.count(reason);
    }

    /// Returns how long a device has for an answer, in milliseconds.
    pub(super) fn timeout(&self) -> Msecs {
        self.inner.devices.settings.timeout()
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
        let inner = &*self.inner;
        let known = software().and_then(|()| {
            let known = inner.known.lock();
            if known.as_ref().is_some_and(|known| known.is(key, variant)) {
                return Ok(None);
            }
            drop(known);
            let key = Arc::new(Secret::new(&[key])?, GFP_KERNEL)?;
            Ok(Some(Known { key, variant }))
        });
        match known {
            Ok(None) => {}
            Ok(Some(known)) => inner.replace(Some(known)),
            Err(err) => {
                inner.replace(None);
                return Err(err);
            }
        }
        inner.rekey();
        Ok(())
    }

    /// Makes what there is fit another variant.
    ///
    /// Context: process, may sleep.
    pub(super) fn set_variant(&self, variant: u32) {
        let key = match &*self.inner.known.lock() {
            Some(known) if known.variant != variant => known.key.clone(),
            _ => return,
        };
        self.inner.replace(Some(Known { key, variant }));
        self.inner.rekey();
    }
}

impl<O: Opener, const MAX_KEY: usize> Drop for Keyed<O, MAX_KEY> {
    fn drop(&mut self) {
        self.inner.devices.leave(self.serial);
    }
}

impl<O: Opener, const MAX_KEY: usize> Inner<O, MAX_KEY> {
    /// Replaces the key. Nothing is bound to the new one yet.
    fn replace(&self, known: Option<Known>) {
        let old = {
            let mut guard = self.known.lock();
            (
                core::mem::replace(&mut *guard, known),
                self.published.replace(None),
            )
        };
        // This may send DESTROY requests, so the lock is not held. It comes before the new
        // sessions, for which the device may have no room otherwise.
        drop(old);
    }

    /// Binds a key to a device. A session makes each request cheaper, but a device has a limited
    /// number of sessions. Without one, requests carry the key if the device supports that.
    fn bind(&self, key: &Arc<Secret>, variant: u32) -> Option<Bindings> {
        let device = self.devices.pick(self.place)?;
        let bytes = key.bytes();
        if !self.opener.takes(&device, bytes, variant) {
            return None;
        }
        let service = self.place.kind.service();
        let stateless = device.features().has_stateless(service) && bytes.len() <= MAX_KEY;
        if stateless && self.devices.settings.stateless() {
            return Bindings::stateless(&device, key).ok();
        }
        match self.opener.open(&device, bytes, variant) {
            Ok(bindings) => Some(bindings),
            Err(_) if stateless && device.is_ready() => Bindings::stateless(&device, key).ok(),
            Err(_) => None,
        }
    }
}

impl<O: Opener, const MAX_KEY: usize> Rekey for Inner<O, MAX_KEY> {
    fn rekey(&self) {
        let (key, variant, void) = {
            let bh = Bh::disable();
            let guard = self.known.lock();
            let found = match &*guard {
                Some(known) if !self.published.is_open(&bh) => (
                    known.key.clone(),
                    known.variant,
                    self.published.replace(None),
                ),
                _ => return,
            };
            // Before bottom halves are enabled, which runs those that wait.
            drop(guard);
            found
        };
        // A session that the device has lost keeps its number from being used again.
        drop(void);
        let Some(bindings) = self.bind(&key, variant) else {
            return;
        };
        let unneeded = {
            let bh = Bh::disable();
            let guard = self.known.lock();
            let unneeded = match &*guard {
                Some(known)
                    if Arc::ptr_eq(&known.key, &key)
                        && known.variant == variant
                        && !self.published.is_open(&bh) =>
                {
                    self.published.replace(Some(bindings))
                }
                // It was set anew meanwhile.
                _ => [Some(bindings.encrypt), bindings.decrypt],
            };
            drop(guard);
            unneeded
        };
        // This may send DESTROY requests, so the lock is not held.
        drop(unneeded);
    }
}

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

impl Verdict {
    /// Judges what has become of a request. Of the errors that a device may report those are answers
    /// for which `is_answer` says so; all others mean that the device, not the data, is at fault.
    #[inline]
    pub(super) fn of(outcome: &Outcome<'_>, is_answer: impl FnOnce(Error) -> bool) -> Self {
        match outcome.result() {
            Ok(()) => Self::Done,
            Err(err) if is_answer(err) => Self::Failed(err),
            Err(_) if outcome.is_intact() => Self::Software,
            Err(_) => Self::Failed(EIO),
        }
    }
}
