// SPDX-License-Identifier: GPL-2.0

//! The parser of RSA keys. It calls the kernel's own parser, so that the driver accepts the same keys as
//! the fallback.
//!
//! C header: [`include/crypto/internal/rsa.h`](srctree/include/crypto/internal/rsa.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// Parses an `RSAPublicKey` (PKCS#1, in BER). Returns the modulus and the public exponent. Their most
/// significant byte comes first, and they may have leading zeros.
///
/// # Errors
///
/// `EINVAL` or `EBADMSG` if the fallback would not accept the key.
pub(crate) fn public_key(key: &[u8]) -> Result<[&[u8]; 2]> {
    let mut raw = bindings::rsa_key::default();
    let len = u32::try_from(key.len())?;
    // SAFETY: `raw` is valid for writes, and `key` is valid for reads of `len` bytes.
    to_result(unsafe { bindings::rsa_parse_pub_key(&mut raw, key.as_ptr().cast(), len) })?;
    // SAFETY: The parser returns pointers into `key`.
    let integer = |start, len| unsafe { integer(key, start, len) };
    Ok([integer(raw.n, raw.n_sz), integer(raw.e, raw.e_sz)])
}

/// Parses an `RSAPrivateKey` (PKCS#1, in BER) of two primes. Returns the modulus, the public and the
/// private exponent, the primes, their exponents, and the coefficient.
///
/// # Errors
///
/// As for [`public_key`].
pub(crate) fn private_key(key: &[u8]) -> Result<[&[u8]; 8]> {
    let mut raw = bindings::rsa_key::default();
    let len = u32::try_from(key.len())?;
    // SAFETY: `raw` is valid for writes, and `key` is valid for reads of `len` bytes.
    to_result(unsafe { bindings::rsa_parse_priv_key(&mut raw, key.as_ptr().cast(), len) })?;
    // SAFETY: The parser returns pointers into `key`.
    let integer = |start, len| unsafe { integer(key, start, len) };
    Ok([
        integer(raw.n, raw.n_sz),
        integer(raw.e, raw.e_sz),
        integer(raw.d, raw.d_sz),
        integer(raw.p, raw.p_sz),
        integer(raw.q, raw.q_sz),
        integer(raw.dp, raw.dp_sz),
        integer(raw.dq, raw.dq_sz),
        integer(raw.qinv, raw.qinv_sz),
    ])
}

/// Returns an integer of a key, or an empty slice if the key does not contain the integer.
///
/// # Safety
///
/// `start` must be null, or point to `len` bytes of `key`.
unsafe fn integer(_key: &[u8], start: *const u8, len: usize) -> &[u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: The caller guarantees that `start` points to `len` bytes of the key.
    unsafe { core::slice::from_raw_parts(start, len) }
}

/// Returns true if the kernel is in FIPS 140 mode.
pub(crate) fn fips_enabled() -> bool {
    // SAFETY: The function has no requirements.
    unsafe { helpers::fips_enabled() }
}
