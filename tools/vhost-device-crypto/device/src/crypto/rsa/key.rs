// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! RSA keys in the format of PKCS#1 (RFC 8017, appendix A.1).

use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::pkey::{Private, Public};
use openssl::rsa::{Rsa, RsaPrivateKeyBuilder, RsaRef};

use crate::crypto::der::Reader;
use crate::status::{Result, StatusError};

/// The smallest modulus, in bits. Linux's self-test has a key of this size.
pub(super) const MIN_BITS: i32 = 512;
/// The largest modulus, in bits.
pub(super) const MAX_BITS: i32 = 8192;

/// With a modulus longer than `SMALL_MODULUS_BITS`, OpenSSL rejects public exponents longer than
/// `LARGE_MODULUS_EXPONENT_BITS` (`OPENSSL_RSA_SMALL_MODULUS_BITS`, `OPENSSL_RSA_MAX_PUBEXP_BITS`).
const SMALL_MODULUS_BITS: i32 = 3072;
const LARGE_MODULUS_EXPONENT_BITS: i32 = 64;

/// Parses an `RSAPublicKey`.
pub(super) fn public(key: &[u8]) -> Result<Rsa<Public>> {
    let mut outer = Reader::new(key);
    let mut fields = outer.sequence()?;
    outer.finish()?;
    let n = number(&mut fields)?;
    let e = number(&mut fields)?;
    fields.finish()?;
    check_public(&n, &e)?;
    Ok(Rsa::from_public_components(n, e)?)
}

/// Parses an `RSAPrivateKey`.
///
/// A key with more than two primes, or with zeros in place of `p` and all following fields, is used
/// without the Chinese remainder theorem: operations are slower, but have the same results. In all
/// other keys the parts must match, but the primes are not tested for primality.
pub(super) fn private(key: &[u8]) -> Result<Rsa<Private>> {
    let mut outer = Reader::new(key);
    let mut fields = outer.sequence()?;
    outer.finish()?;
    let multi_prime = match fields.unsigned()? {
        [] => false,
        [1] => true,
        _ => return Err(StatusError::Generic),
    };
    let n = number(&mut fields)?;
    let e = number(&mut fields)?;
    let d = secret(&mut fields)?;
    let mut crt = Vec::with_capacity(5);
    for _ in 0..5 {
        crt.push(secret(&mut fields)?);
    }
    if multi_prime {
        other_primes(&mut fields)?;
    }
    fields.finish()?;

    check_public(&n, &e)?;
    if d.num_bits() < 2 || !d.is_odd() || *d >= *n {
        return Err(StatusError::Generic);
    }
    let builder = RsaPrivateKeyBuilder::new(n, e, d)?;
    if multi_prime || crt.iter().all(|number| number.num_bits() == 0) {
        return Ok(builder.build());
    }
    let [p, q, dp, dq, q_inverse] =
        <[BigNum; 5]>::try_from(crt).map_err(|_| StatusError::Generic)?;
    let key = builder.set_factors(p, q)?.set_crt_params(dp, dq, q_inverse)?.build();
    if is_consistent(&key)? {
        Ok(key)
    } else {
        Err(StatusError::Generic)
    }
}

/// Reads the bytes of a number. Rejects numbers longer than the maximum modulus.
fn octets<'a>(fields: &mut Reader<'a>) -> Result<&'a [u8]> {
    let octets = fields.unsigned()?;
    if octets.len() > MAX_BITS as usize / 8 {
        return Err(StatusError::Generic);
    }
    Ok(octets)
}

fn number(fields: &mut Reader) -> Result<BigNum> {
    Ok(BigNum::from_slice(octets(fields)?)?)
}

/// Reads a number that is wiped when freed and for which OpenSSL uses constant-time algorithms.
fn secret(fields: &mut Reader) -> Result<BigNum> {
    let mut number = BigNum::new_secure()?;
    number.copy_from_slice(octets(fields)?)?;
    number.set_const_time();
    Ok(number)
}

/// Skips the `OtherPrimeInfos`.
fn other_primes(fields: &mut Reader) -> Result<()> {
    let mut infos = fields.sequence()?;
    loop {
        let mut info = infos.sequence()?;
        for _ in 0..3 {
            octets(&mut info)?;
        }
        info.finish()?;
        if infos.is_empty() {
            return Ok(());
        }
    }
}

fn check_public(n: &BigNumRef, e: &BigNumRef) -> Result<()> {
    // The exponent must be at least 3 and odd. An even exponent has no inverse.
    let valid = (MIN_BITS..=MAX_BITS).contains(&n.num_bits())
        && n.is_odd()
        && e.num_bits() > 1
        && e.is_odd()
        && e < n;
    if !valid {
        return Err(StatusError::Generic);
    }
    if n.num_bits() > SMALL_MODULUS_BITS && e.num_bits() > LARGE_MODULUS_EXPONENT_BITS {
        return Err(StatusError::NotSupp);
    }
    Ok(())
}

/// Returns whether the parts of a private key match.
fn is_consistent(key: &RsaRef<Private>) -> Result<bool> {
    let (Some(p), Some(q), Some(dp), Some(dq), Some(q_inverse)) =
        (key.p(), key.q(), key.dmp1(), key.dmq1(), key.iqmp())
    else {
        return Ok(false);
    };
    let one = BigNum::from_u32(1)?;
    if *q_inverse >= *p {
        return Ok(false);
    }
    let mut context = BigNumContext::new_secure()?;
    let mut product = BigNum::new_secure()?;
    product.checked_mul(p, q, &mut context)?;
    if *product != *key.n() {
        return Ok(false);
    }
    product.mod_mul(q, q_inverse, p, &mut context)?;
    Ok(*product == *one
        && is_exponent_consistent(key, p, dp, &mut context)?
        && is_exponent_consistent(key, q, dq, &mut context)?)
}

/// Returns whether a CRT exponent equals `d`, and is the inverse of `e`, modulo the prime minus 1.
fn is_exponent_consistent(
    key: &RsaRef<Private>,
    prime: &BigNumRef,
    exponent: &BigNumRef,
    context: &mut BigNumContext,
) -> Result<bool> {
    let one = BigNum::from_u32(1)?;
    let mut order = BigNum::new_secure()?;
    order.checked_sub(prime, &one)?;
    let mut rest = BigNum::new_secure()?;
    rest.nnmod(key.d(), &order, context)?;
    if *rest != *exponent {
        return Ok(false);
    }
    rest.mod_mul(key.e(), exponent, &order, context)?;
    Ok(*rest == *one)
}
