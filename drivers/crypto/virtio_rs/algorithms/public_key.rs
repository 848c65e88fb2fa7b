// SPDX-License-Identifier: GPL-2.0

//! One half of a key pair, and how a device gets to know it.

use super::{
    keyed::{
        Bindings,
        Keyed,
        Opener,
        Verdict,
        Wanted, //
    },
    Devices,
    Place, //
};
use crate::{
    crypto::{
        call,
        Area,
        Builder,
        Direction,
        Finish,
        Offload,
        Outcome, //
    },
    settings::Settings,
    support::bh::Bh,
    transport::{
        dataq,
        device::Device,
        key::{
            Binding,
            PublishedBinding,
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
    prelude::*,
    sync::Arc, //
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

/// How many bytes of a key requests carry at most: any.
const MAX_KEY: usize = usize::MAX;

/// One half of a key pair.
pub(super) struct Half {
    keyed: Keyed<HalfOpener, MAX_KEY>,
    devices: Arc<Devices>,
    family: Family,
    key_type: KeyType,
}

/// How devices get the half.
struct HalfOpener {
    devices: Arc<Devices>,
    family: Family,
    key_type: KeyType,
}

impl Opener for HalfOpener {
    fn takes(&self, device: &Device, _key: &[u8], _variant: u32) -> bool {
        let scheme = self.family.scheme(device, &self.devices.settings);
        scheme.is_some()
    }

    fn open(&self, device: &Arc<Device>, key: &[u8], _: u32, _: Wanted) -> Result<Bindings> {
        let scheme = self.family.scheme(device, &self.devices.settings);
        let scheme = scheme.ok_or(EOPNOTSUPP)?;
        Bindings::one(create(device, scheme, self.key_type, key)?)
    }
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
        key: &[u8],
    ) -> Result<Self> {
        let opener = HalfOpener {
            devices: devices.clone(),
            family,
            key_type,
        };
        let keyed = Keyed::new(place, devices, opener)?;
        keyed.set(key, 0, || Ok(()))?;
        Ok(Self {
            keyed,
            devices: devices.clone(),
            family,
            key_type,
        })
    }

    /// Returns the way to a device that has the key, if there is one.
    pub(super) fn route<'a>(&self, bh: &'a Bh) -> Option<Route<'a>> {
        let binding = self.keyed.binding(Direction::Encrypt, bh)?;
        let scheme = self
            .family
            .scheme(binding.device(), &self.devices.settings)?;
        Some(Route {
            scheme,
            key_type: self.key_type,
            binding,
        })
    }

    /// Returns true if a device accepts requests for the key.
    pub(super) fn is_bound(&self) -> bool {
        let bh = Bh::disable();
        let route = self.route(&bh);
        route.is_some_and(|route| route.binding.is_usable())
    }

    /// Runs an operation on a device that has the key, as [`call`] does.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// As [`call`] has them.
    pub(super) fn call<const PARAMS: usize, const RESULT: usize>(
        &self,
        operation: AkcipherOperation,
        src: &[u8],
        digest: &[u8],
    ) -> Result<Output<PARAMS, RESULT>> {
        call::<PARAMS, RESULT>(|bh| self.route(bh), operation, src, digest)
    }
}

/// A public key that a device has for a trial.
pub(super) struct Trial {
    scheme: Scheme,
    binding: PublishedBinding,
}

impl Trial {
    /// Creates a session for a public key.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// As [`Session::create`] has them: why it does not take it.
    pub(super) fn new(device: &Arc<Device>, scheme: Scheme, key: &[u8]) -> Result<Self> {
        let session = create(device, scheme, KeyType::Public, key)?;
        let binding = PublishedBinding::new();
        drop(binding.replace(Some(Binding::session(session)?)));
        Ok(Self { scheme, binding })
    }

