// SPDX-License-Identifier: GPL-2.0

//! Table of supported ciphers, and their capability detection.

use super::{
    super::iv::MAX_IV,
    create_session,
    mode::Mode, //
};
use crate::{
    transport::{
        device::Device,
        session::Session, //
    },
    wire::{
        algorithm::{
            Cipher,
            Operation, //
        },
        config::Algorithm,
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A cipher. Sizes are in bytes.
pub(in crate::algorithms) struct Row {
    pub(super) cipher: Cipher,
    pub(super) mode: Mode,
    /// Name in the crypto API.
    pub(super) name: &'static CStr,
    /// Driver name of the asynchronous variant.
    pub(super) driver_name: &'static CStr,
    /// Driver name of the synchronous variant.
    pub(super) sync_driver_name: &'static CStr,
    /// Block size of the cipher, not of the mode.
    pub(super) block: u32,
    pub(super) min_key_size: u32,
    pub(super) max_key_size: u32,
}

/// The supported ciphers.
pub(in crate::algorithms) const TABLE: [Row; 9] = [
    Row {
        cipher: Cipher::AesEcb,
        mode: Mode::Ecb,
        name: c"ecb(aes)",
        driver_name: c"ecb-aes-virtio",
        sync_driver_name: c"ecb-aes-virtio-sync",
        ..AES
    },
    Row {
        cipher: Cipher::AesCbc,
        mode: Mode::Cbc,
        name: c"cbc(aes)",
        driver_name: c"cbc-aes-virtio",
        sync_driver_name: c"cbc-aes-virtio-sync",
        ..AES
    },
    Row {
        cipher: Cipher::AesCtr,
        mode: Mode::Ctr,
        name: c"ctr(aes)",
        driver_name: c"ctr-aes-virtio",
        sync_driver_name: c"ctr-aes-virtio-sync",
        ..AES
    },
    Row {
        cipher: Cipher::AesXts,
        mode: Mode::Xts,
        name: c"xts(aes)",
        driver_name: c"xts-aes-virtio",
        sync_driver_name: c"xts-aes-virtio-sync",
        // XTS has two AES keys.
        min_key_size: 2 * AES.min_key_size,
        max_key_size: 2 * AES.max_key_size,
        ..AES
    },
    Row {
        cipher: Cipher::DesEcb,
        mode: Mode::Ecb,
        name: c"ecb(des)",
        driver_name: c"ecb-des-virtio",
        sync_driver_name: c"ecb-des-virtio-sync",
        ..DES
    },
    Row {
        cipher: Cipher::DesCbc,
        mode: Mode::Cbc,
        name: c"cbc(des)",
        driver_name: c"cbc-des-virtio",
        sync_driver_name: c"cbc-des-virtio-sync",
        ..DES
    },
    Row {
        cipher: Cipher::TripleDesEcb,
        mode: Mode::Ecb,
        name: c"ecb(des3_ede)",
        driver_name: c"ecb-des3_ede-virtio",
        sync_driver_name: c"ecb-des3_ede-virtio-sync",
        ..TRIPLE_DES
    },
    Row {
        cipher: Cipher::TripleDesCbc,
        mode: Mode::Cbc,
        name: c"cbc(des3_ede)",
        driver_name: c"cbc-des3_ede-virtio",
        sync_driver_name: c"cbc-des3_ede-virtio-sync",
        ..TRIPLE_DES
    },
    Row {
        cipher: Cipher::TripleDesCtr,
        mode: Mode::Ctr,
        name: c"ctr(des3_ede)",
        driver_name: c"ctr-des3_ede-virtio",
        sync_driver_name: c"ctr-des3_ede-virtio-sync",
        ..TRIPLE_DES
    },
];

/// Common fields of the AES rows.
const AES: Row = Row {
    cipher: Cipher::AesEcb,
    mode: Mode::Ecb,
    name: c"",
    driver_name: c"",
    sync_driver_name: c"",
    block: 16,
    min_key_size: 16,
    max_key_size: 32,
};

/// Common fields of the DES rows.
const DES: Row = Row {
    block: 8,
    min_key_size: 8,
    max_key_size: 8,
    ..AES
};

/// Common fields of the 3DES rows.
const TRIPLE_DES: Row = Row {
    min_key_size: 24,
    max_key_size: 24,
    ..DES
};

kernel::static_assert!(AES.block as usize <= MAX_IV);

/// Longest key of any row in bytes: the two AES keys of XTS.
pub(super) const MAX_KEY: usize = 64;

kernel::static_assert!(2 * AES.max_key_size as usize <= MAX_KEY);

/// Key for test sessions. For each cipher, the prefix with the length of a key is a valid key. All
/// bytes have odd parity, as in a DES key. None of the four 8-byte parts is a weak DES key, and all
/// four parts differ, as 3DES and XTS require.
const TEST_KEY: [u8; 32] = [
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, //
    0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, //
    0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, //
    0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, //
];

/// Returns a key of `len` bytes that every cipher accepts, or `None` if `len` is above 32.
pub(in crate::algorithms) fn test_key(len: u32) -> Option<&'static [u8]> {
    // CAST: `usize` has at least 32 bits on the supported architectures.
    TEST_KEY.get(..len as usize)
}

/// Returns the algorithm of a row, as devices advertise it.
pub(in crate::algorithms) fn algorithm(row: usize) -> Option<Algorithm> {
    TABLE.get(row).map(|row| Algorithm::Cipher(row.cipher))
}

/// Creates a test session for a row.
///
/// # Errors
///
/// - `EINVAL` if the row does not exist;
/// - other errors of [`create_session`].
pub(in crate::algorithms) fn create_test_session(
    device: &Arc<Device>,
    row: usize,
) -> Result<Session> {
    let row = TABLE.get(row).ok_or(EINVAL)?;
    let key = test_key(row.min_key_size).ok_or(EINVAL)?;
    create_session(device, row.cipher, Operation::Encrypt, key)
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_skcipher_table)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_test_key() {
        for row in &TABLE {
            let key = test_key(row.min_key_size).unwrap();
            assert_eq!(key.len(), row.min_key_size as usize);
        }
    }

    #[test]
    fn test_key_has_odd_parity_and_distinct_parts() {
        assert!(TEST_KEY[..16] != TEST_KEY[16..]);
        for later in 0..4 {
            for earlier in 0..later {
                assert!(TEST_KEY[8 * later..][..8] != TEST_KEY[8 * earlier..][..8]);
            }
        }
        assert!(TEST_KEY.iter().all(|byte| byte.count_ones() % 2 == 1));
    }

    #[test]
    fn driver_names_match_names_and_are_unique() {
        for (index, row) in TABLE.iter().enumerate() {
            // "cbc(aes)" becomes "cbc-aes-virtio".
            let expected = row.name.to_bytes().iter().map(|byte| match byte {
                b'(' | b')' => b'-',
                byte => *byte,
            });
            assert!(
                expected.eq(row.driver_name.to_bytes()[..row.name.to_bytes().len()]
                    .iter()
                    .copied())
            );
            assert!(row.driver_name.to_bytes().ends_with(b"-virtio"));
            let sync = row.sync_driver_name.to_bytes();
            assert!(sync.starts_with(row.driver_name.to_bytes()));
            assert!(sync.ends_with(b"-virtio-sync"));
            for other in &TABLE[..index] {
                assert!(row.name != other.name && row.cipher != other.cipher);
            }
        }
    }

    #[test]
    fn sizes_match_kernel_algorithms() {
        assert!(TABLE.iter().all(|row| row.block.is_power_of_two()));
        let sizes = |name: &CStr| {
            let row = TABLE.iter().find(|row| row.name == name).unwrap();
            (
                row.mode.block_size(row.block),
                row.block,
                row.mode.iv_size(row.block),
                row.min_key_size,
                row.max_key_size,
            )
        };
        assert_eq!(sizes(c"ecb(aes)"), (16, 16, 0, 16, 32));
        assert_eq!(sizes(c"cbc(aes)"), (16, 16, 16, 16, 32));
        assert_eq!(sizes(c"ctr(aes)"), (1, 16, 16, 16, 32));
        assert_eq!(sizes(c"xts(aes)"), (16, 16, 16, 32, 64));
        assert_eq!(sizes(c"ecb(des)"), (8, 8, 0, 8, 8));
        assert_eq!(sizes(c"cbc(des)"), (8, 8, 8, 8, 8));
        assert_eq!(sizes(c"ecb(des3_ede)"), (8, 8, 0, 24, 24));
        assert_eq!(sizes(c"cbc(des3_ede)"), (8, 8, 8, 24, 24));
        assert_eq!(sizes(c"ctr(des3_ede)"), (1, 8, 8, 24, 24));
    }
}
