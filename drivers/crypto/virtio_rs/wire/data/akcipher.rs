// SPDX-License-Identifier: GPL-2.0

//! Requests of the public key service.

use super::{
    super::{
        algorithm::{
            KeyType,
            Scheme,
            Service, //
        },
        feature::Revision,
        FIXED, //
    },
    Header, //
};
use core::mem::offset_of;
use kernel::prelude::*;
use zerocopy::byteorder::little_endian::U32;
use zerocopy_derive::Immutable;

/// What is done with a key: the low byte of the opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum AkcipherOperation {
    /// With the public half.
    Encrypt = 0,
    /// With the private half.
    Decrypt = 1,
    /// With the private half: a digest becomes a signature.
    Sign = 2,
    /// With the public half: the device reads the signature, then the digest; it writes nothing.
    Verify = 3,
}

/// A request in a session; the source follows.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct AkcipherRequest {
    header: Header,
    src_data_len: U32,
    dst_data_len: U32,
    padding: [u8; 40],
}

kernel::static_assert!(size_of::<AkcipherRequest>() == FIXED);

impl AkcipherRequest {
    const NATURAL: usize = 32;

    /// Creates the request; lengths in bytes. That of the digest is `dst_len` if a signature is
    /// verified.
    pub(crate) fn new(
        revision: Revision,
        scheme: Scheme,
        operation: AkcipherOperation,
        session_id: u64,
        src_len: u32,
        dst_len: u32,
    ) -> Self {
        Self {
            header: Header::session(
                revision,
                Service::Akcipher,
                // CAST: The enum is a `u32`.
                operation as u32,
                scheme.number(),
                session_id,
            ),
            src_data_len: src_len.into(),
            dst_data_len: dst_len.into(),
            padding: [0; 40],
        }
    }

    /// Returns the bytes to send.
    pub(crate) fn bytes(&self, revision: Revision) -> &[u8] {
        revision.cut(self.as_bytes(), Self::NATURAL)
    }
}

kernel::static_assert!(offset_of!(AkcipherRequest, padding) == AkcipherRequest::NATURAL);

/// A request that brings its key along (VIRTIO_CRYPTO_F_AKCIPHER_STATELESS_MODE); the key and the
/// source follow.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct StatelessAkcipherRequest {
    header: Header,
    algo: U32,
    key_type: U32,
    key_len: U32,
    parameters: [U32; 2],
    src_data_len: U32,
    dst_data_len: U32,
}

kernel::static_assert!(size_of::<StatelessAkcipherRequest>() == 52);
kernel::static_assert!(offset_of!(StatelessAkcipherRequest, parameters) == 36);

impl StatelessAkcipherRequest {
    /// Creates the request; lengths in bytes, as for [`AkcipherRequest::new`].
    pub(crate) fn new(
        scheme: Scheme,
        operation: AkcipherOperation,
        key_type: KeyType,
        key_len: u32,
        src_len: u32,
        dst_len: u32,
    ) -> Self {
        Self {
            // CAST: The enum is a `u32`.
            header: Header::stateless(Service::Akcipher, operation as u32, scheme.number()),
            algo: scheme.number().into(),
            key_type: key_type.number().into(),
            key_len: key_len.into(),
            parameters: scheme.parameters().map(U32::new),
            src_data_len: src_len.into(),
            dst_data_len: dst_len.into(),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_data_akcipher)]
mod tests {
    use super::*;
    use crate::{
        bindings,
        wire::{
            algorithm::{
                Akcipher,
                Curve, //
            },
            testing::{
                has_words,
                word, //
            },
        },
    };

    #[test]
    fn operations_have_the_opcodes_of_the_uapi_header() {
        let opcodes = [
            (AkcipherOperation::Encrypt, bindings::VC_AKCIPHER_ENCRYPT),
            (AkcipherOperation::Decrypt, bindings::VC_AKCIPHER_DECRYPT),
            (AkcipherOperation::Sign, bindings::VC_AKCIPHER_SIGN),
            (AkcipherOperation::Verify, bindings::VC_AKCIPHER_VERIFY),
        ];
        for (operation, opcode) in opcodes {
            let scheme = Scheme::RsaRaw;
            let request = AkcipherRequest::new(Revision::Padded, scheme, operation, 0, 1, 1);
            assert_eq!(word(request.as_bytes(), 0), opcode);
            let request =
                StatelessAkcipherRequest::new(scheme, operation, KeyType::Public, 1, 1, 1);
            assert_eq!(word(request.as_bytes(), 0), opcode);
        }
    }

    #[test]
    fn session_request_has_every_field_in_its_place() {
        let new = |revision| {
            let scheme = Scheme::RsaRaw;
            AkcipherRequest::new(revision, scheme, AkcipherOperation::Decrypt, 7, 256, 255)
        };
        let request = new(Revision::Padded);
        let bytes = request.bytes(Revision::Padded);
        assert_eq!(bytes.len(), 72);
        let set = [(0, 0x401), (4, 1), (8, 7), (24, 256), (28, 255)];
        assert!(has_words(bytes, &set));

        let request = new(Revision::Natural);
        let bytes = request.bytes(Revision::Natural);
        assert_eq!(bytes.len(), 32);
        let set = [(0, 0x401), (4, 1), (8, 7), (16, 1), (24, 256), (28, 255)];
        assert!(has_words(bytes, &set));
    }

    #[test]
    fn stateless_request_has_every_field_in_its_place() {
        let scheme = Scheme::Ecdsa(Akcipher::Ecdsa, Curve::P256);
        let verify = AkcipherOperation::Verify;
        let request = StatelessAkcipherRequest::new(scheme, verify, KeyType::Public, 65, 72, 32);
        let set = [
            (0, 0x403),
            (4, 2),
            (24, 2),
            (28, 1),
            (32, 65),
            (36, 3),
            (44, 72),
            (48, 32),
        ];
        assert!(has_words(request.as_bytes(), &set));
        assert_eq!(request.as_bytes().len(), 52);
    }
}
