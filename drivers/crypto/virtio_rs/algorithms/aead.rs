// SPDX-License-Identifier: GPL-2.0

//! Authenticated encryption: how it is registered, and what a request goes through, whichever
//! service of the device does it.
//!
//! A [`Method`] is the service's part: its keys, nonces and requests. There are two: the service
//! of that name ([`service`]), and the chaining of a cipher and a MAC
//! ([`authenc`](super::authenc)).

mod service;
mod transform;

use self::transform::Transform;
use super::{
    fallback::Reason,
    iv::Iv,
    keyed::Verdict,
    offload::offload,
    operation,
    Devices,
    Place, //
};
use crate::{
    crypto::{
        aead,
        aead::{
            Algorithm,
            FallbackTfm, //
            Lengths,
            Request,
        },
        algorithm::{
            Names,
            Registration, //
        },
        Answer,
        AnyArea,
        Builder,
        Direction,
        Finish,
        Key,
        Offload,
        Outcome, //
    },
    support::{
        secret,
        secret::ShortSecret, //
    },
    transport::{
        dataq,
        device::Device,
        key::Binding,
        session::Session, //
    },
    wire::{
        algorithm::Operation,
        config::Config,
        data,
        feature::Revision, //
    },
};
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    sync::Arc, //
};

pub(super) use self::service::{
    algorithm,
    try_session,
    TABLE, //
};

/// The longest keys that are sent along with a request, in bytes: of AES and of a MAC.
pub(super) const MAX_KEY: usize = 32 + 64;

/// The longest tag of any algorithm in bytes.
pub(super) const MAX_TAG: usize = 64;

/// How many bytes can be missing in a block at most.
pub(super) const MAX_PADDING: usize = 15;

/// How many segments of a request fit that are not the consumer's own. Those of the associated data
/// always count, those of source and destination where the consumer's list does not end with them.
pub(super) const ENTRIES: usize = 16;

/// An algorithm the driver knows. Sizes are in bytes.
pub(super) struct Row<M> {
    /// What the crypto framework calls it.
    pub(super) name: &'static CStr,
    /// What the asynchronous flavour is called.
    pub(super) driver_name: &'static CStr,
    /// What the synchronous flavour is called.
    pub(super) sync_driver_name: &'static CStr,
    pub(super) block_size: u32,
    pub(super) chunk_size: u32,
    pub(super) iv_size: u32,
    pub(super) max_tag: u32,
    pub(super) method: M,
}

/// The keys of a device's session.
#[derive(Clone, Copy, Default)]
pub(super) struct Keys<'a> {
    pub(super) cipher: &'a [u8],
    /// Empty if one key is for all.
    pub(super) auth: &'a [u8],
}

/// What of a consumer's key is not the device's, but goes into the nonce; zeros if there is none.
pub(super) type Salt = [u8; 4];

/// What a device gets of a request. Lengths are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    /// The IV as the device wants it.
    pub(super) iv: Iv,
    /// How much of the associated data, from its beginning on.
    pub(super) aad: u32,
    pub(super) text: u32,
    /// How many zeros behind the text, to be ciphered with it.
    pub(super) padding: u32,
    pub(super) tag: u32,
}

/// What of a request's data a device gets, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cut {
    /// How much of the associated data, from its beginning on.
    aad: u32,
    /// Whether the associated data comes before the source, or behind it.
    aad_first: bool,
    /// How much of the source behind the associated data.
    src: u32,
    /// How much of the destination behind the associated data.
    dst: u32,
}

impl Plan {
    /// Returns what of the consumer's data it takes.
    fn cut(&self, direction: Direction, tag_in_data: bool, aad_first: bool) -> Cut {
        let tag_at = |end| {
            if tag_in_data && direction == end {
                self.tag
            } else {
                0
            }
        };
        Cut {
            aad: self.aad,
            aad_first,
            src: self.text.saturating_add(tag_at(Direction::Decrypt)),
            dst: self.text.saturating_add(tag_at(Direction::Encrypt)),
        }
    }
}

/// How a request gets to a device.
pub(super) enum Via {
    /// In the session of that number.
    Session(Revision, u64),
    /// With its keys.
    Stateless,
}

impl Via {
    fn new(binding: &Binding) -> Self {
        match binding {
            Binding::Session(session) => {
                Self::Session(session.device().features().revision(), session.id())
            }
            Binding::Stateless(..) => Self::Stateless,
        }
    }
}

