// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Why a request was not served.

use serde::Serialize;

/// A status other than `VIRTIO_CRYPTO_OK`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, thiserror::Error)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum StatusError {
    /// `VIRTIO_CRYPTO_ERR`: anything that has no status of its own.
    #[error("the request is not valid")]
    #[serde(rename = "ERR")]
    Generic = 1,
    /// `VIRTIO_CRYPTO_BADMSG`: an authentication tag is wrong.
    #[error("the message is not authentic")]
    BadMsg = 2,
    /// `VIRTIO_CRYPTO_NOTSUPP`: the operation or the algorithm is not served.
    #[error("not supported")]
    NotSupp = 3,
    /// `VIRTIO_CRYPTO_INVSESS`: there is no such session.
    #[error("no such session")]
    InvSess = 4,
    /// `VIRTIO_CRYPTO_NOSPC`: the session table is full.
    #[error("no session is free")]
    NoSpc = 5,
    /// `VIRTIO_CRYPTO_KEY_REJECTED`: a signature is not the key's.
    #[error("the signature is wrong")]
    KeyRejected = 6,
}

/// What serving a request comes to.
pub type Result<T> = std::result::Result<T, StatusError>;

/// The library's errors say nothing a guest should know.
impl From<openssl::error::ErrorStack> for StatusError {
    fn from(_: openssl::error::ErrorStack) -> Self {
        StatusError::Generic
    }
}

/// The status it is told by.
impl From<StatusError> for u8 {
    fn from(failure: StatusError) -> u8 {
        failure as u8
    }
}

/// Puts a status to its name, for traces and counters.
pub fn status_name(status: u8) -> &'static str {
    match status {
        0 => "OK",
        1 => "ERR",
        2 => "BADMSG",
        3 => "NOTSUPP",
        4 => "INVSESS",
        5 => "NOSPC",
        6 => "KEY_REJECTED",
        _ => "unknown",
    }
}
