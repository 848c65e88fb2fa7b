// SPDX-License-Identifier: GPL-2.0

//! Services and algorithms, by their numbers.

/// A service of the device: its bit in `crypto_services`, and the high byte of its opcodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Service {
    /// Symmetric ciphers, also with a hash or MAC behind or before them (algorithm chaining).
    Cipher = 0,
    /// Hashes.
    Hash = 1,
    /// Message authentication codes.
    Mac = 2,
    /// Authenticated encryption with associated data.
    Aead = 3,
    /// Public key algorithms.
    Akcipher = 4,
}

impl Service {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is a `u32`.
        self as u32
    }
}

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

/// A hash (VIRTIO_CRYPTO_HASH_*): its number, and its bit in the mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Hash {
    /// MD5.
    Md5 = 1,
    /// SHA-1.
    Sha1 = 2,
    /// SHA-224.
    Sha224 = 3,
    /// SHA-256.
    Sha256 = 4,
    /// SHA-384.
    Sha384 = 5,
    /// SHA-512.
    Sha512 = 6,
    /// SHA3-224.
    Sha3_224 = 7,
    /// SHA3-256.
    Sha3_256 = 8,
    /// SHA3-384.
    Sha3_384 = 9,
    /// SHA3-512.
    Sha3_512 = 10,
}

impl Hash {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is a `u32`.
        self as u32
    }
}

/// A message authentication code (VIRTIO_CRYPTO_MAC_*): its number, and its bit in the mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Mac {
    /// HMAC of MD5.
    HmacMd5 = 1,
    /// HMAC of SHA-1.
    HmacSha1 = 2,
    /// HMAC of SHA-224.
    HmacSha224 = 3,
    /// HMAC of SHA-256.
    HmacSha256 = 4,
    /// HMAC of SHA-384.
    HmacSha384 = 5,
    /// HMAC of SHA-512.
    HmacSha512 = 6,
    /// CMAC of triple DES.
    CmacTripleDes = 25,
    /// CMAC of AES.
    CmacAes = 26,
    /// CBC-MAC of AES, as CCM has it: what is left of the last block counts as zeros.
    CbcMacAes = 49,
    /// XCBC-MAC of AES.
    XcbcAes = 53,
}

impl Mac {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is a `u32`.
        self as u32
    }
}

/// Authenticated encryption (VIRTIO_CRYPTO_AEAD_*): its number, and its bit in the mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Aead {
    /// Galois/counter mode of AES.
    Gcm = 1,
    /// Counter with CBC-MAC mode of AES.
    Ccm = 2,
    /// ChaCha20 and Poly1305, as in RFC 7539.
    ChaCha20Poly1305 = 3,
}

impl Aead {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is a `u32`.
        self as u32
    }
}

/// A public key algorithm (VIRTIO_CRYPTO_AKCIPHER_*): its number, and its bit in the mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Akcipher {
    /// RSA.
    Rsa = 1,
    /// ECDSA, as the specification numbers it.
    Ecdsa = 2,
    /// ECDSA, as the kernel's header numbers it, where 2 is DSA.
    EcdsaOfHeader = 3,
}

impl Akcipher {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is a `u32`.
        self as u32
    }
}

/// An elliptic curve (VIRTIO_CRYPTO_CURVE_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Curve {
    /// NIST P-192.
    P192 = 1,
    /// NIST P-256.
    P256 = 3,
    /// NIST P-384.
    P384 = 4,
    /// NIST P-521.
    P521 = 5,
}

impl Curve {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is a `u32`.
        self as u32
    }
}

/// Which half of a key pair a key is (VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum KeyType {
    /// The public one.
    Public = 1,
    /// The private one.
    Private = 2,
}

impl KeyType {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is a `u32`.
        self as u32
    }
}

/// VIRTIO_CRYPTO_RSA_RAW_PADDING.
const RSA_RAW_PADDING: u32 = 0;

/// VIRTIO_CRYPTO_RSA_NO_HASH.
const RSA_NO_HASH: u32 = 0;

/// A public key algorithm with its parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scheme {
    /// RSA without padding.
    RsaRaw,
    /// ECDSA, by the number that the device has for it, on a curve.
    Ecdsa(Akcipher, Curve),
}

