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

/// The longest tag, in bytes.
const MAX_TAG_LEN: usize = 16;

/// An AEAD with a key, in one direction. The key is wiped when it is dropped.
pub struct Aead {
    algorithm: AeadAlgorithm,
    cipher: &'static CipherRef,
    direction: Direction,
    key: Zeroizing<Vec<u8>>,
    tag_len: usize,
    /// ContextPool, and the length of the IV that each was made for.
    pool: Pool<(usize, Context)>,
}

impl Aead {
    /// Whether the library really does it.
    pub fn available(algorithm: AeadAlgorithm) -> bool {
        static TRIED: OnceLock<Vec<AeadAlgorithm>> = OnceLock::new();
        is_available(&TRIED, AeadAlgorithm::ALL, algorithm, |algorithm| {
            let aead = Self::keyed(algorithm, Direction::Encrypt, &[0; 32], MAX_TAG_LEN)?;
            let mut data = [0; 1 + MAX_TAG_LEN];
            let dst = Span::from(&mut data[..]);
            let src = dst.get(0, 1).ok_or(StatusError::Generic)?;
            aead.encrypt(&[0; 12], &Span::new(), &src, &dst, &mut Vec::new())
        })
    }

    /// Sets a key. `NotSupp`: the library does not have the algorithm; `Err`: the key or the
    /// tag are too long or too short.
    pub fn new(
        algorithm: AeadAlgorithm,
        direction: Direction,
        key: &[u8],
        tag_len: usize,
    ) -> Result<Self> {
        if !Self::available(algorithm) {
            return Err(StatusError::NotSupp);
        }
        Self::keyed(algorithm, direction, key, tag_len)
    }

    fn keyed(
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
        let has_tag_len = match algorithm {
            AeadAlgorithm::Gcm => matches!(tag_len, 4 | 8 | 12..=16),
            AeadAlgorithm::Ccm => matches!(tag_len, 4 | 6 | 8 | 10 | 12 | 14 | 16),
            AeadAlgorithm::Chacha20Poly1305 => tag_len == 16,
        };
        if !has_tag_len {
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

    /// The algorithm.
    pub fn algorithm(&self) -> AeadAlgorithm {
        self.algorithm
    }

    /// Encrypts `src`: `dst` gets the ciphertext, behind which is the tag. `Err`: the IV is
    /// too long or too short, `dst` too short, `src` too long, or the key is for decryption.
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
        self.with(Direction::Encrypt, iv, src.len(), |ctx| {
            ctx.set_iv(iv)?;
            self.work(ctx, aad, src, &ciphertext, scratch)?;
            if self.algorithm != AeadAlgorithm::Ccm {
                ctx.finish()?;
            }
            ctx.tag(tag)
        })?;
        tag_to.write(tag);
        Ok(())
    }

    /// Decrypts `src`, ciphertext and behind it the tag: `dst` gets the plaintext. `BadMsg`:
    /// the tag is wrong; there is no plaintext then. `Err`: the IV is too long or too short,
    /// `src` or `dst` too short, `src` too long, or the key is for encryption.
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
        // Before the plaintext overwrites it, should they overlap.
        let mut tag = [0; MAX_TAG_LEN];
        tag_from.read(&mut tag[..self.tag_len]);
        let tag = &tag[..self.tag_len];
        self.with(Direction::Decrypt, iv, len, |ctx| {
            ctx.set_tag(tag)?;
            ctx.set_iv(iv)?;
            let done = self.work(ctx, aad, &ciphertext, &dst, scratch);
            let authentic = done.and_then(|()| match self.algorithm {
                AeadAlgorithm::Ccm => Ok(()),
                _ => ctx.finish().map_err(|_| StatusError::BadMsg),
            });
            if authentic.is_err() {
                wipe(&dst);
            }
            authentic
        })
    }

    /// Does something with a context that has a key.
    fn with(
        &self,
        direction: Direction,
        iv: &[u8],
        len: usize,
        work: impl FnOnce(&mut Context) -> Result<()>,
    ) -> Result<()> {
        let has_iv_len = match self.algorithm {
            AeadAlgorithm::Ccm => matches!(iv.len(), 7..=13),
            AeadAlgorithm::Gcm | AeadAlgorithm::Chacha20Poly1305 => iv.len() == 12,
        };
        if direction != self.direction || !has_iv_len {
            return Err(StatusError::Generic);
        }
        let ccm = self.algorithm == AeadAlgorithm::Ccm;
        // CCM's block has room for the nonce and for the length. The library would notice as
        // well, but not before it cannot be told from a wrong tag.
        if ccm && len as u128 >> (8 * (15 - iv.len())) != 0 {
            return Err(StatusError::Generic);
        }
        let tag_len = ccm.then_some(self.tag_len);
        let fresh = || {
            let ctx = Context::with_tag(self.cipher, direction, &self.key, iv.len(), tag_len)?;
            Ok((iv.len(), ctx))
        };
        self.pool.with(fresh, |keyed| {
            if keyed.0 != iv.len() {
                *keyed = fresh()?;
            }
            work(&mut keyed.1)
        })
    }

    /// Puts in everything but IV and tag.
    fn work(
        &self,
        ctx: &mut Context,
        aad: &Span<'_>,
        src: &Span<'_>,
        dst: &Span<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        if self.algorithm != AeadAlgorithm::Ccm {
            pieces(aad).try_for_each(|piece| ctx.authenticate(piece))?;
            return transform(src, dst, 1, |src, dst| ctx.update(src, dst));
        }
        // CCM wants to know the length, and everything at once, even if it is nothing.
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
            // It compares the tag here; there is nothing else left that could be wrong.
            Direction::Decrypt => ctx.update(src, dst).map_err(|_| StatusError::BadMsg),
        })
    }
}

/// Overwrites what must not be read.
fn wipe(span: &Span<'_>) {
    let mut cursor = Cursor::new(span);
    while cursor.run() > 0 {
        cursor.write(&[0; 512]);
    }
}
