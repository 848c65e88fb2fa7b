// SPDX-License-Identifier: GPL-2.0

//! Sessions and requests of the device's hash and MAC services.

use super::table::Row;
use crate::{
    crypto::{
        Builder,
        Offload, //
    },
    transport::{
        device::Device,
        session::{
            Binding,
            Session, //
        }, //
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
        }, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The function of a row: a hash or a MAC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Function {
    /// A hash. It has no key.
    Hash(Hash),
    /// A MAC. It needs a key.
    Mac(Mac),
}

impl Function {
    /// Returns the algorithm of the function, as devices advertise it.
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
    /// - `EINVAL` if the device does not support the length of the key;
    /// - other errors of [`Session::create`].
    pub(super) fn create_session(
        self,
        device: &Arc<Device>,
        digest_size: u32,
        key: &[u8],
    ) -> Result<Session> {
        let layout = device.features().layout();
        match self {
            Self::Hash(hash) => {
                let request = CreateHash::new(hash, digest_size);
                Session::create(device, Service::Hash, request.bytes(layout), &[])
            }
            Self::Mac(mac) => {
                if !device.config().supports_auth_key_len(key.len()) {
                    return Err(EINVAL);
                }
                let len = u32::try_from(key.len())?;
                let request = CreateMac::new(mac, digest_size, len);
                Session::create(device, Service::Mac, request.bytes(layout), key)
            }
        }
    }
}

/// Appends the fixed-length fields of a request and, in stateless mode, its key. `len` is the
/// length of the message in bytes.
pub(super) fn write_header<A: Offload>(
    builder: &mut Builder<'_, A, A::Raw>,
    row: &Row,
    binding: &Binding,
    len: u32,
) {
    let result_len = row.digest_size;
    match (row.function, binding) {
        (Function::Hash(hash), Binding::Session(session)) => {
            let layout = session.device().features().layout();
            let request = DigestRequest::hash(layout, hash, session.id(), len, result_len);
            builder.read(request.bytes(layout));
        }
        (Function::Mac(mac), Binding::Session(session)) => {
            let layout = session.device().features().layout();
            let request = DigestRequest::mac(layout, mac, session.id(), len, result_len);
            builder.read(request.bytes(layout));
        }
        (Function::Hash(hash), Binding::Stateless(..)) => {
            builder.read_value(StatelessHashRequest::new(hash, len, result_len));
        }
        (Function::Mac(mac), Binding::Stateless(_, key)) => {
            let key = key.bytes();
            // CAST: A key of a stateless request has at most `MAX_KEY` bytes.
            let key_len = key.len() as u32;
            builder.read_value(StatelessMacRequest::new(mac, key_len, len, result_len));
            builder.read_secret(key);
        }
    }
}
