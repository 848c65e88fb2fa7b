// SPDX-License-Identifier: GPL-2.0

//! The key of a transform, and its bindings to devices.

mod given_up;

use self::given_up::GivenUp;
use super::{
    algorithm_id::AlgorithmId,
    devices::{
        Devices,
        SessionOwner, //
    },
    fallback_stats::FallbackReason, //
};
use crate::{
    crypto::Direction,
    support::{
        bh::BhDisabled,
        secret::Secret, //
    },
    transport::{
        device::Device,
        session::{
            Binding,
            BindingRef,
            PublishedBinding,
            Session,
            SharedBinding, //
        }, //
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

/// The directions for which bindings are created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    Both,
    Only(Direction),
}

impl Wanted {
    fn includes(self, direction: Direction) -> bool {
        match self {
            Self::Both => true,
            Self::Only(only) => only == direction,
        }
    }

    /// Returns the number of bindings.
    fn count(self) -> usize {
        match self {
            Self::Both => 2,
            Self::Only(_) => 1,
        }
    }
}

/// The bindings of a key, one for each wanted direction. An algorithm without directions uses `encrypt`
/// only. [`one`](Self::one) leaves `decrypt` empty.
pub(super) struct Bindings {
    encrypt: Option<BindingRef>,
    decrypt: Option<BindingRef>,
}

impl Bindings {
    /// Creates a binding for each wanted direction.
    fn new(wanted: Wanted, create: impl Fn(Direction) -> Result<BindingRef>) -> Result<Self> {
        let create = |direction| {
            wanted
                .includes(direction)
                .then(|| create(direction))
                .transpose()
        };
        Ok(Self {
            encrypt: create(Direction::Encrypt)?,
            decrypt: create(Direction::Decrypt)?,
        })
    }

    /// Creates a session for each wanted direction. `create` creates one.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if memory is exhausted;
    /// - others as `create` returns them.
    pub(super) fn each(
        wanted: Wanted,
        create: impl Fn(Direction) -> Result<Session>,
    ) -> Result<Self> {
        Self::new(wanted, |direction| Binding::session(create(direction)?))
    }

    /// Creates the binding of an algorithm without directions.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(super) fn one(session: Session) -> Result<Self> {
        Ok(Self {
            encrypt: Some(Binding::session(session)?),
            decrypt: None,
        })
    }

    /// Creates bindings for stateless mode: requests carry the key.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    fn stateless(device: &Arc<Device>, key: &Arc<Secret>, wanted: Wanted) -> Result<Self> {
        Self::new(wanted, |_| Binding::stateless(device, key))
    }
}

/// The bindings of a key that requests look up.
struct Published {
    encrypt: PublishedBinding,
    decrypt: PublishedBinding,
    /// Changed under the lock of the key, except by [`GivenUp::want`].
    given_up: GivenUp,
}

impl Published {
    /// Creates a value without bindings. Requests run on the fallback.
    const fn new() -> Self {
        Self {
            encrypt: PublishedBinding::new(),
            decrypt: PublishedBinding::new(),
            given_up: GivenUp::none(),
        }
    }

    #[inline]
    fn of(&self, direction: Direction) -> &PublishedBinding {
        match direction {
            Direction::Encrypt => &self.encrypt,
            Direction::Decrypt => &self.decrypt,
        }
    }

    /// Returns the directions that lack a usable binding.
    fn missing(&self, bh: &BhDisabled) -> Option<Wanted> {
        let is_usable = |binding: &SharedBinding| binding.is_usable();
        let encrypt = match self.encrypt.get(bh) {
            Some(binding) => is_usable(binding),
            None => self.given_up.is(Direction::Encrypt),
        };
        if encrypt && self.decrypt.get(bh).is_none_or(is_usable) {
            self.given_up.wanted().map(Wanted::Only)
        } else {
            Some(Wanted::Both)
        }
    }

