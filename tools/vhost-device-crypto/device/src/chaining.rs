// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Algorithm chaining: a cipher and a digest in one request.
//!
//! Where the specification is open: the digest's input is the associated data, then the
//! range to hash, of the source if the hash comes first and of the destination if the
//! cipher does. Source data outside the range to cipher is copied to the destination.
//! The device makes a digest; to compare it is for the driver, unless the device is told to:
//! [`crate::capabilities::ChainDigest`].

use openssl::memcmp;

use crate::crypto::cipher::Cipher;
use crate::crypto::mac::Mac;
use crate::crypto::{hash, local};
use crate::memory::Span;
use crate::parts::Parts;
use crate::protocol::algorithm::{ChainOrder, HashAlgorithm};
use crate::protocol::data::ChainLengths;
use crate::status::{Result, StatusError};

/// The digest's half.
pub enum Digest {
    /// A hash without a key.
    Plain(HashAlgorithm),
    /// A MAC.
    Auth(Mac),
}

/// Both halves.
pub struct Chaining {
    order: ChainOrder,
    cipher: Cipher,
    digest: Digest,
    result_len: usize,
}

impl Chaining {
    /// Puts the halves together.
    pub fn new(order: ChainOrder, cipher: Cipher, digest: Digest, result_len: usize) -> Self {
        Chaining { order, cipher, digest, result_len }
    }

    /// The digest's length, in bytes.
    pub fn result_len(&self) -> usize {
        self.result_len
    }

    /// Serves a request: the destination gets as much as the source has, `result` the digest. `Err`: a
    /// range or a length is not right; or, if that is to be verified, the digest of the source is
    /// another one than the result's memory has.
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
        // Before anything is written, or it would be too late to refuse.
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
            Digest::Plain(algorithm) => {
                let mut all = aad.clone();
                all.extend(&data);
                hash::digest(*algorithm, &all, result)
            }
            Digest::Auth(mac) => mac.run(&[aad, &data], result),
        }
    }
}
