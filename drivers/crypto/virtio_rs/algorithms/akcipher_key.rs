// SPDX-License-Identifier: GPL-2.0

//! Public and private keys of public key algorithms, and their bindings to devices.
//!
//! A binding is a session with the key, or a device that supports stateless requests with the key.

use super::{
    offload::Disposition,
    tfm_key::{
        Bindings,
        SessionOps,
        TfmKey,
        Wanted, //
    },
    AlgorithmId,
    Devices, //
};
use crate::{
    crypto::{
        sync_request,
        Area,
        Builder,
        DeviceResult,
        Direction,
        Finish,
        Offload, //
    },
    settings::Settings,
    support::bh::BhDisabled,
    transport::{
        dataq,
        device::Device,
        session::{
            Binding,
            PublishedBinding,
            Session,
            SharedBinding, //
        }, //
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
        feature::Layout, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A public key algorithm, independent of its number on a device.
#[derive(Clone, Copy)]
pub(super) enum AkcipherKind {
    /// RSA without padding.
    Rsa,
    /// ECDSA on a curve.
    Ecdsa(Curve),
}

impl AkcipherKind {
    /// Returns the scheme of the algorithm on a device. Returns `None` if the algorithm's number on
    /// the device is unknown.
    ///
    /// The number of ECDSA is 2 in the specification and 3 in the uapi header. In the header, 2 is
    /// the number of DSA. Devices with the natural layout are newer than the specification and use
    /// its number. For devices with the padded layout, the user must set the module parameter
    /// `ecdsa_number`.
    pub(super) fn scheme(self, device: &Device, settings: &Settings) -> Option<Scheme> {
        match self {
            Self::Rsa => Some(Scheme::RsaRaw),
            Self::Ecdsa(curve) => {
                let algorithm = match device.features().layout() {
                    Layout::Natural => Akcipher::Ecdsa,
                    Layout::Padded => settings.ecdsa_number()?,
                };
                Some(Scheme::Ecdsa(algorithm, curve))
            }
        }
    }
}

/// Maximum length of the key in a stateless request: unlimited.
const MAX_KEY: usize = usize::MAX;

/// A public or private key and its binding to a device.
pub(super) struct AkcipherKey {
    tfm_key: TfmKey<AkcipherSessionOps, MAX_KEY>,
    devices: Arc<Devices>,
    kind: AkcipherKind,
    key_type: KeyType,
}

/// Creates the sessions of an [`AkcipherKey`].
struct AkcipherSessionOps {
    devices: Arc<Devices>,
    kind: AkcipherKind,
    key_type: KeyType,
}

impl SessionOps for AkcipherSessionOps {
    fn supports_key(&self, device: &Device, _key: &[u8], _variant: u32) -> bool {
        let scheme = self.kind.scheme(device, &self.devices.settings);
        scheme.is_some()
    }

    fn create_sessions(
        &self,
        device: &Arc<Device>,
        key: &[u8],
        _: u32,
        _: Wanted,
    ) -> Result<Bindings> {
        let scheme = self.kind.scheme(device, &self.devices.settings);
        let scheme = scheme.ok_or(EOPNOTSUPP)?;
        Bindings::one(create_session(device, scheme, self.key_type, key)?)
    }
}

impl AkcipherKey {
    /// Creates a key. If a device supports the key, binds the key to that device.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(super) fn new(
        id: AlgorithmId,
        devices: &Arc<Devices>,
        kind: AkcipherKind,
        key_type: KeyType,
        key: &[u8],
    ) -> Result<Self> {
        let ops = AkcipherSessionOps {
            devices: devices.clone(),
            kind,
            key_type,
        };
        let tfm_key = TfmKey::new(id, devices, ops)?;
        tfm_key.set(key, 0, || Ok(()))?;
        Ok(Self {
            tfm_key,
            devices: devices.clone(),
            kind,
            key_type,
        })
    }

    /// Returns a reference to the key on the device that the key is bound to, or `None` if the key
    /// is bound to no device.
    pub(super) fn key_ref<'a>(&self, bh: &'a BhDisabled) -> Option<AkcipherKeyRef<'a>> {
        let binding = self.tfm_key.binding(Direction::Encrypt, bh)?;
        let scheme = self.kind.scheme(binding.device(), &self.devices.settings)?;
        Some(AkcipherKeyRef {
            scheme,
            key_type: self.key_type,
            binding,
        })
    }

    /// Returns true if the key is bound to a device that accepts requests.
    pub(super) fn is_bound(&self) -> bool {
        let bh = BhDisabled::disable();
        let key_ref = self.key_ref(&bh);
        key_ref.is_some_and(|key_ref| key_ref.binding.is_usable())
    }

    /// Runs an operation on the device that the key is bound to, and waits for the result.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// The errors of [`run_sync`].
    pub(super) fn run_sync<const PARAMS: usize, const RESULT: usize>(
        &self,
        operation: AkcipherOperation,
        src: &[u8],
        digest: &[u8],
    ) -> Result<Output<PARAMS, RESULT>> {
        run_sync::<PARAMS, RESULT>(|bh| self.key_ref(bh), operation, src, digest)
    }
}

