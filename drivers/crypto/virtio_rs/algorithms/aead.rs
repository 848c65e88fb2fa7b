// SPDX-License-Identifier: GPL-2.0

//! AEAD: registration and request processing.
//!
//! Two services of a device implement AEADs: the AEAD service ([`service`]), and the cipher service
//! by algorithm chaining of a cipher and a MAC ([`authenc`](super::authenc)). For each service, an
//! implementation of [`Method`] converts keys, nonces and requests to the device's format.

mod service;
mod tfm;

use self::tfm::AeadTfm;
use super::{
    fallback_stats::FallbackReason,
    iv::Iv,
    offload::{
        offload,
        Disposition, //
    },
    operation,
    AlgorithmId,
    Devices, //
};
use crate::{
    crypto::{
        aead,
        aead::{
            Algorithm,
            FallbackTfm,
            Lengths,
            Request, //
        },
        algorithm::{
            AlgorithmInfo,
            Registration, //
        },
        AnyArea,
        Builder,
        DeviceResult,
        Direction,
        Finish,
        Key,
        Offload,
        ReturnCode, //
    },
    support::{
        secret,
        secret::StackSecret, //
    },
    transport::{
        dataq,
        device::Device,
        session::{
            Binding,
            Session, //
        }, //
    },
    wire::{
        algorithm::Operation,
        config::Config,
        data,
        feature::Layout, //
    },
};
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    sync::Arc, //
};

pub(super) use self::service::{
    algorithm,
    create_test_session,
    TABLE, //
};

/// Maximum total length of the keys in a stateless request, in bytes: an AES key and a MAC key.
pub(super) const MAX_KEY: usize = 32 + 64;

/// Longest tag of any algorithm in bytes.
pub(super) const MAX_TAG: usize = 64;

/// Maximum padding in bytes: one less than the largest block.
pub(super) const MAX_PADDING: usize = 15;

/// Number of scatterlist entries in the request context. Parameters, results and AAD segments
/// always need entries. Source and destination segments only need entries if the caller's list
/// contains further data after them.
pub(super) const ENTRIES: usize = 16;

/// An AEAD. Sizes are in bytes.
pub(super) struct Row<M> {
    /// Name in the crypto API.
    pub(super) name: &'static CStr,
    /// Driver name of the asynchronous variant.
    pub(super) driver_name: &'static CStr,
    /// Driver name of the synchronous variant.
    pub(super) sync_driver_name: &'static CStr,
    pub(super) block_size: u32,
    pub(super) chunk_size: u32,
    pub(super) iv_size: u32,
    pub(super) max_tag: u32,
    pub(super) method: M,
}

/// The keys of a session.
#[derive(Clone, Copy, Default)]
pub(super) struct Keys<'a> {
    pub(super) cipher: &'a [u8],
    /// Empty if the algorithm has a single key.
    pub(super) auth: &'a [u8],
}

/// The last bytes of the caller's key, if they are the beginning of the nonce and not a key for the
/// device. Zeros if the algorithm has no salt.
pub(super) type Salt = [u8; 4];

/// Parameters of a device request. Lengths are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct AeadPlan {
    /// The IV in the device's format.
    pub(super) iv: Iv,
    /// Length of the AAD for the device, which is a prefix of the caller's AAD.
    pub(super) aad: u32,
    /// Length of the plaintext or ciphertext, without tag and padding.
    pub(super) text: u32,
    /// Number of zero bytes after the text. The device processes them together with the text.
    pub(super) padding: u32,
    pub(super) tag: u32,
}

/// Ranges of the caller's data in a device request. Lengths are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct DataLayout {
    /// Length of the AAD.
    aad: u32,
    /// True if the AAD precedes the source, false if it follows the source.
    aad_before_src: bool,
    /// Length of the source after the AAD.
    src: u32,
    /// Length of the destination after the AAD.
    dst: u32,
}

impl AeadPlan {
    /// Returns the ranges of the caller's data that the device gets. `tag_in_data` is
    /// [`Method::TAG_IN_DATA`].
    fn data_layout(
        &self,
        direction: Direction,
        tag_in_data: bool,
        aad_before_src: bool,
    ) -> DataLayout {
        let tag_if = |tagged_direction| {
            if tag_in_data && direction == tagged_direction {
                self.tag
            } else {
                0
            }
        };
        DataLayout {
            aad: self.aad,
            aad_before_src,
            src: self.text.saturating_add(tag_if(Direction::Decrypt)),
            dst: self.text.saturating_add(tag_if(Direction::Encrypt)),
        }
    }
}

