// SPDX-License-Identifier: GPL-2.0

//! RSA without padding: how it is registered, and what a request goes through.
//!
//! The kernel's templates make encryption and signatures by PKCS#1 of it.

mod key;
mod range;
mod trial;

use self::{
    key::Pair,
    range::Range, //
};
use super::{
    fallback::Reason,
    keyed::Verdict,
    Devices,
    Place, //
};
use crate::{
    crypto::{
        akcipher,
        akcipher::{
            Algorithm,
            FallbackTfm, //
            LoadedRequest,
            Request,
        },
        algorithm::{
            Names,
            Registration, //
        },
        Answer,
        Area,
        DeferredRequests,
        Direction,
        Finish,
        Offload,
        Outcome, //
    },
    support::{
        bh::Bh,
        work::Worker, //
    },
    transport::{
        dataq,
        key::Binding, //
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

pub(super) use self::trial::try_out;

/// What the crypto framework calls it.
const NAME: &CStr = c"rsa";

/// Registers it.
///
/// # Errors
///
/// As the crypto framework has them. `ENOENT`: there is no software to stand in for the device.
pub(super) fn register(
    place: Place,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<KVec<Registration>> {
    let names = Names {
        name: NAME,
        driver_name: c"rsa-virtio",
        priority: devices.settings.public_key_priority(),
        // Of no meaning for public keys.
        block_size: 0,
    };
    let offer = Offer {
        place,
        devices: devices.clone(),
        _fallback: FallbackTfm::new(NAME)?,
    };
    let mut registrations = KVec::with_capacity(1, GFP_KERNEL)?;
    registrations.push(
        akcipher::register::<Rsa>(&names, offer, module)?,
        GFP_KERNEL,
    )?;
    Ok(registrations)
}

/// What all transforms share.
pub(super) struct Offer {
    place: Place,
    devices: Arc<Devices>,
    /// As long as the algorithm is registered so is the kernel's own: whoever asks for `rsa` gets
    /// that, which has the higher priority, and not this one for want of another.
    _fallback: FallbackTfm,
}

/// A transform.
pub(super) struct Transform {
    place: Place,
    devices: Arc<Devices>,
    /// Has the same key, if it takes it.
    fallback: FallbackTfm,
    pair: Pin<KBox<SpinLockIrq<Option<Arc<Pair>>>>>,
}

impl Transform {
    /// Returns the key, if there is one.
    fn pair(&self) -> Option<Arc<Pair>> {
        self.pair.lock().clone()
    }

    /// Counts a request that software does.
    fn fall_back(&self, reason: Reason) {
        self.devices.fallbacks.count(reason);
    }

    /// Sets what `read` makes of the key; the old one is gone, whatever happens.
    fn set_key(&self, read: impl FnOnce() -> Result<Pair>) -> Result {
        // What is dropped here may talk to a device, so not under the lock.
        let old = self.pair.lock().take();
        drop(old);
        let pair = Arc::new(read()?, GFP_KERNEL)?;
        // Another caller may have set a key in between.
        let old = self.pair.lock().replace(pair);
        drop(old);
        Ok(())
    }
}

/// The algorithm.
pub(super) struct Rsa;

/// What is kept with a request that a device has.
pub(super) struct State {
    pair: Arc<Pair>,
}

impl Offload for Rsa {
    type Raw = akcipher::Raw;
    type Tfm = Transform;
    type State = State;
    type Private = dataq::Private;
    type Area = Area<{ data::MAX_HEAD }, { data::STATUS }>;

    const SYNCHRONOUS: bool = false;

    fn finish(state: &State, request: &Request<'_, Self>, outcome: &Outcome<'_>) -> Finish {
        let result = match Verdict::of(outcome, |_| false) {
            Verdict::Done => state.place_result(request, outcome),
            Verdict::Software if outcome.result() == Err(ENODEV) => Err(ENODEV),
            Verdict::Software | Verdict::Failed(_) => Err(EIO),
        };
        let in_software = || {
            request
                .tfm()
                .pair()
                .is_some_and(|pair| pair.is_in_software())
        };
        if result.is_err() && in_software() {
            Finish::Fallback
        } else {
            Finish::Done(result)
        }
    }

    fn fall_back(_state: State, request: Request<'_, Self>) -> Option<Result> {
        request.tfm().fall_back(Reason::DeviceFailed);
        request.defer_to_fallback();
        None
    }
}

impl State {
    /// Gives the caller the result of the device.
    ///
    /// # Errors
    ///
    /// `EIO`, `EINVAL`: it does not have the length it should have.
    fn place_result(&self, request: &Request<'_, Rsa>, outcome: &Outcome<'_>) -> Result {
        // Some devices leave out zeros in front of a result. That is rare enough for software to
        // make sure of the length; where there is none it is the device's word.
        let len = self.pair.len();
        // CAST: Both targets of this driver have 32 bits at least.
        let written = (outcome.used() as usize).saturating_sub(data::STATUS);
        if written == len || (!self.pair.is_in_software() && (1..len).contains(&written)) {
            request.align_result(written)
        } else {
            Err(EIO)
        }
    }
}

impl Algorithm for Rsa {
    type Data = Offer;

    fn init(offer: &Offer) -> Result<Transform> {
        Ok(Transform {
            place: offer.place,
            devices: offer.devices.clone(),
            fallback: FallbackTfm::new(NAME)?,
            pair: KBox::pin_init(new_spinlock_irq!(None), GFP_KERNEL)?,
        })
    }

    fn fallback(transform: &Transform) -> &FallbackTfm {
        &transform.fallback
    }

    fn deferred(transform: &Transform) -> &Worker<DeferredRequests> {
        &transform.devices.later
    }

    fn set_public_key(transform: &Transform, key: &[u8]) -> Result {
        transform.set_key(|| {
            let size = transform.fallback.set_public_key(key);
            Pair::public(transform.place, &transform.devices, key, size)
        })
    }

    fn set_private_key(transform: &Transform, key: &[u8]) -> Result {
        transform.set_key(|| {
            let size = transform.fallback.set_private_key(key);
            Pair::private(transform.place, &transform.devices, key, size)
        })
    }

    fn max_size(transform: &Transform) -> u32 {
        // CAST: A modulus has some thousand bytes at most.
        transform.pair().map_or(0, |pair| pair.size() as u32)
    }

    fn crypt(request: Request<'_, Self>, direction: Direction) -> Answer {
        let Some(pair) = request.tfm().pair() else {
            return request.done(Err(EINVAL));
        };
        let loaded = match request.load(direction, pair.len(), pair.size()) {
            Ok(loaded) => loaded,
            Err((err, request)) => return request.done(Err(err)),
        };
        if !pair.takes(loaded.input(), direction) {
            return loaded.done(Err(EINVAL));
        }
        if let Err(err) = loaded.check_dst_len() {
            return loaded.done(Err(err));
        }
        match send(loaded, &pair, direction) {
            Ok(answer) => answer,
            // Whatever the device cannot do, or not now, software does.
            Err((reason, _, loaded)) if pair.is_in_software() => {
                loaded.tfm().fall_back(reason);
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
/// The request comes back. `ENODEV`: there is none that has the key. `ENOSPC`: it has no room, and
/// the consumer does not want to wait. Others: it cannot do this one.
fn send<'a>(
    loaded: LoadedRequest<'a, Rsa>,
    pair: &Arc<Pair>,
    direction: Direction,
) -> Result<Answer, (Reason, Error, LoadedRequest<'a, Rsa>)> {
    let bh = Bh::disable();
    let Some(route) = pair.half(direction).and_then(|half| half.route(&bh)) else {
        return Err((Reason::NoDevice, ENODEV, loaded));
    };
    let device = route.binding().device();
    // CAST: It has some thousand bytes at most.
    let len = pair.len() as u32;
    if !route.fits(len, len) {
        return Err((Reason::TooLong, E2BIG, loaded));
    }
    let Some(queue) = device.data_queue() else {
        return Err((Reason::NoDevice, ENODEV, loaded));
    };

    let operation = match direction {
        Direction::Encrypt => AkcipherOperation::Encrypt,
        Direction::Decrypt => AkcipherOperation::Decrypt,
    };
    let head = route.head(operation, len, len);
    let state = State { pair: pair.clone() };
    let key = match &**route.binding() {
        Binding::Session(_) => None,
        Binding::Stateless(_, key) => Some(key.clone()),
    };
    let sent = loaded
        .prepare(state, head.bytes(), key, device.limits())
        .map_err(|(err, loaded)| (Reason::Pieces, err, loaded))?
        .send(|inflight| dataq::submit(queue, inflight, route.binding(), &bh, || device.watch()))
        .map_err(|(err, loaded)| (Reason::of_queue(err), err, loaded))?;
    Ok(sent.answer(device.timeout(), || (), |result| result))
}
