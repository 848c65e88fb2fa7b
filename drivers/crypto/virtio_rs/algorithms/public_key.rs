// SPDX-License-Identifier: GPL-2.0

//! One half of a key pair, and how a device gets to know it.

use super::{
    keyed::Verdict,
    Devices,
    Place,
    Rekey, //
};
use crate::{
    crypto::{
        call,
        Area,
        Builder,
        Finish,
        Inflight,
        Offload,
        Outcome,
        Submitted, //
    },
    settings::Settings,
    support::{
        bh::Bh,
        secret::Secret, //
    },
    transport::{
        dataq,
        dataq::DataQueue,
        device::Device,
        key::{
            Binding,
            BindingRef,
            SharedBinding, //
        },
        session::Session, //
    },
    wire::{
        algorithm::{
            Akcipher,
            Curve,
            KeyType,
            Scheme,
            Service, //
        },
        control::CreateAkcipher,
        data,
        data::{
            AkcipherOperation,
            AkcipherRequest,
            StatelessAkcipherRequest, //
        },
        feature::Revision, //
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

/// An algorithm, by whatever number devices know it.
#[derive(Clone, Copy)]
pub(super) enum Family {
    /// RSA without padding.
    Rsa,
    /// ECDSA on a curve.
    Ecdsa(Curve),
}

impl Family {
    /// Returns what it is to a device. None if it is not known which number the device has for it.
    ///
    /// The specification and the kernel's header do not agree on that of ECDSA, and what the one has
    /// for ECDSA is DSA in the other. Devices that speak revision 1 were made after the
    /// specification.
    pub(super) fn scheme(self, device: &Device, settings: &Settings) -> Option<Scheme> {
        match self {
            Self::Rsa => Some(Scheme::RsaRaw),
            Self::Ecdsa(curve) => {
                let number = match device.features().revision() {
                    Revision::Natural => Akcipher::Ecdsa,
                    Revision::Padded => settings.ecdsa_number()?,
                };
                Some(Scheme::Ecdsa(number, curve))
            }
        }
    }
}

/// How a request gets to a device that has a key.
#[derive(Clone)]
pub(super) struct Route {
    scheme: Scheme,
    key_type: KeyType,
    binding: Arc<BindingRef>,
}

/// One half of a key pair.
///
/// When devices come and go it finds another way to one by itself: see [`Devices::rekey`].
pub(super) struct Half {
    inner: Arc<Inner>,
    serial: u64,
}

/// What of it may live on for a while when the key is gone.
#[pin_data]
struct Inner {
    place: Place,
    devices: Arc<Devices>,
    family: Family,
    key_type: KeyType,
    key: Arc<Secret>,
    /// None if no device took it.
    #[pin]
    route: SpinLockIrq<Option<Route>>,
}

impl Half {
    /// Tells a device of a key, if there is one.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(super) fn new(
        place: Place,
        devices: &Arc<Devices>,
        family: Family,
        key_type: KeyType,
        key: Secret,
    ) -> Result<Self> {
        let inner = Arc::pin_init(
            pin_init!(Inner {
                place,
                devices: devices.clone(),
                family,
                key_type,
                key: Arc::new(key, GFP_KERNEL)?,
                route <- new_spinlock_irq!(None),
            }? Error),
            GFP_KERNEL,
        )?;
        let serial = devices.enter(inner.clone())?;
        let half = Self { inner, serial };
        half.inner.rekey();
        Ok(half)
    }

    /// Returns the way to a device that takes requests, if there is one.
    pub(super) fn route(&self) -> Option<Route> {
        let route = self.inner.route.lock();
        route.as_ref().filter(|route| route.is_open()).cloned()
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.inner.devices.leave(self.serial);
    }
}

impl Inner {
    /// Finds a device for the key. A session is cheaper for every request, but a device has only so
    /// many: without one the key goes along, where the device takes that.
    fn find_route(&self) -> Option<Route> {
        let device = self.devices.pick(self.place)?;
        let scheme = self.family.scheme(&device, &self.devices.settings)?;
        let stateless = device.features().has_stateless(Service::Akcipher);
        let session = if stateless && self.devices.settings.stateless() {
            None
        } else {
            create(&device, scheme, self.key_type, self.key.bytes()).ok()
        };
        let binding = match session {
            Some(session) => Binding::session(session).ok()?,
            None if stateless && device.is_ready() => {
                Binding::stateless(&device, &self.key).ok()?
            }
            None => return None,
        };
        Some(Route {
            scheme,
            key_type: self.key_type,
            binding: Arc::new(binding, GFP_KERNEL).ok()?,
        })
    }
}

impl Rekey for Inner {
    fn rekey(&self) {
        let is_open = |route: &Option<Route>| route.as_ref().is_some_and(Route::is_open);
        let void = {
            let mut route = self.route.lock();
            if is_open(&route) {
                return;
            }
            route.take()
        };
        // A session that the device has lost keeps its number from being used again.
        drop(void);
        let found = self.find_route();
        // What is not needed any more may talk to a device: not under the lock.
        let _unneeded = {
            let mut route = self.route.lock();
            match found {
                Some(found) if !is_open(&route) => route.replace(found),
                found => found,
            }
        };
    }
}

/// Creates a session.
///
/// # Errors
///
/// As [`Session::create`] has them.
fn create(device: &Arc<Device>, scheme: Scheme, key_type: KeyType, key: &[u8]) -> Result<Session> {
    let request = CreateAkcipher::new(scheme, key_type, u32::try_from(key.len())?);
    Session::create(device, Service::Akcipher, request.as_bytes(), key)
}

impl Route {
    /// Tells a device of a public key, as a trial.
    ///
    /// # Errors
    ///
    /// As [`Session::create`] has them: why it does not take it.
    pub(super) fn trial(device: &Arc<Device>, scheme: Scheme, key: Secret) -> Result<Self> {
        let key_type = KeyType::Public;
        let session = create(device, scheme, key_type, key.bytes())?;
        Ok(Self {
            scheme,
            key_type,
            binding: Arc::new(Binding::session(session)?, GFP_KERNEL)?,
        })
    }

    /// Returns true if requests can go that way.
    fn is_open(&self) -> bool {
        self.binding.is_usable()
    }

    /// Returns how the device gets the key.
    pub(super) fn binding(&self) -> &SharedBinding {
        &self.binding
    }

    /// Returns true if the device takes requests of that length, in bytes.
    pub(super) fn fits(&self, src_len: u32, dst_len: u32) -> bool {
        let max_size = self.binding.device().config().max_size();
        // CAST: A key has some thousand bytes.
        let key_len = self.binding.key().len() as u32;
        data::fits(&[src_len, dst_len, key_len], max_size)
    }

    /// Returns the fixed part of a request; lengths in bytes.
    pub(super) fn head(&self, operation: AkcipherOperation, src_len: u32, dst_len: u32) -> Head {
        match &***self.binding {
            Binding::Session(session) => {
                let revision = session.device().features().revision();
                let (scheme, id) = (self.scheme, session.id());
                Head::Session(
                    AkcipherRequest::new(revision, scheme, operation, id, src_len, dst_len),
                    revision,
                )
            }
            Binding::Stateless(_, key) => Head::Stateless(StatelessAkcipherRequest::new(
                self.scheme,
                operation,
                self.key_type,
                // CAST: A key has some thousand bytes.
                key.bytes().len() as u32,
                src_len,
                dst_len,
            )),
        }
    }

    /// Has the device do something, and waits for it: of up to `PARAMS` bytes, all but the status
    /// included, it makes `RESULT`, of which the last is the status. A digest comes with what is
    /// verified, `src` is the signature then.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EKEYREJECTED`, `EBADMSG`: the signature is not right, says the device. `ENODEV`: no device has
    /// had the request. `EIO`: it has not done it. `EINVAL`, `E2BIG`: it cannot have so much. `ENOMEM`:
    /// no memory. Others as [`dataq::submit`] has them.
    #[inline(never)]
    pub(super) fn call<const PARAMS: usize, const RESULT: usize>(
        &self,
        operation: AkcipherOperation,
        src: &[u8],
        digest: &[u8],
    ) -> Result<impl AsRef<[u8; RESULT]>> {
        let device = self.binding.device();
        let queue = device.data_queue().ok_or(ENODEV)?;
        let result_len = RESULT.checked_sub(data::STATUS).ok_or(EINVAL)?;
        let src_len = u32::try_from(src.len())?;
        let dst_len = match operation {
            AkcipherOperation::Verify => digest.len(),
            _ => result_len,
        };
        let dst_len = u32::try_from(dst_len)?;
        if !self.fits(src_len, dst_len) {
            return Err(E2BIG);
        }
        let head = self.head(operation, src_len, dst_len);
        let key = self.binding.key();
        let describe = |builder: &mut Builder<'_, _, _>| {
            builder.read(head.bytes());
            builder.read_secret(key);
            builder.read(src);
            builder.read(digest);
            builder.write(result_len);
        };
        call::Call::<Caller<PARAMS, RESULT>, RESULT>::new()?.run(
            device.limits(),
            describe,
            device.timeout(),
            |inflight| self.submit(queue, inflight),
            || device.watch(),
        )
    }

    /// Sends a request; as [`dataq::submit`].
    pub(super) fn submit(
        &self,
        queue: &DataQueue,
        inflight: Inflight<dataq::Private>,
    ) -> Result<Submitted, (Error, Inflight<dataq::Private>)> {
        let watch = || self.binding.device().watch();
        dataq::submit(queue, inflight, &self.binding, &Bh::disable(), watch)
    }
}

