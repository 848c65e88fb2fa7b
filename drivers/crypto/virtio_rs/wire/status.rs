// SPDX-License-Identifier: GPL-2.0

//! Status codes of requests ("Operation Status").

use kernel::prelude::*;

/// The status of a request (VIRTIO_CRYPTO_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// Success.
    Ok,
    /// A failure for which no specific status is defined.
    Err,
    /// The authentication of AEAD data failed.
    BadMsg,
    /// The device does not support the operation or the algorithm.
    NotSupp,
    /// The session ID is invalid.
    InvSess,
    /// The device has no free session ID.
    NoSpc,
    /// The verification of a signature failed.
    KeyRejected,
    /// An undefined status code. One example is 0xff, the initial value of a status byte, if the
    /// device did not write the status.
    Unknown(u32),
}

impl From<u32> for Status {
    fn from(value: u32) -> Self {
        match value {
            0 => Self::Ok,
            1 => Self::Err,
            2 => Self::BadMsg,
            3 => Self::NotSupp,
            4 => Self::InvSess,
            5 => Self::NoSpc,
            6 => Self::KeyRejected,
            other => Self::Unknown(other),
        }
    }
}

impl From<u8> for Status {
    fn from(value: u8) -> Self {
        u32::from(value).into()
    }
}

impl Status {
    /// Converts the status to a result.
    ///
    /// # Errors
    ///
    /// - `EBADMSG` if the authentication failed.
    /// - `EOPNOTSUPP` if the device does not support the request.
    /// - `ENOKEY` if the session ID is invalid.
    /// - `ENOSPC` if the device has no free session ID.
    /// - `EKEYREJECTED` if the verification of a signature failed.
    /// - `EIO` if the device failed for another reason or returned an undefined status.
    pub(crate) fn to_result(self) -> Result {
        match self {
            Self::Ok => Ok(()),
            Self::BadMsg => Err(EBADMSG),
            Self::NotSupp => Err(EOPNOTSUPP),
            Self::NoSpc => Err(ENOSPC),
            Self::KeyRejected => Err(EKEYREJECTED),
            Self::InvSess => Err(ENOKEY),
            Self::Err | Self::Unknown(_) => Err(EIO),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_status)]
mod tests {
    use super::*;
    use crate::bindings;

    #[test]
    fn status_codes_match_uapi_header() {
        let table = [
            (bindings::VIRTIO_CRYPTO_OK, Status::Ok),
            (bindings::VIRTIO_CRYPTO_ERR, Status::Err),
            (bindings::VIRTIO_CRYPTO_BADMSG, Status::BadMsg),
            (bindings::VIRTIO_CRYPTO_NOTSUPP, Status::NotSupp),
            (bindings::VIRTIO_CRYPTO_INVSESS, Status::InvSess),
            (bindings::VIRTIO_CRYPTO_NOSPC, Status::NoSpc),
            (bindings::VIRTIO_CRYPTO_KEY_REJECTED, Status::KeyRejected),
        ];
        for (number, status) in table {
            assert_eq!(Status::from(number), status);
        }
        for number in [7u32, 8, 255, u32::MAX] {
            assert_eq!(Status::from(number), Status::Unknown(number));
        }
    }

    #[test]
    fn only_ok_is_success() {
        assert!(Status::from(0u8).to_result().is_ok());
        for number in 1..=u8::MAX {
            assert!(Status::from(number).to_result().is_err());
        }
    }

    #[test]
    fn unwritten_status_is_an_error() {
        assert_eq!(Status::from(0xffu8).to_result(), Err(EIO));
    }
}
