// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The configuration space.

use serde::Serialize;

/// `VIRTIO_CRYPTO_S_HW_READY`
pub const HW_READY: u32 = 1;

/// The size of the configuration space, in bytes.
pub const CONFIG_LEN: usize = 56;

/// `struct virtio_crypto_config`. The low and high halves of a mask are one field here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Config {
    pub status: u32,
    pub max_dataqueues: u32,
    pub crypto_services: u32,
    pub cipher_algo: u64,
    pub hash_algo: u32,
    pub mac_algo: u64,
    pub aead_algo: u32,
    pub max_cipher_key_len: u32,
    pub max_auth_key_len: u32,
    pub akcipher_algo: u32,
    pub max_size: u64,
}

impl Config {
    /// Returns the configuration space as bytes.
    pub fn to_bytes(self) -> [u8; CONFIG_LEN] {
        let words = [
            self.status,
            self.max_dataqueues,
            self.crypto_services,
            self.cipher_algo as u32,
            (self.cipher_algo >> 32) as u32,
            self.hash_algo,
            self.mac_algo as u32,
            (self.mac_algo >> 32) as u32,
            self.aead_algo,
            self.max_cipher_key_len,
            self.max_auth_key_len,
            self.akcipher_algo,
            self.max_size as u32,
            (self.max_size >> 32) as u32,
        ];
        let mut bytes = [0; CONFIG_LEN];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_at_its_offset() {
        let bytes = Config {
            status: 1,
            max_dataqueues: 2,
            crypto_services: 3,
            cipher_algo: 5 << 32 | 4,
            hash_algo: 6,
            mac_algo: 8 << 32 | 7,
            aead_algo: 9,
            max_cipher_key_len: 10,
            max_auth_key_len: 11,
            akcipher_algo: 12,
            max_size: 14 << 32 | 13,
        }
        .to_bytes();
        for (number, word) in (1u32..).zip(bytes.chunks(4)) {
            assert_eq!(word, number.to_le_bytes());
        }
    }
}
