// SPDX-License-Identifier: GPL-2.0

//! What a digest is to the device: one of two services, which ask for it in different words.

use super::{
    super::keyed::Route,
    table::Row, //
};
use crate::{
    transport::{
        device::Device,
        session::Session, //
    },
    wire::{
        algorithm::{
            Hash,
            Mac,
            Service, //
        },
        config::Algorithm,
        control::{
            CreateHash,
            CreateMac, //
        },
        data::{
            DigestRequest,
            StatelessHashRequest,
            StatelessMacRequest, //
        },
        feature::Revision,
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// What makes a digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Function {
    /// It needs no key.
    Hash(Hash),
    /// It needs one.
    Mac(Mac),
}

impl Function {
    /// Returns what it is to the device.
    pub(super) fn algorithm(self) -> Algorithm {
        match self {
            Self::Hash(hash) => Algorithm::Hash(hash),
            Self::Mac(mac) => Algorithm::Mac(mac),
        }
    }

    /// Creates a session for digests of `digest_size` bytes.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the key is longer than the device takes. Others as [`Session::create`] has them.
    pub(super) fn create(
        self,
        device: &Arc<Device>,
        digest_size: u32,
        key: &[u8],
    ) -> Result<Session> {
        let revision = device.features().revision();
        match self {
            Self::Hash(hash) => {
                let request = CreateHash::new(hash, digest_size);
                Session::create(device, Service::Hash, request.bytes(revision), &[])
            }
            Self::Mac(mac) => {
                if !device.config().takes_auth_key(key.len()) {
                    return Err(EINVAL);
                }
                let len = u32::try_from(key.len())?;
                let request = CreateMac::new(mac, digest_size, len);
                Session::create(device, Service::Mac, request.bytes(revision), key)
            }
        }
    }
}

/// The fixed part of a request.
pub(super) enum Head {
    Session(DigestRequest, Revision),
    StatelessHash(StatelessHashRequest),
    StatelessMac(StatelessMacRequest),
}

impl Head {
    /// Creates that of a request for the digest of `len` bytes.
    pub(super) fn new(row: &Row, route: &Route, len: u32) -> Self {
        let result_len = row.digest_size;
        match (row.function, route) {
            (Function::Hash(hash), Route::Session(session)) => {
                let revision = session.device().features().revision();
                let request = DigestRequest::hash(revision, hash, session.id(), len, result_len);
                Self::Session(request, revision)
            }
            (Function::Mac(mac), Route::Session(session)) => {
                let revision = session.device().features().revision();
                let request = DigestRequest::mac(revision, mac, session.id(), len, result_len);
                Self::Session(request, revision)
            }
            (Function::Hash(hash), Route::Stateless(..)) => {
                Self::StatelessHash(StatelessHashRequest::new(hash, len, result_len))
            }
            (Function::Mac(mac), Route::Stateless(_, key)) => {
                // CAST: A key has `MAX_KEY` bytes at most.
                let key_len = key.bytes().len() as u32;
                Self::StatelessMac(StatelessMacRequest::new(mac, key_len, len, result_len))
            }
        }
    }

    /// Returns the bytes to send.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Session(request, revision) => request.bytes(*revision),
            Self::StatelessHash(request) => request.as_bytes(),
            Self::StatelessMac(request) => request.as_bytes(),
        }
    }
}
