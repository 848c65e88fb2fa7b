// SPDX-License-Identifier: GPL-2.0

//! Tables of supported hashes and MACs, and their capability detection.

use super::{
    super::{
        skcipher::test_key,
        AlgorithmId,
        Kind, //
    },
    Function, //
};
use crate::{
    transport::{
        device::Device,
        session::Session, //
    },
    wire::{
        algorithm::{
            Hash,
            Mac, //
        },
        config::Algorithm,
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A hash or MAC. Sizes are in bytes.
pub(in crate::algorithms) struct Row {
    pub(super) function: Function,
    /// Name in the crypto API.
    pub(super) name: &'static CStr,
    /// Driver name.
    pub(super) driver_name: &'static CStr,
    pub(super) digest_size: u32,
    /// Size of the key of a test session, which must be valid. 0 for a hash.
    key_size: u32,
}

impl Row {
    const fn hash(
        hash: Hash,
        digest_size: u32,
        name: &'static CStr,
        driver_name: &'static CStr,
    ) -> Self {
        Self {
            function: Function::Hash(hash),
            name,
            driver_name,
            digest_size,
            key_size: 0,
        }
    }

    const fn mac(
        mac: Mac,
        digest_size: u32,
        key_size: u32,
        name: &'static CStr,
        driver_name: &'static CStr,
    ) -> Self {
        Self {
            function: Function::Mac(mac),
            name,
            driver_name,
            digest_size,
            key_size,
        }
    }

    /// Returns the digest size as a `usize`.
    pub(super) fn digest_len(&self) -> usize {
        // CAST: `usize` has at least 32 bits on the supported architectures.
        self.digest_size as usize
    }
}

/// The supported hashes.
pub(in crate::algorithms) const HASHES: [Row; 10] = [
    Row::hash(Hash::Md5, 16, c"md5", c"md5-virtio"),
    Row::hash(Hash::Sha1, 20, c"sha1", c"sha1-virtio"),
    Row::hash(Hash::Sha224, 28, c"sha224", c"sha224-virtio"),
    Row::hash(Hash::Sha256, 32, c"sha256", c"sha256-virtio"),
    Row::hash(Hash::Sha384, 48, c"sha384", c"sha384-virtio"),
    Row::hash(Hash::Sha512, 64, c"sha512", c"sha512-virtio"),
    Row::hash(Hash::Sha3_224, 28, c"sha3-224", c"sha3-224-virtio"),
    Row::hash(Hash::Sha3_256, 32, c"sha3-256", c"sha3-256-virtio"),
    Row::hash(Hash::Sha3_384, 48, c"sha3-384", c"sha3-384-virtio"),
    Row::hash(Hash::Sha3_512, 64, c"sha3-512", c"sha3-512-virtio"),
];

/// The supported MACs.
pub(in crate::algorithms) const MACS: [Row; 10] = [
    Row::mac(Mac::HmacMd5, 16, 16, c"hmac(md5)", c"hmac-md5-virtio"),
    Row::mac(Mac::HmacSha1, 20, 20, c"hmac(sha1)", c"hmac-sha1-virtio"),
    Row::mac(
        Mac::HmacSha224,
        28,
        28,
        c"hmac(sha224)",
        c"hmac-sha224-virtio",
    ),
    Row::mac(
        Mac::HmacSha256,
        32,
        32,
        c"hmac(sha256)",
        c"hmac-sha256-virtio",
    ),
    Row::mac(
        Mac::HmacSha384,
        48,
        32,
        c"hmac(sha384)",
        c"hmac-sha384-virtio",
    ),
    Row::mac(
        Mac::HmacSha512,
        64,
        32,
        c"hmac(sha512)",
        c"hmac-sha512-virtio",
    ),
    Row::mac(Mac::CmacAes, 16, 16, c"cmac(aes)", c"cmac-aes-virtio"),
    Row::mac(Mac::XcbcAes, 16, 16, c"xcbc(aes)", c"xcbc-aes-virtio"),
    Row::mac(Mac::CbcMacAes, 16, 16, c"cbcmac(aes)", c"cbcmac-aes-virtio"),
    Row::mac(
        Mac::CmacTripleDes,
        8,
        24,
        c"cmac(des3_ede)",
        c"cmac-des3_ede-virtio",
    ),
];

/// Longest digest in bytes.
pub(super) const MAX_DIGEST: usize = 64;

/// Returns the row `id`, or `None` if `id` names no hash or MAC.
pub(super) fn row(id: AlgorithmId) -> Option<&'static Row> {
    match id.kind {
        Kind::Hash => HASHES.get(id.row),
        Kind::Mac => MACS.get(id.row),
        _ => None,
    }
}

/// Returns the algorithm `id`, as devices advertise it.
pub(in crate::algorithms) fn algorithm(id: AlgorithmId) -> Option<Algorithm> {
    row(id).map(|row| row.function.algorithm())
}

/// Creates a test session for the algorithm `id`.
///
/// # Errors
///
/// - `EINVAL` if `id` names no row;
/// - other errors of [`Function::create_session`].
pub(in crate::algorithms) fn create_test_session(
    device: &Arc<Device>,
    id: AlgorithmId,
) -> Result<Session> {
    let row = row(id).ok_or(EINVAL)?;
    let key = test_key(row.key_size).ok_or(EINVAL)?;
    row.function.create_session(device, row.digest_size, key)
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_digest_table)]
mod tests {
    use super::*;

    fn rows() -> impl Iterator<Item = &'static Row> {
        // The kernel's prelude has another `chain` method, for initializers.
        Iterator::chain(HASHES.iter(), &MACS)
    }

    #[test]
    fn every_row_has_test_key() {
        for row in rows() {
            assert_eq!(test_key(row.key_size).unwrap().len(), row.key_size as usize);
            let is_hash = matches!(row.function, Function::Hash(_));
            assert_eq!((row.key_size == 0), is_hash);
        }
    }

    #[test]
    fn driver_names_match_names_and_are_unique() {
        for (index, row) in rows().enumerate() {
            // "hmac(md5)" becomes "hmac-md5-virtio".
            let expected = row
                .name
                .to_bytes()
                .iter()
                .filter(|byte| **byte != b')')
                .map(|byte| if *byte == b'(' { b'-' } else { *byte });
            let expected = Iterator::chain(expected, *b"-virtio");
            assert!(expected.eq(row.driver_name.to_bytes().iter().copied()));
            for other in rows().take(index) {
                assert!(row.name != other.name && row.function != other.function);
            }
        }
    }

    #[test]
    fn longest_digest_has_max_digest_bytes() {
        assert_eq!(rows().map(Row::digest_len).max(), Some(MAX_DIGEST));
    }
}
