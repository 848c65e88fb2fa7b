// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! RSA: raw, and with the paddings of PKCS#1 v1.5.
//!
//! OpenSSL does the exponentiations, with blinding, and checks what the Chinese remainder
//! theorem gave it. The paddings of signatures and of what is decrypted are this module's:
//! a signature is compared as a whole instead of being parsed, and a ciphertext that is
//! not well padded is an error. (OpenSSL since 3.2 makes a message up instead, which keeps
//! from the guest what the guest has the right to know: the status is the specification's.)

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

/// A key and how to use it. OpenSSL wipes a private key when it is dropped.
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
    /// What is signed, if the hash is one that is served.
    Pkcs1(Option<DigestInfo>),
}

impl Rsa {
    /// Reads a key: a PKCS#1 `RSAPrivateKey` or `RSAPublicKey`, in DER.
    ///
    /// # Errors
    ///
    /// `Err` if the key is malformed, does not fit together, or has a modulus of less than
    /// 512 or more than 8192 bits; `NotSupp` if the public exponent has more than 64 bits and the
    /// modulus more than 3072. A hash that is not served, or none that there is, matters to
    /// signatures alone.
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

    /// The length of the modulus in bytes. No result is longer.
    pub fn modulus_len(&self) -> usize {
        self.modulus_len
    }

    /// Encrypts, and appends the ciphertext: as many bytes as the modulus has.
    ///
    /// # Errors
    ///
    /// `src` is too long, or, without padding, empty or not below the modulus.
    pub fn encrypt(&self, src: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self.scheme {
            Scheme::Raw => {
                let block = self.block(src)?;
                self.append(out, |to| self.public(&block, to, Padding::NONE))
            }
            // The library knows how long exactly `src` may be, but its lengths have 31 bits.
            Scheme::Pkcs1(_) if src.len() > self.modulus_len => Err(StatusError::Generic),
            Scheme::Pkcs1(_) => self.append(out, |to| self.public(src, to, Padding::PKCS1)),
        }
    }

    /// Decrypts, and appends the message; without padding that is as many bytes as the
    /// modulus has.
    ///
    /// # Errors
    ///
    /// The key is a public one; `src` is empty or not below the modulus; with padding,
    /// `src` is not as long as the modulus, or what comes out is not well padded.
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

    /// Signs a digest (without a hash: these bytes), and appends the signature: as many
    /// bytes as the modulus has.
    ///
    /// # Errors
    ///
    /// `NotSupp` if the hash is not served. `Err` if the key is a public one; there is no padding;
    /// the digest's length is not the hash's, or too much for the modulus.
    pub fn sign(&self, digest: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let block = self.digest_info()?.pad(digest, self.modulus_len)?;
        self.append(out, |to| self.private(&block, to))
    }

    /// Verifies a signature of a digest (without a hash: of these bytes).
    ///
    /// # Errors
    ///
    /// `KeyRejected` if the signature is not this key's, or none at all. `NotSupp` if the hash is not
    /// served. `Err` if there is no padding, or the digest's length is not the hash's, or too much for the modulus.
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

    /// "RAW sessions are never used to sign or verify": the specification knows the
    /// algorithm, but not such a request. Hence not `NotSupp`.
    fn digest_info(&self) -> Result<DigestInfo> {
        match self.scheme {
            Scheme::Raw => Err(StatusError::Generic),
            Scheme::Pkcs1(info) => info.ok_or(StatusError::NotSupp),
        }
    }

    /// The integer that `src` is, in as many bytes as the modulus has.
    fn block(&self, src: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let octets = without_leading_zeros(src);
        if src.is_empty() || octets.len() > self.modulus_len {
            return Err(StatusError::Generic);
        }
        let mut block = Zeroizing::new(vec![0; self.modulus_len]);
        block[self.modulus_len - octets.len()..].copy_from_slice(octets);
        Ok(block)
    }

    /// Appends what `operation` makes as much room for as the modulus has bytes.
    fn append(
        &self,
        out: &mut Vec<u8>,
        operation: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let start = out.len();
        out.resize(start + self.modulus_len, 0);
        operation(&mut out[start..]).inspect_err(|_| out.truncate(start))
    }

    /// Exponentiates by the public exponent.
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

    /// Exponentiates by the private exponent. It is the same for signatures as for
    /// ciphertexts.
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