/// How a device does authenticated encryption.
pub(super) trait Method: Send + Sync + Sized + 'static {
    /// The memory of a request that the device uses.
    type Area: AnyArea;

    /// Whether the tag is the end of the data, and verified by the device. If not it is a result of
    /// its own, behind the padding, and compared by the driver.
    const TAG_IN_DATA: bool;

    /// What the priority of the algorithms is multiplied with.
    const RANK: i32;

    /// Takes a consumer's key apart; returns nothing if it has not the right form.
    fn take_apart<'k>(&self, key: &'k Key<'_>) -> Option<(Keys<'k>, Salt)>;

    /// Returns true if a device takes keys of these lengths.
    fn takes(&self, config: &Config, keys: &Keys<'_>) -> bool;

    /// Creates a session.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a key is longer than the device takes. Others as [`Session::create`] has them.
    fn create(
        &self,
        device: &Arc<Device>,
        operation: Operation,
        keys: &Keys<'_>,
        tag: u32,
    ) -> Result<Session>;

    /// Says what a device gets of a request; nothing if it cannot do it, or if it is to be refused:
    /// software knows best with which error.
    fn plan(&self, lengths: &Lengths, iv: &Iv, salt: Salt) -> Option<Plan>;

    /// Returns true if the associated data comes before the source.
    fn has_aad_first(via: &Via) -> bool;

    /// Appends the fixed-length fields of a request, and its keys if the device does not know them.
    fn write_header<A: Offload>(
        &self,
        builder: &mut Builder<'_, A, A::Raw>,
        via: &Via,
        operation: Operation,
        keys: &Keys<'_>,
        plan: &Plan,
    );
}