impl Scheme {
    /// Returns the number of the algorithm.
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::RsaRaw => Akcipher::Rsa.number(),
            Self::Ecdsa(akcipher, _) => akcipher.number(),
        }
    }

    /// Returns the parameters as a session and a stateless request have them.
    pub(super) const fn parameters(self) -> [u32; 2] {
        match self {
            Self::RsaRaw => [RSA_RAW_PADDING, RSA_NO_HASH],
            Self::Ecdsa(_, curve) => [curve.number(), 0],
        }
    }
}

/// What a session does (VIRTIO_CRYPTO_OP_*).
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

    /// Returns what a chain does first: the digest is always one of the ciphertext
    /// (VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_*).
    pub(super) const fn chain_order(self) -> u32 {
        const HASH_THEN_CIPHER: u32 = 1;
        const CIPHER_THEN_HASH: u32 = 2;

        match self {
            Self::Encrypt => CIPHER_THEN_HASH,
            Self::Decrypt => HASH_THEN_CIPHER,
        }
    }
}

/// A chain whose hash is a MAC with a key of its own (VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH).
pub(super) const HASH_MODE_AUTH: u32 = 2;

/// A symmetric session or request that is a plain cipher (VIRTIO_CRYPTO_SYM_OP_CIPHER).
pub(super) const OP_TYPE_CIPHER: u32 = 1;

/// A symmetric session or request that is a chain (VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING).
pub(super) const OP_TYPE_CHAIN: u32 = 2;

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_algorithm)]
mod tests {
    use super::*;
    use crate::bindings::*;

    #[test]
    fn ciphers_have_the_numbers_of_the_uapi_header() {
        let ciphers = [
            (Cipher::AesEcb, VIRTIO_CRYPTO_CIPHER_AES_ECB),
            (Cipher::AesCbc, VIRTIO_CRYPTO_CIPHER_AES_CBC),
            (Cipher::AesCtr, VIRTIO_CRYPTO_CIPHER_AES_CTR),
            (Cipher::DesEcb, VIRTIO_CRYPTO_CIPHER_DES_ECB),
            (Cipher::DesCbc, VIRTIO_CRYPTO_CIPHER_DES_CBC),
            (Cipher::TripleDesEcb, VIRTIO_CRYPTO_CIPHER_3DES_ECB),
            (Cipher::TripleDesCbc, VIRTIO_CRYPTO_CIPHER_3DES_CBC),
            (Cipher::TripleDesCtr, VIRTIO_CRYPTO_CIPHER_3DES_CTR),
            (Cipher::AesXts, VIRTIO_CRYPTO_CIPHER_AES_XTS),
        ];
        for (cipher, number) in ciphers {
            assert_eq!(cipher.number(), number);
        }
    }

    #[test]
    fn hashes_have_the_numbers_of_the_uapi_header() {
        let hashes = [
            (Hash::Md5, VIRTIO_CRYPTO_HASH_MD5),
            (Hash::Sha1, VIRTIO_CRYPTO_HASH_SHA1),
            (Hash::Sha224, VIRTIO_CRYPTO_HASH_SHA_224),
            (Hash::Sha256, VIRTIO_CRYPTO_HASH_SHA_256),
            (Hash::Sha384, VIRTIO_CRYPTO_HASH_SHA_384),
            (Hash::Sha512, VIRTIO_CRYPTO_HASH_SHA_512),
            (Hash::Sha3_224, VIRTIO_CRYPTO_HASH_SHA3_224),
            (Hash::Sha3_256, VIRTIO_CRYPTO_HASH_SHA3_256),
            (Hash::Sha3_384, VIRTIO_CRYPTO_HASH_SHA3_384),
            (Hash::Sha3_512, VIRTIO_CRYPTO_HASH_SHA3_512),
        ];
        for (hash, number) in hashes {
            assert_eq!(hash.number(), number);
        }
    }

