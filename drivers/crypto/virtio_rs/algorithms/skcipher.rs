// SPDX-License-Identifier: GPL-2.0

//! Symmetric ciphers: how they are registered, and what a request goes through.

mod mode;
mod table;
mod transform;

use self::{
    mode::{
        Mode,
        Plan,
        MAX_PADDING, //
    },
    table::{
        Row,
        MAX_KEY, //
    },
    transform::Transform, //
};
use super::{
    fallback::Reason,
    iv::{
        Iv,
        MAX_IV, //
    },
    keyed::Verdict,
    offload::{
        offload,
        Refused, //
    },
    operation,
    Devices,
    Place, //
};
use crate::{
    crypto::{
        algorithm::{
            Names,
            Registration, //
        },
        skcipher,
        skcipher::{
            Algorithm,
            FallbackTfm, //
            Pool,
            Request,
        },
        Answer,
        Area,
        Builder,
        Direction,
        Finish,
        Key,
        Offload,
        Outcome, //
    },
    transport::{
        dataq,
        device::Device,
        key::Binding,
        session::Session, //
    },
    wire::{
        algorithm::{
            Cipher,
            Operation,
            Service, //
        },
        control::CreateCipher,
        data,
        data::{
            CipherRequest,
            StatelessCipherRequest, //
        },
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

pub(super) use self::table::{
    algorithm,
    trial_key,
    try_session,
    TABLE, //
};

/// Creates a session for a cipher.
///
/// # Errors
///
/// `EINVAL`: the key is longer than the device takes. Others as [`Session::create`] has them.
fn create(
    device: &Arc<Device>,
    cipher: Cipher,
    operation: Operation,
    key: &[u8],
) -> Result<Session> {
    if !device.config().takes_cipher_key(key.len()) {
        return Err(EINVAL);
    }
    let len = u32::try_from(key.len())?;
    let request = CreateCipher::new(cipher, operation, len);
    Session::create(device, Service::Cipher, request.as_bytes(), key)
}

/// Registers both flavours of a row.
///
/// # Errors
///
/// As the crypto framework has them; none is registered then.
pub(super) fn register(
    place: Place,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<KVec<Registration>> {
    let row = TABLE.get(place.row).ok_or(EINVAL)?;
    let mut registrations = KVec::with_capacity(2, GFP_KERNEL)?;
    registrations.push(
        register_flavour::<false>(row, place, devices, module)?,
        GFP_KERNEL,
    )?;
    registrations.push(
        register_flavour::<true>(row, place, devices, module)?,
        GFP_KERNEL,
    )?;
    Ok(registrations)
}

fn register_flavour<const SYNC: bool>(
    row: &'static Row,
    place: Place,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<Registration> {
    let description = skcipher::Description {
        names: Names {
            name: row.name,
            driver_name: if SYNC {
                row.sync_driver_name
            } else {
                row.driver_name
            },
            priority: devices.settings.priority(SYNC),
            block_size: row.mode.block_size(row.block),
        },
        min_key_size: row.min_key_size,
        max_key_size: row.max_key_size,
        iv_size: row.mode.iv_size(row.block),
        chunk_size: row.block,
    };
    let data = Offer {
        row,
        place,
        devices: devices.clone(),
    };
    skcipher::register::<Flavour<SYNC>>(&description, data, module)
}

/// What all transforms of a cipher share.
pub(super) struct Offer {
    row: &'static Row,
    place: Place,
    devices: Arc<Devices>,
}

/// One of the two ways a cipher is offered: `SYNC` answers before the call returns.
pub(super) struct Flavour<const SYNC: bool>;

/// Runs a request on the fallback.
fn fall_back<const SYNC: bool>(
    request: Request<'_, Flavour<SYNC>>,
    reason: Reason,
    direction: Direction,
) -> Answer {
    request.tfm().fall_back(reason);
    request.run_fallback(direction)
}

/// How a request is done.
#[derive(Clone, Copy)]
pub(super) struct Course {
    mode: Mode,
    direction: Direction,
    /// The number of bytes that ran on the fallback before the device gets the rest.
    done: u32,
    /// The IV of the rest, if a part ran on the fallback.
    iv: Option<Iv>,
    /// The IV of what follows the request, if that must be told before it is done.
    next_iv: Option<Iv>,
}

impl Course {
    /// Gives the caller the IV of what follows, after the device has done the request.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the destination is shorter than a block.
    fn set_next_iv<const SYNC: bool>(&self, request: &Request<'_, Flavour<SYNC>>) -> Result {
        match (self.mode, self.next_iv) {
            (_, Some(iv)) => request.set_iv(iv.bytes()),
            (Mode::Cbc, None) => {
                let mut iv = Iv::new(request.tfm().row().block);
                request.read_destination_tail(iv.bytes_mut())?;
                request.set_iv(iv.bytes())
            }
            // There is none, or it cannot be continued.
            (Mode::Ecb | Mode::Xts | Mode::Ctr, None) => Ok(()),
        }
    }

    /// Runs what the device has not done on the fallback, without sleeping.
    fn run_fallback<const SYNC: bool>(&self, request: &mut Request<'_, Flavour<SYNC>>) -> Result {
        let Some(mut iv) = self.iv else {
            return request.run_fallback_atomic(self.direction);
        };
        request.run_fallback_suffix(self.direction, self.done, iv.bytes_mut())?;
        request.set_iv(iv.bytes())
    }

    /// Does the same for a request that is not answered yet.
    fn answer<const SYNC: bool>(
        &self,
        mut request: Request<'_, Flavour<SYNC>>,
        reason: Reason,
    ) -> Answer {
        if self.done == 0 {
            return fall_back(request, reason, self.direction);
        }
        request.tfm().fall_back(reason);
        let result = self.run_fallback(&mut request);
        request.done(result)
    }
}

impl<const SYNC: bool> Offload for Flavour<SYNC> {
    type Raw = skcipher::Raw;
    type Tfm = Transform<SYNC>;
    type State = Course;
    type Private = dataq::Private;
    type Area =
        Area<{ data::MAX_HEAD + MAX_KEY + MAX_IV + MAX_PADDING }, { MAX_PADDING + data::STATUS }>;

    const SYNCHRONOUS: bool = SYNC;

    fn finish(course: &Course, request: &Request<'_, Self>, outcome: &Outcome<'_>) -> Finish {
        match Verdict::of(outcome, |_| false) {
            Verdict::Done => Finish::Done(course.set_next_iv(request)),
            Verdict::Software => Finish::Fallback,
            Verdict::Failed(err) => Finish::Done(Err(err)),
        }
    }

    fn fall_back(course: Course, mut request: Request<'_, Self>) -> Option<Result> {
        request.tfm().fall_back(Reason::DeviceFailed);
        Some(course.run_fallback(&mut request))
    }
}

impl<const SYNC: bool> Algorithm for Flavour<SYNC> {
    type Data = Offer;

    fn init(offer: &Offer) -> Result<Transform<SYNC>> {
        Transform::new(offer)
    }

    fn fallback(transform: &Transform<SYNC>) -> &FallbackTfm {
        transform.fallback()
    }

    fn pool(transform: &Transform<SYNC>) -> Option<&Arc<Pool<Self>>> {
        transform.pool()
    }

    fn set_key(transform: &Transform<SYNC>, key: &Key<'_>) -> Result {
        transform.set_key(key)
    }

    fn crypt(mut request: Request<'_, Self>, direction: Direction) -> Answer {
        let row = request.tfm().row();
        let padding = match row.mode.plan(row.block, request.len()) {
            Plan::Refuse => return request.done(Err(EINVAL)),
            Plan::Nothing => return request.done(Ok(())),
            Plan::Software => return fall_back(request, Reason::Form, direction),
            Plan::Device { padding } => padding,
        };

        // A request that the device cannot perform runs on the fallback.
        if SYNC && !request.may_sleep() {
            return fall_back(request, Reason::MayNotSleep, direction);
        }
        let mut course = Course {
            mode: row.mode,
            direction,
            done: 0,
            iv: None,
            next_iv: None,
        };
        match (row.mode, direction) {
            (Mode::Ctr, _) => {
                let iv = course.next_iv.insert(Iv::of(&[request.iv()]));
                iv.count(request.len().div_ceil(row.block));
            }
            // The last block of ciphertext is overwritten if the request is in place.
            (Mode::Cbc, Direction::Decrypt) => {
                let iv = course.next_iv.insert(Iv::new(row.mode.iv_size(row.block)));
                if let Err(err) = request.read_source_tail(iv.bytes_mut()) {
                    return request.done(Err(err));
                }
            }
            _ => {}
        }
        loop {
            let mut head = 0;
            let (reason, err, back) = match send(request, row, &course, padding, &mut head) {
                Ok(answer) => return answer,
                Err(refused) => refused,
            };
            request = back;
            // The caller did not want to wait, and is to know that it would have had to.
            if err == ENOSPC && course.done == 0 {
                return request.done(Err(ENOSPC));
            }
            if head == 0 || course.done != 0 {
                return course.answer(request, reason);
            }
            // The first part of a request that is too long for the device runs on the fallback.
            request.tfm().fall_back(Reason::TooLong);
            let mut rest = Iv::of(&[request.iv()]);
            if let Err(err) = request.run_fallback_prefix(direction, head, rest.bytes_mut()) {
                return request.done(Err(err));
            }
            course.done = head;
            course.iv = Some(rest);
        }
    }
}

/// The most bytes of a request besides the data that count against a device's `max_size`, halved or not.
// CAST: The sizes are small.
const MAX_EXTRA: u64 = (MAX_KEY + MAX_IV + MAX_PADDING + data::STATUS) as u64;

/// Sends the rest of a request to a device, after the first `course.done` bytes. If the rest is too
/// long for the device, sets `head` to the number of bytes that the fallback must process first.
///
/// Context: as for [`offload`].
///
/// # Errors
///
/// - `ETIMEDOUT` if no request context of the pool became free;
/// - others as [`offload`] has them.
fn send<'a, const SYNC: bool>(
    request: Request<'a, Flavour<SYNC>>,
    row: &'static Row,
    course: &Course,
    padding: u32,
    head: &mut u32,
) -> Result<Answer, Refused<Request<'a, Flavour<SYNC>>>> {
    let tfm = request.tfm();
    let Some(memory) = request.memory(|| tfm.timeout()) else {
        return Err((Reason::NoRoom, ETIMEDOUT, request));
    };
    let left = request.len() - course.done;
    let plan = |binding: &Binding| {
        let max_size = binding.device().config().max_size();
        // Most requests are far from the limit.
        if u64::from(left) < (max_size / 2).saturating_sub(MAX_EXTRA) {
            return Ok(());
        }
        let iv_size = row.mode.iv_size(row.block);
        let room = data::cipher_room(binding.key().len(), iv_size, max_size);
        match row.mode.head(row.block, left, padding, room) {
            Some(0) => Ok(()),
            Some(first) => {
                *head = first;
                Err(Reason::TooLong)
            }
            None => Err(Reason::TooLong),
        }
    };
    offload(
        request,
        course.direction,
        plan,
        |request, limits, binding, ()| {
            request.build(memory, limits, |builder| {
                write_header(builder, binding, row, course.direction, left + padding);
                match &course.iv {
                    Some(iv) => builder.read(iv.bytes()),
                    None => builder.iv(),
                }
                builder.source(course.done);
                // CAST: Less than a block.
                let padding = &[0; MAX_PADDING][..padding as usize];
                builder.read(padding);
                builder.destination(course.done);
                builder.write(padding.len());
                *course
            })
        },
    )
}

/// Appends the fixed-length fields of a request, and its key if the device does not know it.
#[inline]
fn write_header<const SYNC: bool>(
    builder: &mut Builder<'_, Flavour<SYNC>, skcipher::Raw>,
    binding: &Binding,
    row: &Row,
    direction: Direction,
    len: u32,
) {
    let (operation, iv_size) = (operation(direction), row.mode.iv_size(row.block));
    match binding {
        Binding::Session(session) => builder.read_value(CipherRequest::new(
            session.device().features().revision(),
            row.cipher,
            operation,
            session.id(),
            iv_size,
            len,
        )),
        Binding::Stateless(_, key) => {
            let key = key.bytes();
            // CAST: A key has `MAX_KEY` bytes at most.
            let key_len = key.len() as u32;
            let request = StatelessCipherRequest::new(row.cipher, operation, key_len, iv_size, len);
            builder.read_value(request);
            builder.read_secret(key);
        }
    }
}
