// SPDX-License-Identifier: GPL-2.0

//! RSA keys as callers set them. The kernel's own parser reads them, so that the driver accepts the same
//! keys as the fallback.
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

/// Reads an `RSAPublicKey` (PKCS#1, in BER): modulus and public exponent, most significant byte
/// first, possibly with leading zeros.
///
/// # Errors
///
/// `EINVAL` or `EBADMSG` if the fallback would not accept the key.
pub(crate) fn public_key(key: &[u8]) -> Result<[&[u8]; 2]> {
    let mut raw = bindings::rsa_key::default();
    let len = u32::try_from(key.len())?;
    // SAFETY: `raw` is valid, and `key` for reads of `len` bytes.
    to_result(unsafe { bindings::rsa_parse_pub_key(&mut raw, key.as_ptr().cast(), len) })?;
    // SAFETY: The parser returns pointers into `key`.
    let number = |at, len| unsafe { number(key, at, len) };
    Ok([number(raw.n, raw.n_sz), number(raw.e, raw.e_sz)])
}

/// Reads an `RSAPrivateKey` (PKCS#1, in BER) of two primes: modulus, public and private exponent,
/// both primes, their exponents, and the coefficient.
///
/// # Errors
///
/// As for [`public_key`].
pub(crate) fn private_key(key: &[u8]) -> Result<[&[u8]; 8]> {
    let mut raw = bindings::rsa_key::default();
    let len = u32::try_from(key.len())?;
    // SAFETY: `raw` is valid, and `key` for reads of `len` bytes.
    to_result(unsafe { bindings::rsa_parse_priv_key(&mut raw, key.as_ptr().cast(), len) })?;
    // SAFETY: The parser returns pointers into `key`.
    let number = |at, len| unsafe { number(key, at, len) };
    Ok([
        number(raw.n, raw.n_sz),
        number(raw.e, raw.e_sz),
        number(raw.d, raw.d_sz),
        number(raw.p, raw.p_sz),
        number(raw.q, raw.q_sz),
        number(raw.dp, raw.dp_sz),
        number(raw.dq, raw.dq_sz),
        number(raw.qinv, raw.qinv_sz),
    ])
}

/// Returns a number of a key; an empty slice if the key does not have it.
///
/// # Safety
///
/// `at` must be null, or point to `len` bytes of `key`.
unsafe fn number(_key: &[u8], at: *const u8, len: usize) -> &[u8] {
    if at.is_null() {
        return &[];
    }
    // SAFETY: The caller guarantees that the pointer is to `len` bytes of the key.
    unsafe { core::slice::from_raw_parts(at, len) }
}

/// Returns true if the kernel is in FIPS 140 mode.
pub(crate) fn fips_enabled() -> bool {
    // SAFETY: The function has no requirements.
    unsafe { helpers::fips_enabled() }
}
