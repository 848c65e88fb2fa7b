// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! MACs that are the last block of a CBC encryption. They differ in how they modify the last block
//! of the message before its encryption.

use zeroize::Zeroizing;

use super::{ContextPool, Cursor};
use crate::memory::{Slice, Span};
use crate::openssl_ffi::Context;
use crate::protocol::algorithm::Direction;
use crate::status::{Result, StatusError};

/// Maximum length of a block, in bytes.
const MAX_BLOCK: usize = 16;
/// Length of the buffer for unused ciphertext, in bytes.
const SINK: usize = 1024;

type Block = Zeroizing<[u8; MAX_BLOCK]>;

/// Modification of the last block.
enum LastBlock {
    /// Pads with zeros.
    Zeros,
    /// Pads a short block with a one bit and zeros, and applies the mask `short`. Applies the mask
    /// `whole` to a complete block.
    Masked { whole: Block, short: Block },
}

/// A MAC with a key.
pub(crate) struct CbcMac {
    contexts: ContextPool,
    block_len: usize,
    last: LastBlock,
}

/// Returns the name of the AES cipher for the length of the key.
fn aes(key: &[u8]) -> Result<&'static str> {
    match key.len() {
        16 => Ok("AES-128-CBC"),
        24 => Ok("AES-192-CBC"),
        32 => Ok("AES-256-CBC"),
        _ => Err(StatusError::Generic),
    }
}

impl CbcMac {
    /// Creates a CBC-MAC with AES. Fails if the length of the key is invalid.
    pub(crate) fn plain(key: &[u8]) -> Result<Self> {
        Self::new(aes(key)?, 16, key, LastBlock::Zeros)
    }

    /// Creates a CMAC, NIST SP 800-38B, with AES. Fails if the length of the key is invalid.
    pub(crate) fn cmac_aes(key: &[u8]) -> Result<Self> {
        Self::cmac(aes(key)?, 16, key)
    }

    /// Creates a CMAC, NIST SP 800-38B, with 3DES. Fails if the length of the key is invalid.
    pub(crate) fn cmac_3des(key: &[u8]) -> Result<Self> {
        Self::cmac("DES-EDE3-CBC", 8, key)
    }

    /// Creates an XCBC-MAC, RFC 3566, with AES. Fails if the key does not have 128 bits.
    pub(crate) fn xcbc(key: &[u8]) -> Result<Self> {
        let derive = Self::new("AES-128-CBC", 16, key, LastBlock::Zeros)?;
        let key = derive.encrypt_block([1; MAX_BLOCK])?;
        let whole = derive.encrypt_block([2; MAX_BLOCK])?;
        let short = derive.encrypt_block([3; MAX_BLOCK])?;
        Self::new("AES-128-CBC", 16, &*key, LastBlock::Masked { whole, short })
    }

    fn cmac(cipher: &str, block_len: usize, key: &[u8]) -> Result<Self> {
        let mut mac = Self::new(cipher, block_len, key, LastBlock::Zeros)?;
        let whole = double(&mac.encrypt_block([0; MAX_BLOCK])?, block_len);
        let short = double(&whole, block_len);
        mac.last = LastBlock::Masked { whole, short };
        Ok(mac)
    }

    fn new(cipher: &str, block_len: usize, key: &[u8], last: LastBlock) -> Result<Self> {
        let contexts = ContextPool::new(cipher, Direction::Encrypt, key)?;
        contexts.with(|_| Ok(()))?;
        Ok(CbcMac { contexts, block_len, last })
    }

    /// Encrypts one block.
    fn encrypt_block(&self, block: [u8; MAX_BLOCK]) -> Result<Block> {
        let mut block = Zeroizing::new(block);
        let in_place = Slice::from(&mut block[..self.block_len]);
        self.contexts.with(|ctx| {
            ctx.set_iv(&[0; MAX_BLOCK][..self.block_len])?;
            ctx.update(in_place, in_place)
        })?;
        Ok(block)
    }

    /// Returns the MAC of a message, which consists of these parts, followed by zeros.
    pub(crate) fn run(&self, message: &[&Span<'_>]) -> Result<[u8; MAX_BLOCK]> {
        let len: usize = message.iter().map(|part| part.len()).sum();
        // The last block is a whole block, unless the message is empty or ends with a partial
        // block.
        let last_len = match len % self.block_len {
            0 => len.min(self.block_len),
            part => part,
        };
        let mut last = Zeroizing::new([0; MAX_BLOCK]);
        let mut cursor = Cursor::over(message);
        self.contexts.with(|ctx| {
            ctx.set_iv(&[0; MAX_BLOCK][..self.block_len])?;
            self.absorb(ctx, &mut cursor, len - last_len)?;
            cursor.read(&mut last[..last_len]);
            match &self.last {
                // The MAC of an empty message is 0, as in Linux.
                LastBlock::Zeros if last_len == 0 => return Ok(()),
                LastBlock::Zeros => {}
                LastBlock::Masked { whole, .. } if last_len == self.block_len => {
                    xor(&mut last, whole)
                }
                LastBlock::Masked { short, .. } => {
                    last[last_len] = 0x80;
                    xor(&mut last, short);
                }
            }
            let in_place = Slice::from(&mut last[..self.block_len]);
            ctx.update(in_place, in_place)
        })?;
        Ok(*last)
    }

    /// Processes `remaining` bytes, which are whole blocks, and discards the ciphertext.
    fn absorb(
        &self,
        ctx: &mut Context,
        from: &mut Cursor<'_, '_>,
        mut remaining: usize,
    ) -> Result<()> {
        let mut sink = [0; SINK];
        while remaining > 0 {
            let run = from.contiguous_len().min(remaining).min(SINK);
            let run = run - run % self.block_len;
            if run > 0 {
                ctx.update(from.take(run), Slice::from(&mut sink[..run]))?;
                remaining -= run;
            } else {
                let mut block = Zeroizing::new([0; MAX_BLOCK]);
                let block = &mut block[..self.block_len];
                from.read(block);
                let in_place = Slice::from(&mut block[..]);
                ctx.update(in_place, in_place)?;
                remaining -= self.block_len;
            }
        }
        Ok(())
    }
}

fn xor(block: &mut [u8; MAX_BLOCK], mask: &[u8; MAX_BLOCK]) {
    block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}

/// Multiplies by x in the field of SP 800-38B for this block length.
fn double(block: &Block, block_len: usize) -> Block {
    let (bits, polynomial) = match block_len {
        8 => (64, 0x1b),
        _ => (128, 0x87),
    };
    let value = u128::from_be_bytes(**block) >> (128 - bits);
    let doubled = (value << 1) ^ ((value >> (bits - 1)) * polynomial);
    Zeroizing::new((doubled << (128 - bits)).to_be_bytes())
}
