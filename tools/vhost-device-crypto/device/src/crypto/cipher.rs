// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Ciphers.

use std::sync::OnceLock;

use super::xts::{self, Xts};
use super::{ctr, is_available, transform, ContextPool};
use crate::memory::Span;
use crate::protocol::algorithm::{CipherAlgorithm, Direction};
use crate::status::{Result, StatusError};

#[cfg(test)]
mod tests;

/// All key lengths of ARC4, in bytes: 1 to 256.
const ARC4_KEY_LENGTHS: [usize; 256] = {
    let mut lengths = [0; 256];
    let mut at = 0;
    while at < lengths.len() {
        lengths[at] = at + 1;
        at += 1;
    }
    lengths
};

/// How OpenSSL processes a message.
enum Mode {
    /// A block cipher without an IV.
    Blocks(ContextPool),
    /// A mode with an IV, which processes a message in several calls of whole blocks.
    WithIv(ContextPool),
    /// A stream cipher. Each message uses a new context, because the keystream must start again.
    Stream(ContextPool),
    /// Counter mode implemented with a block cipher.
    Counter(ContextPool),
    Xts(Xts),
}

/// A cipher with a key, in one direction. The key is wiped on drop.
pub struct Cipher {
    mode: Mode,
    iv_len: usize,
    block_len: usize,
}

impl Cipher {
    /// Returns whether OpenSSL can perform the algorithm.
    pub fn available(algorithm: CipherAlgorithm) -> bool {
        static AVAILABLE: OnceLock<Vec<CipherAlgorithm>> = OnceLock::new();
        is_available(&AVAILABLE, CipherAlgorithm::ALL, algorithm, |algorithm| {
            let lengths = Self::key_lengths(algorithm);
            for &len in lengths {
                // Some modes reject a key with two equal parts, so all bytes differ.
                let key: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
                for &direction in Direction::ALL {
                    let cipher = Self::with_key(algorithm, direction, &key)?;
                    let mut data = [0; 32];
                    let in_place = Span::from(&mut data[..]);
                    let iv = [0; xts::IV_LEN];
                    cipher.run(&iv[..cipher.iv_len], &in_place, &in_place, &mut Vec::new())?;
                }
            }
            (!lengths.is_empty()).then_some(()).ok_or(StatusError::NotSupp)
        })
    }

    /// Returns the lengths of a key, in bytes.
    pub fn key_lengths(algorithm: CipherAlgorithm) -> &'static [usize] {
        use CipherAlgorithm::*;
        match algorithm {
            Arc4 => &ARC4_KEY_LENGTHS,
            AesEcb | AesCbc | AesCtr => &[16, 24, 32],
            DesEcb | DesCbc => &[8],
            TripleDesEcb | TripleDesCbc | TripleDesCtr => &[24],
            AesXts => &[32, 48, 64],
            KasumiF8 | Snow3gUea2 | AesF8 | ZucEea3 => &[],
        }
    }

    /// Creates a cipher with a key. Returns `NotSupp` if the algorithm is not available, and
    /// `Generic` if the length of the key is invalid.
    pub fn new(algorithm: CipherAlgorithm, direction: Direction, key: &[u8]) -> Result<Self> {
        if !Self::available(algorithm) {
            return Err(StatusError::NotSupp);
        }
        Self::with_key(algorithm, direction, key)
    }

    /// Creates a cipher without checking that the algorithm is available.
    fn with_key(algorithm: CipherAlgorithm, direction: Direction, key: &[u8]) -> Result<Self> {
        use CipherAlgorithm::*;
        if !Self::key_lengths(algorithm).contains(&key.len()) {
            return Err(StatusError::Generic);
        }
        let contexts = |name, direction| ContextPool::new(name, direction, key);
        let aes = |names: [&'static str; 3]| names[key.len() / 8 - 2];
        let (mode, iv_len, block_len) = match algorithm {
            Arc4 => (Mode::Stream(contexts("RC4", direction)?), 0, 1),
            AesEcb => {
                let name = aes(["AES-128-ECB", "AES-192-ECB", "AES-256-ECB"]);
                (Mode::Blocks(contexts(name, direction)?), 0, 16)
            }
            AesCbc => {
                let name = aes(["AES-128-CBC", "AES-192-CBC", "AES-256-CBC"]);
                (Mode::WithIv(contexts(name, direction)?), 16, 16)
            }
            AesCtr => {
                let name = aes(["AES-128-CTR", "AES-192-CTR", "AES-256-CTR"]);
                (Mode::WithIv(contexts(name, direction)?), 16, 1)
            }
            DesEcb => (Mode::Blocks(contexts("DES-ECB", direction)?), 0, 8),
            DesCbc => (Mode::WithIv(contexts("DES-CBC", direction)?), 8, 8),
            TripleDesEcb => (Mode::Blocks(contexts("DES-EDE3-ECB", direction)?), 0, 8),
            TripleDesCbc => (Mode::WithIv(contexts("DES-EDE3-CBC", direction)?), 8, 8),
            TripleDesCtr => (Mode::Counter(contexts("DES-EDE3-ECB", Direction::Encrypt)?), 8, 1),
            AesXts => (Mode::Xts(Xts::new(direction, key)?), xts::IV_LEN, 1),
            KasumiF8 | Snow3gUea2 | AesF8 | ZucEea3 => return Err(StatusError::NotSupp),
        };
        Ok(Cipher { mode, iv_len, block_len })
    }

    /// Returns the length of the IV, in bytes; 0 if the algorithm has no IV.
    pub fn iv_len(&self) -> usize {
        self.iv_len
    }

    /// Returns the block length, in bytes. The length of a message must be a multiple of the block
    /// length.
    pub fn block_len(&self) -> usize {
        self.block_len
    }

    /// Encrypts or decrypts `src` to the first bytes of `dst`, which may be the same memory.
    /// Returns `Generic`, and writes nothing, if the length of the IV is invalid, the message is
    /// not a multiple of the block length, the message is too short for XTS, or `dst` is shorter
    /// than `src`.
    pub fn run(
        &self,
        iv: &[u8],
        src: &Span<'_>,
        dst: &Span<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        if iv.len() != self.iv_len || src.len() % self.block_len != 0 || dst.len() < src.len() {
            return Err(StatusError::Generic);
        }
        match &self.mode {
            Mode::Blocks(contexts) => contexts
                .with(|ctx| transform(src, dst, self.block_len, |src, dst| ctx.update(src, dst))),
            Mode::WithIv(contexts) => contexts.with(|ctx| {
                ctx.set_iv(iv)?;
                transform(src, dst, self.block_len, |src, dst| ctx.update(src, dst))
            }),
            Mode::Stream(contexts) => {
                let mut ctx = contexts.fresh()?;
                transform(src, dst, self.block_len, |src, dst| ctx.update(src, dst))
            }
            Mode::Counter(contexts) => contexts.with(|ctx| ctr::run(ctx, iv, src, dst)),
            Mode::Xts(xts) => xts.run(iv, src, dst, scratch),
        }
    }
}
