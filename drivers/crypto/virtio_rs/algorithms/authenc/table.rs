// SPDX-License-Identifier: GPL-2.0

//! Table of supported `authenc()` AEADs. The kernel has self-tests for each of them.

use super::{
    super::{
        aead::{
            Keys,
            Method,
            Row, //
        },
        skcipher::test_key, //
    },
    ChainMethod, //
};
use crate::{
    transport::{
        device::Device,
        session::Session, //
    },
    wire::{
        algorithm::{
            Cipher,
            Mac,
            Operation, //
        },
        config::Algorithm,
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Mode of operation of the cipher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Cipher block chaining.
    Cbc,
    /// Counter mode of IPsec (RFC 3686). The first counter block is a salt of 4 bytes, an IV of 8
    /// bytes and the counter 1. The caller's key has the salt after the cipher key.
    Rfc3686,
}

/// Creates a row from the hash, the MAC, the length of the tag, the name of the cipher in the
/// crypto API, its name in driver names, and the common fields of the cipher's rows.
macro_rules! row {
    ($hash:literal, $mac:ident, $tag:literal, $name:literal, $driver:literal, $cipher:ident) => {
        Row {
            name: string(concat!("authenc(hmac(", $hash, "),", $name, ")\0")),
            driver_name: string(concat!("authenc-hmac-", $hash, "-", $driver, "-virtio\0")),
            sync_driver_name: string(concat!(
                "authenc-hmac-",
                $hash,
                "-",
                $driver,
                "-virtio-sync\0"
            )),
            max_tag: $tag,
            method: ChainMethod {
                mac: Mac::$mac,
                ..$cipher.method
            },
            ..$cipher
        }
    };
}

/// Creates the rows of all ciphers for each hash.
macro_rules! rows {
    ($($hash:literal, $mac:ident, $tag:literal;)*) => {
        [$(
            row!($hash, $mac, $tag, "cbc(aes)", "cbc-aes", AES_CBC),
            row!($hash, $mac, $tag, "rfc3686(ctr(aes))", "rfc3686-ctr-aes", AES_CTR),
            row!($hash, $mac, $tag, "cbc(des3_ede)", "cbc-des3_ede", TRIPLE_DES_CBC),
        )*]
    };
}

/// The supported combinations of a cipher and an HMAC.
pub(in crate::algorithms) const TABLE: [Row<ChainMethod>; 12] = rows! {
    "sha1", HmacSha1, 20;
    "sha256", HmacSha256, 32;
    "sha384", HmacSha384, 48;
    "sha512", HmacSha512, 64;
};

/// Common fields of the rows with AES in CBC mode.
const AES_CBC: Row<ChainMethod> = Row {
    name: c"",
    driver_name: c"",
    sync_driver_name: c"",
    block_size: 16,
    chunk_size: 16,
    iv_size: 16,
    max_tag: 0,
    method: ChainMethod {
        cipher: Cipher::AesCbc,
        mode: Mode::Cbc,
        block: 16,
        min_key: 16,
        mac: Mac::HmacSha1,
    },
};

/// Common fields of the rows with AES in counter mode.
const AES_CTR: Row<ChainMethod> = Row {
    block_size: 1,
    iv_size: 8,
    method: ChainMethod {
        cipher: Cipher::AesCtr,
        mode: Mode::Rfc3686,
        ..AES_CBC.method
    },
    ..AES_CBC
};

/// Common fields of the rows with 3DES.
const TRIPLE_DES_CBC: Row<ChainMethod> = Row {
    block_size: 8,
    chunk_size: 8,
    iv_size: 8,
    method: ChainMethod {
        cipher: Cipher::TripleDesCbc,
        block: 8,
        min_key: 24,
        ..AES_CBC.method
    },
    ..AES_CBC
};

/// Converts a string that ends with a zero byte, and has no other zero byte.
const fn string(bytes: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(bytes.as_bytes()) {
        Ok(string) => string,
        Err(_) => panic!("not a string"),
    }
}

/// Returns the cipher and the MAC of a row, as devices advertise them.
pub(in crate::algorithms) fn algorithms(row: usize) -> Option<[Algorithm; 2]> {
    let method = TABLE.get(row)?.method;
    Some([Algorithm::Cipher(method.cipher), Algorithm::Mac(method.mac)])
}

/// Creates a test session for a row.
///
/// # Errors
///
/// - `EINVAL` if the row does not exist;
/// - other errors of [`Method::create_session`].
pub(in crate::algorithms) fn create_test_session(
    device: &Arc<Device>,
    row: usize,
) -> Result<Session> {
    let row = TABLE.get(row).ok_or(EINVAL)?;
    let keys = Keys {
        cipher: test_key(row.method.min_key).ok_or(EINVAL)?,
        auth: test_key(16).ok_or(EINVAL)?,
    };
    row.method
        .create_session(device, Operation::Encrypt, &keys, row.max_tag)
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_authenc_table)]
mod tests {
    use super::{
        super::super::aead::MAX_TAG,
        *, //
    };

    #[test]
    fn every_row_has_test_key_and_unique_names() {
        for (index, row) in TABLE.iter().enumerate() {
            assert!(test_key(row.method.min_key).is_some());
            assert!(row.max_tag != 0 && row.max_tag as usize <= MAX_TAG);
            let sync = row.sync_driver_name.to_bytes();
            assert!(sync.starts_with(row.driver_name.to_bytes()));
            for other in &TABLE[..index] {
                assert!(row.name != other.name && row.driver_name != other.driver_name);
            }
        }
    }

    #[test]
    fn names_match_kernel_templates() {
        for name in [
            c"authenc(hmac(sha1),cbc(aes))",
            c"authenc(hmac(sha256),rfc3686(ctr(aes)))",
            c"authenc(hmac(sha512),cbc(des3_ede))",
        ] {
            assert!(TABLE.iter().any(|row| row.name == name));
        }
        assert!(TABLE[3].driver_name == c"authenc-hmac-sha256-cbc-aes-virtio");
    }

    #[test]
    fn sizes_match_cipher_and_hash() {
        let row = |name: &CStr| TABLE.iter().find(|row| row.name == name).unwrap();
        let sizes = |name| {
            let row = row(name);
            (row.block_size, row.chunk_size, row.iv_size, row.max_tag)
        };
        assert_eq!(sizes(c"authenc(hmac(sha256),cbc(aes))"), (16, 16, 16, 32));
        assert_eq!(
            sizes(c"authenc(hmac(sha384),rfc3686(ctr(aes)))"),
            (1, 16, 8, 48)
        );
        assert_eq!(sizes(c"authenc(hmac(sha1),cbc(des3_ede))"), (8, 8, 8, 20));
        assert_eq!(
            row(c"authenc(hmac(sha512),cbc(aes))").method.mac,
            Mac::HmacSha512
        );
    }
}
