// SPDX-License-Identifier: GPL-2.0

//! Requests on a data queue ("Data Virtqueue").

use super::{
    algorithm::{
        Cipher,
        Operation,
        SERVICE_CIPHER, //
    },
    feature::Revision,
    FIXED, //
};
use kernel::prelude::*;
use zerocopy::byteorder::little_endian::{
    U32,
    U64, //
};
use zerocopy_derive::{
    Immutable, //
};

/// The status byte that ends what the device writes: `struct virtio_crypto_inhdr`.
pub(crate) const STATUS: usize = 1;

/// `struct virtio_crypto_sym_data_req`: a symmetric request that is a plain cipher.
const OP_TYPE_CIPHER: u32 = 1;

/// A cipher request in a session; the IV and the source follow.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct CipherRequest {
    opcode: U32,
    algo: U32,
    session_id: U64,
    flag: U32,
    padding: U32,
    iv_len: U32,
    src_data_len: U32,
    dst_data_len: U32,
    padding_2: U32,
    unused: [u8; 24],
    op_type: U32,
    padding_3: U32,
}

kernel::static_assert!(size_of::<CipherRequest>() == FIXED);
kernel::static_assert!(core::mem::offset_of!(CipherRequest, iv_len) == 24);
kernel::static_assert!(core::mem::offset_of!(CipherRequest, op_type) == 64);

impl CipherRequest {
    /// Creates the request for `len` bytes of data; lengths in bytes.
    pub(crate) fn new(
        revision: Revision,
        cipher: Cipher,
        operation: Operation,
        session_id: u64,
        iv_len: u32,
        len: u32,
    ) -> Self {
        Self {
            opcode: opcode(operation),
            algo: cipher.number().into(),
            session_id: session_id.into(),
            flag: revision.session_flag().into(),
            padding: 0.into(),
            iv_len: iv_len.into(),
            src_data_len: len.into(),
            dst_data_len: len.into(),
            padding_2: 0.into(),
            unused: [0; 24],
            op_type: OP_TYPE_CIPHER.into(),
            padding_3: 0.into(),
        }
    }
}

/// A cipher request that brings its key along; the key, the IV and the source follow. There is one
/// layout of it only, which devices with VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE know.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct StatelessCipherRequest {
    opcode: U32,
    algo: U32,
    session_id: U64,
    flag: U32,
    padding: U32,
    cipher_algo: U32,
    key_len: U32,
    op: U32,
    iv_len: U32,
    src_data_len: U32,
    dst_data_len: U32,
    unused: [u8; 48],
    op_type: U32,
}

/// The bytes of a stateless request before its key.
const STATELESS: usize = size_of::<StatelessCipherRequest>();

/// The longest fixed part of any request, in bytes.
pub(crate) const MAX_HEAD: usize = if STATELESS > FIXED { STATELESS } else { FIXED };

kernel::static_assert!(STATELESS == 100);
kernel::static_assert!(core::mem::offset_of!(StatelessCipherRequest, cipher_algo) == 24);
kernel::static_assert!(core::mem::offset_of!(StatelessCipherRequest, op_type) == 96);

impl StatelessCipherRequest {
    /// Creates the request for `len` bytes of data; lengths in bytes.
    pub(crate) fn new(
        cipher: Cipher,
        operation: Operation,
        key_len: u32,
        iv_len: u32,
        len: u32,
    ) -> Self {
        Self {
            opcode: opcode(operation),
            algo: cipher.number().into(),
            session_id: 0.into(),
            flag: 0.into(),
            padding: 0.into(),
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

fn opcode(operation: Operation) -> U32 {
    let op = match operation {
        Operation::Encrypt => 0,
        Operation::Decrypt => 1,
    };
    (SERVICE_CIPHER << 8 | op).into()
}

/// Returns how many bytes of data a cipher request may have at most within a device's `max_size`,
/// all lengths in bytes: everything that is not fixed counts, the key that is sent along and the
/// status byte too.
pub(crate) fn cipher_room(key_len: usize, iv_len: u32, max_size: u64) -> u64 {
    let others = u64::from(iv_len) + (key_len + STATUS) as u64;
    // Source and destination.
    max_size.saturating_sub(others) / 2
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_data)]
mod tests {
    use super::*;
    use crate::bindings;

    fn word(bytes: &[u8], offset: usize) -> u32 {
        u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
    }

    #[test]
    fn cipher_request_has_every_field_in_its_place() {
        let id = 0x8877_6655_4433_2211;
        let request = CipherRequest::new(
            Revision::Padded,
            Cipher::AesCbc,
            Operation::Decrypt,
            id,
            16,
            4096,
        );
        let bytes = request.as_bytes();
        assert_eq!(bytes.len(), 72);
        let set = [
            (0, 1),
            (4, 3),
            (8, 0x4433_2211),
            (12, 0x8877_6655),
            (24, 16),
            (28, 4096),
            (32, 4096),
            (64, 1),
        ];
        for offset in (0..72).step_by(4) {
            let expected = set
                .iter()
                .find(|(at, _)| *at == offset)
                .map_or(0, |(_, v)| *v);
            assert_eq!(word(bytes, offset), expected);
        }
        assert_eq!(word(bytes, 0), bindings::VC_CIPHER_DECRYPT);
        assert_eq!(
            size_of::<CipherRequest>(),
            size_of::<bindings::virtio_crypto_op_data_req>()
        );
    }

    #[test]
    fn encrypt_on_session_0_is_almost_all_zeros() {
        let request = CipherRequest::new(
            Revision::Padded,
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
    fn the_natural_layout_says_that_there_is_a_session() {
        let new =
            |revision| CipherRequest::new(revision, Cipher::AesCbc, Operation::Encrypt, 1, 16, 16);
        let (padded, natural) = (new(Revision::Padded), new(Revision::Natural));
        assert_eq!(word(natural.as_bytes(), 16), 1);
        assert_eq!(padded.as_bytes()[..16], natural.as_bytes()[..16]);
        assert_eq!(padded.as_bytes()[20..], natural.as_bytes()[20..]);
    }

    #[test]
    fn stateless_request_has_every_field_in_its_place() {
        let request = StatelessCipherRequest::new(Cipher::AesCbc, Operation::Decrypt, 32, 16, 4096);
        let bytes = request.as_bytes();
        let set = [
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
        for offset in (0..STATELESS).step_by(4) {
            let expected = set
                .iter()
                .find(|(at, _)| *at == offset)
                .map_or(0, |(_, v)| *v);
            assert_eq!(word(bytes, offset), expected);
        }
    }

    #[test]
    fn max_size_counts_both_directions() {
        // QEMU: 1048576, of which 524272 can be data.
        let room = cipher_room(0, 16, 0x10_0000);
        assert_eq!(room - room % 16, 524_272);
        assert_eq!(cipher_room(0, 16, 49), 16);
        assert_eq!(cipher_room(0, 16, 48), 15);
        assert_eq!(cipher_room(32, 16, 81), 16);
        assert_eq!(cipher_room(64, 16, 16), 0);
        assert_eq!(cipher_room(0, 0, 0), 0);
        assert!(cipher_room(0, 16, u64::MAX) > u64::from(u32::MAX));
    }
}
