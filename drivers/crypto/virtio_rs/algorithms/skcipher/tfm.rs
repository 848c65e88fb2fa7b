// SPDX-License-Identifier: GPL-2.0

//! Skcipher transforms: a key, a fallback with the same key, and the binding of the key to a
//! device.

use super::{
    super::{
        fallback_stats::FallbackReason,
        offload::LookupBinding,
        operation,
        tfm_key::{
            Bindings,
            SessionOps,
            TfmKey,
            Wanted, //
        }, //
    },
    create_session,
    table::MAX_KEY,
    Row,
    SkcipherAlgData,
    SkcipherAlgorithm, //
};
use crate::{
    crypto::{
        skcipher::{
            FallbackTfm,
            Pool, //
        },
        Direction,
        Key, //
    },
    support::bh::BhDisabled,
    transport::{
        device::Device,
        session::SharedBinding, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::Msecs, //
};

/// An skcipher transform.
pub(crate) struct SkcipherTfm<const SYNC: bool> {
    row: &'static Row,
    fallback: FallbackTfm,
    pool: Option<Arc<Pool<SkcipherAlgorithm<SYNC>>>>,
    tfm_key: TfmKey<&'static Row, MAX_KEY>,
}

impl<const SYNC: bool> SkcipherTfm<SYNC> {
    /// Creates a transform without a key.
    ///
    /// # Errors
    ///
    /// - `ENOENT` if the kernel has no implementation for a fallback;
    /// - `ENOMEM` if memory is exhausted.
    pub(super) fn new(data: &SkcipherAlgData) -> Result<Self> {
        let (fallback, pool) = if SYNC {
            let fallback = FallbackTfm::new_on_stack(data.row.name)?;
            (fallback, Some(Pool::new()?))
        } else {
            (FallbackTfm::new(data.row.name)?, None)
        };
        Ok(Self {
            row: data.row,
            fallback,
            pool,
            tfm_key: TfmKey::new(data.id, &data.devices, data.row)?,
        })
    }

    /// Returns the transform's row of the table.
    pub(super) fn row(&self) -> &'static Row {
        self.row
    }

    /// Returns the fallback. It has the same key as the transform.
    pub(super) fn fallback(&self) -> &FallbackTfm {
        &self.fallback
    }

    /// Returns the pool of request contexts. Only the synchronous variant has one.
    pub(super) fn pool(&self) -> Option<&Arc<Pool<SkcipherAlgorithm<SYNC>>>> {
        self.pool.as_ref()
    }

    /// Returns the request timeout in milliseconds.
    pub(super) fn timeout(&self) -> Msecs {
        self.tfm_key.timeout()
    }

    /// Counts a request that runs on the fallback.
    pub(super) fn count_fallback(&self, reason: FallbackReason) {
        self.tfm_key.fall_back(reason);
    }

    /// Sets the key. After an error the transform has no key.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the cipher does not accept the key;
    /// - `ENOMEM` if memory is exhausted.
    pub(super) fn set_key(&self, key: &Key<'_>) -> Result {
        self.tfm_key
            .set(key.bytes(), 0, || self.fallback.set_key(key))
    }
}

impl<const SYNC: bool> LookupBinding for SkcipherTfm<SYNC> {
    #[inline]
    fn binding<'a>(&self, direction: Direction, bh: &'a BhDisabled) -> Option<&'a SharedBinding> {
        self.tfm_key.binding(direction, bh)
    }
}

impl SessionOps for &'static Row {
    fn supports_key(&self, device: &Device, key: &[u8], _variant: u32) -> bool {
        device.config().supports_cipher_key_len(key.len())
    }

    fn create_sessions(
        &self,
        device: &Arc<Device>,
        key: &[u8],
        _: u32,
        wanted: Wanted,
    ) -> Result<Bindings> {
        Bindings::each(wanted, |direction| {
            create_session(device, self.cipher, operation(direction), key)
        })
    }
}
