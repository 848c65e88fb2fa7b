// SPDX-License-Identifier: GPL-2.0

//! Symmetric ciphers: registration and request processing.

mod mode;
mod table;
mod tfm;

use self::{
    mode::{
        Dispatch,
        Mode,
        MAX_PADDING, //
    },
    table::{
        Row,
        MAX_KEY, //
    },
    tfm::SkcipherTfm, //
};
use super::{
    fallback_stats::FallbackReason,
    iv::{
        Iv,
        MAX_IV, //
    },
    offload::{
        offload,
        Disposition,
        Unsent, //
    },
    operation,
    AlgorithmId,
    Devices, //
};
use crate::{
    crypto::{
        algorithm::{
            AlgorithmInfo,
            Registration, //
        },
        skcipher,
        skcipher::{
            Algorithm,
            FallbackTfm,
            Pool,
            Request, //
        },
        Area,
        Builder,
        DeviceResult,
        Direction,
        Finish,
        Key,
        Offload,
        ReturnCode, //
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
    create_test_session,
    test_key,
    TABLE, //
};

/// Creates a session for a cipher.
///
/// # Errors
///
/// - `EINVAL` if the device does not support the length of the key;
/// - other errors of [`Session::create`].
fn create_session(
    device: &Arc<Device>,
    cipher: Cipher,
    operation: Operation,
    key: &[u8],
) -> Result<Session> {
    if !device.config().supports_cipher_key_len(key.len()) {
        return Err(EINVAL);
    }
    let len = u32::try_from(key.len())?;
    let request = CreateCipher::new(cipher, operation, len);
    Session::create(device, Service::Cipher, request.as_bytes(), key)
}

/// Registers both variants of a row, or none of them.
///
/// # Errors
///
/// - `EINVAL` if `id` names no row;
/// - other errors of [`skcipher::register`].
pub(super) fn register(
    id: AlgorithmId,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<KVec<Registration>> {
    let row = TABLE.get(id.row).ok_or(EINVAL)?;
    let mut registrations = KVec::with_capacity(2, GFP_KERNEL)?;
    registrations.push(
        register_variant::<false>(row, id, devices, module)?,
        GFP_KERNEL,
    )?;
    registrations.push(
        register_variant::<true>(row, id, devices, module)?,
        GFP_KERNEL,
    )?;
    Ok(registrations)
}

fn register_variant<const SYNC: bool>(
    row: &'static Row,
    id: AlgorithmId,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<Registration> {
    let description = skcipher::Description {
        info: AlgorithmInfo {
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
    let data = SkcipherAlgData {
        row,
        id,
        devices: devices.clone(),
    };
    skcipher::register::<SkcipherAlgorithm<SYNC>>(&description, data, module)
}

/// Data that all transforms of a cipher share.
pub(super) struct SkcipherAlgData {
    row: &'static Row,
    id: AlgorithmId,
    devices: Arc<Devices>,
}

/// A variant of a cipher: synchronous if `SYNC` is true, otherwise asynchronous.
pub(super) struct SkcipherAlgorithm<const SYNC: bool>;

/// Runs a request on the fallback transform, and counts the request.
fn fall_back<const SYNC: bool>(
    request: Request<'_, SkcipherAlgorithm<SYNC>>,
    reason: FallbackReason,
    direction: Direction,
) -> ReturnCode {
    request.tfm().count_fallback(reason);
    request.run_fallback(direction)
}

/// Parameters of a request. The driver keeps them while the request is in flight.
#[derive(Clone, Copy)]
pub(super) struct CryptParams {
    mode: Mode,
    direction: Direction,
    /// Bytes at the start of the request that the fallback has processed. The device gets the rest.
    fallback_len: u32,
    /// IV for the device, if the fallback has processed the first part. `None` if the device gets
    /// the whole request and the caller's IV.
    iv: Option<Iv>,
    /// IV for the caller's next request, if it is determined before the device processes this
    /// request.
    next_iv: Option<Iv>,
}

impl CryptParams {
    /// Writes the IV for the caller's next request, after the device has completed this request.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the destination is shorter than a block.
    fn set_next_iv<const SYNC: bool>(
        &self,
        request: &Request<'_, SkcipherAlgorithm<SYNC>>,
    ) -> Result {
        match (self.mode, self.next_iv) {
            (_, Some(iv)) => request.set_iv(iv.bytes()),
            (Mode::Cbc, None) => request.set_iv_from_destination(),
            // ECB has no IV, and an XTS request cannot be continued. CTR always has `next_iv`.
            (Mode::Ecb | Mode::Xts | Mode::Ctr, None) => Ok(()),
        }
    }

    /// Runs the part of a request that was meant for the device on the fallback, without sleeping.
    ///
    /// # Errors
    ///
    /// The errors of the fallback.
    fn run_fallback<const SYNC: bool>(
        &self,
        request: &mut Request<'_, SkcipherAlgorithm<SYNC>>,
    ) -> Result {
        let Some(mut iv) = self.iv else {
            return request.run_fallback_atomic(self.direction);
        };
        request.run_fallback_suffix(self.direction, self.fallback_len, iv.bytes_mut())?;
        request.set_iv(iv.bytes())
    }

    /// Completes a request that could not be sent: runs the part that was meant for the device on
    /// the fallback. Counts the request.
    fn fall_back<const SYNC: bool>(
        &self,
        mut request: Request<'_, SkcipherAlgorithm<SYNC>>,
        reason: FallbackReason,
    ) -> ReturnCode {
        if self.fallback_len == 0 {
            return fall_back(request, reason, self.direction);
        }
        request.tfm().count_fallback(reason);
        let result = self.run_fallback(&mut request);
        request.done(result)
    }
}

impl<const SYNC: bool> Offload for SkcipherAlgorithm<SYNC> {
    type Raw = skcipher::Raw;
    type Tfm = SkcipherTfm<SYNC>;
    type State = CryptParams;
    type Private = dataq::Private;
    type Area = Area<
        { data::MAX_FIXED_LEN + MAX_KEY + MAX_IV + MAX_PADDING },
        { MAX_PADDING + data::STATUS_LEN },
    >;

    const SYNCHRONOUS: bool = SYNC;

    fn finalize(
        params: &CryptParams,
        request: &Request<'_, Self>,
        outcome: &DeviceResult<'_>,
    ) -> Finish {
        match Disposition::of(outcome, |_| false) {
            Disposition::Done => Finish::Done(params.set_next_iv(request)),
            Disposition::Fallback => Finish::Fallback,
            Disposition::Failed(err) => Finish::Done(Err(err)),
        }
    }

    fn fall_back(params: CryptParams, mut request: Request<'_, Self>) -> Option<Result> {
        request.tfm().count_fallback(FallbackReason::DeviceError);
        Some(params.run_fallback(&mut request))
    }
}

impl<const SYNC: bool> Algorithm for SkcipherAlgorithm<SYNC> {
    type Data = SkcipherAlgData;

    fn init(data: &SkcipherAlgData) -> Result<SkcipherTfm<SYNC>> {
        SkcipherTfm::new(data)
    }

    fn fallback(tfm: &SkcipherTfm<SYNC>) -> &FallbackTfm {
        tfm.fallback()
    }

    fn pool(tfm: &SkcipherTfm<SYNC>) -> Option<&Arc<Pool<Self>>> {
        tfm.pool()
    }

    fn set_key(tfm: &SkcipherTfm<SYNC>, key: &Key<'_>) -> Result {
        tfm.set_key(key)
    }

    fn crypt(mut request: Request<'_, Self>, direction: Direction) -> ReturnCode {
        let row = request.tfm().row();
        let padding = match row.mode.dispatch(row.block, request.len()) {
            Dispatch::Reject => return request.done(Err(EINVAL)),
            Dispatch::Empty => return request.done(Ok(())),
            Dispatch::Fallback => {
                return fall_back(request, FallbackReason::Unsupported, direction)
            }
            Dispatch::Device { padding } => padding,
        };

        // The synchronous variant sleeps until the device has completed the request.
        if SYNC && !request.may_sleep() {
            return fall_back(request, FallbackReason::CannotSleep, direction);
        }
        let mut params = CryptParams {
            mode: row.mode,
            direction,
            fallback_len: 0,
            iv: None,
            next_iv: None,
        };
        match (row.mode, direction) {
            (Mode::Ctr, _) => {
                let iv = params.next_iv.insert(Iv::concat(&[request.iv()]));
                iv.advance_counter(request.len().div_ceil(row.block));
            }
            // The last ciphertext block is the IV for the next request. An in-place request
            // overwrites this block, so copy it first.
            (Mode::Cbc, Direction::Decrypt) => {
                let iv = params
                    .next_iv
                    .insert(Iv::zeroed(row.mode.iv_size(row.block)));
                if let Err(err) = request.read_source_tail(iv.bytes_mut()) {
                    return request.done(Err(err));
                }
            }
            _ => {}
        }
        loop {
            let mut prefix_len = 0;
            let (reason, err, returned) =
                match send(request, row, &params, padding, &mut prefix_len) {
                    Ok(return_code) => return return_code,
                    Err(unsent) => unsent,
                };
            request = returned;
            // The ring is full and the request may not be backlogged. The caller handles `ENOSPC`,
            // for example by repeating the request. If the fallback has processed a prefix in
            // place, the request cannot be repeated. The fallback then completes the request.
            if err == ENOSPC && params.fallback_len == 0 {
                return request.done(Err(ENOSPC));
            }
            if prefix_len == 0 || params.fallback_len != 0 {
                return params.fall_back(request, reason);
            }
            // The request is too long for the device. The fallback processes the first part, and
            // updates the IV for the rest.
            request.tfm().count_fallback(FallbackReason::TooLong);
            let mut iv = Iv::concat(&[request.iv()]);
            if let Err(err) = request.run_fallback_prefix(direction, prefix_len, iv.bytes_mut()) {
                return request.done(Err(err));
            }
            params.fallback_len = prefix_len;
            params.iv = Some(iv);
        }
    }
}

/// Upper bound of the bytes that count towards a device's `max_size`, without source and
/// destination: key, IV, padding and status.
// CAST: The sum is below 256.
const MAX_EXTRA: u64 = (MAX_KEY + MAX_IV + MAX_PADDING + data::STATUS_LEN) as u64;

/// Sends a request to a device, without its first `params.fallback_len` bytes, which the fallback
/// has processed.
///
/// If the rest is too long for the device, returns an error and sets `prefix_len` to the number of
/// bytes that the fallback must process first. If the device cannot process any part of the rest,
/// `prefix_len` stays 0.
///
/// Context: as for [`offload`].
///
/// # Errors
///
/// - `ETIMEDOUT` if no request context of the pool became free in time;
/// - other errors of [`offload`].
fn send<'a, const SYNC: bool>(
    request: Request<'a, SkcipherAlgorithm<SYNC>>,
    row: &'static Row,
    params: &CryptParams,
    padding: u32,
    prefix_len: &mut u32,
) -> Result<ReturnCode, Unsent<Request<'a, SkcipherAlgorithm<SYNC>>>> {
    let tfm = request.tfm();
    let Some(memory) = request.memory(|| tfm.timeout()) else {
        return Err((FallbackReason::RingFull, ETIMEDOUT, request));
    };
    let len = request.len() - params.fallback_len;
    let plan = |binding: &Binding| {
        let max_size = binding.device().config().max_size();
        // Most requests are far below the limit, and this comparison is cheap.
        if u64::from(len) < (max_size / 2).saturating_sub(MAX_EXTRA) {
            return Ok(());
        }
        let iv_size = row.mode.iv_size(row.block);
        let max_len = data::max_cipher_len(binding.key().len(), iv_size, max_size);
        match row.mode.fallback_len(row.block, len, padding, max_len) {
            Some(0) => Ok(()),
            Some(first) => {
                *prefix_len = first;
                Err(FallbackReason::TooLong)
            }
            None => Err(FallbackReason::TooLong),
        }
    };
    offload(
        request,
        params.direction,
        plan,
        |request, limits, binding, ()| {
            request.build(memory, limits, |builder| {
                write_header(builder, binding, row, params.direction, len + padding);
                match &params.iv {
                    Some(iv) => builder.read(iv.bytes()),
                    None => builder.iv(),
                }
                builder.source(params.fallback_len, len);
                // CAST: The padding is shorter than a block.
                let padding = &[0; MAX_PADDING][..padding as usize];
                builder.read(padding);
                builder.destination(params.fallback_len, len);
                builder.write(padding.len());
                *params
            })
        },
    )
}

/// Appends the fixed-length fields of a request and, in stateless mode, its key.
#[inline]
fn write_header<const SYNC: bool>(
    builder: &mut Builder<'_, SkcipherAlgorithm<SYNC>, skcipher::Raw>,
    binding: &Binding,
    row: &Row,
    direction: Direction,
    len: u32,
) {
    let (operation, iv_size) = (operation(direction), row.mode.iv_size(row.block));
    match binding {
        Binding::Session(session) => builder.read_value(CipherRequest::new(
            session.device().features().layout(),
            row.cipher,
            operation,
            session.id(),
            iv_size,
            len,
        )),
        Binding::Stateless(_, key) => {
            let key = key.bytes();
            // CAST: A key of a stateless request has at most `MAX_KEY` bytes.
            let key_len = key.len() as u32;
            let request = StatelessCipherRequest::new(row.cipher, operation, key_len, iv_size, len);
            builder.read_value(request);
            builder.read_secret(key);
        }
    }
}
