// SPDX-License-Identifier: GPL-2.0

//! RSA without padding: registration and request processing.
//!
//! The kernel's templates implement PKCS#1 encryption and signatures on top of RSA without padding.

mod kat;
mod key;
mod range;

use self::{
    key::RsaKey,
    range::InputRange, //
};
use super::{
    fallback_stats::FallbackReason,
    offload::Disposition,
    AlgorithmId,
    Devices, //
};
use crate::{
    crypto::{
        akcipher,
        akcipher::{
            Algorithm,
            FallbackTfm,
            LoadedRequest,
            Request, //
        },
        algorithm::{
            AlgorithmInfo,
            Registration, //
        },
        Area,
        DeferredRequests,
        DeviceResult,
        Direction,
        Finish,
        Offload,
        ReturnCode, //
    },
    support::{
        bh::BhDisabled,
        work::OwnedDelayedWork, //
    },
    transport::{
        dataq,
        session::Binding, //
    },
    wire::{
        data,
        data::AkcipherOperation, //
    },
};
use core::pin::Pin;
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{
        Arc,
        SpinLockIrq, //
    }, //
};

pub(super) use self::kat::run_kat;

/// Name in the crypto API.
const NAME: &CStr = c"rsa";

/// Registers RSA.
///
/// # Errors
///
/// - `ENOENT` if the kernel has no implementation for a fallback;
/// - other errors of [`akcipher::register`].
pub(super) fn register(
    id: AlgorithmId,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<KVec<Registration>> {
    let info = AlgorithmInfo {
        name: NAME,
        driver_name: c"rsa-virtio",
        priority: devices.settings.public_key_priority(),
        // Public key algorithms have no block size.
        block_size: 0,
    };
    let data = RsaAlgData {
        id,
        devices: devices.clone(),
        _fallback: FallbackTfm::new(NAME)?,
    };
    let mut registrations = KVec::with_capacity(1, GFP_KERNEL)?;
    registrations.push(akcipher::register::<Rsa>(&info, data, module)?, GFP_KERNEL)?;
    Ok(registrations)
}

/// Data that all transforms share.
pub(super) struct RsaAlgData {
    id: AlgorithmId,
    devices: Arc<Devices>,
    /// Keeps the module of the kernel's implementation loaded while the driver's implementation is
    /// registered. By default, the kernel's implementation has the higher priority. If its module
    /// was not loaded, users of `rsa` would get the driver's implementation.
    _fallback: FallbackTfm,
}

/// An RSA transform.
pub(super) struct RsaTfm {
    id: AlgorithmId,
    devices: Arc<Devices>,
    /// The fallback has the same key, unless it does not support the length of the key.
    fallback: FallbackTfm,
    rsa_key: Pin<KBox<SpinLockIrq<Option<Arc<RsaKey>>>>>,
}

impl RsaTfm {
    /// Returns the key, or `None` if no key is set.
    fn rsa_key(&self) -> Option<Arc<RsaKey>> {
        self.rsa_key.lock().clone()
    }

    /// Counts a request that runs on the fallback.
    fn count_fallback(&self, reason: FallbackReason) {
        self.devices.fallbacks.count(reason);
    }

    /// Replaces the key by the key that `create_key` returns. After an error the transform has no
    /// key.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if memory is exhausted;
    /// - other errors of `create_key`.
    fn set_key(&self, create_key: impl FnOnce() -> Result<RsaKey>) -> Result {
        // Dropping a key may send DESTROY requests, so the lock must not be held.
        let old = self.rsa_key.lock().take();
        drop(old);
        let rsa_key = Arc::new(create_key()?, GFP_KERNEL)?;
        // Another thread may have set a key since `take`.
        let old = self.rsa_key.lock().replace(rsa_key);
        drop(old);
        Ok(())
    }
}

/// The RSA algorithm.
pub(super) struct Rsa;

/// Data that the driver keeps with a request in flight.
pub(super) struct RsaRequestData {
    rsa_key: Arc<RsaKey>,
}

impl Offload for Rsa {
    type Raw = akcipher::Raw;
    type Tfm = RsaTfm;
    type State = RsaRequestData;
    type Private = dataq::Private;
    type Area = Area<{ data::MAX_FIXED_LEN }, { data::STATUS_LEN }>;

    const SYNCHRONOUS: bool = false;

    fn finalize(
        data: &RsaRequestData,
        request: &Request<'_, Self>,
        outcome: &DeviceResult<'_>,
    ) -> Finish {
        let result = match Disposition::of(outcome, |_| false) {
            Disposition::Done => data.copy_result(request, outcome),
            Disposition::Fallback if outcome.result() == Err(ENODEV) => Err(ENODEV),
            Disposition::Fallback | Disposition::Failed(_) => Err(EIO),
        };
        let fallback_has_key = || {
            request
                .tfm()
                .rsa_key()
                .is_some_and(|rsa_key| rsa_key.fallback_has_key())
        };
        if result.is_err() && fallback_has_key() {
            Finish::Fallback
        } else {
            Finish::Done(result)
        }
    }

    fn fall_back(_data: RsaRequestData, request: Request<'_, Self>) -> Option<Result> {
        request.tfm().count_fallback(FallbackReason::DeviceError);
        request.defer_to_fallback();
        None
    }
}

impl RsaRequestData {
    /// Copies the device's result to the caller's destination.
    ///
    /// # Errors
    ///
    /// `EIO` or `EINVAL` if the result has an unexpected length.
    fn copy_result(&self, request: &Request<'_, Rsa>, outcome: &DeviceResult<'_>) -> Result {
        // Some devices omit leading zeros of a result. A short result is rare, so the fallback
        // repeats the operation. If the fallback does not have the key, accept the short result.
        let len = self.rsa_key.len();
        // CAST: `usize` has at least 32 bits on the supported architectures.
        let written = (outcome.used() as usize).saturating_sub(data::STATUS_LEN);
        if written == len || (!self.rsa_key.fallback_has_key() && (1..len).contains(&written)) {
            request.align_result(written)
        } else {
            Err(EIO)
        }
    }
}

impl Algorithm for Rsa {
    type Data = RsaAlgData;

    fn init(data: &RsaAlgData) -> Result<RsaTfm> {
        Ok(RsaTfm {
            id: data.id,
            devices: data.devices.clone(),
            fallback: FallbackTfm::new(NAME)?,
            rsa_key: KBox::pin_init(new_spinlock_irq!(None), GFP_KERNEL)?,
        })
    }

    fn fallback(tfm: &RsaTfm) -> &FallbackTfm {
        &tfm.fallback
    }

    fn deferred(tfm: &RsaTfm) -> &OwnedDelayedWork<DeferredRequests> {
        &tfm.devices.deferred
    }

    fn set_public_key(tfm: &RsaTfm, key: &[u8]) -> Result {
        tfm.set_key(|| {
            let size = tfm.fallback.set_public_key(key);
            RsaKey::public(tfm.id, &tfm.devices, key, size)
        })
    }

    fn set_private_key(tfm: &RsaTfm, key: &[u8]) -> Result {
        tfm.set_key(|| {
            let size = tfm.fallback.set_private_key(key);
            RsaKey::private(tfm.id, &tfm.devices, key, size)
        })
    }

    fn max_size(tfm: &RsaTfm) -> u32 {
        // CAST: A result has at most `akcipher::MAX_LEN` bytes.
        tfm.rsa_key().map_or(0, |rsa_key| rsa_key.size() as u32)
    }

    fn crypt(request: Request<'_, Self>, direction: Direction) -> ReturnCode {
        let Some(rsa_key) = request.tfm().rsa_key() else {
            return request.done(Err(EINVAL));
        };
        let loaded = match request.load(direction, rsa_key.len(), rsa_key.size()) {
            Ok(loaded) => loaded,
            Err((err, request)) => return request.done(Err(err)),
        };
        if !rsa_key.accepts(loaded.input(), direction) {
            return loaded.done(Err(EINVAL));
        }
        if let Err(err) = loaded.check_dst_len() {
            return loaded.done(Err(err));
        }
        match send(loaded, &rsa_key, direction) {
            Ok(return_code) => return_code,
            Err((reason, _, loaded)) if rsa_key.fallback_has_key() => {
                loaded.tfm().count_fallback(reason);
                loaded.run_fallback()
            }
            Err((_, err, loaded)) => loaded.done(Err(err)),
        }
    }
}

/// Sends a request to a device.
///
/// # Errors
///
/// On error the request is returned, with
/// - `ENODEV` if the key is bound to no device, or the device is not ready;
/// - `E2BIG` if the device does not support the length of the request;
/// - `ENOSPC` if the ring is full and the request may not be backlogged;
/// - other errors of [`LoadedRequest::prepare`] and [`dataq::submit`].
fn send<'a>(
    loaded: LoadedRequest<'a, Rsa>,
    rsa_key: &Arc<RsaKey>,
    direction: Direction,
) -> Result<ReturnCode, (FallbackReason, Error, LoadedRequest<'a, Rsa>)> {
    let bh = BhDisabled::disable();
    let Some(key_ref) = rsa_key.key_for(direction).and_then(|key| key.key_ref(&bh)) else {
        return Err((FallbackReason::NoDevice, ENODEV, loaded));
    };
    let device = key_ref.binding().device();
    // CAST: A modulus has at most `akcipher::MAX_LEN` bytes.
    let len = rsa_key.len() as u32;
    if !key_ref.fits_max_size(len, len) {
        return Err((FallbackReason::TooLong, E2BIG, loaded));
    }
    let Some(queue) = device.data_queue() else {
        return Err((FallbackReason::NoDevice, ENODEV, loaded));
    };

    let operation = match direction {
        Direction::Encrypt => AkcipherOperation::Encrypt,
        Direction::Decrypt => AkcipherOperation::Decrypt,
    };
    let header = key_ref.header(operation, len, len);
    let data = RsaRequestData {
        rsa_key: rsa_key.clone(),
    };
    let key = match &**key_ref.binding() {
        Binding::Session(_) => None,
        Binding::Stateless(_, key) => Some(key.clone()),
    };
    let sent = loaded
        .prepare(data, header.bytes(), key, device.limits())
        .map_err(|(err, loaded)| (FallbackReason::Unmappable, err, loaded))?
        .send(|inflight| dataq::submit(queue, inflight, key_ref.binding(), &bh))
        .map_err(|(err, loaded)| (FallbackReason::from_submit_error(err), err, loaded))?;
    Ok(sent.into_return_code(device.timeout(), || (), |result| result))
}
