// SPDX-License-Identifier: GPL-2.0

//! AEAD transforms: a key, a fallback with the same key, and the binding of the key to a device.

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
    AeadAlgData,
    Keys,
    Method,
    Row,
    Salt,
    MAX_KEY, //
};
use crate::{
    crypto::{
        aead::FallbackTfm,
        Direction,
        Key, //
    },
    support::{
        bh::BhDisabled,
        secret::Secret, //
    },
    transport::{
        device::Device,
        session::SharedBinding, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// Parameters of a transform's sessions in addition to the bytes of its keys. Lengths are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SessionParams {
    tag: u16,
    /// Length of the cipher key. In a concatenated key, the authentication key follows.
    cipher_key: u16,
}

impl SessionParams {
    /// Packs the parameters into an integer.
    fn to_bits(self) -> u32 {
        u32::from(self.tag) | u32::from(self.cipher_key) << 16
    }

    /// Splits `bytes` into the cipher key and the authentication key.
    pub(super) fn split_keys(self, bytes: &[u8]) -> Keys<'_> {
        let len = bytes.len().min(self.cipher_key.into());
        let (cipher, auth) = bytes.split_at(len);
        Keys { cipher, auth }
    }

    /// Unpacks the parameters from [`to_bits`](Self::to_bits).
    fn from_bits(bits: u32) -> Self {
        // CAST: Truncation keeps the lower half.
        Self {
            tag: bits as u16,
            cipher_key: (bits >> 16) as u16,
        }
    }
}

/// An AEAD transform.
///
/// Callers must not set the key or the tag length while a request is in flight. `session_params`
/// and `salt` are therefore not updated atomically with `tfm_key`. Accesses to them are relaxed:
/// callers already order their requests after setting the key.
///
/// If a caller breaks this rule, a request may use inconsistent values. The request then fails or
/// returns a wrong result, without further consequences.
pub(crate) struct AeadTfm<M: Method> {
    row: &'static Row<M>,
    fallback: FallbackTfm,
    tfm_key: TfmKey<&'static Row<M>, MAX_KEY>,
    session_params: Atomic<u32>,
    salt: Atomic<u32>,
}

impl<M: Method> AeadTfm<M> {
    /// Creates a transform without a key.
    ///
    /// # Errors
    ///
    /// - `ENOENT` if the kernel has no implementation for a fallback;
    /// - `ENOMEM` if memory is exhausted.
    pub(super) fn new(data: &AeadAlgData<M>) -> Result<Self> {
        let params = SessionParams {
            tag: u16::try_from(data.row.max_tag)?,
            cipher_key: 0,
        };
        Ok(Self {
            row: data.row,
            fallback: FallbackTfm::new(data.row.name)?,
            tfm_key: TfmKey::new(data.id, &data.devices, data.row)?,
            session_params: Atomic::new(params.to_bits()),
            salt: Atomic::new(0),
        })
    }

    /// Returns the transform's row of the table.
    pub(super) fn row(&self) -> &'static Row<M> {
        self.row
    }

    /// Returns the fallback. It has the same key and tag length as the transform.
    pub(super) fn fallback(&self) -> &FallbackTfm {
        &self.fallback
    }

    /// Returns the salt: the part of the key that belongs to the nonce.
    pub(super) fn salt(&self) -> Salt {
        self.salt.load(Relaxed).to_ne_bytes()
    }

    /// Counts a request that runs on the fallback.
    pub(super) fn count_fallback(&self, reason: FallbackReason) {
        self.tfm_key.fall_back(reason);
    }

    /// Returns the parameters of the transform's sessions.
    pub(super) fn session_params(&self) -> SessionParams {
        SessionParams::from_bits(self.session_params.load(Relaxed))
    }

    /// Sets the key. After an error the crypto API rejects requests until a key is set.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the algorithm does not accept the key;
    /// - `ENOMEM` if memory is exhausted.
    pub(super) fn set_key(&self, key: &Key<'_>) -> Result {
        let parts = self.row.method.split_key(key);
        let is_valid = parts.is_some();
        let (keys, salt) = parts.unwrap_or_default();
        let params = SessionParams {
            cipher_key: u16::try_from(keys.cipher.len())?,
            ..self.session_params()
        };
        let all_keys = Secret::new(&[keys.cipher, keys.auth])?;
        self.session_params.store(params.to_bits(), Relaxed);
        self.salt.store(u32::from_ne_bytes(salt), Relaxed);
        self.tfm_key.set(all_keys.bytes(), params.to_bits(), || {
            // For a malformed key, return the error of the fallback.
            self.fallback.set_key(key)?;
            is_valid.then_some(()).ok_or(EINVAL)
        })
    }

    /// Sets the length of tags in bytes.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the algorithm does not support the length.
    pub(super) fn set_auth_size(&self, size: u32) -> Result {
        self.fallback.set_auth_size(size)?;
        let params = SessionParams {
            tag: u16::try_from(size)?,
            ..self.session_params()
        };
        self.session_params.store(params.to_bits(), Relaxed);
        self.tfm_key.set_variant(params.to_bits());
        Ok(())
    }
}

impl<M: Method> LookupBinding for AeadTfm<M> {
    #[inline]
    fn binding<'a>(&self, direction: Direction, bh: &'a BhDisabled) -> Option<&'a SharedBinding> {
        self.tfm_key.binding(direction, bh)
    }
}

impl<M: Method> SessionOps for &'static Row<M> {
    fn supports_key(&self, device: &Device, key: &[u8], variant: u32) -> bool {
        let keys = SessionParams::from_bits(variant).split_keys(key);
        self.method.supports_keys(device.config(), &keys)
    }

    fn create_sessions(
        &self,
        device: &Arc<Device>,
        key: &[u8],
        variant: u32,
        wanted: Wanted,
    ) -> Result<Bindings> {
        let params = SessionParams::from_bits(variant);
        let keys = params.split_keys(key);
        Bindings::each(wanted, |direction| {
            let operation = operation(direction);
            self.method
                .create_session(device, operation, &keys, params.tag.into())
        })
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_aead_tfm)]
mod tests {
    use super::*;

    #[test]
    fn session_params_round_trip() {
        for tag in [0, 1, 16, 64, u16::MAX] {
            for cipher_key in [0, 16, 32, u16::MAX] {
                let params = SessionParams { tag, cipher_key };
                assert_eq!(SessionParams::from_bits(params.to_bits()), params);
            }
        }
    }
}