    /// Replaces the bindings, and returns the old ones. Dropping them may send DESTROY requests.
    fn replace(&self, new: Option<Bindings>) -> [Option<BindingRef>; 2] {
        let (encrypt, decrypt) = match new {
            Some(Bindings { encrypt, decrypt }) => (encrypt, decrypt),
            None => (None, None),
        };
        self.given_up.set(None);
        [self.encrypt.replace(encrypt), self.decrypt.replace(decrypt)]
    }

    /// Adds the binding of a direction that was given up.
    fn restore(&self, direction: Direction, new: Bindings) -> [Option<BindingRef>; 2] {
        let Bindings { encrypt, decrypt } = new;
        let (binding, other) = match direction {
            Direction::Encrypt => (encrypt, decrypt),
            Direction::Decrypt => (decrypt, encrypt),
        };
        self.given_up.set(None);
        [self.of(direction).replace(binding), other]
    }

    /// Takes the session of a direction that no request has used, if the other direction is used.
    fn take_unused(&self, device: &Arc<Device>, bh: &BhDisabled) -> Option<BindingRef> {
        let (encrypt, decrypt) = (self.encrypt.get(bh)?, self.decrypt.get(bh)?);
        if ![encrypt, decrypt]
            .iter()
            .all(|binding| binding.epoch().is_some() && Arc::ptr_eq(binding.device(), device))
        {
            return None;
        }
        let direction = match (encrypt.is_used(bh), decrypt.is_used(bh)) {
            (true, false) => Direction::Decrypt,
            (false, true) => Direction::Encrypt,
            _ => return None,
        };
        // Set this first: a request that finds no binding reads it.
        self.given_up.set(Some(direction));
        self.of(direction).replace(None)
    }
}

/// The operations of a type of algorithm on the sessions of a key.
pub(super) trait SessionOps: Send + Sync + 'static {
    /// Returns true if a device supports the key, in session mode or in stateless mode. `variant` is
    /// that of [`create_sessions`](Self::create_sessions).
    fn supports_key(&self, device: &Device, key: &[u8], variant: u32) -> bool;

    /// Creates the wanted sessions of a key. `variant` holds the parameters of a session besides the
    /// key.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the device does not support the key;
    /// - `EOPNOTSUPP` if the number of the algorithm is not known;
    /// - `ENOMEM` if memory is exhausted;
    /// - others as [`Session::create`] returns them.
    fn create_sessions(
        &self,
        device: &Arc<Device>,
        key: &[u8],
        variant: u32,
        wanted: Wanted,
    ) -> Result<Bindings>;
}

/// A key.
struct InstalledKey {
    key: Arc<Secret>,
    /// The parameters of a session besides the key. AEADs have the length of the tag here.
    variant: u32,
}

impl InstalledKey {
    /// Returns true if the key and the variant are the same.
    fn matches(&self, key: &[u8], variant: u32) -> bool {
        self.variant == variant && self.key.constant_time_eq(key)
    }
}

/// The key of a transform, or no key. Requests in stateless mode can carry keys of at most `MAX_KEY`
/// bytes.
///
/// The key gets new bindings when devices are added or removed: see [`Devices::reestablish_all`].
pub(super) struct TfmKey<O: SessionOps, const MAX_KEY: usize> {
    inner: Arc<Inner<O, MAX_KEY>>,
    owner_id: u64,
}

/// The data of a key. The registry's work item may hold a reference to it after the transform is freed.
#[pin_data]
struct Inner<O: SessionOps, const MAX_KEY: usize> {
    published: Published,
    id: AlgorithmId,
    devices: Arc<Devices>,
    session_ops: O,
    /// Requests do not take this lock.
    #[pin]
    installed: SpinLock<Option<InstalledKey>>,
}

