// SPDX-License-Identifier: GPL-2.0

//! Services and algorithms, by their numbers.

/// The cipher service: its bit in `crypto_services`, and the high byte of its opcodes.
pub(crate) const SERVICE_CIPHER: u32 = 0;

/// A cipher (VIRTIO_CRYPTO_CIPHER_*): its number, and its bit in the mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Cipher {
    /// AES, each block by itself.
    AesEcb = 2,
    /// AES in cipher block chaining mode.
    AesCbc = 3,
    /// AES in counter mode; the whole IV is the counter, with its most significant byte first.
    AesCtr = 4,
    /// DES, each block by itself.
    DesEcb = 5,
    /// DES in cipher block chaining mode.
    DesCbc = 6,
    /// Triple DES, each block by itself.
    TripleDesEcb = 7,
    /// Triple DES in cipher block chaining mode.
    TripleDesCbc = 8,
    /// Triple DES in counter mode, as for AES.
    TripleDesCtr = 9,
    /// AES in XTS mode; the key is that of the data, then that of the tweak.
    AesXts = 13,
}

impl Cipher {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is a `u32`.
        self as u32
    }
}

/// What a cipher session does (VIRTIO_CRYPTO_OP_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Operation {
    /// Plaintext to ciphertext.
    Encrypt = 1,
    /// Ciphertext to plaintext.
    Decrypt = 2,
}

impl Operation {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is a `u32`.
        self as u32
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_algorithm)]
mod tests {
    use super::*;
    use crate::bindings;

    #[test]
    fn numbers_are_those_of_the_uapi_header() {
        let ciphers = [
            (Cipher::AesEcb, bindings::VIRTIO_CRYPTO_CIPHER_AES_ECB),
            (Cipher::AesCbc, bindings::VIRTIO_CRYPTO_CIPHER_AES_CBC),
            (Cipher::AesCtr, bindings::VIRTIO_CRYPTO_CIPHER_AES_CTR),
            (Cipher::DesEcb, bindings::VIRTIO_CRYPTO_CIPHER_DES_ECB),
            (Cipher::DesCbc, bindings::VIRTIO_CRYPTO_CIPHER_DES_CBC),
            (
                Cipher::TripleDesEcb,
                bindings::VIRTIO_CRYPTO_CIPHER_3DES_ECB,
            ),
            (
                Cipher::TripleDesCbc,
                bindings::VIRTIO_CRYPTO_CIPHER_3DES_CBC,
            ),
            (
                Cipher::TripleDesCtr,
                bindings::VIRTIO_CRYPTO_CIPHER_3DES_CTR,
            ),
            (Cipher::AesXts, bindings::VIRTIO_CRYPTO_CIPHER_AES_XTS),
        ];
        for (cipher, number) in ciphers {
            assert_eq!(cipher.number(), number);
        }
        assert_eq!(
            Operation::Encrypt.number(),
            bindings::VIRTIO_CRYPTO_OP_ENCRYPT
        );
        assert_eq!(
            Operation::Decrypt.number(),
            bindings::VIRTIO_CRYPTO_OP_DECRYPT
        );
        assert_eq!(SERVICE_CIPHER, bindings::VIRTIO_CRYPTO_SERVICE_CIPHER);
    }
}
