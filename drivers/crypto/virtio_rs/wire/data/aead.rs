// SPDX-License-Identifier: GPL-2.0

//! Requests of the AEAD service ("AEAD Service Operation").

use super::{
    super::{
        algorithm::{
            Aead,
            Operation,
            Service, //
        },
        feature::Layout,
        PADDED_LEN, //
    },
    opcode_low_byte,
    Header, //
};
use core::mem::offset_of;
use kernel::prelude::*;
use zerocopy::byteorder::little_endian::U32;
use zerocopy_derive::Immutable;

/// The lengths of an AEAD request, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Lengths {
    pub(crate) iv: u32,
    pub(crate) aad: u32,
    /// Includes the tag for decryption.
    pub(crate) src: u32,
    /// Includes the tag for encryption.
    pub(crate) dst: u32,
    pub(crate) tag: u32,
}

/// An AEAD request in session mode. The IV, the source and the AAD follow.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct AeadRequest {
    header: Header,
    iv_len: U32,
    aad_len: U32,
    src_data_len: U32,
    dst_data_len: U32,
    tag_len: U32,
    reserved: U32,
    padding: [u8; 24],
}

kernel::static_assert!(size_of::<AeadRequest>() == PADDED_LEN);

impl AeadRequest {
    const NATURAL_LEN: usize = 48;

    /// Creates the request.
    pub(crate) fn new(
        layout: Layout,
        aead: Aead,
        operation: Operation,
        session_id: u64,
        lengths: &Lengths,
    ) -> Self {
        Self {
            header: Header::session(
                layout,
                Service::Aead,
                opcode_low_byte(operation),
                aead.number(),
                session_id,
            ),
            iv_len: lengths.iv.into(),
            aad_len: lengths.aad.into(),
            src_data_len: lengths.src.into(),
            dst_data_len: lengths.dst.into(),
            tag_len: lengths.tag.into(),
            reserved: 0.into(),
            padding: [0; 24],
        }
    }

    /// Returns the bytes of the request in a layout.
    pub(crate) fn bytes(&self, layout: Layout) -> &[u8] {
        layout.truncate(self.as_bytes(), Self::NATURAL_LEN)
    }
}

kernel::static_assert!(offset_of!(AeadRequest, padding) == AeadRequest::NATURAL_LEN);

/// An AEAD request in stateless mode (VIRTIO_CRYPTO_F_AEAD_STATELESS_MODE). The key, the IV, the
/// source and the AAD follow.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct StatelessAeadRequest {
    header: Header,
    algo: U32,
    key_len: U32,
    op: U32,
    iv_len: U32,
    tag_len: U32,
    aad_len: U32,
    src_data_len: U32,
    dst_data_len: U32,
}

kernel::static_assert!(size_of::<StatelessAeadRequest>() == 56);

impl StatelessAeadRequest {
    /// Creates the request. `key_len` is in bytes.
    pub(crate) fn new(aead: Aead, operation: Operation, key_len: u32, lengths: &Lengths) -> Self {
        Self {
            header: Header::stateless(Service::Aead, opcode_low_byte(operation), aead.number()),
            algo: aead.number().into(),
            key_len: key_len.into(),
            op: operation.number().into(),
            iv_len: lengths.iv.into(),
            tag_len: lengths.tag.into(),
            aad_len: lengths.aad.into(),
            src_data_len: lengths.src.into(),
            dst_data_len: lengths.dst.into(),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_data_aead)]
mod tests {
    use super::*;
    use crate::{
        bindings,
        wire::testing::{
            has_words,
            word, //
        },
    };

    const LENGTHS: Lengths = Lengths {
        iv: 12,
        aad: 20,
        src: 100,
        dst: 116,
        tag: 16,
    };

    #[test]
    fn session_request_fields_match_the_layout() {
        let request = AeadRequest::new(Layout::Padded, Aead::Gcm, Operation::Decrypt, 7, &LENGTHS);
        let bytes = request.bytes(Layout::Padded);
        let expected = [
            (0, 0x301),
            (4, 1),
            (8, 7),
            (24, 12),
            (28, 20),
            (32, 100),
            (36, 116),
            (40, 16),
        ];
        assert_eq!(bytes.len(), 72);
        assert!(has_words(bytes, &expected));
        assert_eq!(word(bytes, 0), bindings::VC_AEAD_DECRYPT);
        assert_eq!(request.bytes(Layout::Natural), &bytes[..48]);
    }

    #[test]
    fn stateless_request_fields_match_the_layout() {
        let request = StatelessAeadRequest::new(Aead::Ccm, Operation::Encrypt, 32, &LENGTHS);
        let expected = [
            (0, 0x300),
            (4, 2),
            (24, 2),
            (28, 32),
            (32, 1),
            (36, 12),
            (40, 16),
            (44, 20),
            (48, 100),
            (52, 116),
        ];
        assert!(has_words(request.as_bytes(), &expected));
        assert_eq!(word(request.as_bytes(), 0), bindings::VC_AEAD_ENCRYPT);
    }
}
