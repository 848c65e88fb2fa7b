// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Signatures: RSA with 2048 bits and PKCS#1, ECDSA with P-256. OpenSSL's contexts get their keys
//! before the measurement, like the sessions of the device.

use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, PKey, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};

use crate::work::{create, Call, Work};

const PUBLIC: u32 = 1;
const PRIVATE: u32 = 2;
const SIGN: u32 = 0x0402;
const VERIFY: u32 = 0x0403;
const DIGEST: [u8; 32] = [5; 32];

/// An algorithm and a key, in the formats for sessions and for OpenSSL.
struct Key {
    algorithm: &'static str,
    /// Number of the algorithm in the specification.
    algo: u32,
    /// Padding and hash, or the curve.
    detail: [u32; 2],
    private: Vec<u8>,
    public: Vec<u8>,
    key: PKey<Private>,
    /// Length of the modulus or of a coordinate, in bytes.
    size: usize,
    /// Maximum length of a signature, in bytes.
    max_signature_len: usize,
}

fn rsa() -> Result<Key, ErrorStack> {
    let rsa = Rsa::generate(2048)?;
    Ok(Key {
        algorithm: "rsa",
        algo: 1,
        detail: [1, 6],
        private: rsa.private_key_to_der()?,
        public: rsa.public_key_to_der_pkcs1()?,
        key: PKey::from_rsa(rsa)?,
        size: 256,
        max_signature_len: 256,
    })
}

fn p256() -> Result<Key, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = EcKey::generate(&group)?;
    let form = PointConversionForm::UNCOMPRESSED;
    Ok(Key {
        algorithm: "ecdsa-p256",
        algo: 2,
        detail: [3, 0],
        private: key.private_key_to_der()?,
        public: key.public_key().to_bytes(&group, form, &mut *BigNumContext::new()?)?,
        key: PKey::from_ec_key(key)?,
        size: 32,
        max_signature_len: 72,
    })
}

/// Creates a context that signs or verifies digests of SHA-256.
fn context<T: HasPublic>(
    key: &PKey<T>,
    rsa: bool,
    start: fn(&mut PkeyCtx<T>) -> Result<(), ErrorStack>,
) -> Result<PkeyCtx<T>, ErrorStack> {
    let mut context = PkeyCtx::new(key)?;
    start(&mut context)?;
    if rsa {
        context.set_rsa_padding(Padding::PKCS1)?;
    }
    context.set_signature_md(Md::sha256())?;
    Ok(context)
}

impl Key {
    fn is_rsa(&self) -> bool {
        self.algo == 1
    }

    fn work(&self, direction: &'static str, opcode: u32, key_type: u32, key: &[u8]) -> Work {
        let fields = [key_type, key.len() as u32, self.detail[0], self.detail[1]];
        Work {
            service: "akcipher",
            algorithm: self.algorithm,
            direction,
            size: self.size,
            session: create(0x0404, self.algo, &fields, key),
            opcode,
            lengths: Vec::new(),
            cipher: false,
            iv: Vec::new(),
            data: Vec::new(),
            in_place: false,
            result: 0,
            check: Box::new(|output| output.is_empty()),
            openssl: Box::new(|| Ok(Box::new(|| Ok(())))),
        }
    }

    fn sign(&self) -> Work {
        let (key, rsa, max_len) = (self.key.clone(), self.is_rsa(), self.max_signature_len);
        let verifier = key.clone();
        Work {
            lengths: vec![DIGEST.len() as u32, max_len as u32],
            data: DIGEST.to_vec(),
            result: max_len,
            check: Box::new(move |signature| {
                context(&verifier, rsa, |context| context.verify_init())
                    .and_then(|mut context| context.verify(&DIGEST, signature))
                    .unwrap_or(false)
            }),
            openssl: Box::new(move || {
                let mut context = context(&key, rsa, |context| context.sign_init())?;
                let mut signature = vec![0; max_len];
                Ok(Box::new(move || context.sign(&DIGEST, Some(&mut signature)).map(|_| ())))
            }),
            ..self.work("sign", SIGN, PRIVATE, &self.private)
        }
    }

    fn verify(&self) -> Result<Work, ErrorStack> {
        let (key, rsa) = (self.key.clone(), self.is_rsa());
        let mut signature = vec![0; self.max_signature_len];
        let mut signer = context(&key, rsa, |context| context.sign_init())?;
        let len = signer.sign(&DIGEST, Some(&mut signature))?;
        signature.truncate(len);
        Ok(Work {
            lengths: vec![len as u32, DIGEST.len() as u32],
            data: [&signature[..], &DIGEST].concat(),
            openssl: Box::new(move || -> Result<Call, ErrorStack> {
                let mut context = context(&key, rsa, |context| context.verify_init())?;
                let signature = signature.clone();
                Ok(Box::new(move || {
                    assert!(context.verify(&DIGEST, &signature)?, "the signature is valid");
                    Ok(())
                }))
            }),
            ..self.work("verify", VERIFY, PUBLIC, &self.public)
        })
    }
}

/// Returns the requests that sign and verify with each algorithm.
pub fn works() -> Result<Vec<Work>, ErrorStack> {
    let mut works = Vec::new();
    for key in [rsa()?, p256()?] {
        works.push(key.sign());
        works.push(key.verify()?);
    }
    Ok(works)
}
