// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! RSA keys, as PKCS#1 (RFC 8017, appendix A.1) writes them.

use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::pkey::{Private, Public};
use openssl::rsa::{Rsa, RsaPrivateKeyBuilder, RsaRef};

use crate::crypto::der::Reader;
use crate::status::{Result, StatusError};

/// The smallest modulus, in bits: Linux's own self-test has a key as small.
pub(super) const MIN_BITS: i32 = 512;
/// The largest modulus, in bits.
pub(super) const MAX_BITS: i32 = 8192;

/// With a modulus of more bits than the one, OpenSSL takes no public exponent of more
/// than the other (`OPENSSL_RSA_SMALL_MODULUS_BITS`, `OPENSSL_RSA_MAX_PUBEXP_BITS`).
const SMALL_MODULUS_BITS: i32 = 3072;
const LARGE_MODULUS_EXPONENT_BITS: i32 = 64;

/// Reads an `RSAPublicKey`.
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

/// Reads an `RSAPrivateKey`.
///
/// A key of more than two primes, or one with zeros in place of everything from `p` on, is
/// used without the Chinese remainder theorem: slower, but the same results. Of any other
/// the parts have to fit together, except that nobody looks whether the primes are prime.
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
    if fits_together(&key)? {
        Ok(key)
    } else {
        Err(StatusError::Generic)
    }
}

/// The bytes of a number no key's is longer than.
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

/// A number that is wiped when freed, and computed with in constant time.
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
    // An odd exponent above 1 is at least 3; an even one has no inverse.
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

/// Whether the parts of a private key fit together.
fn fits_together(key: &RsaRef<Private>) -> Result<bool> {
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
        && exponent_fits(key, p, dp, &mut context)?
        && exponent_fits(key, q, dq, &mut context)?)
}

/// Whether a prime's exponent is `d`, and the inverse of `e`, modulo the prime less one.
fn exponent_fits(
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