    #[test]
    fn macs_have_the_numbers_of_the_uapi_header() {
        let macs = [
            (Mac::HmacMd5, VIRTIO_CRYPTO_MAC_HMAC_MD5),
            (Mac::HmacSha1, VIRTIO_CRYPTO_MAC_HMAC_SHA1),
            (Mac::HmacSha224, VIRTIO_CRYPTO_MAC_HMAC_SHA_224),
            (Mac::HmacSha256, VIRTIO_CRYPTO_MAC_HMAC_SHA_256),
            (Mac::HmacSha384, VIRTIO_CRYPTO_MAC_HMAC_SHA_384),
            (Mac::HmacSha512, VIRTIO_CRYPTO_MAC_HMAC_SHA_512),
            (Mac::CmacTripleDes, VIRTIO_CRYPTO_MAC_CMAC_3DES),
            (Mac::CmacAes, VIRTIO_CRYPTO_MAC_CMAC_AES),
            (Mac::CbcMacAes, VIRTIO_CRYPTO_MAC_CBCMAC_AES),
            (Mac::XcbcAes, VIRTIO_CRYPTO_MAC_XCBC_AES),
        ];
        for (mac, number) in macs {
            assert_eq!(mac.number(), number);
        }
    }

    #[test]
    fn aeads_and_the_rest_have_the_numbers_of_the_uapi_header() {
        assert_eq!(Aead::Gcm.number(), VIRTIO_CRYPTO_AEAD_GCM);
        assert_eq!(Aead::Ccm.number(), VIRTIO_CRYPTO_AEAD_CCM);
        assert_eq!(
            Aead::ChaCha20Poly1305.number(),
            VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305
        );
        assert_eq!(Operation::Encrypt.number(), VIRTIO_CRYPTO_OP_ENCRYPT);
        assert_eq!(Operation::Decrypt.number(), VIRTIO_CRYPTO_OP_DECRYPT);
        assert_eq!(Service::Cipher.number(), VIRTIO_CRYPTO_SERVICE_CIPHER);
        assert_eq!(Service::Hash.number(), VIRTIO_CRYPTO_SERVICE_HASH);
        assert_eq!(Service::Mac.number(), VIRTIO_CRYPTO_SERVICE_MAC);
        assert_eq!(Service::Aead.number(), VIRTIO_CRYPTO_SERVICE_AEAD);
    }

    #[test]
    fn public_key_algorithms_have_the_numbers_of_the_uapi_header() {
        assert_eq!(Service::Akcipher.number(), VIRTIO_CRYPTO_SERVICE_AKCIPHER);
        assert_eq!(Akcipher::Rsa.number(), VIRTIO_CRYPTO_AKCIPHER_RSA);
        assert_eq!(
            Akcipher::EcdsaOfHeader.number(),
            VIRTIO_CRYPTO_AKCIPHER_ECDSA
        );
        assert_eq!(Akcipher::Ecdsa.number(), VIRTIO_CRYPTO_AKCIPHER_DSA);
        let curves = [
            (Curve::P192, VIRTIO_CRYPTO_CURVE_NIST_P192),
            (Curve::P256, VIRTIO_CRYPTO_CURVE_NIST_P256),
            (Curve::P384, VIRTIO_CRYPTO_CURVE_NIST_P384),
            (Curve::P521, VIRTIO_CRYPTO_CURVE_NIST_P521),
        ];
        for (curve, number) in curves {
            assert_eq!(curve.number(), number);
        }
        assert_eq!(
            KeyType::Public.number(),
            VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC
        );
        assert_eq!(
            KeyType::Private.number(),
            VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE
        );
        assert_eq!(
            Scheme::RsaRaw.parameters(),
            [VIRTIO_CRYPTO_RSA_RAW_PADDING, VIRTIO_CRYPTO_RSA_NO_HASH]
        );
    }

    #[test]
    fn a_chain_makes_the_digest_of_the_ciphertext() {
        assert_eq!(
            Operation::Encrypt.chain_order(),
            VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH
        );
        assert_eq!(
            Operation::Decrypt.chain_order(),
            VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER
        );
        assert_eq!(HASH_MODE_AUTH, VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH);
        assert_eq!(OP_TYPE_CIPHER, VIRTIO_CRYPTO_SYM_OP_CIPHER);
        assert_eq!(OP_TYPE_CHAIN, VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING);
    }
}