/// A public key in a session of a device, for a known-answer test.
pub(super) struct KatKey {
    scheme: Scheme,
    binding: PublishedBinding,
}

impl KatKey {
    /// Creates a session for a public key.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if memory is exhausted;
    /// - other errors of [`Session::create`].
    pub(super) fn new(device: &Arc<Device>, scheme: Scheme, key: &[u8]) -> Result<Self> {
        let session = create_session(device, scheme, KeyType::Public, key)?;
        let binding = PublishedBinding::new();
        drop(binding.replace(Some(Binding::session(session)?)));
        Ok(Self { scheme, binding })
    }

    /// Runs an operation on the device and waits for the result.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// The errors of [`run_sync`]. [`kat_error`] converts these errors to the result of the test.
    pub(super) fn run_sync<const PARAMS: usize, const RESULT: usize>(
        &self,
        operation: AkcipherOperation,
        src: &[u8],
        digest: &[u8],
    ) -> Result<Output<PARAMS, RESULT>> {
        run_sync::<PARAMS, RESULT>(
            |bh| {
                self.binding.get(bh).map(|binding| AkcipherKeyRef {
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

/// Reference to a key on a device. Requests name this key or contain it.
pub(super) struct AkcipherKeyRef<'a> {
    scheme: Scheme,
    key_type: KeyType,
    binding: &'a SharedBinding,
}

/// Creates a session.
///
/// # Errors
///
/// The errors of [`Session::create`].
fn create_session(
    device: &Arc<Device>,
    scheme: Scheme,
    key_type: KeyType,
    key: &[u8],
) -> Result<Session> {
    let request = CreateAkcipher::new(scheme, key_type, u32::try_from(key.len())?);
    Session::create(device, Service::Akcipher, request.as_bytes(), key)
}

impl<'a> AkcipherKeyRef<'a> {
    /// Returns the binding of the key.
    pub(super) fn binding(&self) -> &'a SharedBinding {
        self.binding
    }

    /// Returns true if a request of these lengths, in bytes, does not exceed the device's
    /// `max_size`.
    pub(super) fn fits_max_size(&self, src_len: u32, dst_len: u32) -> bool {
        let max_size = self.binding.device().config().max_size();
        // CAST: A key has at most a few thousand bytes.
        let key_len = self.binding.key().len() as u32;
        data::fits_max_size(&[src_len, dst_len, key_len], max_size)
    }

    /// Returns the fixed-length fields of a request. Lengths are in bytes.
    pub(super) fn header(
        &self,
        operation: AkcipherOperation,
        src_len: u32,
        dst_len: u32,
    ) -> AkcipherRequestHeader {
        match &**self.binding {
            Binding::Session(session) => {
                let layout = session.device().features().layout();
                let (scheme, id) = (self.scheme, session.id());
                AkcipherRequestHeader::Session(
                    AkcipherRequest::new(layout, scheme, operation, id, src_len, dst_len),
                    layout,
                )
            }
            Binding::Stateless(_, key) => {
                AkcipherRequestHeader::Stateless(StatelessAkcipherRequest::new(
                    self.scheme,
                    operation,
                    self.key_type,
                    // CAST: A key has at most a few thousand bytes.
                    key.bytes().len() as u32,
                    src_len,
                    dst_len,
                ))
            }
        }
    }
}

/// Runs an operation on a device and waits for the result.
///
/// The fixed-length fields, the key, `src` and `digest` have at most `PARAMS` bytes in total. The
/// result has `RESULT` bytes, of which the last byte is the status. For a verification, `src` is
/// the signature. For all other operations, `digest` is empty.
///
/// Context: process, may sleep.
///
/// # Errors
///
/// - `EKEYREJECTED`, `EBADMSG` if the device rejects the signature;
/// - `ENODEV` if the request was not sent to a device;
/// - `E2BIG`, `EINVAL` if the request is too long;
/// - `EIO` if the device returned an error or may have used another key;
/// - `ENOMEM` if memory is exhausted;
/// - other errors of [`dataq::submit`].
#[inline(never)]
fn run_sync<const PARAMS: usize, const RESULT: usize>(
    key_ref: impl for<'a> FnOnce(&'a BhDisabled) -> Option<AkcipherKeyRef<'a>>,
    operation: AkcipherOperation,
    src: &[u8],
    digest: &[u8],
) -> Result<Output<PARAMS, RESULT>> {
    let result_len = RESULT.checked_sub(data::STATUS_LEN).ok_or(EINVAL)?;
    let src_len = u32::try_from(src.len())?;
    let dst_len = match operation {
        AkcipherOperation::Verify => digest.len(),
        _ => result_len,
    };
    let dst_len = u32::try_from(dst_len)?;
    let request = sync_request::SyncRequest::<AkcipherOp<PARAMS, RESULT>, RESULT>::new()?;

    let bh = BhDisabled::disable();
    let key_ref = key_ref(&bh).ok_or(ENODEV)?;
    let device = key_ref.binding.device();
    let queue = device.data_queue().ok_or(ENODEV)?;
    if !key_ref.fits_max_size(src_len, dst_len) {
        return Err(E2BIG);
    }
    let header = key_ref.header(operation, src_len, dst_len);
    let add_buffers = |builder: &mut Builder<'_, _, _>| {
        builder.read(header.bytes());
        builder.read_secret(key_ref.binding.key());
        builder.read(src);
        builder.read(digest);
        builder.write(result_len);
    };
    let submit = |inflight| dataq::submit(queue, inflight, key_ref.binding, &bh);
    let sent = request.send(device.limits(), add_buffers, submit)?;
    let (device, epoch) = (device.clone(), key_ref.binding.epoch());
    drop(bh);
    sent.wait(
        device.timeout(),
        || device.arm_watchdog(),
        |result| device.evaluate(epoch, result),
    )
}

/// Converts an error of [`KatKey::run_sync`] to the result of a known-answer test.
///
/// Returns `EIO` if the device rejected the signature or does not support the length of the
/// request. The device then does not support the algorithm. Returns all other errors unchanged.
pub(super) fn kat_error(err: Error) -> Error {
    if [EKEYREJECTED, EBADMSG, E2BIG, EINVAL].contains(&err) {
        EIO
    } else {
        err
    }
}

/// The result of [`run_sync`].
pub(super) type Output<const PARAMS: usize, const RESULT: usize> =
    sync_request::Output<AkcipherOp<PARAMS, RESULT>, RESULT>;

/// A public key operation that the driver itself requests. It has no crypto API request.
pub(super) struct AkcipherOp<const PARAMS: usize, const RESULT: usize>;

impl<const PARAMS: usize, const RESULT: usize> Offload for AkcipherOp<PARAMS, RESULT> {
    type Raw = sync_request::SyncRequest<Self, RESULT>;
    type Tfm = ();
    type State = ();
    type Private = dataq::Private;
    type Area = Area<PARAMS, RESULT>;

    const SYNCHRONOUS: bool = true;

    fn finalize(
        _state: &(),
        request: &sync_request::Request<'_, Self, RESULT>,
        outcome: &DeviceResult<'_>,
    ) -> Finish {
        let result = match Disposition::of(outcome, |err| err == EKEYREJECTED || err == EBADMSG) {
            Disposition::Done => {
                let mut results = [0; RESULT];
                outcome
                    .copy_results(0, &mut results)
                    .map(|()| sync_request::SyncRequest::set_output(request, &results))
            }
            Disposition::Failed(err) => Err(err),
            Disposition::Fallback if outcome.result() == Err(ENODEV) => Err(ENODEV),
            Disposition::Fallback => Err(EIO),
        };
        Finish::Done(result)
    }

    /// Not used, because `finalize` never returns `Finish::Fallback`. The caller of [`run_sync`]
    /// handles errors, for example with its fallback.
    fn fall_back(_state: (), _request: sync_request::Request<'_, Self, RESULT>) -> Option<Result> {
        Some(Err(EIO))
    }
}

/// Fixed-length fields of a request.
pub(super) enum AkcipherRequestHeader {
    Session(AkcipherRequest, Layout),
    Stateless(StatelessAkcipherRequest),
}

impl AkcipherRequestHeader {
    /// Returns the fields in the device's layout.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Session(request, layout) => request.bytes(*layout),
            Self::Stateless(request) => request.as_bytes(),
        }
    }
}
