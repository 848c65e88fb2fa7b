// SPDX-License-Identifier: GPL-2.0

//! What a device says of a request ("Device Operation: status").

use kernel::prelude::*;

/// The status of a request (VIRTIO_CRYPTO_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// It was done.
    Ok,
    /// It failed, for a reason that has no status of its own.
    Err,
    /// The data is not authentic.
    BadMsg,
    /// The device does not do this.
    NotSupp,
    /// There is no such session.
    InvSess,
    /// There is no room for another session.
    NoSpc,
    /// The signature is not right.
    KeyRejected,
    /// The device wrote nothing, or something that has no meaning.
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
    /// Returns what the crypto framework is told.
    ///
    /// # Errors
    ///
    /// `EBADMSG`, `EOPNOTSUPP`, `ENOSPC`, `EKEYREJECTED` for the status of that name; `ENOKEY` for a
    /// session that the device does not know; `EIO` for everything that is the device's business.
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
    fn every_number_has_its_meaning() {
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
    fn a_status_that_was_not_written_is_an_error() {
        assert_eq!(Status::from(0xffu8).to_result(), Err(EIO));
    }
}
