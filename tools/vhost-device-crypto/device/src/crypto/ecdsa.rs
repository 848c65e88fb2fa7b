// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! ECDSA over the curves of FIPS 186.

use std::sync::LazyLock;

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcGroupRef, EcKey, EcPoint, EcPointRef};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::{Private, Public};

use super::der::{self, Reader};
use crate::protocol::algorithm::{Curve, KeyType};
use crate::status::{Result, StatusError};

#[cfg(test)]
mod tests;

/// The curves that OpenSSL has. Distributions remove some.
static AVAILABLE: LazyLock<Vec<Curve>> = LazyLock::new(|| {
    Curve::ALL.iter().copied().filter(|&curve| self_test(curve).is_ok()).collect()
});

/// Returns whether OpenSSL has a curve. The curves are tested once.
pub fn available(curve: Curve) -> bool {
    AVAILABLE.contains(&curve)
}

/// Signs and verifies with the private key 1.
fn self_test(curve: Curve) -> Result<()> {
    let group = EcGroup::from_curve_name(nid(curve))?;
    let one = BigNum::from_u32(1)?;
    let generator = group.generator_opt().ok_or(StatusError::NotSupp)?;
    let key = EcKey::from_private_components(&group, &one, generator)?;
    let key = Ecdsa(Key::Private(key));
    let mut signature = vec![];
    key.sign(&[1], &mut signature)?;
    key.verify(&signature, &[1])
}

fn nid(curve: Curve) -> Nid {
    match curve {
        Curve::P192 => Nid::X9_62_PRIME192V1,
        Curve::P224 => Nid::SECP224R1,
        Curve::P256 => Nid::X9_62_PRIME256V1,
        Curve::P384 => Nid::SECP384R1,
        Curve::P521 => Nid::SECP521R1,
    }
}

/// The DER of the curve's object identifier, without tag and length.
fn object_identifier(curve: Curve) -> &'static [u8] {
    match curve {
        Curve::P192 => b"\x2a\x86\x48\xce\x3d\x03\x01\x01",
        Curve::P224 => b"\x2b\x81\x04\x00\x21",
        Curve::P256 => b"\x2a\x86\x48\xce\x3d\x03\x01\x07",
        Curve::P384 => b"\x2b\x81\x04\x00\x22",
        Curve::P521 => b"\x2b\x81\x04\x00\x23",
    }
}

/// A key on a curve. OpenSSL wipes a private key on drop.
#[derive(Debug)]
pub struct Ecdsa(Key);

#[derive(Debug)]
enum Key {
    Public(EcKey<Public>),
    Private(EcKey<Private>),
}

impl Ecdsa {
    /// Parses a key: an `ECPrivateKey` (RFC 5915) in DER, or a public point (SEC 1, section 2.3.3),
    /// compressed or not.
    ///
    /// # Errors
    ///
    /// `NotSupp` if the curve is not available. `Generic` if the key is malformed, belongs to
    /// another curve, or its private and public part do not match.
    pub fn new(key_type: KeyType, key: &[u8], curve: Curve) -> Result<Ecdsa> {
        if !available(curve) {
            return Err(StatusError::NotSupp);
        }
        let group = EcGroup::from_curve_name(nid(curve))?;
        let mut context = BigNumContext::new_secure()?;
        let key = match key_type {
            KeyType::Public => {
                let point = point(&group, key, &mut context)?;
                Key::Public(EcKey::from_public_key(&group, &point)?)
            }
            KeyType::Private => Key::Private(private(&group, key, curve, &mut context)?),
        };
        Ok(Ecdsa(key))
    }

    /// Signs a digest and appends the signature, an `ECDSA-Sig-Value` in DER. A digest longer than
    /// the order of the curve is truncated to the bits of the order.
    ///
    /// # Errors
    ///
    /// `Generic` if the key is a public key or the digest is empty.
    pub fn sign(&self, digest: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Key::Private(key) = &self.0 else {
            return Err(StatusError::Generic);
        };
        let digest = front(digest)?;
        let signature = EcdsaSig::sign(digest, key)?.to_der()?;
        out.extend_from_slice(&signature);
        Ok(())
    }

