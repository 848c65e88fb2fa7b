// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Hashes.

use std::sync::{LazyLock, OnceLock};

use openssl::md::MdRef;

use super::{is_available, pieces, Pool};
use crate::memory::Span;
use crate::openssl_ffi::{self, Hasher};
use crate::protocol::algorithm::HashAlgorithm;
use crate::status::{Result, StatusError};

#[cfg(test)]
mod tests;

/// Returns OpenSSL's name of an algorithm.
fn name(algorithm: HashAlgorithm) -> &'static str {
    match algorithm {
        HashAlgorithm::Md5 => "MD5",
        HashAlgorithm::Sha1 => "SHA1",
        HashAlgorithm::Sha224 => "SHA2-224",
        HashAlgorithm::Sha256 => "SHA2-256",
        HashAlgorithm::Sha384 => "SHA2-384",
        HashAlgorithm::Sha512 => "SHA2-512",
        HashAlgorithm::Sha3_224 => "SHA3-224",
        HashAlgorithm::Sha3_256 => "SHA3-256",
        HashAlgorithm::Sha3_384 => "SHA3-384",
        HashAlgorithm::Sha3_512 => "SHA3-512",
        HashAlgorithm::Shake128 => "SHAKE-128",
        HashAlgorithm::Shake256 => "SHAKE-256",
    }
}

/// Returns whether OpenSSL can perform the algorithm.
pub fn available(algorithm: HashAlgorithm) -> bool {
    static AVAILABLE: OnceLock<Vec<HashAlgorithm>> = OnceLock::new();
    is_available(&AVAILABLE, HashAlgorithm::ALL, algorithm, |algorithm| {
        run(algorithm, &[], &mut [0])
    })
}

/// Returns the length of the digest, in bytes, or `None` for an extendable-output function.
pub fn digest_len(algorithm: HashAlgorithm) -> Option<usize> {
    match algorithm {
        HashAlgorithm::Md5 => Some(16),
        HashAlgorithm::Sha1 => Some(20),
        HashAlgorithm::Sha224 | HashAlgorithm::Sha3_224 => Some(28),
        HashAlgorithm::Sha256 | HashAlgorithm::Sha3_256 => Some(32),
        HashAlgorithm::Sha384 | HashAlgorithm::Sha3_384 => Some(48),
        HashAlgorithm::Sha512 | HashAlgorithm::Sha3_512 => Some(64),
        HashAlgorithm::Shake128 | HashAlgorithm::Shake256 => None,
    }
}

/// Hashes `src` and writes the first bytes of the digest to `out`. Returns `NotSupp` if the
/// algorithm is not available, and `Generic` if `out` is empty or longer than the digest.
pub fn digest(algorithm: HashAlgorithm, src: &Span<'_>, out: &mut [u8]) -> Result<()> {
    digest_all(algorithm, &[src], out)
}

/// Hashes the concatenated parts likewise.
pub(crate) fn digest_all(
    algorithm: HashAlgorithm,
    parts: &[&Span<'_>],
    out: &mut [u8],
) -> Result<()> {
    if !available(algorithm) {
        return Err(StatusError::NotSupp);
    }
    let longest = digest_len(algorithm).unwrap_or(usize::MAX);
    if out.is_empty() || out.len() > longest {
        return Err(StatusError::Generic);
    }
    run(algorithm, parts, out)
}

/// The highest algorithm number plus 1. The numbers start with 1.
const NUMBERS: usize = HashAlgorithm::ALL.len() + 1;

/// Returns OpenSSL's implementation of an algorithm.
fn implementation(algorithm: HashAlgorithm) -> Option<&'static MdRef> {
    static FOUND: OnceLock<[Option<&'static MdRef>; NUMBERS]> = OnceLock::new();
    let find = || {
        let mut found = [None; NUMBERS];
        for &algorithm in HashAlgorithm::ALL {
            found[algorithm.number() as usize] = openssl_ffi::digest(name(algorithm));
        }
        found
    };
    FOUND.get_or_init(find)[algorithm.number() as usize]
}

fn run(algorithm: HashAlgorithm, parts: &[&Span<'_>], out: &mut [u8]) -> Result<()> {
    // One pool for each algorithm: a context keeps the memory of its algorithm between uses.
    static HASHERS: LazyLock<[Pool<Hasher>; NUMBERS]> =
        LazyLock::new(|| std::array::from_fn(|_| Pool::new()));

    let digest = implementation(algorithm).ok_or(StatusError::NotSupp)?;
    HASHERS[algorithm.number() as usize].with(Hasher::new, |hasher| {
        hasher.start(digest)?;
        pieces(parts).try_for_each(|piece| hasher.update(piece))?;
        match digest_len(algorithm) {
            Some(_) => out.copy_from_slice(&hasher.finish()?[..out.len()]),
            None => hasher.squeeze(out)?,
        }
        Ok(())
    })
}