/// How a device request refers to its keys.
pub(super) enum KeyMode {
    /// The request has the device's layout and names the session with this ID.
    Session(Layout, u64),
    /// The request carries its keys.
    Stateless,
}

impl KeyMode {
    /// Returns the key mode of requests that use `binding`.
    fn new(binding: &Binding) -> Self {
        match binding {
            Binding::Session(session) => {
                Self::Session(session.device().features().layout(), session.id())
            }
            Binding::Stateless(..) => Self::Stateless,
        }
    }
}

/// The implementation of an AEAD with one device service.
pub(super) trait Method: Send + Sync + Sized + 'static {
    /// Part of the request context that the device accesses.
    type Area: AnyArea;

    /// True if the tag follows the data and the device verifies it. Otherwise the device writes the
    /// tag as a separate result after the padding, and the driver compares the tags.
    const TAG_IN_DATA: bool;

    /// Factor by which the priority of the algorithms is multiplied.
    const PRIORITY_FACTOR: i32;

    /// Splits the caller's key into device keys and salt. Returns `None` if the key is malformed.
    fn split_key<'k>(&self, key: &'k Key<'_>) -> Option<(Keys<'k>, Salt)>;

    /// Returns true if a device supports the lengths of the keys.
    fn supports_keys(&self, config: &Config, keys: &Keys<'_>) -> bool;

    /// Creates a session.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the device does not support the length of a key;
    /// - other errors of [`Session::create`].
    fn create_session(
        &self,
        device: &Arc<Device>,
        operation: Operation,
        keys: &Keys<'_>,
        tag: u32,
    ) -> Result<Session>;

    /// Returns the parameters of the device request. Returns `None` if the request is invalid or
    /// devices do not support it. The request then runs on the fallback, which returns the error
    /// for an invalid request.
    fn plan(&self, lengths: &Lengths, iv: &Iv, salt: Salt) -> Option<AeadPlan>;

    /// Returns true if the AAD precedes the source in the device request.
    fn aad_before_src(key_mode: &KeyMode) -> bool;

    /// Appends the fixed-length fields of a request and, in stateless mode, its keys.
    fn write_header<A: Offload>(
        &self,
        builder: &mut Builder<'_, A, A::Raw>,
        key_mode: &KeyMode,
        operation: Operation,
        keys: &Keys<'_>,
        plan: &AeadPlan,
    );
}

