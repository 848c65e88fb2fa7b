// SPDX-License-Identifier: GPL-2.0

//! Cipher requests without algorithm chaining ("Symmetric algorithms Operation").

use super::{
    super::{
        algorithm::{
            Cipher,
            Operation,
            Service,
            OP_TYPE_CIPHER, //
        },
        feature::Layout,
        PADDED_LEN, //
    },
    opcode_low_byte,
    Header,
    STATELESS_LEN,
    STATUS_LEN, //
};
use core::mem::offset_of;
use kernel::prelude::*;
use zerocopy::byteorder::little_endian::U32;
use zerocopy_derive::Immutable;

/// A cipher request in session mode. The IV and the source follow.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct CipherRequest {
    header: Header,
    iv_len: U32,
    src_data_len: U32,
    dst_data_len: U32,
    padding: U32,
    unused: [u8; 24],
    op_type: U32,
    padding_2: U32,
}

kernel::static_assert!(size_of::<CipherRequest>() == PADDED_LEN);
kernel::static_assert!(offset_of!(CipherRequest, iv_len) == 24);
kernel::static_assert!(offset_of!(CipherRequest, op_type) == 64);

impl CipherRequest {
    /// Creates the request. The source and the destination have `len` bytes each. All lengths are
    /// in bytes.
    pub(crate) fn new(
        layout: Layout,
        cipher: Cipher,
        operation: Operation,
        session_id: u64,
        iv_len: u32,
        len: u32,
    ) -> Self {
        Self {
            header: Header::session(
                layout,
                Service::Cipher,
                opcode_low_byte(operation),
                cipher.number(),
                session_id,
            ),
            iv_len: iv_len.into(),
            src_data_len: len.into(),
            dst_data_len: len.into(),
            padding: 0.into(),
            unused: [0; 24],
            op_type: OP_TYPE_CIPHER.into(),
            padding_2: 0.into(),
        }
    }
}

/// A cipher request in stateless mode (VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE). The key, the IV and
/// the source follow.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct StatelessCipherRequest {
    header: Header,
    cipher_algo: U32,
    key_len: U32,
    op: U32,
    iv_len: U32,
    src_data_len: U32,
    dst_data_len: U32,
    unused: [u8; 48],
    op_type: U32,
}

kernel::static_assert!(size_of::<StatelessCipherRequest>() == STATELESS_LEN);
kernel::static_assert!(offset_of!(StatelessCipherRequest, cipher_algo) == 24);
kernel::static_assert!(offset_of!(StatelessCipherRequest, op_type) == 96);

impl StatelessCipherRequest {
    /// Creates the request. The source and the destination have `len` bytes each. All lengths are
    /// in bytes.
    pub(crate) fn new(
        cipher: Cipher,
        operation: Operation,
        key_len: u32,
        iv_len: u32,
        len: u32,
    ) -> Self {
        Self {
            header: Header::stateless(Service::Cipher, opcode_low_byte(operation), cipher.number()),
            cipher_algo: cipher.number().into(),
            key_len: key_len.into(),
            op: operation.number().into(),
            iv_len: iv_len.into(),
            src_data_len: len.into(),
            dst_data_len: len.into(),
            unused: [0; 48],
            op_type: OP_TYPE_CIPHER.into(),
        }
    }
}

/// Returns the maximum number of bytes of data in a cipher request of a device with `max_size`.
///
/// All lengths are in bytes. `key_len` is 0 in session mode. The key, the IV, the source, the
/// destination and the status count towards `max_size`.
pub(crate) fn max_cipher_len(key_len: usize, iv_len: u32, max_size: u64) -> u64 {
    let other_fields = u64::from(iv_len) + (key_len + STATUS_LEN) as u64;
    // The source and the destination have the same length.
    max_size.saturating_sub(other_fields) / 2
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_data_cipher)]
mod tests {
    use super::*;
    use crate::{
        bindings,
        wire::testing::{
            has_words,
            word, //
        },
    };

    #[test]
    fn session_request_fields_match_the_layout() {
        let id = 0x8877_6655_4433_2211;
        let request = CipherRequest::new(
            Layout::Padded,
            Cipher::AesCbc,
            Operation::Decrypt,
            id,
            16,
            4096,
        );
        let expected = [
            (0, 1),
            (4, 3),
            (8, 0x4433_2211),
            (12, 0x8877_6655),
            (24, 16),
            (28, 4096),
            (32, 4096),
            (64, 1),
        ];
        assert!(has_words(request.as_bytes(), &expected));
        assert_eq!(word(request.as_bytes(), 0), bindings::VC_CIPHER_DECRYPT);
        assert_eq!(
            size_of::<CipherRequest>(),
            size_of::<bindings::virtio_crypto_op_data_req>()
        );
    }

    #[test]
    fn session_id_0_is_a_valid_session_id() {
        let request = CipherRequest::new(
            Layout::Padded,
            Cipher::AesCbc,
            Operation::Encrypt,
            0,
            16,
            16,
        );
        assert_eq!(word(request.as_bytes(), 0), bindings::VC_CIPHER_ENCRYPT);
        assert_eq!(word(request.as_bytes(), 8), 0);
    }

    #[test]
    fn natural_layout_sets_the_session_flag() {
        let new =
            |layout| CipherRequest::new(layout, Cipher::AesCbc, Operation::Encrypt, 1, 16, 16);
        let (padded, natural) = (new(Layout::Padded), new(Layout::Natural));
        assert_eq!(word(natural.as_bytes(), 16), 1);
        assert_eq!(padded.as_bytes()[..16], natural.as_bytes()[..16]);
        assert_eq!(padded.as_bytes()[20..], natural.as_bytes()[20..]);
    }

    #[test]
    fn stateless_request_fields_match_the_layout() {
        let request = StatelessCipherRequest::new(Cipher::AesCbc, Operation::Decrypt, 32, 16, 4096);
        let expected = [
            (0, 1),
            (4, 3),
            (24, 3),
            (28, 32),
            (32, 2),
            (36, 16),
            (40, 4096),
            (44, 4096),
            (96, 1),
        ];
        assert!(has_words(request.as_bytes(), &expected));
    }

    #[test]
    fn max_cipher_len_counts_source_and_destination() {
        // QEMU's `max_size` is 1048576. A request then has at most 524272 bytes in whole blocks.
        let max_len = max_cipher_len(0, 16, 0x10_0000);
        assert_eq!(max_len - max_len % 16, 524_272);
        assert_eq!(max_cipher_len(0, 16, 49), 16);
        assert_eq!(max_cipher_len(0, 16, 48), 15);
        assert_eq!(max_cipher_len(32, 16, 81), 16);
        assert_eq!(max_cipher_len(64, 16, 16), 0);
        assert_eq!(max_cipher_len(0, 0, 0), 0);
        assert!(max_cipher_len(0, 16, u64::MAX) > u64::from(u32::MAX));
    }
}
