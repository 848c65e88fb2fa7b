// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! AES-XTS, IEEE 1619, with ciphertext stealing.
//!
//! OpenSSL's implementation rejects keys with two equal halves and 192-bit keys, and is limited to
//! messages of 16 MiB. The virtio specification has no such limits. In these cases this module
//! implements the mode with single blocks.

use zeroize::Zeroizing;

use super::{transform_whole, ContextPool, Cursor};
use crate::memory::{Slice, Span};
use crate::openssl_ffi::Context;
use crate::protocol::algorithm::Direction;
use crate::status::{Result, StatusError};

#[cfg(test)]
mod tests;

const BLOCK: usize = 16;
/// Number of bytes processed at a time.
const CHUNK: usize = 32 * BLOCK;
/// Maximum length of a message in OpenSSL's implementation, in bytes.
const LIBRARY_MAX: usize = BLOCK << 20;

/// Length of the tweak, in bytes.
pub(crate) const IV_LEN: usize = BLOCK;

/// A key in one direction.
pub(crate) struct Xts {
    /// OpenSSL's implementation, if it supports the key.
    library: Option<ContextPool>,
    encrypts: bool,
    /// The block cipher with the first half of the key, for the message.
    blocks: ContextPool,
    /// The block cipher with the second half of the key, for tweaks.
    tweaks: ContextPool,
}

impl Xts {
    /// Creates a key. Returns `Generic` if the length is not that of two AES keys.
    pub(crate) fn new(direction: Direction, key: &[u8]) -> Result<Self> {
        let (first, second) = key.split_at(key.len() / 2);
        let (blocks, library) = match key.len() {
            32 => ("AES-128-ECB", Some("AES-128-XTS")),
            48 => ("AES-192-ECB", None),
            64 => ("AES-256-ECB", Some("AES-256-XTS")),
            _ => return Err(StatusError::Generic),
        };
        let library = library.filter(|_| !openssl::memcmp::eq(first, second));
        Ok(Xts {
            library: library.map(|name| ContextPool::new(name, direction, key)).transpose()?,
            encrypts: direction == Direction::Encrypt,
            blocks: ContextPool::new(blocks, direction, first)?,
            tweaks: ContextPool::new(blocks, Direction::Encrypt, second)?,
        })
    }

    /// Encrypts or decrypts `src` to the first bytes of `dst`, which must not be shorter. Returns
    /// `Generic` if `src` is shorter than a block or `iv` is not a block.
    pub(crate) fn run(
        &self,
        iv: &[u8],
        src: &Span<'_>,
        dst: &Span<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        if src.len() < BLOCK {
            return Err(StatusError::Generic);
        }
        match &self.library {
            Some(library) if src.len() <= LIBRARY_MAX => library.with(|ctx| {
                ctx.set_iv(iv)?;
                transform_whole(src, dst, scratch, |src, dst| ctx.update(src, dst))
            }),
            _ => self.by_blocks(iv, src, dst),
        }
    }

    /// Processes a message with single blocks.
    fn by_blocks(&self, iv: &[u8], src: &Span<'_>, dst: &Span<'_>) -> Result<()> {
        let mut tweak: Zeroizing<[u8; BLOCK]> =
            Zeroizing::new(iv.try_into().map_err(|_| StatusError::Generic)?);
        let in_place = Slice::from(&mut tweak[..]);
        self.tweaks.with(|ctx| ctx.update(in_place, in_place))?;
        let tweak = u128::from_le_bytes(*tweak);
        self.blocks.with(|ctx| self.with_tweak(ctx, tweak, src, dst))
    }

    fn with_tweak(
        &self,
        ctx: &mut Context,
        mut tweak: u128,
        src: &Span<'_>,
        dst: &Span<'_>,
    ) -> Result<()> {
        let tail = src.len() % BLOCK;
        // Ciphertext stealing processes the last whole block together with the tail.
        let mut remaining = src.len() - tail - if tail == 0 { 0 } else { BLOCK };
        let (mut from, mut to) = (Cursor::new(src), Cursor::new(dst));
        let mut chunk = Zeroizing::new([0; CHUNK]);
        while remaining > 0 {
            let chunk = &mut chunk[..remaining.min(CHUNK)];
            from.read(chunk);
            tweak = crypt(ctx, tweak, chunk)?;
            to.write(chunk);
            remaining -= chunk.len();
        }
        if tail > 0 {
            let last = &mut chunk[..BLOCK + tail];
            from.read(last);
            let tweaks = match self.encrypts {
                true => [tweak, double(tweak)],
                false => [double(tweak), tweak],
            };
            let (block, rest) = last.split_at_mut(BLOCK);
            crypt(ctx, tweaks[0], block)?;
            block[..tail].swap_with_slice(rest);
            crypt(ctx, tweaks[1], block)?;
            to.write(last);
        }
        Ok(())
    }
}

/// Encrypts or decrypts blocks, the first of which has this tweak. Returns the tweak of the next
/// block.
fn crypt(ctx: &mut Context, tweak: u128, blocks: &mut [u8]) -> Result<u128> {
    let after = mask(tweak, blocks);
    let in_place = Slice::from(&mut blocks[..]);
    ctx.update(in_place, in_place)?;
    mask(tweak, blocks);
    Ok(after)
}

/// XORs blocks with their tweaks, the first of which is `tweak`. Returns the next tweak.
fn mask(mut tweak: u128, blocks: &mut [u8]) -> u128 {
    for block in blocks.chunks_exact_mut(BLOCK) {
        let bytes = tweak.to_le_bytes();
        block.iter_mut().zip(bytes).for_each(|(byte, mask)| *byte ^= mask);
        tweak = double(tweak);
    }
    tweak
}

/// Multiplies by x in GF(2^128), in the byte order of XTS.
fn double(tweak: u128) -> u128 {
    (tweak << 1) ^ ((tweak >> 127) * 0x87)
}
