// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Authenticated encryption with associated data.

use std::sync::OnceLock;

use openssl::cipher::CipherRef;
use zeroize::Zeroizing;

use super::{is_available, local, pieces, transform, transform_whole, Cursor, Pool};
use crate::memory::{Slice, Span};
use crate::openssl_ffi::{self, Context};
use crate::protocol::algorithm::{AeadAlgorithm, Direction};
use crate::status::{Result, StatusError};

#[cfg(test)]
mod tests;

/// Maximum length of a tag, in bytes.
const MAX_TAG_LEN: usize = 16;

/// An AEAD with a key, in one direction. The key is wiped on drop.
pub struct Aead {
    algorithm: AeadAlgorithm,
    cipher: &'static CipherRef,
    direction: Direction,
    key: Zeroizing<Vec<u8>>,
    tag_len: usize,
    /// Contexts, each with the IV length that it was created for.
    pool: Pool<(usize, Context)>,
}

impl Aead {
    /// Returns whether OpenSSL can perform the algorithm.
    pub fn available(algorithm: AeadAlgorithm) -> bool {
        static AVAILABLE: OnceLock<Vec<AeadAlgorithm>> = OnceLock::new();
        is_available(&AVAILABLE, AeadAlgorithm::ALL, algorithm, |algorithm| {
            let aead = Self::with_key(algorithm, Direction::Encrypt, &[0; 32], MAX_TAG_LEN)?;
            let mut data = [0; 1 + MAX_TAG_LEN];
            let dst = Span::from(&mut data[..]);
            let src = dst.get(0, 1).ok_or(StatusError::Generic)?;
            aead.encrypt(&[0; 12], &Span::new(), &src, &dst, &mut Vec::new())
        })
    }

    /// Creates an AEAD with a key. Returns `NotSupp` if the algorithm is not available, and
    /// `Generic` if it does not have this length of key or tag.
    pub fn new(
        algorithm: AeadAlgorithm,
        direction: Direction,
        key: &[u8],
        tag_len: usize,
    ) -> Result<Self> {
        if !Self::available(algorithm) {
            return Err(StatusError::NotSupp);
        }
        Self::with_key(algorithm, direction, key, tag_len)
    }

