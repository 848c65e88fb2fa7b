// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Kinds of requests that are measured: the request for the device, and the calls of OpenSSL.

use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::md_ctx::MdCtx;

use crate::hmac::Hmac;

/// Performs a request with OpenSSL. The contexts are created once.
pub type Call = Box<dyn FnMut() -> Result<(), ErrorStack>>;

/// Returns whether the result of a request is correct.
pub type Check = Box<dyn Fn(&[u8]) -> bool + Sync>;

const KEY: [u8; 32] = [7; 32];
const IV: [u8; 16] = [3; 16];
const GCM_IV_LEN: usize = 12;
const TAG_LEN: usize = 16;
const DIGEST_LEN: usize = 32;
/// Length of the header and fixed-length fields of a padded request, in bytes.
const FIXED_LEN: usize = 72;

/// A kind of request that is measured: one algorithm with one size.
pub struct Work {
    pub service: &'static str,
    pub algorithm: &'static str,
    pub direction: &'static str,
    /// Number of bytes that a request processes.
    pub size: usize,
    /// The control request that creates the session.
    pub session: Vec<u8>,
    /// The opcode of the request.
    pub opcode: u32,
    /// The fixed-length fields after the header. The rest of the padded layout is 0.
    pub lengths: Vec<u32>,
    /// Whether the request is for a cipher. Cipher requests have the field `op_type`.
    pub cipher: bool,
    /// The IV, which follows the fixed-length fields.
    pub iv: Vec<u8>,
    /// The source data, which follows the IV.
    pub data: Vec<u8>,
    /// Whether the destination is the memory of the source data.
    pub in_place: bool,
    /// Length of the result after the destination data, in bytes.
    pub result: usize,
    /// Checks a result.
    pub check: Check,
    /// Creates the calls of OpenSSL for a thread.
    pub openssl: Box<dyn Fn() -> Result<Call, ErrorStack> + Sync>,
}

impl Work {
    /// Returns header, fixed-length fields and IV of a request in a session.
    pub fn fields(&self, session: u64) -> Vec<u8> {
        let mut words = vec![self.opcode, 0, session as u32, (session >> 32) as u32, 0, 0];
        words.extend(&self.lengths);
        let mut fields = fixed(&words, self.cipher);
        fields.extend(&self.iv);
        fields
    }
}

/// Encodes header and fixed-length fields. For a cipher, `op_type` at offset 64 is 1.
fn fixed(words: &[u32], cipher: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize(FIXED_LEN, 0);
    bytes[64] = cipher.into();
    bytes
}

/// Returns a request that creates a session: header, fixed-length fields and key.
pub fn create(opcode: u32, algo: u32, fields: &[u32], key: &[u8]) -> Vec<u8> {
    let mut words = vec![opcode, algo, 0, 0, algo];
    words.extend(fields);
    let mut bytes = fixed(&words, opcode == 0x0002);
    bytes.extend(key);
    bytes
}

/// Creates a kind of request with this size, in bytes.
pub type CreateWork = fn(usize) -> Result<Work, ErrorStack>;

/// Encryption with AES-128 in CBC mode, in place. The size is rounded down to whole blocks.
pub fn cbc(size: usize) -> Result<Work, ErrorStack> {
    let size = size / 16 * 16;
    let (data, key) = (vec![1; size], &KEY[..16]);
    let mut expected = vec![0; size + 16];
    let mut context = CipherCtx::new()?;
    start(&mut context, Cipher::aes_128_cbc(), key)?;
    context.encrypt_init(None, None, Some(&IV))?;
    let len = context.cipher_update(&data, Some(&mut expected))?;
    expected.truncate(len);
    Ok(Work {
        service: "cipher",
        algorithm: "cbc(aes)",
        direction: "encrypt",
        size,
        session: create(0x0002, 3, &[16, 1], key),
        opcode: 0x0000,
        lengths: vec![16, size as u32, size as u32],
        cipher: true,
        iv: IV.to_vec(),
        data,
        in_place: true,
        result: 0,
        check: Box::new(move |output| output == expected),
        openssl: Box::new(move || {
            let mut context = CipherCtx::new()?;
            start(&mut context, Cipher::aes_128_cbc(), &KEY[..16])?;
            // The openssl crate requires one more block in the buffer.
            let mut data = vec![1; size + 16];
            Ok(Box::new(move || {
                context.encrypt_init(None, None, Some(&IV))?;
                context.cipher_update_inplace(&mut data, size)?;
                Ok(())
            }))
        }),
    })
}

