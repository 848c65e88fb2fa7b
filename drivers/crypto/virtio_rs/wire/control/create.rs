// SPDX-License-Identifier: GPL-2.0

//! CREATE requests of the symmetric services ("Session operation").

use super::{
    super::{
        algorithm::{
            Aead,
            Cipher,
            Hash,
            Mac,
            Operation,
            Service,
            HASH_MODE_AUTH,
            OP_TYPE_CHAIN,
            OP_TYPE_CIPHER, //
        },
        feature::Layout,
        PADDED_LEN, //
    },
    Header,
    CREATE, //
};
use core::mem::offset_of;
use kernel::prelude::*;
use zerocopy::byteorder::little_endian::U32;
use zerocopy_derive::Immutable;

/// A CREATE request for a cipher ("Symmetric algorithms session"). The key follows.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct CreateCipher {
    header: Header,
    algo: U32,
    key_len: U32,
    op: U32,
    padding: U32,
    unused: [u8; 32],
    op_type: U32,
    padding_2: U32,
}

kernel::static_assert!(size_of::<CreateCipher>() == PADDED_LEN);
kernel::static_assert!(offset_of!(CreateCipher, algo) == 16);
kernel::static_assert!(offset_of!(CreateCipher, op_type) == 64);

impl CreateCipher {
    /// Creates the request. `key_len` is in bytes.
    pub(crate) fn new(cipher: Cipher, operation: Operation, key_len: u32) -> Self {
        Self {
            header: Header::new(Service::Cipher, CREATE, cipher.number()),
            algo: cipher.number().into(),
            key_len: key_len.into(),
            op: operation.number().into(),
            padding: 0.into(),
            unused: [0; 32],
            op_type: OP_TYPE_CIPHER.into(),
            padding_2: 0.into(),
        }
    }
}

/// A CREATE request for a hash ("HASH session").
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct CreateHash {
    header: Header,
    algo: U32,
    hash_result_len: U32,
    padding: [u8; 48],
}

kernel::static_assert!(size_of::<CreateHash>() == PADDED_LEN);

impl CreateHash {
    const NATURAL_LEN: usize = 24;

    /// Creates the request. `result_len` is in bytes.
    pub(crate) fn new(hash: Hash, result_len: u32) -> Self {
        Self {
            header: Header::new(Service::Hash, CREATE, hash.number()),
            algo: hash.number().into(),
            hash_result_len: result_len.into(),
            padding: [0; 48],
        }
    }

    /// Returns the bytes of the request in a layout.
    pub(crate) fn bytes(&self, layout: Layout) -> &[u8] {
        layout.truncate(self.as_bytes(), Self::NATURAL_LEN)
    }
}

kernel::static_assert!(offset_of!(CreateHash, padding) == CreateHash::NATURAL_LEN);

/// A CREATE request for a MAC ("MAC session"). The key follows.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct CreateMac {
    header: Header,
    algo: U32,
    hash_result_len: U32,
    auth_key_len: U32,
    padding: U32,
    padding_2: [u8; 40],
}

kernel::static_assert!(size_of::<CreateMac>() == PADDED_LEN);

impl CreateMac {
    const NATURAL_LEN: usize = 32;

    /// Creates the request. The lengths are in bytes.
    pub(crate) fn new(mac: Mac, result_len: u32, key_len: u32) -> Self {
        Self {
            header: Header::new(Service::Mac, CREATE, mac.number()),
            algo: mac.number().into(),
            hash_result_len: result_len.into(),
            auth_key_len: key_len.into(),
            padding: 0.into(),
            padding_2: [0; 40],
        }
    }

    /// Returns the bytes of the request in a layout.
    pub(crate) fn bytes(&self, layout: Layout) -> &[u8] {
        layout.truncate(self.as_bytes(), Self::NATURAL_LEN)
    }
}

kernel::static_assert!(offset_of!(CreateMac, padding_2) == CreateMac::NATURAL_LEN);

/// A CREATE request for an AEAD ("AEAD session"). The key follows.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct CreateAead {
    header: Header,
    algo: U32,
    key_len: U32,
    tag_len: U32,
    aad_len: U32,
    op: U32,
    padding: U32,
    padding_2: [u8; 32],
}

kernel::static_assert!(size_of::<CreateAead>() == PADDED_LEN);

impl CreateAead {
    const NATURAL_LEN: usize = 40;

    /// Creates the request. The lengths are in bytes. `aad_len` is 0, because each data request
    /// specifies the length of its AAD.
    pub(crate) fn new(aead: Aead, operation: Operation, key_len: u32, tag_len: u32) -> Self {
        Self {
            header: Header::new(Service::Aead, CREATE, aead.number()),
            algo: aead.number().into(),
            key_len: key_len.into(),
            tag_len: tag_len.into(),
            aad_len: 0.into(),
            op: operation.number().into(),
            padding: 0.into(),
            padding_2: [0; 32],
        }
    }

    /// Returns the bytes of the request in a layout.
    pub(crate) fn bytes(&self, layout: Layout) -> &[u8] {
        layout.truncate(self.as_bytes(), Self::NATURAL_LEN)
    }
}

kernel::static_assert!(offset_of!(CreateAead, padding_2) == CreateAead::NATURAL_LEN);