    /// Runs an operation on the device and waits for its result, as [`call`] does.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// As [`call`] has them. [`trial_error`] maps them to the result of the trial.
    pub(super) fn call<const PARAMS: usize, const RESULT: usize>(
        &self,
        operation: AkcipherOperation,
        src: &[u8],
        digest: &[u8],
    ) -> Result<Output<PARAMS, RESULT>> {
        call::<PARAMS, RESULT>(
            |bh| {
                self.binding.get(bh).map(|binding| Route {
                    scheme: self.scheme,
                    key_type: KeyType::Public,
                    binding,
                })
            },
            operation,
            src,
            digest,
        )
    }
}

/// How a request gets to a device that has a key.
pub(super) struct Route<'a> {
    scheme: Scheme,
    key_type: KeyType,
    binding: &'a SharedBinding,
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

impl<'a> Route<'a> {
    /// Returns how the device gets the key.
    pub(super) fn binding(&self) -> &'a SharedBinding {
        self.binding
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
        match &**self.binding {
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
}

/// Runs an operation on a device and waits for its result. The parameters have up to `PARAMS`
/// bytes. The result has `RESULT` bytes, of which the last is the status. To verify, `src` is the
/// signature and `digest` the digest; otherwise `digest` is empty.
///
/// Context: process, may sleep.
///
/// # Errors
///
/// - `EKEYREJECTED`, `EBADMSG` if the device rejects the signature;
/// - `ENODEV` if no device got the request;
/// - `E2BIG`, `EINVAL` if the request is too long;
/// - `EIO` if the device failed it, or may have used another key;
/// - `ENOMEM` if memory is exhausted;
/// - others as [`dataq::submit`] has them.
#[inline(never)]
fn call<const PARAMS: usize, const RESULT: usize>(
    route: impl for<'a> FnOnce(&'a Bh) -> Option<Route<'a>>,
    operation: AkcipherOperation,
    src: &[u8],
    digest: &[u8],
) -> Result<Output<PARAMS, RESULT>> {
    let result_len = RESULT.checked_sub(data::STATUS).ok_or(EINVAL)?;
    let src_len = u32::try_from(src.len())?;
    let dst_len = match operation {
        AkcipherOperation::Verify => digest.len(),
        _ => result_len,
    };
    let dst_len = u32::try_from(dst_len)?;
    let call = call::Call::<Caller<PARAMS, RESULT>, RESULT>::new()?;

    let bh = Bh::disable();
    let route = route(&bh).ok_or(ENODEV)?;
    let device = route.binding.device();
    let queue = device.data_queue().ok_or(ENODEV)?;
    if !route.fits(src_len, dst_len) {
        return Err(E2BIG);
    }
    let head = route.head(operation, src_len, dst_len);
    let describe = |builder: &mut Builder<'_, _, _>| {
        builder.read(head.bytes());
        builder.read_secret(route.binding.key());
        builder.read(src);
        builder.read(digest);
        builder.write(result_len);
    };
    let submit = |inflight| dataq::submit(queue, inflight, route.binding, &bh, || device.watch());
    let sent = call.send(device.limits(), describe, submit)?;
    let (device, epoch) = (device.clone(), route.binding.epoch());
    drop(bh);
    sent.wait(
        device.timeout(),
        || device.watch(),
        |result| device.judge(epoch, result),
    )
}

/// Returns what an error of [`Trial::call`] means: `EIO`, the device does not do it, unless
/// it could not be asked.
pub(super) fn trial_error(err: Error) -> Error {
    if [EKEYREJECTED, EBADMSG, E2BIG, EINVAL].contains(&err) {
        EIO
    } else {
        err
    }
}

/// What a device has made of such a request.
pub(super) type Output<const PARAMS: usize, const RESULT: usize> =
    call::Output<Caller<PARAMS, RESULT>, RESULT>;

/// A request of the driver's own.
pub(super) struct Caller<const PARAMS: usize, const RESULT: usize>;

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