/// Registers both variants of a row of `table`, or none of them.
///
/// # Errors
///
/// - `EINVAL` if `id` names no row of `table`;
/// - other errors of [`aead::register`].
pub(super) fn register<M: Method>(
    table: &'static [Row<M>],
    id: AlgorithmId,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<KVec<Registration>> {
    let row = table.get(id.row).ok_or(EINVAL)?;
    let mut registrations = KVec::with_capacity(2, GFP_KERNEL)?;
    registrations.push(
        register_variant::<M, false>(row, id, devices, module)?,
        GFP_KERNEL,
    )?;
    registrations.push(
        register_variant::<M, true>(row, id, devices, module)?,
        GFP_KERNEL,
    )?;
    Ok(registrations)
}

fn register_variant<M: Method, const SYNC: bool>(
    row: &'static Row<M>,
    id: AlgorithmId,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<Registration> {
    let description = aead::Description {
        info: AlgorithmInfo {
            name: row.name,
            driver_name: if SYNC {
                row.sync_driver_name
            } else {
                row.driver_name
            },
            priority: devices
                .settings
                .priority(SYNC)
                .saturating_mul(M::PRIORITY_FACTOR),
            block_size: row.block_size,
        },
        iv_size: row.iv_size,
        max_auth_size: row.max_tag,
        chunk_size: row.chunk_size,
    };
    let data = AeadAlgData {
        row,
        id,
        devices: devices.clone(),
    };
    aead::register::<AeadAlgorithm<M, SYNC>>(&description, data, module)
}

/// Data that all transforms of an AEAD share.
pub(super) struct AeadAlgData<M: Method> {
    row: &'static Row<M>,
    id: AlgorithmId,
    devices: Arc<Devices>,
}

/// A variant of an AEAD: synchronous if `SYNC` is true, otherwise asynchronous.
pub(super) struct AeadAlgorithm<M, const SYNC: bool>(PhantomData<M>);

/// Runs a request on the fallback transform, and counts the request.
fn fall_back<M: Method, const SYNC: bool>(
    request: Request<'_, AeadAlgorithm<M, SYNC>>,
    reason: FallbackReason,
    direction: Direction,
) -> ReturnCode {
    request.tfm().count_fallback(reason);
    request.run_fallback(direction)
}

/// Data that the driver keeps with a request in flight.
pub(super) struct AeadRequestData {
    direction: Direction,
    lengths: Lengths,
    padding: u32,
}

impl<M: Method, const SYNC: bool> Offload for AeadAlgorithm<M, SYNC> {
    type Raw = aead::Raw;
    type Tfm = AeadTfm<M>;
    type State = AeadRequestData;
    type Private = dataq::Private;
    type Area = M::Area;

    const SYNCHRONOUS: bool = SYNC;

    fn finalize(
        data: &AeadRequestData,
        request: &Request<'_, Self>,
        outcome: &DeviceResult<'_>,
    ) -> Finish {
        let lengths = &data.lengths;
        let is_decrypt = data.direction == Direction::Decrypt;
        // `EBADMSG` is only a result if the device verifies the tag.
        let is_result = |err| M::TAG_IN_DATA && is_decrypt && err == EBADMSG;
        let disposition = Disposition::of(outcome, is_result);
        let result = match disposition {
            Disposition::Done if M::TAG_IN_DATA => Ok(()),
            Disposition::Done => data.write_or_check_tag(request, outcome),
            Disposition::Fallback => return Finish::Fallback,
            Disposition::Failed(err) => Err(err),
        };
        if is_decrypt && result == Err(EBADMSG) {
            request.wipe_text(lengths);
        }
        Finish::Done(result)
    }

    fn fall_back(data: AeadRequestData, mut request: Request<'_, Self>) -> Option<Result> {
        request.tfm().count_fallback(FallbackReason::DeviceError);
        Some(request.run_fallback_atomic(data.direction))
    }
}

impl AeadRequestData {
    /// Handles the tag that the device has computed: writes it to the destination of an encryption,
    /// or compares it with the tag in the source of a decryption.
    ///
    /// # Errors
    ///
    /// - `EBADMSG` if the tags differ;
    /// - `EINVAL` if the source or the destination has no space for the tag.
    fn write_or_check_tag<M: Method, const SYNC: bool>(
        &self,
        request: &Request<'_, AeadAlgorithm<M, SYNC>>,
        outcome: &DeviceResult<'_>,
    ) -> Result {
        // CAST: `usize` has at least 32 bits on the supported architectures.
        let (padding, len) = (self.padding as usize, self.lengths.tag as usize);
        let mut tag = StackSecret::<MAX_TAG>::new(&[0; MAX_TAG]);
        let tag = tag.bytes_mut().get_mut(..len).ok_or(EINVAL)?;
        outcome.copy_results(padding, tag)?;
        match self.direction {
            Direction::Encrypt => request.write_tag(&self.lengths, tag),
            Direction::Decrypt => {
                let mut expected = [0; MAX_TAG];
                let expected = expected.get_mut(..len).ok_or(EINVAL)?;
                request.read_tag(&self.lengths, expected)?;
                secret::constant_time_eq(tag, expected)
                    .then_some(())
                    .ok_or(EBADMSG)
            }
        }
    }
}

impl<M: Method, const SYNC: bool> Algorithm for AeadAlgorithm<M, SYNC> {
    type Data = AeadAlgData<M>;

    fn init(data: &AeadAlgData<M>) -> Result<AeadTfm<M>> {
        AeadTfm::new(data)
    }

    fn fallback(tfm: &AeadTfm<M>) -> &FallbackTfm {
        tfm.fallback()
    }

    fn set_key(tfm: &AeadTfm<M>, key: &Key<'_>) -> Result {
        tfm.set_key(key)
    }

    fn set_auth_size(tfm: &AeadTfm<M>, size: u32) -> Result {
        tfm.set_auth_size(size)
    }

    fn crypt(request: Request<'_, Self>, direction: Direction) -> ReturnCode {
        // The synchronous variant sleeps until the device has completed the request.
        if SYNC && !request.may_sleep() {
            return fall_back(request, FallbackReason::CannotSleep, direction);
        }
        let lengths = match request.lengths(direction) {
            Ok(lengths) => lengths,
            Err(err) => return request.done(Err(err)),
        };
        let row = request.tfm().row();
        let mut iv = Iv::zeroed(row.iv_size);
        if let Err(err) = request.read_iv(iv.bytes_mut()) {
            return request.done(Err(err));
        }
        let salt = request.tfm().salt();
        let Some(plan) = row.method.plan(&lengths, &iv, salt) else {
            return fall_back(request, FallbackReason::Unsupported, direction);
        };
        let params = request.tfm().session_params();
        let check = |binding: &Binding| {
            let key_mode = KeyMode::new(binding);
            let layout = plan.data_layout(direction, M::TAG_IN_DATA, M::aad_before_src(&key_mode));
            let separate_tag = if M::TAG_IN_DATA { 0 } else { plan.tag };
            let sizes = [
                // CAST: IV and keys have at most a few hundred bytes.
                plan.iv.bytes().len() as u32,
                binding.key().len() as u32,
                layout.aad,
                layout.src,
                layout.dst,
                // Padding of the source and of the destination.
                plan.padding,
                plan.padding,
                separate_tag,
            ];
            data::fits_max_size(&sizes, binding.device().config().max_size())
                .then_some((key_mode, layout, separate_tag))
                .ok_or(FallbackReason::TooLong)
        };
        let sent = offload(
            request,
            direction,
            check,
            |request, limits, binding, (key_mode, layout, separate_tag)| {
                request.build(limits, |builder| {
                    let keys = params.split_keys(binding.key());
                    row.method
                        .write_header(builder, &key_mode, operation(direction), &keys, &plan);
                    if salt == Salt::default() {
                        builder.read(plan.iv.bytes());
                    } else {
                        // The IV contains the salt, which is part of the caller's key. The copy of
                        // a secret is wiped after the request.
                        builder.read_secret(plan.iv.bytes());
                    }
                    if layout.aad_before_src {
                        builder.aad(layout.aad);
                    }
                    builder.source(layout.src);
                    // CAST: The padding is shorter than a block.
                    let padding = &[0; MAX_PADDING][..plan.padding as usize];
                    builder.read(padding);
                    if !layout.aad_before_src {
                        builder.aad(layout.aad);
                    }
                    builder.destination(layout.dst);
                    builder.write(padding.len());
                    // CAST: A tag has at most `MAX_TAG` bytes.
                    builder.write(separate_tag as usize);
                    AeadRequestData {
                        direction,
                        lengths,
                        padding: plan.padding,
                    }
                })
            },
        );
        match sent {
            Ok(return_code) => return_code,
            // The ring is full and the request may not be backlogged. On the fallback, the request
            // would complete before earlier requests. IPsec drops reordered packets as replays.
            Err((_, err, request)) if err == ENOSPC => request.done(Err(ENOSPC)),
            Err((reason, _, request)) => fall_back(request, reason, direction),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_aead)]
mod tests {
    use super::*;

    const PLAN: AeadPlan = AeadPlan {
        iv: Iv::EMPTY,
        aad: 20,
        text: 100,
        padding: 12,
        tag: 16,
    };

    #[test]
    fn tag_in_data_extends_src_or_dst() {
        let layout = PLAN.data_layout(Direction::Encrypt, true, false);
        assert_eq!((layout.src, layout.dst), (100, 116));
        let layout = PLAN.data_layout(Direction::Decrypt, true, false);
        assert_eq!((layout.src, layout.dst), (116, 100));
        assert_eq!((layout.aad, layout.aad_before_src), (20, false));
    }

    #[test]
    fn separate_tag_does_not_extend_data() {
        for direction in [Direction::Encrypt, Direction::Decrypt] {
            let layout = PLAN.data_layout(direction, false, true);
            assert_eq!((layout.src, layout.dst), (100, 100));
            assert!(layout.aad_before_src);
        }
    }
}
