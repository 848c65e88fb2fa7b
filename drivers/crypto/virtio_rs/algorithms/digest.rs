// SPDX-License-Identifier: GPL-2.0

//! Hashes and message authentication codes: how they are registered, and what a request goes
//! through.

mod function;
mod table;

use self::{
    function::Function,
    table::{
        Row,
        MAX_DIGEST, //
    },
};
use super::{
    fallback::Reason,
    keyed::{
        Bindings,
        Keyed,
        Opener,
        Verdict,
        Wanted, //
    },
    offload::{
        offload,
        Keyholder, //
    },
    Devices,
    Place, //
};
use crate::{
    crypto::{
        algorithm::Registration,
        hash,
        hash::{
            Algorithm,
            Mac,
            Request, //
        },
        Answer,
        Area,
        Direction,
        Finish,
        Key,
        Offload,
        Outcome, //
    },
    support::bh::Bh,
    transport::{
        dataq,
        device::Device,
        key::{
            Binding,
            SharedBinding, //
        }, //
    },
    wire::data,
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

pub(super) use self::table::{
    algorithm,
    try_session,
    HASHES,
    MACS, //
};

/// The longest key that is sent along, in bytes: the largest block of a hash. Longer ones are made
/// shorter by HMAC anyway, but they need a session.
const MAX_KEY: usize = 128;

/// Registers a row.
///
/// # Errors
///
/// `ENOENT`: there is no software to stand in for the device. Others as the crypto framework has
/// them.
pub(super) fn register(
    place: Place,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<KVec<Registration>> {
    let row = table::row(place).ok_or(EINVAL)?;
    let description = hash::Description {
        name: row.name,
        driver_name: row.driver_name,
        priority: devices.settings.priority(false),
        digest_size: row.digest_size,
    };
    let offer = Offer {
        row,
        place,
        devices: devices.clone(),
    };
    let mut registrations = KVec::with_capacity(1, GFP_KERNEL)?;
    let registration = match row.function {
        Function::Hash(_) => hash::register::<Digest>(&description, offer, module)?,
        Function::Mac(_) => hash::register_mac::<Digest>(&description, offer, module)?,
    };
    registrations.push(registration, GFP_KERNEL)?;
    Ok(registrations)
}

/// What all transforms of an algorithm share.
pub(super) struct Offer {
    row: &'static Row,
    place: Place,
    devices: Arc<Devices>,
}

/// A transform: a key, of no bytes if it needs none, and a session of a device that has it.
pub(super) struct Transform {
    row: &'static Row,
    keyed: Keyed<&'static Row, MAX_KEY>,
}

impl Transform {
    /// Sets a key.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory. The old key is gone then.
    fn set_key(&self, key: &[u8]) -> Result {
        // The crypto layer has software look at it.
        self.keyed.set(key, 0, || Ok(()))
    }
}

impl Keyholder for Transform {
    #[inline]
    fn binding<'a>(&self, direction: Direction, bh: &'a Bh) -> Option<&'a SharedBinding> {
        self.keyed.binding(direction, bh)
    }
}

impl Opener for &'static Row {
    fn takes(&self, device: &Device, key: &[u8], _variant: u32) -> bool {
        device.config().takes_auth_key(key.len())
    }

    fn open(&self, device: &Arc<Device>, key: &[u8], _: u32, _: Wanted) -> Result<Bindings> {
        Bindings::one(self.function.create(device, self.digest_size, key)?)
    }
}

/// Has software do a request.
fn fall_back(request: Request<'_, Digest>, reason: Reason) -> Answer {
    request.tfm().keyed.fall_back(reason);
    request.run_fallback()
}

/// What makes digests, with a key or without.
pub(super) struct Digest;

impl Offload for Digest {
    type Raw = hash::Raw;
    type Tfm = Transform;
    type State = ();
    type Private = dataq::Private;
    type Area = Area<{ data::MAX_HEAD + MAX_KEY }, { MAX_DIGEST + data::STATUS }>;

    const SYNCHRONOUS: bool = false;

    fn finish(_state: &(), request: &Request<'_, Self>, outcome: &Outcome<'_>) -> Finish {
        match Verdict::of(outcome, |_| false) {
            Verdict::Done => Finish::Done(request.set_digest(outcome)),
            Verdict::Software => Finish::Fallback,
            Verdict::Failed(err) => Finish::Done(Err(err)),
        }
    }

    fn fall_back(_state: (), mut request: Request<'_, Self>) -> Option<Result> {
        request.tfm().keyed.fall_back(Reason::DeviceFailed);
        Some(request.run_fallback_atomic())
    }
}

impl Algorithm for Digest {
    type Data = Offer;

    fn init(offer: &Offer) -> Result<Transform> {
        let transform = Transform {
            row: offer.row,
            keyed: Keyed::new(offer.place, &offer.devices, offer.row)?,
        };
        if let Function::Hash(_) = offer.row.function {
            transform.set_key(&[])?;
        }
        Ok(transform)
    }

    fn digest(request: Request<'_, Self>) -> Answer {
        // Whatever the device cannot do, or not for this request, software does.
        let row = request.tfm().row;
        let len = request.len();
        let plan = |binding: &Binding| {
            // CAST: A key has `MAX_KEY` bytes at most.
            let lengths = [binding.key().len() as u32, len, row.digest_size];
            data::fits(&lengths, binding.device().config().max_size())
                .then_some(())
                .ok_or(Reason::TooLong)
        };
        // A session for digests has no direction.
        let sent = offload(
            request,
            Direction::Encrypt,
            plan,
            |request, limits, binding, ()| {
                request.build(limits, |builder| {
                    function::write_header(builder, row, binding, len);
                    builder.message();
                    builder.write(row.digest_len());
                })
            },
        );
        match sent {
            Ok(answer) => answer,
            // Also if there is no room and the consumer does not want to wait: dm-integrity for one
            // has no use for that answer, and takes it for an error of the hash.
            Err((reason, _, request)) => fall_back(request, reason),
        }
    }
}

impl Mac for Digest {
    fn set_key(transform: &Transform, key: &Key<'_>) -> Result {
        transform.set_key(key.bytes())
    }
}
