// SPDX-License-Identifier: GPL-2.0

//! Requests on the control queue ("Control Virtqueue").

mod akcipher;
mod create;

use super::{
    algorithm::Service,
    feature::Revision,
    status::Status,
    FIXED, //
};
use kernel::prelude::*;
use zerocopy::byteorder::little_endian::{
    U32,
    U64, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

pub(crate) use self::akcipher::CreateAkcipher;
pub(crate) use self::create::{
    Chain,
    CreateAead,
    CreateChain,
    CreateCipher,
    CreateHash,
    CreateMac, //
};

/// The bytes of the longest answer: that of a CREATE, or of what the device does not know.
pub(crate) const ANSWER: usize = size_of::<Created>();

const CREATE: u32 = 2;
const DESTROY: u32 = 3;

// Of public keys: 2 and 3 are what signs and verifies.
const CREATE_AKCIPHER: u32 = 4;
const DESTROY_AKCIPHER: u32 = 5;

/// `struct virtio_crypto_ctrl_header`.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct Header {
    opcode: U32,
    algo: U32,
    flag: U32,
    reserved: U32,
}

impl Header {
    fn new(service: Service, op: u32, algo: u32) -> Self {
        Self {
            opcode: (service.number() << 8 | op).into(),
            algo: algo.into(),
            flag: 0.into(),
            reserved: 0.into(),
        }
    }
}

/// DESTROY of a session.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct Destroy {
    header: Header,
    session_id: U64,
    padding: [u8; 48],
}

kernel::static_assert!(size_of::<Destroy>() == FIXED);
kernel::static_assert!(core::mem::offset_of!(Destroy, session_id) == 16);

/// What of it is sent in the natural layout, in bytes.
const NATURAL_DESTROY: usize = core::mem::offset_of!(Destroy, padding);

/// The answer to a DESTROY: a status byte.
pub(crate) const DESTROYED: usize = 1;

impl Destroy {
    /// Creates the request for a session of a service.
    pub(crate) fn new(service: Service, session_id: u64) -> Self {
        let op = match service {
            Service::Akcipher => DESTROY_AKCIPHER,
            _ => DESTROY,
        };
        Self {
            header: Header::new(service, op, 0),
            session_id: session_id.into(),
            padding: [0; 48],
        }
    }

    /// Returns the bytes to send.
    pub(crate) fn bytes(&self, revision: Revision) -> &[u8] {
        revision.cut(self.as_bytes(), NATURAL_DESTROY)
    }
}

/// The answer to a DESTROY.
pub(crate) struct Destroyed;

impl Destroyed {
    /// Takes an answer for what it says.
    ///
    /// # Errors
    ///
    /// As [`Status::to_result`] has them; `EIO` if the device has not written an answer.
    pub(crate) fn parse(answer: &[u8; ANSWER]) -> Result {
        let [status, ..] = answer;
        Status::from(*status).to_result()
    }
}

/// The answer to a CREATE: `struct virtio_crypto_session_input`.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct Created {
    session_id: U64,
    status: U32,
    padding: U32,
}

impl Created {
    /// Takes an answer for what it says. Any id is a good one, 0 included.
    ///
    /// # Errors
    ///
    /// As [`Status::to_result`] has them; `EIO` if the device has not written an answer.
    pub(crate) fn parse(answer: &[u8; ANSWER]) -> Result<u64> {
        let created = Self::read_from_bytes(answer).map_err(|_| EIO)?;
        Status::from(created.status.get()).to_result()?;
        Ok(created.session_id.get())
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_control)]
mod tests {
    use super::*;
    use crate::{
        bindings,
        wire::testing::word, //
    };

    #[test]
    fn destroy_has_the_whole_id_and_72_bytes() {
        let request = Destroy::new(Service::Cipher, 0x8877_6655_4433_2211);
        let bytes = request.as_bytes();
        assert_eq!(bytes.len(), 72);
        assert_eq!(word(bytes, 16), 0x4433_2211);
        assert_eq!(word(bytes, 20), 0x8877_6655);
        assert!(bytes[4..16].iter().all(|byte| *byte == 0));
        assert!(bytes[24..].iter().all(|byte| *byte == 0));
        assert_eq!(request.bytes(Revision::Padded), bytes);
        assert_eq!(request.bytes(Revision::Natural), &bytes[..24]);
    }

    #[test]
    fn destroy_has_the_opcode_of_the_service() {
        let opcodes = [
            (Service::Cipher, bindings::VC_CIPHER_DESTROY_SESSION),
            (Service::Hash, bindings::VC_HASH_DESTROY_SESSION),
            (Service::Mac, bindings::VC_MAC_DESTROY_SESSION),
            (Service::Aead, bindings::VC_AEAD_DESTROY_SESSION),
            (Service::Akcipher, bindings::VC_AKCIPHER_DESTROY_SESSION),
        ];
        for (service, opcode) in opcodes {
            assert_eq!(word(Destroy::new(service, 7).as_bytes(), 0), opcode);
        }
    }

    #[test]
    fn destroyed_is_the_first_byte() {
        let mut answer = [0xff; ANSWER];
        assert_eq!(Destroyed::parse(&answer), Err(EIO));
        answer[0] = 0;
        assert!(Destroyed::parse(&answer).is_ok());
        answer[0] = 1;
        assert!(Destroyed::parse(&answer).is_err());
    }

    #[test]
    fn id_0_and_the_largest_are_good() {
        let mut answer = [0; ANSWER];
        assert_eq!(Created::parse(&answer), Ok(0));
        answer[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(Created::parse(&answer), Ok(u64::MAX));
    }

    #[test]
    fn an_id_without_ok_is_not_taken() {
        let mut answer = [0; ANSWER];
        for status in 1..10 {
            answer[8] = status;
            assert!(Created::parse(&answer).is_err());
        }
        // The status has 32 bits.
        answer[8..12].copy_from_slice(&[0, 0, 0, 1]);
        assert!(Created::parse(&answer).is_err());
        assert_eq!(Created::parse(&[0xff; ANSWER]), Err(EIO));
    }
}