/// Registers both flavours of a row of a table.
///
/// # Errors
///
/// As the crypto framework has them; none is registered then.
pub(super) fn register<M: Method>(
    table: &'static [Row<M>],
    place: Place,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<KVec<Registration>> {
    let row = table.get(place.row).ok_or(EINVAL)?;
    let mut registrations = KVec::with_capacity(2, GFP_KERNEL)?;
    registrations.push(
        register_flavour::<M, false>(row, place, devices, module)?,
        GFP_KERNEL,
    )?;
    registrations.push(
        register_flavour::<M, true>(row, place, devices, module)?,
        GFP_KERNEL,
    )?;
    Ok(registrations)
}

fn register_flavour<M: Method, const SYNC: bool>(
    row: &'static Row<M>,
    place: Place,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<Registration> {
    let description = aead::Description {
        names: Names {
            name: row.name,
            driver_name: if SYNC {
                row.sync_driver_name
            } else {
                row.driver_name
            },
            priority: devices.settings.priority(SYNC).saturating_mul(M::RANK),
            block_size: row.block_size,
        },
        iv_size: row.iv_size,
        max_auth_size: row.max_tag,
        chunk_size: row.chunk_size,
    };
    let data = Offer {
        row,
        place,
        devices: devices.clone(),
    };
    aead::register::<Flavour<M, SYNC>>(&description, data, module)
}

/// What all transforms of an algorithm share.
pub(super) struct Offer<M: Method> {
    row: &'static Row<M>,
    place: Place,
    devices: Arc<Devices>,
}

/// One of the two ways an algorithm is offered: `SYNC` answers before the call returns.
pub(super) struct Flavour<M, const SYNC: bool>(PhantomData<M>);

/// Has software do a request.
fn fall_back<M: Method, const SYNC: bool>(
    request: Request<'_, Flavour<M, SYNC>>,
    reason: Reason,
    direction: Direction,
) -> Answer {
    request.tfm().fall_back(reason);
    request.run_fallback(direction)
}

/// What is kept with a request that a device has.
pub(super) struct State {
    direction: Direction,
    lengths: Lengths,
    padding: u32,
}

impl<M: Method, const SYNC: bool> Offload for Flavour<M, SYNC> {
    type Raw = aead::Raw;
    type Tfm = Transform<M>;
    type State = State;
    type Private = dataq::Private;
    type Area = M::Area;

    const SYNCHRONOUS: bool = SYNC;

    fn finish(state: &State, request: &Request<'_, Self>, outcome: &Outcome<'_>) -> Finish {
        let lengths = &state.lengths;
        let decrypts = state.direction == Direction::Decrypt;
        // The device verifies tags where they are part of the data.
        let is_answer = |err| M::TAG_IN_DATA && decrypts && err == EBADMSG;
        let verdict = Verdict::of(outcome, is_answer);
        let result = match verdict {
            Verdict::Done if M::TAG_IN_DATA => Ok(()),
            Verdict::Done => state.see_to_tag(request, outcome),
            Verdict::Software => return Finish::Fallback,
            Verdict::Failed(err) => Err(err),
        };
        if decrypts && result == Err(EBADMSG) {
            request.wipe_text(lengths);
        }
        Finish::Done(result)
    }

    fn fall_back(state: State, mut request: Request<'_, Self>) -> Option<Result> {
        request.tfm().fall_back(Reason::DeviceFailed);
        Some(request.run_fallback_atomic(state.direction))
    }
}

impl State {
    /// Puts the tag that the device has made where it belongs, or compares it with what is there.
    ///
    /// # Errors
    ///
    /// `EBADMSG`: it is another.
    fn see_to_tag<M: Method, const SYNC: bool>(
        &self,
        request: &Request<'_, Flavour<M, SYNC>>,
        outcome: &Outcome<'_>,
    ) -> Result {
        // CAST: Both targets of this driver have 32 bits at least.
        let (padding, len) = (self.padding as usize, self.lengths.tag as usize);
        let mut tag = ShortSecret::<MAX_TAG>::new(&[0; MAX_TAG]);
        let tag = tag.bytes_mut().get_mut(..len).ok_or(EINVAL)?;
        outcome.copy_results(padding, tag)?;
        match self.direction {
            Direction::Encrypt => request.write_tag(&self.lengths, tag),
            Direction::Decrypt => {
                let mut theirs = [0; MAX_TAG];
                let theirs = theirs.get_mut(..len).ok_or(EINVAL)?;
                request.read_tag(&self.lengths, theirs)?;
                secret::are_equal(tag, theirs).then_some(()).ok_or(EBADMSG)
            }
        }
    }
}

impl<M: Method, const SYNC: bool> Algorithm for Flavour<M, SYNC> {
    type Data = Offer<M>;

    fn init(offer: &Offer<M>) -> Result<Transform<M>> {
        Transform::new(offer)
    }

    fn fallback(transform: &Transform<M>) -> &FallbackTfm {
        transform.fallback()
    }

    fn set_key(transform: &Transform<M>, key: &Key<'_>) -> Result {
        transform.set_key(key)
    }

    fn set_auth_size(transform: &Transform<M>, size: u32) -> Result {
        transform.set_auth_size(size)
    }

    fn crypt(request: Request<'_, Self>, direction: Direction) -> Answer {
        // Whatever the device cannot do, or not for this request, software does.
        if SYNC && !request.may_sleep() {
            return fall_back(request, Reason::MayNotSleep, direction);
        }
        let lengths = match request.lengths(direction) {
            Ok(lengths) => lengths,
            Err(err) => return request.done(Err(err)),
        };
        let row = request.tfm().row();
        let mut iv = Iv::new(row.iv_size);
        if let Err(err) = request.read_iv(iv.bytes_mut()) {
            return request.done(Err(err));
        }
        let salt = request.tfm().salt();
        let Some(plan) = row.method.plan(&lengths, &iv, salt) else {
            return fall_back(request, Reason::Form, direction);
        };
        let key_lengths = request.tfm().variant();
        let check = |binding: &Binding| {
            let via = Via::new(binding);
            let cut = plan.cut(direction, M::TAG_IN_DATA, M::has_aad_first(&via));
            let digest = if M::TAG_IN_DATA { 0 } else { plan.tag };
            let sizes = [
                // CAST: IV and keys are short.
                plan.iv.bytes().len() as u32,
                binding.key().len() as u32,
                cut.aad,
                cut.src,
                cut.dst,
                plan.padding,
                plan.padding,
                digest,
            ];
            data::fits(&sizes, binding.device().config().max_size())
                .then_some((via, cut, digest))
                .ok_or(Reason::TooLong)
        };
        let sent = offload(
            request,
            direction,
            check,
            |request, limits, binding, (via, cut, digest)| {
                request.build(limits, |builder| {
                    let keys = key_lengths.split(binding.key());
                    row.method
                        .write_header(builder, &via, operation(direction), &keys, &plan);
                    if salt == Salt::default() {
                        builder.read(plan.iv.bytes());
                    } else {
                        // The salt is a part of the key.
                        builder.read_secret(plan.iv.bytes());
                    }
                    if cut.aad_first {
                        builder.aad(cut.aad);
                    }
                    builder.source(cut.src);
                    // CAST: Less than a block.
                    let padding = &[0; MAX_PADDING][..plan.padding as usize];
                    builder.read(padding);
                    if !cut.aad_first {
                        builder.aad(cut.aad);
                    }
                    builder.destination(cut.dst);
                    builder.write(padding.len());
                    // CAST: A digest is short.
                    builder.write(digest as usize);
                    State {
                        direction,
                        lengths,
                        padding: plan.padding,
                    }
                })
            },
        );
        match sent {
            Ok(answer) => answer,
            // The consumer did not want to wait, and is to know that it would have had to. Software
            // would let the request overtake others, which IPsec takes for an attack.
            Err((_, err, request)) if err == ENOSPC => request.done(Err(ENOSPC)),
            Err((reason, _, request)) => fall_back(request, reason, direction),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_aead)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        iv: Iv::EMPTY,
        aad: 20,
        text: 100,
        padding: 12,
        tag: 16,
    };

    #[test]
    fn a_tag_in_the_data_is_read_to_decrypt_and_written_to_encrypt() {
        let cut = PLAN.cut(Direction::Encrypt, true, false);
        assert_eq!((cut.src, cut.dst), (100, 116));
        let cut = PLAN.cut(Direction::Decrypt, true, false);
        assert_eq!((cut.src, cut.dst), (116, 100));
        assert_eq!((cut.aad, cut.aad_first), (20, false));
    }

    #[test]
    fn a_tag_of_its_own_is_not_in_the_data() {
        for direction in [Direction::Encrypt, Direction::Decrypt] {
            let cut = PLAN.cut(direction, false, true);
            assert_eq!((cut.src, cut.dst), (100, 100));
            assert!(cut.aad_first);
        }
    }
}
