// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Algorithm chaining: a cipher and a digest in one request.
//!
//! Interpretation of the specification: the input of the digest is the associated data followed by
//! the range to hash. The range is in the source if the hash comes first, and in the destination if
//! the cipher comes first. Source data outside the range to cipher is copied to the destination.
//! The device returns the digest and the driver compares it, unless
//! [`crate::capabilities::ChainDigest`] selects otherwise.

use openssl::memcmp;

use crate::crypto::cipher::Cipher;
use crate::crypto::mac::Mac;
use crate::crypto::{hash, local};
use crate::memory::Span;
use crate::parts::Parts;
use crate::protocol::algorithm::{ChainOrder, HashAlgorithm};
use crate::protocol::data::ChainLengths;
use crate::status::{Result, StatusError};

/// The digest of a chain.
pub enum Digest {
    /// A hash without a key.
    Plain(HashAlgorithm),
    /// A MAC.
    Auth(Mac),
}

/// A cipher and a digest with their keys.
pub struct Chaining {
    order: ChainOrder,
    cipher: Cipher,
    digest: Digest,
    result_len: usize,
}

impl Chaining {
    /// Combines a cipher and a digest.
    pub fn new(order: ChainOrder, cipher: Cipher, digest: Digest, result_len: usize) -> Self {
        Chaining { order, cipher, digest, result_len }
    }

    /// Returns the length of the digest, in bytes.
    pub fn result_len(&self) -> usize {
        self.result_len
    }

    /// Performs a request. Writes as many bytes to the destination as the source has, and the
    /// digest to `result`. With `verify` the digest of the source must equal the contents of the
    /// result buffer.
    ///
    /// Returns `Generic` if a range or a length is invalid, or if `verify` finds another digest.
    pub(crate) fn run(
        &self,
        lengths: &ChainLengths,
        iv: &[u8],
        parts: &Parts<'_>,
        verify: bool,
        result: &mut [u8],
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        let (aad, src) = (&parts.aad, &parts.src);
        let dst = &parts.dst.get(0, src.len()).ok_or(StatusError::Generic)?;
        let (start, len) =
            (lengths.cipher_start_src_offset as usize, lengths.len_to_cipher as usize);
        let to_cipher = src.get(start, len).ok_or(StatusError::Generic)?;
        let ciphered = dst.get(start, len).ok_or(StatusError::Generic)?;
        // Check the range before anything is written: a rejected request must not change the
        // destination.
        let hash_from = lengths.hash_start_src_offset as usize;
        let to_hash =
            |span: &Span<'_>| span.get(hash_from, lengths.len_to_hash as usize).map(|_| ());
        to_hash(src).ok_or(StatusError::Generic)?;

        if self.order == ChainOrder::HashThenCipher {
            self.digest(lengths, aad, src, result)?;
            if verify && !memcmp::eq(&parts.result.to_vec(), result) {
                return Err(StatusError::Generic);
            }
        }
        self.cipher.run(iv, &to_cipher, &ciphered, scratch)?;
        let end = start + len;
        for (from, len) in [(0, start), (end, src.len() - end)] {
            let (Some(from_src), Some(to_dst)) = (src.get(from, len), dst.get(from, len)) else {
                return Err(StatusError::Generic);
            };
            let copy = local(scratch, len);
            from_src.read(copy);
            to_dst.write(copy);
        }
        if self.order == ChainOrder::CipherThenHash {
            self.digest(lengths, aad, dst, result)?;
        }
        Ok(())
    }

    fn digest<'m>(
        &self,
        lengths: &ChainLengths,
        aad: &Span<'m>,
        data: &Span<'m>,
        result: &mut [u8],
    ) -> Result<()> {
        let (start, len) = (lengths.hash_start_src_offset, lengths.len_to_hash);
        let data = data.get(start as usize, len as usize).ok_or(StatusError::Generic)?;
        match &self.digest {
            Digest::Plain(algorithm) => hash::digest_all(*algorithm, &[aad, &data], result),
            Digest::Auth(mac) => mac.run(&[aad, &data], result),
        }
    }
}
