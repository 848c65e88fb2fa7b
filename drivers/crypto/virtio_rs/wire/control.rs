// SPDX-License-Identifier: GPL-2.0

//! Requests and responses on the control queue ("Control Virtqueue").
//!
//! The structures are the header and the fixed-length fields of a request. Keys follow in separate
//! segments.

mod akcipher;
mod create;

use super::{
    algorithm::Service,
    feature::Layout,
    status::Status,
    PADDED_LEN, //
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

/// The length of the longest response in bytes: the response to a CREATE request. A device may also
/// answer an unsupported opcode with a response of this length.
pub(crate) const MAX_RESPONSE_LEN: usize = size_of::<CreateResponse>();

const CREATE: u32 = 2;
const DESTROY: u32 = 3;

// In the public key service, 2 and 3 are the opcodes of signing and verification.
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
    /// Creates the header. `op` is the low byte of the opcode.
    fn new(service: Service, op: u32, algo: u32) -> Self {
        Self {
            opcode: (service.number() << 8 | op).into(),
            algo: algo.into(),
            flag: 0.into(),
            reserved: 0.into(),
        }
    }
}

/// A DESTROY request: the header and `struct virtio_crypto_destroy_session_flf`.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct Destroy {
    header: Header,
    session_id: U64,
    padding: [u8; 48],
}

kernel::static_assert!(size_of::<Destroy>() == PADDED_LEN);
kernel::static_assert!(core::mem::offset_of!(Destroy, session_id) == 16);

/// The length of a DESTROY request in the natural layout, in bytes.
const NATURAL_DESTROY_LEN: usize = core::mem::offset_of!(Destroy, padding);

/// The length of the response to a DESTROY request in bytes. The response is a status byte.
pub(crate) const DESTROY_RESPONSE_LEN: usize = 1;

impl Destroy {
    /// Creates the request that destroys a session of a service.
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

    /// Returns the bytes of the request in a layout.
    pub(crate) fn bytes(&self, layout: Layout) -> &[u8] {
        layout.truncate(self.as_bytes(), NATURAL_DESTROY_LEN)
    }
}

/// The response to a DESTROY request (`struct virtio_crypto_destroy_session_input`).
pub(crate) struct DestroyResponse;

impl DestroyResponse {
    /// Parses a response.
    ///
    /// # Errors
    ///
    /// - The errors of [`Status::to_result`].
    /// - `EIO` if the device did not write the status. The status byte then still has its initial
    ///   value 0xff, which is no valid status.
    pub(crate) fn parse(response: &[u8; MAX_RESPONSE_LEN]) -> Result {
        let [status, ..] = response;
        Status::from(*status).to_result()
    }
}

/// The response to a CREATE request (`struct virtio_crypto_create_session_input`).
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct CreateResponse {
    session_id: U64,
    status: U32,
    padding: U32,
}

impl CreateResponse {
    /// Parses a response and returns the session ID. Every ID is valid, including 0.
    ///
    /// # Errors
    ///
    /// - The errors of [`Status::to_result`].
    /// - `EIO` if the device did not write the status. The four status bytes then still have
    ///   their initial value 0xff, which is no valid status.
    pub(crate) fn parse(response: &[u8; MAX_RESPONSE_LEN]) -> Result<u64> {
        let response = Self::read_from_bytes(response).map_err(|_| EIO)?;
        Status::from(response.status.get()).to_result()?;
        Ok(response.session_id.get())
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
    fn destroy_fields_match_the_layout() {
        let request = Destroy::new(Service::Cipher, 0x8877_6655_4433_2211);
        let bytes = request.as_bytes();
        assert_eq!(bytes.len(), 72);
        assert_eq!(word(bytes, 16), 0x4433_2211);
        assert_eq!(word(bytes, 20), 0x8877_6655);
        assert!(bytes[4..16].iter().all(|byte| *byte == 0));
        assert!(bytes[24..].iter().all(|byte| *byte == 0));
        assert_eq!(request.bytes(Layout::Padded), bytes);
        assert_eq!(request.bytes(Layout::Natural), &bytes[..24]);
    }

    #[test]
    fn destroy_uses_the_opcode_of_the_service() {
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
    fn destroy_status_is_the_first_byte() {
        let mut response = [0xff; MAX_RESPONSE_LEN];
        assert_eq!(DestroyResponse::parse(&response), Err(EIO));
        response[0] = 0;
        assert!(DestroyResponse::parse(&response).is_ok());
        response[0] = 1;
        assert!(DestroyResponse::parse(&response).is_err());
    }

    #[test]
    fn session_ids_0_and_u64_max_are_valid() {
        let mut response = [0; MAX_RESPONSE_LEN];
        assert_eq!(CreateResponse::parse(&response), Ok(0));
        response[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(CreateResponse::parse(&response), Ok(u64::MAX));
    }

    #[test]
    fn create_response_requires_status_ok() {
        let mut response = [0; MAX_RESPONSE_LEN];
        for status in 1..10 {
            response[8] = status;
            assert!(CreateResponse::parse(&response).is_err());
        }
        // The status has 32 bits. Its highest byte counts, too.
        response[8..12].copy_from_slice(&[0, 0, 0, 1]);
        assert!(CreateResponse::parse(&response).is_err());
        assert_eq!(CreateResponse::parse(&[0xff; MAX_RESPONSE_LEN]), Err(EIO));
    }
}
