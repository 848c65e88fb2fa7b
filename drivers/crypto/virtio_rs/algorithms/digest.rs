// SPDX-License-Identifier: GPL-2.0

//! Hashes and MACs: registration and request processing.

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
    fallback_stats::FallbackReason,
    offload::{
        offload,
        Disposition,
        LookupBinding, //
    },
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
        algorithm::Registration,
        hash,
        hash::{
            Algorithm,
            Mac,
            Request, //
        },
        Area,
        DeviceResult,
        Direction,
        Finish,
        Key,
        Offload,
        ReturnCode, //
    },
    support::bh::BhDisabled,
    transport::{
        dataq,
        device::Device,
        session::{
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
    create_test_session,
    HASHES,
    MACS, //
};

/// Maximum length of the key in a stateless request, in bytes: the largest block size of a hash.
/// HMAC accepts longer keys, which it hashes first. A longer key needs a session.
const MAX_KEY: usize = 128;

/// Registers the algorithm `id`.
///
/// # Errors
///
/// - `ENOENT` if the kernel has no implementation for a fallback;
/// - `EINVAL` if `id` names no row;
/// - other errors of [`hash::register`].
pub(super) fn register(
    id: AlgorithmId,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<KVec<Registration>> {
    let row = table::row(id).ok_or(EINVAL)?;
    let description = hash::Description {
        name: row.name,
        driver_name: row.driver_name,
        priority: devices.settings.priority(false),
        digest_size: row.digest_size,
    };
    let data = DigestAlgData {
        row,
        id,
        devices: devices.clone(),
    };
    let mut registrations = KVec::with_capacity(1, GFP_KERNEL)?;
    let registration = match row.function {
        Function::Hash(_) => hash::register::<Digest>(&description, data, module)?,
        Function::Mac(_) => hash::register_mac::<Digest>(&description, data, module)?,
    };
    registrations.push(registration, GFP_KERNEL)?;
    Ok(registrations)
}

/// Data that all transforms of a hash or MAC share.
pub(super) struct DigestAlgData {
    row: &'static Row,
    id: AlgorithmId,
    devices: Arc<Devices>,
}

/// A transform of a hash or MAC: a key and its binding to a device. A hash has an empty key.
pub(super) struct DigestTfm {
    row: &'static Row,
    tfm_key: TfmKey<&'static Row, MAX_KEY>,
}

impl DigestTfm {
    /// Sets the key. After an error the transform has no key.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    fn set_key(&self, key: &[u8]) -> Result {
        // `crypto::hash` has already set the key on the fallback, which has validated the key.
        self.tfm_key.set(key, 0, || Ok(()))
    }
}

impl LookupBinding for DigestTfm {
    #[inline]
    fn binding<'a>(&self, direction: Direction, bh: &'a BhDisabled) -> Option<&'a SharedBinding> {
        self.tfm_key.binding(direction, bh)
    }
}

impl SessionOps for &'static Row {
    fn supports_key(&self, device: &Device, key: &[u8], _variant: u32) -> bool {
        device.config().supports_auth_key_len(key.len())
    }

    fn create_sessions(
        &self,
        device: &Arc<Device>,
        key: &[u8],
        _: u32,
        _: Wanted,
    ) -> Result<Bindings> {
        Bindings::one(
            self.function
                .create_session(device, self.digest_size, key)?,
        )
    }
}

/// Runs a request on the fallback, and counts the request.
fn fall_back(request: Request<'_, Digest>, reason: FallbackReason) -> ReturnCode {
    request.tfm().tfm_key.fall_back(reason);
    request.run_fallback()
}

/// The algorithm: a hash or a MAC.
pub(super) struct Digest;

impl Offload for Digest {
    type Raw = hash::Raw;
    type Tfm = DigestTfm;
    type State = ();
    type Private = dataq::Private;
    type Area = Area<{ data::MAX_FIXED_LEN + MAX_KEY }, { MAX_DIGEST + data::STATUS_LEN }>;

    const SYNCHRONOUS: bool = false;

    fn finalize(_state: &(), request: &Request<'_, Self>, outcome: &DeviceResult<'_>) -> Finish {
        match Disposition::of(outcome, |_| false) {
            Disposition::Done => Finish::Done(request.set_digest(outcome)),
            Disposition::Fallback => Finish::Fallback,
            Disposition::Failed(err) => Finish::Done(Err(err)),
        }
    }

    fn fall_back(_state: (), mut request: Request<'_, Self>) -> Option<Result> {
        request.tfm().tfm_key.fall_back(FallbackReason::DeviceError);
        Some(request.run_fallback_atomic())
    }
}

impl Algorithm for Digest {
    type Data = DigestAlgData;

    fn init(data: &DigestAlgData) -> Result<DigestTfm> {
        let tfm = DigestTfm {
            row: data.row,
            tfm_key: TfmKey::new(data.id, &data.devices, data.row)?,
        };
        if let Function::Hash(_) = data.row.function {
            tfm.set_key(&[])?;
        }
        Ok(tfm)
    }

    fn digest(request: Request<'_, Self>) -> ReturnCode {
        let row = request.tfm().row;
        let len = request.len();
        let check = |binding: &Binding| {
            // CAST: A key of a stateless request has at most `MAX_KEY` bytes.
            let lengths = [binding.key().len() as u32, len, row.digest_size];
            data::fits_max_size(&lengths, binding.device().config().max_size())
                .then_some(())
                .ok_or(FallbackReason::TooLong)
        };
        // Sessions of hashes and MACs have no direction. Their only binding is the encryption
        // binding.
        let sent = offload(
            request,
            Direction::Encrypt,
            check,
            |request, limits, binding, ()| {
                request.build(limits, |builder| {
                    function::write_header(builder, row, binding, len);
                    builder.message();
                    builder.write(row.digest_len());
                })
            },
        );
        match sent {
            Ok(return_code) => return_code,
            // The request also runs on the fallback if the ring is full and the request may not be
            // backlogged. Callers such as dm-integrity do not handle `ENOSPC`: they report it as a
            // hash error.
            Err((reason, _, request)) => fall_back(request, reason),
        }
    }
}

impl Mac for Digest {
    fn set_key(tfm: &DigestTfm, key: &Key<'_>) -> Result {
        tfm.set_key(key.bytes())
    }
}
