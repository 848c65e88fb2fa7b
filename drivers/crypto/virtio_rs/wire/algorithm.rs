// SPDX-License-Identifier: GPL-2.0

//! The numbers of services, algorithms and their parameters ("Supported crypto services").
//!
//! A device reports its services and algorithms as bit masks in the configuration space. The number
//! of a service or an algorithm is also the number of its bit.

/// A service (VIRTIO_CRYPTO_SERVICE_*). Bits 8 to 15 of an opcode are the number of its service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Service {
    /// Symmetric ciphers, and algorithm chaining of a cipher and a MAC.
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
        // CAST: The enum is `repr(u32)`.
        self as u32
    }
}

/// A cipher (VIRTIO_CRYPTO_CIPHER_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Cipher {
    /// AES in ECB mode.
    AesEcb = 2,
    /// AES in CBC mode.
    AesCbc = 3,
    /// AES in CTR mode. The counter is the whole IV, a big-endian number.
    AesCtr = 4,
    /// DES in ECB mode.
    DesEcb = 5,
    /// DES in CBC mode.
    DesCbc = 6,
    /// Triple DES in ECB mode.
    TripleDesEcb = 7,
    /// Triple DES in CBC mode.
    TripleDesCbc = 8,
    /// Triple DES in CTR mode. The counter is the whole IV, a big-endian number.
    TripleDesCtr = 9,
    /// AES in XTS mode. The key is the data key followed by the tweak key.
    AesXts = 13,
}

impl Cipher {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is `repr(u32)`.
        self as u32
    }
}

/// A hash (VIRTIO_CRYPTO_HASH_*).
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
        // CAST: The enum is `repr(u32)`.
        self as u32
    }
}

/// A message authentication code (VIRTIO_CRYPTO_MAC_*).
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
    /// CBC-MAC of AES. An incomplete last block is padded with zeros, as in CCM.
    CbcMacAes = 49,
    /// XCBC-MAC of AES.
    XcbcAes = 53,
}

impl Mac {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is `repr(u32)`.
        self as u32
    }
}

/// An authenticated encryption algorithm (VIRTIO_CRYPTO_AEAD_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Aead {
    /// AES in GCM mode.
    Gcm = 1,
    /// AES in CCM mode.
    Ccm = 2,
    /// ChaCha20-Poly1305 (RFC 7539).
    ChaCha20Poly1305 = 3,
}

impl Aead {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is `repr(u32)`.
        self as u32
    }
}

/// A public key algorithm (VIRTIO_CRYPTO_AKCIPHER_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Akcipher {
    /// RSA.
    Rsa = 1,
    /// ECDSA, with its number in the specification.
    Ecdsa = 2,
    /// ECDSA, with its number in the kernel's uapi header. In the header, 2 is the number of DSA.
    EcdsaUapi = 3,
}

impl Akcipher {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is `repr(u32)`.
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
        // CAST: The enum is `repr(u32)`.
        self as u32
    }
}

/// The type of a public key algorithm's key (VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum KeyType {
    /// A public key.
    Public = 1,
    /// A private key.
    Private = 2,
}

impl KeyType {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is `repr(u32)`.
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
    /// ECDSA with the number that the device uses, and a curve.
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

    /// Returns the words of the algorithm's parameters, which a CREATE request and a stateless
    /// request contain.
    pub(super) const fn parameters(self) -> [u32; 2] {
        match self {
            Self::RsaRaw => [RSA_RAW_PADDING, RSA_NO_HASH],
            Self::Ecdsa(_, curve) => [curve.number(), 0],
        }
    }
}

/// The direction of a session or a stateless request (VIRTIO_CRYPTO_OP_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Operation {
    /// Encryption.
    Encrypt = 1,
    /// Decryption.
    Decrypt = 2,
}

impl Operation {
    /// Returns the number.
    pub(crate) const fn number(self) -> u32 {
        // CAST: The enum is `repr(u32)`.
        self as u32
    }

    /// Returns the order of algorithm chaining (VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_*).
    ///
    /// The MAC always authenticates the ciphertext (encrypt-then-MAC).
    pub(super) const fn chain_order(self) -> u32 {
        const HASH_THEN_CIPHER: u32 = 1;
        const CIPHER_THEN_HASH: u32 = 2;

        match self {
            Self::Encrypt => CIPHER_THEN_HASH,
            Self::Decrypt => HASH_THEN_CIPHER,
        }
    }
}

/// Algorithm chaining of a cipher and a MAC, each with a key (VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH).
pub(super) const HASH_MODE_AUTH: u32 = 2;

/// A session or request of a cipher alone (VIRTIO_CRYPTO_SYM_OP_CIPHER).
pub(super) const OP_TYPE_CIPHER: u32 = 1;

/// A session or request of algorithm chaining (VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING).
pub(super) const OP_TYPE_CHAIN: u32 = 2;

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_algorithm)]
mod tests {
    use super::*;
    use crate::bindings::*;

    #[test]
    fn cipher_numbers_match_uapi_header() {
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
    fn hash_numbers_match_uapi_header() {
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
    fn mac_numbers_match_uapi_header() {
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
    fn aead_operation_and_service_numbers_match_uapi_header() {
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
    fn akcipher_numbers_match_uapi_header() {
        assert_eq!(Service::Akcipher.number(), VIRTIO_CRYPTO_SERVICE_AKCIPHER);
        assert_eq!(Akcipher::Rsa.number(), VIRTIO_CRYPTO_AKCIPHER_RSA);
        assert_eq!(Akcipher::EcdsaUapi.number(), VIRTIO_CRYPTO_AKCIPHER_ECDSA);
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
    fn chain_order_authenticates_the_ciphertext() {
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
