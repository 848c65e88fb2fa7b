// SPDX-License-Identifier: GPL-2.0

//! Algorithm chaining requests of the cipher service: a cipher and a MAC of the ciphertext
//! ("Symmetric algorithms Operation").

use super::{
    super::{
        algorithm::{
            Operation,
            Service,
            HASH_MODE_AUTH,
            OP_TYPE_CHAIN, //
        },
        control::Chain,
        feature::Layout,
        PADDED_LEN, //
    },
    opcode_low_byte,
    Header,
    STATELESS_LEN, //
};
use core::mem::offset_of;
use kernel::prelude::*;
use zerocopy::byteorder::little_endian::U32;
use zerocopy_derive::Immutable;

/// The lengths of an algorithm chaining request, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct ChainLengths {
    pub(crate) iv: u32,
    pub(crate) aad: u32,
    /// The length of the source, and of the destination. The cipher processes all of it.
    pub(crate) data: u32,
    /// The number of bytes at the beginning of the ciphertext that the MAC covers. Padding is not
    /// covered.
    pub(crate) hashed: u32,
}

/// An algorithm chaining request in session mode.
///
/// The order of the data depends on the layout:
///
/// - padded: IV, AAD, source. This is the order that QEMU expects.
/// - natural: IV, source, AAD. This is the order of the specification.
///
/// The device writes the destination and then the MAC.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct ChainRequest {
    header: Header,
    iv_len: U32,
    src_data_len: U32,
    dst_data_len: U32,
    cipher_start_src_offset: U32,
    len_to_cipher: U32,
    hash_start_src_offset: U32,
    len_to_hash: U32,
    aad_len: U32,
    hash_result_len: U32,
    reserved: U32,
    op_type: U32,
    padding: U32,
}

kernel::static_assert!(size_of::<ChainRequest>() == PADDED_LEN);
kernel::static_assert!(offset_of!(ChainRequest, iv_len) == 24);
kernel::static_assert!(offset_of!(ChainRequest, op_type) == 64);

impl ChainRequest {
    /// Creates the request.
    pub(crate) fn new(
        layout: Layout,
        chain: &Chain,
        operation: Operation,
        session_id: u64,
        lengths: &ChainLengths,
    ) -> Self {
        Self {
            header: Header::session(
                layout,
                Service::Cipher,
                opcode_low_byte(operation),
                chain.cipher.number(),
                session_id,
            ),
            iv_len: lengths.iv.into(),
            src_data_len: lengths.data.into(),
            dst_data_len: lengths.data.into(),
            cipher_start_src_offset: 0.into(),
            len_to_cipher: lengths.data.into(),
            hash_start_src_offset: 0.into(),
            len_to_hash: lengths.hashed.into(),
            aad_len: lengths.aad.into(),
            hash_result_len: chain.result_len.into(),
            reserved: 0.into(),
            op_type: OP_TYPE_CHAIN.into(),
            padding: 0.into(),
        }
    }
}

/// An algorithm chaining request in stateless mode (VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE). The
/// cipher key, the MAC key, the IV, the AAD and the source follow.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct StatelessChainRequest {
    header: Header,
    alg_chain_order: U32,
    aad_len: U32,
    cipher_algo: U32,
    key_len: U32,
    op: U32,
    mac_algo: U32,
    auth_key_len: U32,
    hash_mode: U32,
    iv_len: U32,
    src_data_len: U32,
    dst_data_len: U32,
    cipher_start_src_offset: U32,
    len_to_cipher: U32,
    hash_start_src_offset: U32,
    len_to_hash: U32,
    aad_len_2: U32,
    hash_result_len: U32,
    reserved: U32,
    op_type: U32,
}

kernel::static_assert!(size_of::<StatelessChainRequest>() == STATELESS_LEN);
kernel::static_assert!(offset_of!(StatelessChainRequest, alg_chain_order) == 24);
kernel::static_assert!(offset_of!(StatelessChainRequest, op_type) == 96);

impl StatelessChainRequest {
    /// Creates the request.
    pub(crate) fn new(chain: &Chain, operation: Operation, lengths: &ChainLengths) -> Self {
        Self {
            header: Header::stateless(
                Service::Cipher,
                opcode_low_byte(operation),
                chain.cipher.number(),
            ),
            alg_chain_order: operation.chain_order().into(),
            aad_len: lengths.aad.into(),
            cipher_algo: chain.cipher.number().into(),
            key_len: chain.key_len.into(),
            op: operation.number().into(),
            mac_algo: chain.mac.number().into(),
            auth_key_len: chain.auth_key_len.into(),
            hash_mode: HASH_MODE_AUTH.into(),
            iv_len: lengths.iv.into(),
            src_data_len: lengths.data.into(),
            dst_data_len: lengths.data.into(),
            cipher_start_src_offset: 0.into(),
            len_to_cipher: lengths.data.into(),
            hash_start_src_offset: 0.into(),
            len_to_hash: lengths.hashed.into(),
            aad_len_2: lengths.aad.into(),
            hash_result_len: chain.result_len.into(),
            reserved: 0.into(),
            op_type: OP_TYPE_CHAIN.into(),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_data_chain)]
mod tests {
    use super::*;
    use crate::wire::{
        algorithm::{
            Cipher,
            Mac, //
        },
        testing::has_words,
    };

    const CHAIN: Chain = Chain {
        cipher: Cipher::AesCbc,
        key_len: 16,
        mac: Mac::HmacSha256,
        auth_key_len: 32,
        result_len: 16,
    };

    const LENGTHS: ChainLengths = ChainLengths {
        iv: 16,
        aad: 24,
        data: 4096,
        hashed: 4090,
    };

    #[test]
    fn session_request_fields_match_the_layout() {
        let request = ChainRequest::new(Layout::Natural, &CHAIN, Operation::Decrypt, 7, &LENGTHS);
        let expected = [
            (0, 1),
            (4, 3),
            (8, 7),
            (16, 1),
            (24, 16),
            (28, 4096),
            (32, 4096),
            (40, 4096),
            (48, 4090),
            (52, 24),
            (56, 16),
            (64, 2),
        ];
        assert!(has_words(request.as_bytes(), &expected));
    }

    #[test]
    fn stateless_request_fields_match_the_layout() {
        let request = StatelessChainRequest::new(&CHAIN, Operation::Encrypt, &LENGTHS);
        let expected = [
            (0, 0),
            (4, 3),
            (24, 2),
            (28, 24),
            (32, 3),
            (36, 16),
            (40, 1),
            (44, 4),
            (48, 32),
            (52, 2),
            (56, 16),
            (60, 4096),
            (64, 4096),
            (72, 4096),
            (80, 4090),
            (84, 24),
            (88, 16),
            (96, 2),
        ];
        assert!(has_words(request.as_bytes(), &expected));
    }
}