fn start(context: &mut CipherCtx, cipher: &CipherRef, key: &[u8]) -> Result<(), ErrorStack> {
    context.encrypt_init(Some(cipher), Some(key), None)?;
    context.set_padding(false);
    Ok(())
}

/// Authenticated encryption with AES-128 in GCM mode, in place, without associated data.
pub fn gcm(size: usize) -> Result<Work, ErrorStack> {
    let (data, iv) = (vec![1; size], &IV[..GCM_IV_LEN]);
    let seal = move |context: &mut CipherCtx, data: &mut [u8], tag: &mut [u8]| {
        context.encrypt_init(None, None, Some(&IV[..GCM_IV_LEN]))?;
        context.cipher_update_inplace(data, size)?;
        context.cipher_final(&mut [])?;
        context.tag(tag)
    };
    let (mut context, mut expected) = (CipherCtx::new()?, data.clone());
    start(&mut context, Cipher::aes_128_gcm(), &KEY[..16])?;
    let mut tag = [0; TAG_LEN];
    seal(&mut context, &mut expected, &mut tag)?;
    expected.extend(tag);
    let (len, tag_len) = (size as u32, TAG_LEN as u32);
    Ok(Work {
        service: "aead",
        algorithm: "gcm(aes)",
        direction: "encrypt",
        size,
        session: create(0x0302, 1, &[16, tag_len, 0, 1, 0], &KEY[..16]),
        opcode: 0x0300,
        lengths: vec![iv.len() as u32, 0, len, len + tag_len, tag_len],
        cipher: false,
        iv: iv.to_vec(),
        data,
        in_place: true,
        result: TAG_LEN,
        check: Box::new(move |output| output == expected),
        openssl: Box::new(move || {
            let (mut context, mut data) = (CipherCtx::new()?, vec![1; size]);
            start(&mut context, Cipher::aes_128_gcm(), &KEY[..16])?;
            let mut tag = [0; TAG_LEN];
            Ok(Box::new(move || seal(&mut context, &mut data, &mut tag)))
        }),
    })
}

/// SHA-256.
pub fn sha256(size: usize) -> Result<Work, ErrorStack> {
    let expected = openssl::sha::sha256(&vec![1; size]);
    Ok(Work {
        service: "hash",
        algorithm: "sha256",
        session: create(0x0102, 4, &[DIGEST_LEN as u32], &[]),
        opcode: 0x0100,
        openssl: Box::new(move || {
            let (mut context, data) = (MdCtx::new()?, vec![1; size]);
            let mut digest = [0; DIGEST_LEN];
            Ok(Box::new(move || {
                context.digest_init(Md::sha256())?;
                context.digest_update(&data)?;
                context.digest_final(&mut digest)?;
                Ok(())
            }))
        }),
        ..digest(size, expected.to_vec())
    })
}

/// HMAC with SHA-256.
pub fn hmac(size: usize) -> Result<Work, ErrorStack> {
    let mut expected = [0; DIGEST_LEN];
    Hmac::sha256(&KEY)?.mac(&vec![1; size], &mut expected)?;
    Ok(Work {
        service: "mac",
        algorithm: "hmac(sha256)",
        session: create(0x0202, 4, &[DIGEST_LEN as u32, KEY.len() as u32, 0], &KEY),
        opcode: 0x0200,
        openssl: Box::new(move || {
            let (mut context, data) = (Hmac::sha256(&KEY)?, vec![1; size]);
            let mut mac = [0; DIGEST_LEN];
            Ok(Box::new(move || context.mac(&data, &mut mac)))
        }),
        ..digest(size, expected.to_vec())
    })
}

/// Returns the fields that hashes and MACs share.
fn digest(size: usize, expected: Vec<u8>) -> Work {
    Work {
        service: "",
        algorithm: "",
        direction: "digest",
        size,
        session: Vec::new(),
        opcode: 0,
        lengths: vec![size as u32, DIGEST_LEN as u32],
        cipher: false,
        iv: Vec::new(),
        data: vec![1; size],
        in_place: false,
        result: DIGEST_LEN,
        check: Box::new(move |output| output == expected),
        openssl: Box::new(|| Ok(Box::new(|| Ok(())))),
    }
}