/// A CREATE request for algorithm chaining of a cipher and a MAC of the ciphertext ("Symmetric
/// algorithms session"). The cipher key and the MAC key follow.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct CreateChain {
    header: Header,
    alg_chain_order: U32,
    hash_mode: U32,
    cipher_algo: U32,
    cipher_key_len: U32,
    op: U32,
    padding: U32,
    mac_algo: U32,
    hash_result_len: U32,
    auth_key_len: U32,
    padding_2: U32,
    aad_len: U32,
    padding_3: U32,
    op_type: U32,
    padding_4: U32,
}

kernel::static_assert!(size_of::<CreateChain>() == PADDED_LEN);
kernel::static_assert!(offset_of!(CreateChain, alg_chain_order) == 16);
kernel::static_assert!(offset_of!(CreateChain, mac_algo) == 40);
kernel::static_assert!(offset_of!(CreateChain, op_type) == 64);

/// The parameters of algorithm chaining. Lengths are in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Chain {
    pub(crate) cipher: Cipher,
    /// The length of the cipher key.
    pub(crate) key_len: u32,
    pub(crate) mac: Mac,
    /// The length of the MAC key.
    pub(crate) auth_key_len: u32,
    /// The length to which the device truncates the MAC.
    pub(crate) result_len: u32,
}

impl CreateChain {
    /// Creates the request. `aad_len` is 0, because each data request specifies the length of its
    /// AAD.
    pub(crate) fn new(chain: &Chain, operation: Operation) -> Self {
        Self {
            header: Header::new(Service::Cipher, CREATE, chain.cipher.number()),
            alg_chain_order: operation.chain_order().into(),
            hash_mode: HASH_MODE_AUTH.into(),
            cipher_algo: chain.cipher.number().into(),
            cipher_key_len: chain.key_len.into(),
            op: operation.number().into(),
            padding: 0.into(),
            mac_algo: chain.mac.number().into(),
            hash_result_len: chain.result_len.into(),
            auth_key_len: chain.auth_key_len.into(),
            padding_2: 0.into(),
            aad_len: 0.into(),
            padding_3: 0.into(),
            op_type: OP_TYPE_CHAIN.into(),
            padding_4: 0.into(),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_control_create)]
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
    fn cipher_fields_match_the_layout() {
        let request = CreateCipher::new(Cipher::AesCbc, Operation::Decrypt, 32);
        let bytes = request.as_bytes();
        assert!(has_words(
            bytes,
            &[(0, 2), (4, 3), (16, 3), (20, 32), (24, 2), (64, 1)]
        ));
        assert_eq!(word(bytes, 0), bindings::VC_CIPHER_CREATE_SESSION);
        assert_eq!(
            size_of::<CreateCipher>(),
            size_of::<bindings::virtio_crypto_op_ctrl_req>()
        );
    }

    #[test]
    fn hash_fields_match_the_layout() {
        let request = CreateHash::new(Hash::Sha256, 32);
        let bytes = request.bytes(Layout::Padded);
        assert_eq!(bytes.len(), 72);
        assert!(has_words(bytes, &[(0, 0x102), (4, 4), (16, 4), (20, 32)]));
        assert_eq!(request.bytes(Layout::Natural), &bytes[..24]);
        assert_eq!(word(bytes, 0), bindings::VC_HASH_CREATE_SESSION);
    }

    #[test]
    fn mac_fields_match_the_layout() {
        let request = CreateMac::new(Mac::XcbcAes, 12, 16);
        let bytes = request.bytes(Layout::Padded);
        assert_eq!(bytes.len(), 72);
        assert!(has_words(
            bytes,
            &[(0, 0x202), (4, 53), (16, 53), (20, 12), (24, 16)]
        ));
        assert_eq!(request.bytes(Layout::Natural), &bytes[..32]);
        assert_eq!(word(bytes, 0), bindings::VC_MAC_CREATE_SESSION);
    }

    #[test]
    fn aead_fields_match_the_layout() {
        let request = CreateAead::new(Aead::Ccm, Operation::Decrypt, 24, 8);
        let bytes = request.bytes(Layout::Padded);
        assert_eq!(bytes.len(), 72);
        assert!(has_words(
            bytes,
            &[(0, 0x302), (4, 2), (16, 2), (20, 24), (24, 8), (32, 2)]
        ));
        assert_eq!(request.bytes(Layout::Natural), &bytes[..40]);
        assert_eq!(word(bytes, 0), bindings::VC_AEAD_CREATE_SESSION);
    }

    #[test]
    fn chain_fields_match_the_layout() {
        let chain = Chain {
            cipher: Cipher::AesCbc,
            key_len: 16,
            mac: Mac::HmacSha1,
            auth_key_len: 20,
            result_len: 12,
        };
        let expected = |order, op| {
            [
                (0, 2),
                (4, 3),
                (16, order),
                (20, 2),
                (24, 3),
                (28, 16),
                (32, op),
                (40, 2),
                (44, 12),
                (48, 20),
                (64, 2),
            ]
        };
        let request = CreateChain::new(&chain, Operation::Encrypt);
        assert!(has_words(request.as_bytes(), &expected(2, 1)));
        let request = CreateChain::new(&chain, Operation::Decrypt);
        assert!(has_words(request.as_bytes(), &expected(1, 2)));
    }
}
