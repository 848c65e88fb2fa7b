// SPDX-License-Identifier: GPL-2.0

//! The ciphers the driver knows, and how to find out whether a device does.

use super::{
    super::iv::MAX_IV,
    create,
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

/// A cipher the driver knows. Sizes are in bytes.
pub(in crate::algorithms) struct Row {
    pub(super) cipher: Cipher,
    pub(super) mode: Mode,
    /// What the crypto framework calls it.
    pub(super) name: &'static CStr,
    /// What the asynchronous flavour is called.
    pub(super) driver_name: &'static CStr,
    /// What the synchronous flavour is called.
    pub(super) sync_driver_name: &'static CStr,
    /// The size of a block, whatever the mode makes of it.
    pub(super) block: u32,
    pub(super) min_key_size: u32,
    pub(super) max_key_size: u32,
}

/// The ciphers the driver knows.
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
        // Two keys.
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

/// What the rows of AES have in common.
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

/// What the rows of DES have in common.
const DES: Row = Row {
    block: 8,
    min_key_size: 8,
    max_key_size: 8,
    ..AES
};

/// What the rows of triple DES have in common.
const TRIPLE_DES: Row = Row {
    min_key_size: 24,
    max_key_size: 24,
    ..DES
};

kernel::static_assert!(AES.block as usize <= MAX_IV);

/// The longest key of any row in bytes: two of AES.
pub(super) const MAX_KEY: usize = 64;

kernel::static_assert!(2 * AES.max_key_size as usize <= MAX_KEY);

/// A key for any cipher, or the beginning of it: of odd parity, no part of it a weak key of DES, no
/// two parts the same.
const TRIAL_KEY: [u8; 32] = [
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, //
    0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, //
    0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, //
    0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, //
];

/// Returns a key of `len` bytes, up to 32, that every cipher takes, whatever rules it has.
pub(in crate::algorithms) fn trial_key(len: u32) -> Option<&'static [u8]> {
    // CAST: Both targets of this driver have 32 bits at least.
    TRIAL_KEY.get(..len as usize)
}

/// Returns what a row of the table is to the device.
pub(in crate::algorithms) fn algorithm(row: usize) -> Option<Algorithm> {
    TABLE.get(row).map(|row| Algorithm::Cipher(row.cipher))
}

/// Asks a device for a session of a row of the table.
///
/// # Errors
///
/// As [`create`] has them.
pub(in crate::algorithms) fn try_session(device: &Arc<Device>, row: usize) -> Result<Session> {
    let row = TABLE.get(row).ok_or(EINVAL)?;
    let key = trial_key(row.min_key_size).ok_or(EINVAL)?;
    create(device, row.cipher, Operation::Encrypt, key)
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_table)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_trial_key() {
        for row in &TABLE {
            let key = trial_key(row.min_key_size).unwrap();
            assert_eq!(key.len(), row.min_key_size as usize);
        }
    }

    #[test]
    fn the_trial_key_has_no_two_parts_the_same() {
        assert!(TRIAL_KEY[..16] != TRIAL_KEY[16..]);
        for one in 0..4 {
            for other in 0..one {
                assert!(TRIAL_KEY[8 * one..][..8] != TRIAL_KEY[8 * other..][..8]);
            }
        }
        assert!(TRIAL_KEY.iter().all(|byte| byte.count_ones() % 2 == 1));
    }

    #[test]
    fn names_say_what_a_row_is_and_are_unique() {
        for (index, row) in TABLE.iter().enumerate() {
            // "cbc(aes)" and "cbc-aes-virtio" say the same.
            let said = row.name.to_bytes().iter().map(|byte| match byte {
                b'(' | b')' => b'-',
                byte => *byte,
            });
            assert!(
                said.eq(row.driver_name.to_bytes()[..row.name.to_bytes().len()]
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
    fn sizes_are_the_kernels_own() {
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
