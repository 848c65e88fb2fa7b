// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! RSA without padding, and with the paddings of PKCS#1 v1.5.
//!
//! OpenSSL performs the exponentiations, with blinding, and verifies results of the Chinese
//! remainder theorem. This module implements the paddings of signatures and of decryption. It
//! compares a signature as a whole instead of parsing it. A ciphertext with wrong padding is an
//! error, as the specification's status codes require; OpenSSL since 3.2 returns a random message
//! instead.

use openssl::memcmp;
use openssl::pkey::{HasPublic, Private, Public};
use openssl::rsa::{self, Padding, RsaRef};
use zeroize::Zeroizing;

use self::pkcs1::DigestInfo;
use super::der::without_leading_zeros;
use crate::protocol::algorithm::{KeyType, RsaHash, RsaPadding};
use crate::status::{Result, StatusError};

mod key;
mod pkcs1;
#[cfg(test)]
mod tests;

/// A key and its padding. OpenSSL wipes a private key on drop.
#[derive(Debug)]
pub struct Rsa {
    key: Key,
    scheme: Scheme,
    modulus_len: usize,
}

#[derive(Debug)]
enum Key {
    Public(rsa::Rsa<Public>),
    Private(rsa::Rsa<Private>),
}

#[derive(Clone, Copy, Debug)]
enum Scheme {
    Raw,
    /// The encoding of the signed digest, if the hash is supported.
    Pkcs1(Option<DigestInfo>),
}

impl Rsa {
    /// Parses a key: a PKCS#1 `RSAPrivateKey` or `RSAPublicKey` in DER.
    ///
    /// # Errors
    ///
    /// `Generic` if the key is malformed or inconsistent, or its modulus has less than 512 or more
    /// than 8192 bits. `NotSupp` if the public exponent has more than 64 bits and the modulus more
    /// than 3072. A missing or unsupported hash only makes signatures fail.
    pub fn new(
        key_type: KeyType,
        key: &[u8],
        padding: RsaPadding,
        hash: Option<RsaHash>,
    ) -> Result<Rsa> {
        let scheme = match padding {
            RsaPadding::Raw => Scheme::Raw,
            RsaPadding::Pkcs1 => Scheme::Pkcs1(hash.and_then(|hash| DigestInfo::new(hash).ok())),
        };
        let (key, modulus_len) = match key_type {
            KeyType::Public => {
                let key = key::public(key)?;
                let len = key.size();
                (Key::Public(key), len)
            }
            KeyType::Private => {
                let key = key::private(key)?;
                let len = key.size();
                (Key::Private(key), len)
            }
        };
        Ok(Rsa { key, scheme, modulus_len: modulus_len as usize })
    }

    /// Returns the length of the modulus, in bytes. No result is longer.
    pub fn modulus_len(&self) -> usize {
        self.modulus_len
    }

    /// Encrypts and appends the ciphertext, which has the length of the modulus.
    ///
    /// # Errors
    ///
    /// `Generic` if `src` is too long or, without padding, empty or not less than the modulus.
    pub fn encrypt(&self, src: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self.scheme {
            Scheme::Raw => {
                let block = self.block(src)?;
                self.append(out, |to| self.public(&block, to, Padding::NONE))
            }
            // OpenSSL checks the exact limit, but its lengths have 31 bits.
            Scheme::Pkcs1(_) if src.len() > self.modulus_len => Err(StatusError::Generic),
            Scheme::Pkcs1(_) => self.append(out, |to| self.public(src, to, Padding::PKCS1)),
        }
    }

    /// Decrypts and appends the message. Without padding the message has the length of the modulus.
    ///
    /// # Errors
    ///
    /// `Generic` if the key is a public key; `src` is empty or not less than the modulus; or, with
    /// padding, `src` does not have the length of the modulus or the padding is wrong.
    pub fn decrypt(&self, src: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self.scheme {
            Scheme::Raw => {
                let block = self.block(src)?;
                self.append(out, |to| self.private(&block, to))
            }
            Scheme::Pkcs1(_) => {
                if src.len() != self.modulus_len {
                    return Err(StatusError::Generic);
                }
                let mut block = Zeroizing::new(vec![0; self.modulus_len]);
                self.private(src, &mut block)?;
                out.extend_from_slice(pkcs1::unpad(&block)?);
                Ok(())
            }
        }
    }

    /// Signs a digest and appends the signature, which has the length of the modulus. Without a
    /// hash `digest` is signed as it is.
    ///
    /// # Errors
    ///
    /// `NotSupp` if the hash is not supported. `Generic` if the key is a public key, there is no
    /// padding, or the digest does not have the length of the hash or is too long for the modulus.
    pub fn sign(&self, digest: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let block = self.digest_info()?.pad(digest, self.modulus_len)?;
        self.append(out, |to| self.private(&block, to))
    }

    /// Verifies a signature of a digest. Without a hash `digest` is what was signed.
    ///
    /// # Errors
    ///
    /// `KeyRejected` if the signature is wrong or malformed. `NotSupp` if the hash is not
    /// supported. `Generic` if there is no padding, or the digest does not have the length of the
    /// hash or is too long for the modulus.
    pub fn verify(&self, signature: &[u8], digest: &[u8]) -> Result<()> {
        let want = self.digest_info()?.pad(digest, self.modulus_len)?;
        let mut got = vec![0; self.modulus_len];
        if signature.len() != self.modulus_len
            || self.public(signature, &mut got, Padding::NONE).is_err()
            || !memcmp::eq(&want, &got)
        {
            return Err(StatusError::KeyRejected);
        }
        Ok(())
    }

    /// Returns the encoding of the digest. Without padding the error is not `NotSupp`, because the
    /// specification supports the algorithm and only forbids the request: "RAW sessions are never
    /// used to sign or verify".
    fn digest_info(&self) -> Result<DigestInfo> {
        match self.scheme {
            Scheme::Raw => Err(StatusError::Generic),
            Scheme::Pkcs1(info) => info.ok_or(StatusError::NotSupp),
        }
    }

    /// Converts the integer in `src` to the length of the modulus.
    fn block(&self, src: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let octets = without_leading_zeros(src);
        if src.is_empty() || octets.len() > self.modulus_len {
            return Err(StatusError::Generic);
        }
        let mut block = Zeroizing::new(vec![0; self.modulus_len]);
        block[self.modulus_len - octets.len()..].copy_from_slice(octets);
        Ok(block)
    }

    /// Appends the result of `operation`, which has the length of the modulus.
    fn append(
        &self,
        out: &mut Vec<u8>,
        operation: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let start = out.len();
        out.resize(start + self.modulus_len, 0);
        operation(&mut out[start..]).inspect_err(|_| out.truncate(start))
    }

    /// Performs the exponentiation with the public exponent.
    fn public(&self, block: &[u8], to: &mut [u8], padding: Padding) -> Result<()> {
        fn exponentiate(
            key: &RsaRef<impl HasPublic>,
            block: &[u8],
            to: &mut [u8],
            padding: Padding,
        ) -> Result<()> {
            key.public_encrypt(block, to, padding)?;
            Ok(())
        }
        match &self.key {
            Key::Public(key) => exponentiate(key, block, to, padding),
            Key::Private(key) => exponentiate(key, block, to, padding),
        }
    }

    /// Performs the exponentiation with the private exponent, for signatures and for decryption.
    fn private(&self, block: &[u8], to: &mut [u8]) -> Result<()> {
        match &self.key {
            Key::Public(_) => Err(StatusError::Generic),
            Key::Private(key) => {
                key.private_decrypt(block, to, Padding::NONE)?;
                Ok(())
            }
        }
    }
}