    /// Creates an AEAD without checking that the algorithm is available.
    fn with_key(
        algorithm: AeadAlgorithm,
        direction: Direction,
        key: &[u8],
        tag_len: usize,
    ) -> Result<Self> {
        let cipher = match (algorithm, key.len()) {
            (AeadAlgorithm::Gcm, 16) => "AES-128-GCM",
            (AeadAlgorithm::Gcm, 24) => "AES-192-GCM",
            (AeadAlgorithm::Gcm, 32) => "AES-256-GCM",
            (AeadAlgorithm::Ccm, 16) => "AES-128-CCM",
            (AeadAlgorithm::Ccm, 24) => "AES-192-CCM",
            (AeadAlgorithm::Ccm, 32) => "AES-256-CCM",
            (AeadAlgorithm::Chacha20Poly1305, 32) => "ChaCha20-Poly1305",
            _ => return Err(StatusError::Generic),
        };
        let is_tag_len_valid = match algorithm {
            AeadAlgorithm::Gcm => matches!(tag_len, 4 | 8 | 12..=16),
            AeadAlgorithm::Ccm => matches!(tag_len, 4 | 6 | 8 | 10 | 12 | 14 | 16),
            AeadAlgorithm::Chacha20Poly1305 => tag_len == 16,
        };
        if !is_tag_len_valid {
            return Err(StatusError::Generic);
        }
        Ok(Aead {
            algorithm,
            cipher: openssl_ffi::cipher(cipher).ok_or(StatusError::NotSupp)?,
            direction,
            key: Zeroizing::new(key.to_vec()),
            tag_len,
            pool: Pool::new(),
        })
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> AeadAlgorithm {
        self.algorithm
    }

    /// Encrypts `src` and writes the ciphertext and the tag to `dst`. Returns `Generic` if the
    /// length of the IV is invalid, `dst` is too short, `src` is too long, or the key is for
    /// decryption.
    pub fn encrypt(
        &self,
        iv: &[u8],
        aad: &Span<'_>,
        src: &Span<'_>,
        dst: &Span<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        let ciphertext = dst.get(0, src.len()).ok_or(StatusError::Generic)?;
        let tag_to = dst.get(src.len(), self.tag_len).ok_or(StatusError::Generic)?;
        let mut tag = [0; MAX_TAG_LEN];
        let tag = &mut tag[..self.tag_len];
        self.with_context(Direction::Encrypt, iv, src.len(), |ctx| {
            ctx.set_iv(iv)?;
            self.process(ctx, aad, src, &ciphertext, scratch)?;
            if self.algorithm != AeadAlgorithm::Ccm {
                ctx.finish()?;
            }
            ctx.tag(tag)
        })?;
        tag_to.write(tag);
        Ok(())
    }

    /// Decrypts `src`, a ciphertext followed by its tag, and writes the plaintext to `dst`. Returns
    /// `BadMsg` if the tag is wrong; `dst` is then wiped. Returns `Generic` if the length of the IV
    /// is invalid, `src` or `dst` is too short, `src` is too long, or the key is for encryption.
    pub fn decrypt(
        &self,
        iv: &[u8],
        aad: &Span<'_>,
        src: &Span<'_>,
        dst: &Span<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        let len = src.len().checked_sub(self.tag_len).ok_or(StatusError::Generic)?;
        let dst = dst.get(0, len).ok_or(StatusError::Generic)?;
        let ciphertext = src.get(0, len).ok_or(StatusError::Generic)?;
        let tag_from = src.get(len, self.tag_len).ok_or(StatusError::Generic)?;
        // Copy the tag first. If source and destination overlap, the plaintext may overwrite the
        // tag in the source.
        let mut tag = [0; MAX_TAG_LEN];
        tag_from.read(&mut tag[..self.tag_len]);
        let tag = &tag[..self.tag_len];
        self.with_context(Direction::Decrypt, iv, len, |ctx| {
            ctx.set_tag(tag)?;
            ctx.set_iv(iv)?;
            let processed = self.process(ctx, aad, &ciphertext, &dst, scratch);
            let authentic = processed.and_then(|()| match self.algorithm {
                AeadAlgorithm::Ccm => Ok(()),
                _ => ctx.finish().map_err(|_| StatusError::BadMsg),
            });
            if authentic.is_err() {
                wipe(&dst);
            }
            authentic
        })
    }

    /// Calls `work` with a context that has the key and this IV length.
    fn with_context(
        &self,
        direction: Direction,
        iv: &[u8],
        len: usize,
        work: impl FnOnce(&mut Context) -> Result<()>,
    ) -> Result<()> {
        let is_iv_len_valid = match self.algorithm {
            AeadAlgorithm::Ccm => matches!(iv.len(), 7..=13),
            AeadAlgorithm::Gcm | AeadAlgorithm::Chacha20Poly1305 => iv.len() == 12,
        };
        if direction != self.direction || !is_iv_len_valid {
            return Err(StatusError::Generic);
        }
        let ccm = self.algorithm == AeadAlgorithm::Ccm;
        // In CCM the nonce and the message length share a block. OpenSSL would also detect a
        // message that is too long, but report it like a wrong tag.
        if ccm && len as u128 >> (8 * (15 - iv.len())) != 0 {
            return Err(StatusError::Generic);
        }
        let tag_len = ccm.then_some(self.tag_len);
        let fresh = || {
            let ctx = Context::with_tag(self.cipher, direction, &self.key, iv.len(), tag_len)?;
            Ok((iv.len(), ctx))
        };
        self.pool.with(fresh, |entry| {
            // A context of the pool may have been created for another IV length.
            if entry.0 != iv.len() {
                *entry = fresh()?;
            }
            work(&mut entry.1)
        })
    }

    /// Processes associated data and message.
    fn process(
        &self,
        ctx: &mut Context,
        aad: &Span<'_>,
        src: &Span<'_>,
        dst: &Span<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        if self.algorithm != AeadAlgorithm::Ccm {
            pieces(&[aad]).try_for_each(|piece| ctx.authenticate(piece))?;
            return transform(src, dst, 1, |src, dst| ctx.update(src, dst));
        }
        // CCM needs the length first, and then all data in one call, even if the data is empty.
        ctx.set_data_len(src.len())?;
        match aad.contiguous() {
            Some(piece) => ctx.authenticate(piece)?,
            None if aad.is_empty() => {}
            None => {
                let local = local(scratch, aad.len());
                aad.read(local);
                ctx.authenticate(Slice::from(local))?;
            }
        }
        transform_whole(src, dst, scratch, |src, dst| match self.direction {
            Direction::Encrypt => ctx.update(src, dst),
            // The call verifies the tag. Everything else was checked before.
            Direction::Decrypt => ctx.update(src, dst).map_err(|_| StatusError::BadMsg),
        })
    }
}

/// Overwrites a span with zeros.
fn wipe(span: &Span<'_>) {
    let mut cursor = Cursor::new(span);
    while cursor.contiguous_len() > 0 {
        cursor.write(&[0; 512]);
    }
}
