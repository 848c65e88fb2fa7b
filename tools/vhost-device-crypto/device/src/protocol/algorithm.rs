// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Numbers of the specification: services, algorithms and their parameters.

use serde::Serialize;

use crate::status::StatusError;

/// Defines an enumeration of the specification's numbers, with conversions in both directions.
macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[repr(u32)]
        pub enum $name { $($(#[$item_doc])* $item = $value,)* }

        impl $name {
            /// All values.
            pub const ALL: &'static [$name] = &[$($name::$item),*];

            /// Returns the name of the variant.
            pub const fn name(self) -> &'static str {
                match self { $($name::$item => stringify!($item),)* }
            }

            /// Returns the number in the specification.
            pub const fn number(self) -> u32 {
                self as u32
            }
        }

        impl TryFrom<u32> for $name {
            /// The unknown number.
            type Error = u32;

            fn try_from(number: u32) -> Result<Self, u32> {
                match number {
                    $($value => Ok($name::$item),)*
                    _ => Err(number),
                }
            }
        }
    };
}

numbers! {
    /// A service: the high byte of opcodes, and the bit in `crypto_services`.
    #[allow(missing_docs)]
    Service {
        Cipher = 0,
        Hash = 1,
        Mac = 2,
        Aead = 3,
        Akcipher = 4,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_CIPHER_*`
    #[allow(missing_docs)]
    CipherAlgorithm {
        Arc4 = 1,
        AesEcb = 2,
        AesCbc = 3,
        AesCtr = 4,
        DesEcb = 5,
        DesCbc = 6,
        TripleDesEcb = 7,
        TripleDesCbc = 8,
        TripleDesCtr = 9,
        KasumiF8 = 10,
        Snow3gUea2 = 11,
        AesF8 = 12,
        AesXts = 13,
        ZucEea3 = 14,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_HASH_*`
    #[allow(missing_docs)]
    HashAlgorithm {
        Md5 = 1,
        Sha1 = 2,
        Sha224 = 3,
        Sha256 = 4,
        Sha384 = 5,
        Sha512 = 6,
        Sha3_224 = 7,
        Sha3_256 = 8,
        Sha3_384 = 9,
        Sha3_512 = 10,
        Shake128 = 11,
        Shake256 = 12,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_MAC_*`
    #[allow(missing_docs)]
    MacAlgorithm {
        HmacMd5 = 1,
        HmacSha1 = 2,
        HmacSha224 = 3,
        HmacSha256 = 4,
        HmacSha384 = 5,
        HmacSha512 = 6,
        Cmac3des = 25,
        CmacAes = 26,
        KasumiF9 = 27,
        Snow3gUia2 = 28,
        GmacAes = 41,
        GmacTwofish = 42,
        CbcMacAes = 49,
        CbcMacKasumiF9 = 50,
        XcbcAes = 53,
        ZucEia3 = 54,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_AEAD_*`
    #[allow(missing_docs)]
    AeadAlgorithm {
        Gcm = 1,
        Ccm = 2,
        Chacha20Poly1305 = 3,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_AKCIPHER_*`, with the specification's numbers. In the kernel's header ECDSA
    /// is 3 and DSA is 2.
    #[allow(missing_docs)]
    AkcipherAlgorithm {
        Rsa = 1,
        Ecdsa = 2,
    }
}

/// The number of RSA, the same in specification and kernel.
pub const RSA: u32 = AkcipherAlgorithm::Rsa.number();

numbers! {
    /// `VIRTIO_CRYPTO_RSA_*_PADDING`
    #[allow(missing_docs)]
    RsaPadding {
        Raw = 0,
        Pkcs1 = 1,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_RSA_*`: the hash of a PKCS#1 signature.
    #[allow(missing_docs)]
    RsaHash {
        NoHash = 0,
        Md2 = 1,
        Md3 = 2,
        Md4 = 3,
        Md5 = 4,
        Sha1 = 5,
        Sha256 = 6,
        Sha384 = 7,
        Sha512 = 8,
        Sha224 = 9,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_CURVE_NIST_*`
    #[allow(missing_docs)]
    Curve {
        P192 = 1,
        P224 = 2,
        P256 = 3,
        P384 = 4,
        P521 = 5,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_*`
    #[allow(missing_docs)]
    KeyType {
        Public = 1,
        Private = 2,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_OP_*`: a session's direction.
    #[allow(missing_docs)]
    Direction {
        Encrypt = 1,
        Decrypt = 2,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_SYM_OP_*`: whether a request is for a cipher or for algorithm chaining.
    #[allow(missing_docs)]
    SymOp {
        Cipher = 1,
        AlgorithmChaining = 2,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_*`
    #[allow(missing_docs)]
    ChainOrder {
        HashThenCipher = 1,
        CipherThenHash = 2,
    }
}

numbers! {
    /// `VIRTIO_CRYPTO_SYM_HASH_MODE_*`, without `NESTED`, for which the specification has no
    /// parameters.
    #[allow(missing_docs)]
    HashMode {
        Plain = 1,
        Auth = 2,
    }
}

/// Converts the number of an algorithm. Returns `NotSupp` if the number is unknown.
pub fn supported<T: TryFrom<u32, Error = u32>>(number: u32) -> Result<T, StatusError> {
    T::try_from(number).map_err(|_| StatusError::NotSupp)
}

/// Converts the value of a field. Returns `Generic` if the specification does not define the value.
pub fn defined<T: TryFrom<u32, Error = u32>>(number: u32) -> Result<T, StatusError> {
    T::try_from(number).map_err(|_| StatusError::Generic)
}

/// Returns the mask with the bits of these numbers.
pub fn mask(numbers: impl IntoIterator<Item = u32>) -> u64 {
    numbers.into_iter().fold(0, |mask, number| mask | 1 << number)
}