impl<O: SessionOps, const MAX_KEY: usize> TfmKey<O, MAX_KEY> {
    /// Creates a value without a key.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(super) fn new(id: AlgorithmId, devices: &Arc<Devices>, session_ops: O) -> Result<Self> {
        let inner = Arc::pin_init(
            pin_init!(Inner {
                published: Published::new(),
                id,
                devices: devices.clone(),
                session_ops,
                installed <- new_spinlock!(None),
            }),
            GFP_KERNEL,
        )?;
        let owner_id = devices.add_owner(inner.clone())?;
        Ok(Self { inner, owner_id })
    }

    /// Returns the binding for requests. The queue rejects requests if the device is not ready, or does
    /// not know the session.
    #[inline]
    pub(super) fn binding<'a>(
        &self,
        direction: Direction,
        bh: &'a BhDisabled,
    ) -> Option<&'a SharedBinding> {
        let binding = self.inner.published.of(direction).get(bh);
        if binding.is_none() {
            self.inner.want(direction, bh);
        }
        binding
    }

    /// Counts a request that runs on the fallback.
    pub(super) fn fall_back(&self, reason: FallbackReason) {
        self.inner.devices.fallbacks.count(reason);
    }

    /// Returns the request timeout in milliseconds.
    pub(super) fn timeout(&self) -> Msecs {
        self.inner.devices.settings.timeout()
    }

    /// Sets a key. `fallback` sets the key of the fallback, and checks it thereby.
    ///
    /// Sends no control request if the key and the variant are unchanged: some users set the same key
    /// for every message.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// The transform has no key after an error.
    ///
    /// - `ENOMEM` if memory is exhausted;
    /// - others as `fallback` returns them.
    pub(super) fn set(
        &self,
        key: &[u8],
        variant: u32,
        fallback: impl FnOnce() -> Result,
    ) -> Result {
        let inner = &*self.inner;
        let installed = fallback().and_then(|()| {
            let installed = inner.installed.lock();
            if installed
                .as_ref()
                .is_some_and(|installed| installed.matches(key, variant))
            {
                return Ok(None);
            }
            drop(installed);
            let key = Arc::new(Secret::new(&[key])?, GFP_KERNEL)?;
            Ok(Some(InstalledKey { key, variant }))
        });
        match installed {
            Ok(None) => {}
            Ok(Some(installed)) => inner.replace(Some(installed)),
            Err(err) => {
                inner.replace(None);
                return Err(err);
            }
        }
        inner.reestablish();
        Ok(())
    }

    /// Sets the variant, and replaces the sessions if it has changed.
    ///
    /// Context: process, may sleep.
    pub(super) fn set_variant(&self, variant: u32) {
        let key = match &*self.inner.installed.lock() {
            Some(installed) if installed.variant != variant => installed.key.clone(),
            _ => return,
        };
        self.inner.replace(Some(InstalledKey { key, variant }));
        self.inner.reestablish();
    }
}

impl<O: SessionOps, const MAX_KEY: usize> Drop for TfmKey<O, MAX_KEY> {
    fn drop(&mut self) {
        self.inner.devices.remove_owner(self.owner_id);
    }
}

impl<O: SessionOps, const MAX_KEY: usize> Inner<O, MAX_KEY> {
    /// Replaces the key. The new key has no bindings.
    fn replace(&self, installed: Option<InstalledKey>) {
        let old = {
            let mut guard = self.installed.lock();
            (
                core::mem::replace(&mut *guard, installed),
                self.published.replace(None),
            )
        };
        // Dropping the old bindings may send DESTROY requests, so the lock is not held. Drop them before
        // new sessions are created, for which the device may have no room otherwise.
        drop(old);
    }

    /// Requests the session of a direction, if it was given up and a request wants it.
    #[cold]
    fn want(&self, direction: Direction, bh: &BhDisabled) {
        if !self.published.given_up.want(direction) {
            return;
        }
        let other = match direction {
            Direction::Encrypt => Direction::Decrypt,
            Direction::Decrypt => Direction::Encrypt,
        };
        if let Some(binding) = self.published.of(other).get(bh) {
            binding.device().request_sessions();
        }
    }