    /// Verifies a signature of a digest. The signature is in DER.
    ///
    /// # Errors
    ///
    /// `KeyRejected` if the signature is wrong or malformed. `Generic` if the digest is empty.
    pub fn verify(&self, signature: &[u8], digest: &[u8]) -> Result<()> {
        let digest = front(digest)?;
        let parsed = EcdsaSig::from_der(signature).map_err(|_| StatusError::KeyRejected)?;
        // OpenSSL also accepts encodings other than DER, and ignores bytes after the signature.
        if parsed.to_der()? != signature {
            return Err(StatusError::KeyRejected);
        }
        let verified = match &self.0 {
            Key::Public(key) => parsed.verify(digest, key),
            Key::Private(key) => parsed.verify(digest, key),
        };
        match verified {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(StatusError::KeyRejected),
        }
    }
}

/// Truncates a digest to the maximum length that is used: the largest order has 521 bits.
/// OpenSSL truncates further, but its lengths have 31 bits.
///
/// Rejects an empty digest. No hash produces one, and a signature of it can be forged without the
/// key.
fn front(digest: &[u8]) -> Result<&[u8]> {
    match digest {
        [] => Err(StatusError::Generic),
        digest => Ok(&digest[..digest.len().min(521_usize.div_ceil(8))]),
    }
}

/// Parses a point. The point must be on the curve and not infinity. The cofactor of all curves is
/// 1, so no other check is needed.
fn point(group: &EcGroupRef, octets: &[u8], context: &mut BigNumContext) -> Result<EcPoint> {
    // 0 is infinity. 6 and 7 are the hybrid form, which SEC 1 no longer has.
    if !matches!(octets.first(), Some(2..=4)) {
        return Err(StatusError::Generic);
    }
    // The call checks the length, and that the point is on the curve.
    Ok(EcPoint::from_bytes(group, octets, context)?)
}

/// Parses an `ECPrivateKey`.
fn private(
    group: &EcGroupRef,
    key: &[u8],
    curve: Curve,
    context: &mut BigNumContext,
) -> Result<EcKey<Private>> {
    let mut outer = Reader::new(key);
    let mut fields = outer.sequence()?;
    outer.finish()?;
    if fields.unsigned()? != [1] {
        return Err(StatusError::Generic);
    }
    let octets = fields.element(der::OCTET_STRING)?;
    let parameters = fields.optional(der::explicit(0))?;
    let public = fields.optional(der::explicit(1))?;
    fields.finish()?;

    if let Some(parameters) = parameters {
        let mut parameters = Reader::new(parameters);
        let name = parameters.element(der::OBJECT_IDENTIFIER)?;
        parameters.finish()?;
        if name != object_identifier(curve) {
            return Err(StatusError::Generic);
        }
    }

    let mut order = BigNum::new()?;
    group.order(&mut order, context)?;
    if octets.len() > order.num_bytes() as usize {
        return Err(StatusError::Generic);
    }
    let mut number = BigNum::new_secure()?;
    number.copy_from_slice(octets)?;
    number.set_const_time();
    if number.num_bits() == 0 || *number >= *order {
        return Err(StatusError::Generic);
    }
    let mut computed = EcPoint::new(group)?;
    computed.mul_generator2(group, &number, context)?;
    if let Some(public) = public {
        check_public(group, public, &computed, context)?;
    }
    Ok(EcKey::from_private_components(group, &number, &computed)?)
}

/// Checks that the public key in an `ECPrivateKey` belongs to the private key.
fn check_public(
    group: &EcGroupRef,
    public: &[u8],
    computed: &EcPointRef,
    context: &mut BigNumContext,
) -> Result<()> {
    let mut public = Reader::new(public);
    let bits = public.element(der::BIT_STRING)?;
    public.finish()?;
    // The first byte is the number of unused bits in the last byte.
    let [0, octets @ ..] = bits else {
        return Err(StatusError::Generic);
    };
    if point(group, octets, context)?.eq(group, computed, context)? {
        Ok(())
    } else {
        Err(StatusError::Generic)
    }
}
