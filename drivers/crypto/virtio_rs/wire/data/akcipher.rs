// SPDX-License-Identifier: GPL-2.0

//! Requests of the public key service ("AKCIPHER Service Operation").

use super::{
    super::{
        algorithm::{
            KeyType,
            Scheme,
            Service, //
        },
        feature::Layout,
        PADDED_LEN, //
    },
    Header, //
};
use core::mem::offset_of;
use kernel::prelude::*;
use zerocopy::byteorder::little_endian::U32;
use zerocopy_derive::Immutable;

/// A public key operation. Its value is the low byte of the opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum AkcipherOperation {
    /// Encryption with a public key.
    Encrypt = 0,
    /// Decryption with a private key.
    Decrypt = 1,
    /// Signing of a digest with a private key.
    Sign = 2,
    /// Verification with a public key. The device reads the signature and then the digest. The
    /// device only writes the status.
    Verify = 3,
}

/// A public key request in session mode. The source follows.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct AkcipherRequest {
    header: Header,
    src_data_len: U32,
    dst_data_len: U32,
    padding: [u8; 40],
}

kernel::static_assert!(size_of::<AkcipherRequest>() == PADDED_LEN);

impl AkcipherRequest {
    const NATURAL_LEN: usize = 32;

    /// Creates the request. The lengths are in bytes. For [`AkcipherOperation::Verify`], `src_len`
    /// is the length of the signature and `dst_len` that of the digest.
    pub(crate) fn new(
        layout: Layout,
        scheme: Scheme,
        operation: AkcipherOperation,
        session_id: u64,
        src_len: u32,
        dst_len: u32,
    ) -> Self {
        Self {
            header: Header::session(
                layout,
                Service::Akcipher,
                // CAST: The enum is `repr(u32)`.
                operation as u32,
                scheme.number(),
                session_id,
            ),
            src_data_len: src_len.into(),
            dst_data_len: dst_len.into(),
            padding: [0; 40],
        }
    }

    /// Returns the bytes of the request in a layout.
    pub(crate) fn bytes(&self, layout: Layout) -> &[u8] {
        layout.truncate(self.as_bytes(), Self::NATURAL_LEN)
    }
}

kernel::static_assert!(offset_of!(AkcipherRequest, padding) == AkcipherRequest::NATURAL_LEN);

/// A public key request in stateless mode (VIRTIO_CRYPTO_F_AKCIPHER_STATELESS_MODE). The key and
/// the source follow.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct StatelessAkcipherRequest {
    header: Header,
    algo: U32,
    key_type: U32,
    key_len: U32,
    /// `struct virtio_crypto_rsa_session_para` or `virtio_crypto_ecdsa_session_para`.
    parameters: [U32; 2],
    src_data_len: U32,
    dst_data_len: U32,
}

kernel::static_assert!(size_of::<StatelessAkcipherRequest>() == 52);
kernel::static_assert!(offset_of!(StatelessAkcipherRequest, parameters) == 36);

impl StatelessAkcipherRequest {
    /// Creates the request. `key_len` is in bytes. `src_len` and `dst_len` have the same meaning as
    /// in [`AkcipherRequest::new`].
    pub(crate) fn new(
        scheme: Scheme,
        operation: AkcipherOperation,
        key_type: KeyType,
        key_len: u32,
        src_len: u32,
        dst_len: u32,
    ) -> Self {
        Self {
            // CAST: The enum is `repr(u32)`.
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
    fn opcodes_match_uapi_header() {
        let opcodes = [
            (AkcipherOperation::Encrypt, bindings::VC_AKCIPHER_ENCRYPT),
            (AkcipherOperation::Decrypt, bindings::VC_AKCIPHER_DECRYPT),
            (AkcipherOperation::Sign, bindings::VC_AKCIPHER_SIGN),
            (AkcipherOperation::Verify, bindings::VC_AKCIPHER_VERIFY),
        ];
        for (operation, opcode) in opcodes {
            let scheme = Scheme::RsaRaw;
            let request = AkcipherRequest::new(Layout::Padded, scheme, operation, 0, 1, 1);
            assert_eq!(word(request.as_bytes(), 0), opcode);
            let request =
                StatelessAkcipherRequest::new(scheme, operation, KeyType::Public, 1, 1, 1);
            assert_eq!(word(request.as_bytes(), 0), opcode);
        }
    }

    #[test]
    fn session_request_fields_match_the_layout() {
        let new = |layout| {
            let scheme = Scheme::RsaRaw;
            AkcipherRequest::new(layout, scheme, AkcipherOperation::Decrypt, 7, 256, 255)
        };
        let request = new(Layout::Padded);
        let bytes = request.bytes(Layout::Padded);
        assert_eq!(bytes.len(), 72);
        let expected = [(0, 0x401), (4, 1), (8, 7), (24, 256), (28, 255)];
        assert!(has_words(bytes, &expected));

        let request = new(Layout::Natural);
        let bytes = request.bytes(Layout::Natural);
        assert_eq!(bytes.len(), 32);
        let expected = [(0, 0x401), (4, 1), (8, 7), (16, 1), (24, 256), (28, 255)];
        assert!(has_words(bytes, &expected));
    }

    #[test]
    fn stateless_request_fields_match_the_layout() {
        let scheme = Scheme::Ecdsa(Akcipher::Ecdsa, Curve::P256);
        let verify = AkcipherOperation::Verify;
        let request = StatelessAkcipherRequest::new(scheme, verify, KeyType::Public, 65, 72, 32);
        let expected = [
            (0, 0x403),
            (4, 2),
            (24, 2),
            (28, 1),
            (32, 65),
            (36, 3),
            (44, 72),
            (48, 32),
        ];
        assert!(has_words(request.as_bytes(), &expected));
        assert_eq!(request.as_bytes().len(), 52);
    }
}