/// Returns what an error of [`Route::call`] means in a trial: `EIO`, the device does not do it, unless
/// it could not be asked.
pub(super) fn trial_error(err: Error) -> Error {
    if [EKEYREJECTED, EBADMSG, E2BIG, EINVAL].contains(&err) {
        EIO
    } else {
        err
    }
}

/// A request of the driver's own.
struct Caller<const PARAMS: usize, const RESULT: usize>;

impl<const PARAMS: usize, const RESULT: usize> Offload for Caller<PARAMS, RESULT> {
    type Raw = call::Call<Self, RESULT>;
    type Tfm = ();
    type State = ();
    type Private = dataq::Private;
    type Area = Area<PARAMS, RESULT>;

    const SYNCHRONOUS: bool = true;

    fn finish(
        _state: &(),
        request: &call::Request<'_, Self, RESULT>,
        outcome: &Outcome<'_>,
    ) -> Finish {
        let result = match Verdict::of(outcome, |err| err == EKEYREJECTED || err == EBADMSG) {
            Verdict::Done => {
                let mut results = [0; RESULT];
                outcome
                    .copy_results(0, &mut results)
                    .map(|()| call::Call::keep(request, &results))
            }
            Verdict::Failed(err) => Err(err),
            Verdict::Software if outcome.result() == Err(ENODEV) => Err(ENODEV),
            Verdict::Software => Err(EIO),
        };
        Finish::Done(result)
    }

    /// The caller has a fallback of its own.
    fn fall_back(_state: (), _request: call::Request<'_, Self, RESULT>) -> Option<Result> {
        Some(Err(EIO))
    }
}

/// The fixed part of a request.
pub(super) enum Head {
    Session(AkcipherRequest, Revision),
    Stateless(StatelessAkcipherRequest),
}

impl Head {
    /// Returns the bytes to send.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Session(request, revision) => request.bytes(*revision),
            Self::Stateless(request) => request.as_bytes(),
        }
    }
}