    /// Binds a key to a device. A session makes each request cheaper, but a device has a limited
    /// number of sessions. Without one, requests carry the key if the device supports that.
    fn bind(&self, key: &Arc<Secret>, variant: u32, wanted: Wanted) -> Option<Bindings> {
        let device = self.devices.pick(self.id)?;
        let bytes = key.bytes();
        if !self.session_ops.supports_key(&device, bytes, variant) {
            return None;
        }
        let service = self.id.kind.service();
        let stateless = device.features().has_stateless(service) && bytes.len() <= MAX_KEY;
        if stateless && self.devices.settings.stateless() {
            return Bindings::stateless(&device, key, wanted).ok();
        }
        let create = || {
            self.session_ops
                .create_sessions(&device, bytes, variant, wanted)
        };
        let created = create().or_else(|err| {
            // QEMU's device reports a full table as `VIRTIO_CRYPTO_ERR`.
            let is_full = err == ENOSPC || err == EIO;
            if is_full && self.devices.give_up_unused(&device, wanted.count()) {
                create()
            } else {
                Err(err)
            }
        });
        match created {
            Ok(bindings) => Some(bindings),
            Err(_) if stateless && device.is_ready() => {
                Bindings::stateless(&device, key, wanted).ok()
            }
            Err(_) => None,
        }
    }
}

impl<O: SessionOps, const MAX_KEY: usize> SessionOwner for Inner<O, MAX_KEY> {
    fn reestablish(&self) {
        let (key, variant, wanted, void) = {
            let bh = BhDisabled::disable();
            let guard = self.installed.lock();
            let found = match (&*guard, self.published.missing(&bh)) {
                (Some(installed), Some(wanted)) => {
                    let void = match wanted {
                        Wanted::Both => self.published.replace(None),
                        Wanted::Only(_) => [None, None],
                    };
                    (installed.key.clone(), installed.variant, wanted, void)
                }
                _ => return,
            };
            // Unlock before bottom halves are enabled: pending ones then run at once.
            drop(guard);
            found
        };
        // Dropping a lost session removes its ID from the table, so that the device may assign the ID
        // again.
        drop(void);
        let Some(bindings) = self.bind(&key, variant, wanted) else {
            return;
        };
        let unneeded = {
            let bh = BhDisabled::disable();
            let guard = self.installed.lock();
            let unneeded = match &*guard {
                Some(installed)
                    if Arc::ptr_eq(&installed.key, &key)
                        && installed.variant == variant
                        && self.published.missing(&bh) == Some(wanted) =>
                {
                    match wanted {
                        Wanted::Both => self.published.replace(Some(bindings)),
                        Wanted::Only(direction) => self.published.restore(direction, bindings),
                    }
                }
                // Another thread has set a key meanwhile.
                _ => [bindings.encrypt, bindings.decrypt],
            };
            drop(guard);
            unneeded
        };
        // Dropping bindings may send DESTROY requests, so the lock is not held.
        drop(unneeded);
    }

    fn give_up_unused(&self, device: &Arc<Device>) -> bool {
        let unused = {
            let bh = BhDisabled::disable();
            let guard = self.installed.lock();
            let unused = self.published.take_unused(device, &bh);
            drop(guard);
            unused
        };
        // Dropping the binding sends the DESTROY request, so the lock is not held.
        unused.is_some()
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_tfm_key)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wanted_directions_are_bound() {
        for (wanted, encrypt, decrypt) in [
            (Wanted::Both, true, true),
            (Wanted::Only(Direction::Encrypt), true, false),
            (Wanted::Only(Direction::Decrypt), false, true),
        ] {
            assert_eq!(wanted.includes(Direction::Encrypt), encrypt);
            assert_eq!(wanted.includes(Direction::Decrypt), decrypt);
            assert_eq!(wanted.count(), usize::from(encrypt) + usize::from(decrypt));
        }
    }
}
