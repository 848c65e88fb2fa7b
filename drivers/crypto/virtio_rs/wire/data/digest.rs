// SPDX-License-Identifier: GPL-2.0

//! Requests of the hash and MAC services ("HASH Service Operation", "MAC Service Operation").

use super::{
    super::{
        algorithm::{
            Hash,
            Mac,
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

/// The low byte of the opcode. Both services have only this operation.
const DIGEST: u32 = 0;

/// A hash or MAC request in session mode. The source follows.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct DigestRequest {
    header: Header,
    src_data_len: U32,
    hash_result_len: U32,
    padding: [u8; 40],
}

kernel::static_assert!(size_of::<DigestRequest>() == PADDED_LEN);

impl DigestRequest {
    const NATURAL_LEN: usize = 32;

    /// Creates the request for a hash of `len` bytes. The lengths are in bytes.
    pub(crate) fn hash(
        layout: Layout,
        hash: Hash,
        session_id: u64,
        len: u32,
        result_len: u32,
    ) -> Self {
        let header = Header::session(layout, Service::Hash, DIGEST, hash.number(), session_id);
        Self::new(header, len, result_len)
    }

    /// Creates the request for a MAC of `len` bytes. The lengths are in bytes.
    pub(crate) fn mac(
        layout: Layout,
        mac: Mac,
        session_id: u64,
        len: u32,
        result_len: u32,
    ) -> Self {
        let header = Header::session(layout, Service::Mac, DIGEST, mac.number(), session_id);
        Self::new(header, len, result_len)
    }

    fn new(header: Header, len: u32, result_len: u32) -> Self {
        Self {
            header,
            src_data_len: len.into(),
            hash_result_len: result_len.into(),
            padding: [0; 40],
        }
    }

    /// Returns the bytes of the request in a layout.
    pub(crate) fn bytes(&self, layout: Layout) -> &[u8] {
        layout.truncate(self.as_bytes(), Self::NATURAL_LEN)
    }
}

kernel::static_assert!(offset_of!(DigestRequest, padding) == DigestRequest::NATURAL_LEN);

/// A hash request in stateless mode (VIRTIO_CRYPTO_F_HASH_STATELESS_MODE). The source follows.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct StatelessHashRequest {
    header: Header,
    algo: U32,
    src_data_len: U32,
    hash_result_len: U32,
    reserved: U32,
}

kernel::static_assert!(size_of::<StatelessHashRequest>() == 40);

impl StatelessHashRequest {
    /// Creates the request. The lengths are in bytes.
    pub(crate) fn new(hash: Hash, len: u32, result_len: u32) -> Self {
        Self {
            header: Header::stateless(Service::Hash, DIGEST, hash.number()),
            algo: hash.number().into(),
            src_data_len: len.into(),
            hash_result_len: result_len.into(),
            reserved: 0.into(),
        }
    }
}

/// A MAC request in stateless mode (VIRTIO_CRYPTO_F_MAC_STATELESS_MODE). The key and the source
/// follow.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct StatelessMacRequest {
    header: Header,
    algo: U32,
    auth_key_len: U32,
    src_data_len: U32,
    hash_result_len: U32,
}

kernel::static_assert!(size_of::<StatelessMacRequest>() == 40);

impl StatelessMacRequest {
    /// Creates the request. The lengths are in bytes.
    pub(crate) fn new(mac: Mac, key_len: u32, len: u32, result_len: u32) -> Self {
        Self {
            header: Header::stateless(Service::Mac, DIGEST, mac.number()),
            algo: mac.number().into(),
            auth_key_len: key_len.into(),
            src_data_len: len.into(),
            hash_result_len: result_len.into(),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_data_digest)]
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
        let request = DigestRequest::hash(Layout::Padded, Hash::Sha256, 7, 4096, 32);
        let bytes = request.bytes(Layout::Padded);
        assert_eq!(bytes.len(), 72);
        assert!(has_words(
            bytes,
            &[(0, 0x100), (4, 4), (8, 7), (24, 4096), (28, 32)]
        ));
        assert_eq!(word(bytes, 0), bindings::VC_HASH);

        let request = DigestRequest::mac(Layout::Natural, Mac::HmacSha1, 7, 100, 12);
        let bytes = request.bytes(Layout::Natural);
        assert_eq!(bytes.len(), 32);
        assert!(has_words(
            bytes,
            &[(0, 0x200), (4, 2), (8, 7), (16, 1), (24, 100), (28, 12)]
        ));
        assert_eq!(word(bytes, 0), bindings::VC_MAC);
    }

    #[test]
    fn stateless_request_fields_match_the_layout() {
        let request = StatelessHashRequest::new(Hash::Sha3_512, 100, 64);
        assert!(has_words(
            request.as_bytes(),
            &[(0, 0x100), (4, 10), (24, 10), (28, 100), (32, 64)]
        ));
        let request = StatelessMacRequest::new(Mac::CmacAes, 16, 100, 8);
        assert!(has_words(
            request.as_bytes(),
            &[(0, 0x200), (4, 26), (24, 26), (28, 16), (32, 100), (36, 8)]
        ));
    }
}
