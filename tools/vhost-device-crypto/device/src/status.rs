// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Status codes of requests.

use serde::Serialize;

/// A status other than `VIRTIO_CRYPTO_OK`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, thiserror::Error)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum StatusError {
    /// `VIRTIO_CRYPTO_ERR`: an error for which no other status is defined.
    #[error("the request is not valid")]
    #[serde(rename = "ERR")]
    Generic = 1,
    /// `VIRTIO_CRYPTO_BADMSG`: an authentication tag is wrong.
    #[error("the message is not authentic")]
    BadMsg = 2,
    /// `VIRTIO_CRYPTO_NOTSUPP`: the operation or the algorithm is not supported.
    #[error("not supported")]
    NotSupp = 3,
    /// `VIRTIO_CRYPTO_INVSESS`: the session does not exist.
    #[error("no such session")]
    InvSess = 4,
    /// `VIRTIO_CRYPTO_NOSPC`: the session table is full.
    #[error("the session table is full")]
    NoSpc = 5,
    /// `VIRTIO_CRYPTO_KEY_REJECTED`: a signature is wrong.
    #[error("the signature is wrong")]
    KeyRejected = 6,
}

/// Result of an operation of the device.
pub type Result<T> = std::result::Result<T, StatusError>;

/// Discards the details of an OpenSSL error, which the guest must not learn.
impl From<openssl::error::ErrorStack> for StatusError {
    fn from(_: openssl::error::ErrorStack) -> Self {
        StatusError::Generic
    }
}

/// Returns the status code.
impl From<StatusError> for u8 {
    fn from(error: StatusError) -> u8 {
        error as u8
    }
}

/// Returns the name of a status, for traces and counters.
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
