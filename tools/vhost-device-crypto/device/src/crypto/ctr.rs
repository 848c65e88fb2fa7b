// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Counter mode of 3DES. OpenSSL only has the block cipher, so this module implements the mode.

use zeroize::Zeroizing;

use super::Cursor;
use crate::memory::{Slice, Span};
use crate::openssl_ffi::Context;
use crate::status::{Result, StatusError};

/// Length of a block, in bytes. The counter is the whole block as a big-endian number, and wraps
/// around.
const BLOCK: usize = 8;
/// Number of bytes processed at a time.
const CHUNK: usize = 64 * BLOCK;

/// Encrypts or decrypts `src` to the first bytes of `dst`, which must not be shorter. `ctx` is the
/// block cipher for encryption. Returns `Generic` if the IV does not have the length of a block.
pub(crate) fn run(ctx: &mut Context, iv: &[u8], src: &Span<'_>, dst: &Span<'_>) -> Result<()> {
    let mut counter = u64::from_be_bytes(iv.try_into().map_err(|_| StatusError::Generic)?);
    let (mut from, mut to) = (Cursor::new(src), Cursor::new(dst));
    let mut stream = Zeroizing::new([0; CHUNK]);
    let mut data = Zeroizing::new([0; CHUNK]);
    let mut remaining = src.len();
    while remaining > 0 {
        let len = remaining.min(CHUNK);
        let (stream, data) = (&mut stream[..len.next_multiple_of(BLOCK)], &mut data[..len]);
        for block in stream.chunks_exact_mut(BLOCK) {
            block.copy_from_slice(&counter.to_be_bytes());
            counter = counter.wrapping_add(1);
        }
        let in_place = Slice::from(&mut stream[..]);
        ctx.update(in_place, in_place)?;
        from.read(data);
        data.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= *mask);
        to.write(data);
        remaining -= len;
    }
    Ok(())
}
