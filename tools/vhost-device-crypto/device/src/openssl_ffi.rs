// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Bindings of OpenSSL's libcrypto for memory that the guest may change at any time.
//!
//! Such memory is passed as raw pointers, and no Rust reference to it is created. If the guest
//! changes the bytes while the library reads them, the results are wrong. The addresses that the
//! library accesses do not depend on the bytes.

use std::collections::HashMap;
use std::ffi::{c_int, c_uint, CStr};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::OnceLock;

use foreign_types_shared::ForeignType;
use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::md::{Md, MdRef};
use openssl::md_ctx::MdCtx;
use openssl::provider::Provider;
use openssl_sys as ffi;

use crate::memory::Slice;
use crate::protocol::algorithm::Direction;
use crate::status::{Result, StatusError};

const CIPHERS: &[&str] = &[
    "AES-128-ECB",
    "AES-192-ECB",
    "AES-256-ECB",
    "AES-128-CBC",
    "AES-192-CBC",
    "AES-256-CBC",
    "AES-128-CTR",
    "AES-192-CTR",
    "AES-256-CTR",
    "AES-128-XTS",
    "AES-256-XTS",
    "AES-128-GCM",
    "AES-192-GCM",
    "AES-256-GCM",
    "AES-128-CCM",
    "AES-192-CCM",
    "AES-256-CCM",
    "ChaCha20-Poly1305",
    "DES-EDE3-ECB",
    "DES-EDE3-CBC",
    "DES-ECB",
    "DES-CBC",
    "RC4",
];

const DIGESTS: &[&str] = &[
    "MD5",
    "SHA1",
    "SHA2-224",
    "SHA2-256",
    "SHA2-384",
    "SHA2-512",
    "SHA3-224",
    "SHA3-256",
    "SHA3-384",
    "SHA3-512",
    "SHAKE-128",
    "SHAKE-256",
];

/// Ciphers and digests. Fetching them is slow, so each is fetched once.
struct Library {
    ciphers: HashMap<&'static str, Cipher>,
    digests: HashMap<&'static str, Md>,
    /// The provider of DES and ARC4, which may not be installed.
    _legacy: Option<Provider>,
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let legacy = Provider::try_load(None, "legacy", true).ok();
        let cipher = |&name| Some((name, Cipher::fetch(None, name, None).ok()?));
        let digest = |&name| Some((name, Md::fetch(None, name, None).ok()?));
        Library {
            ciphers: CIPHERS.iter().filter_map(cipher).collect(),
            digests: DIGESTS.iter().filter_map(digest).collect(),
            _legacy: legacy,
        }
    })
}

/// Returns the cipher of this name, if the library has it.
pub fn cipher(name: &str) -> Option<&'static CipherRef> {
    library().ciphers.get(name).map(|cipher| &**cipher)
}

/// Returns the digest of this name, if the library has it.
pub fn digest(name: &str) -> Option<&'static MdRef> {
    library().digests.get(name).map(|digest| &**digest)
}

/// Converts a return code of the library. After a failure, empties the error queue of the library.
fn check(code: c_int) -> Result<()> {
    match code > 0 {
        true => Ok(()),
        false => Err(ErrorStack::get().into()),
    }
}

/// A cipher with a key and a direction. The library wipes the key.
pub struct Context {
    ctx: CipherCtx,
    direction: Direction,
    block_len: usize,
    /// The length of an IV. The library would look it up for each message.
    iv_len: usize,
}

impl Context {
    /// Creates a context with a key. Fails if the cipher does not have this key length.
    pub fn new(cipher: &CipherRef, direction: Direction, key: &[u8]) -> Result<Self> {
        let mut context = Self::without_key(cipher, direction)?;
        context.set_key(key)?;
        context.iv_len = context.ctx.iv_length();
        Ok(context)
    }

    /// Creates a context of an AEAD with a key. `tag_len` is for CCM, which needs the length before
    /// the key. Fails if the cipher does not have one of the lengths.
    pub fn with_tag(
        cipher: &CipherRef,
        direction: Direction,
        key: &[u8],
        iv_len: usize,
        tag_len: Option<usize>,
    ) -> Result<Self> {
        let mut context = Self::without_key(cipher, direction)?;
        context.ctx.set_iv_length(iv_len)?;
        if let Some(tag_len) = tag_len {
            context.ctx.set_tag_length(tag_len)?;
        }
        context.set_key(key)?;
        context.iv_len = iv_len;
        Ok(context)
    }

    fn without_key(cipher: &CipherRef, direction: Direction) -> Result<Self> {
        let (ctx, block_len) = (CipherCtx::new()?, cipher.block_size());
        let mut context = Context { ctx, direction, block_len, iv_len: 0 };
        context.init(Some(cipher), None)?;
        context.ctx.set_padding(false);
        Ok(context)
    }

    fn set_key(&mut self, key: &[u8]) -> Result<()> {
        if self.ctx.key_length() != key.len() {
            self.ctx.set_key_length(key.len())?;
        }
        self.init(None, Some(key))
    }

    fn init(&mut self, cipher: Option<&CipherRef>, key: Option<&[u8]>) -> Result<()> {
        match self.direction {
            Direction::Encrypt => self.ctx.encrypt_init(cipher, key, None)?,
            Direction::Decrypt => self.ctx.decrypt_init(cipher, key, None)?,
        }
        Ok(())
    }

    /// Starts a message. Fails if the cipher does not have this IV length.
    pub fn set_iv(&mut self, iv: &[u8]) -> Result<()> {
        if iv.len() != self.iv_len {
            return Err(StatusError::Generic);
        }
        // SAFETY: The context is valid, and keeps cipher, key and direction if they are null or -1.
        // `iv` has as many bytes as the library reads.
        let code = unsafe {
            ffi::EVP_CipherInit_ex(
                self.ctx.as_ptr(),
                ptr::null(),
                ptr::null_mut(),
                ptr::null(),
                iv.as_ptr(),
                -1,
            )
        };
        check(code)
    }

    /// Encrypts or decrypts `src` to the first bytes of `dst`, which is either the same memory or
    /// does not overlap. Fails if `dst` is shorter than `src`, if `src` is too long or not a
    /// multiple of the block length, or, for CCM, if the tag is wrong.
    pub fn update(&mut self, src: Slice<'_>, dst: Slice<'_>) -> Result<()> {
        let len = c_int::try_from(src.len()).map_err(|_| StatusError::Generic)?;
        if dst.len() < src.len() || src.len() % self.block_len != 0 {
            return Err(StatusError::Generic);
        }
        let (from, to) = (src.ptr_guard(), dst.ptr_guard_mut());
        let mut written = 0;
        // SAFETY: `from` is valid for reads of `len` bytes and `to` for writes of `len` bytes. The
        // library writes no more than `len`: padding is off and the input is whole blocks, so the
        // context buffers no bytes between calls.
        let code = unsafe {
            ffi::EVP_CipherUpdate(self.ctx.as_ptr(), to.as_ptr(), &mut written, from.as_ptr(), len)
        };
        check(code)?;
        match written == len {
            true => Ok(()),
            false => Err(StatusError::Generic),
        }
    }

    /// Adds associated data. Fails if the data is too long.
    pub fn authenticate(&mut self, data: Slice<'_>) -> Result<()> {
        let len = c_int::try_from(data.len()).map_err(|_| StatusError::Generic)?;
        let from = data.ptr_guard();
        // SAFETY: `from` is valid for reads of `len` bytes. Without an output buffer the library
        // only writes the count.
        let code = unsafe {
            ffi::EVP_CipherUpdate(self.ctx.as_ptr(), ptr::null_mut(), &mut 0, from.as_ptr(), len)
        };
        check(code)
    }

    /// Sets the length of a CCM message, before any data. Fails if the message is too long.
    pub fn set_data_len(&mut self, len: usize) -> Result<()> {
        c_int::try_from(len).map_err(|_| StatusError::Generic)?;
        Ok(self.ctx.set_data_len(len)?)
    }

    /// Sets the tag that [`Self::finish`] verifies.
    pub fn set_tag(&mut self, tag: &[u8]) -> Result<()> {
        Ok(self.ctx.set_tag(tag)?)
    }

    /// Ends a message of an AEAD. Fails if the tag is wrong.
    pub fn finish(&mut self) -> Result<()> {
        self.ctx.cipher_final(&mut [0; 32])?;
        Ok(())
    }

    /// Copies the tag of the message to `tag`.
    pub fn tag(&self, tag: &mut [u8]) -> Result<()> {
        Ok(self.ctx.tag(tag)?)
    }
}

/// The context of a digest.
pub struct Hasher(MdCtx);

impl Hasher {
    /// Creates a context without a digest.
    pub fn new() -> Result<Self> {
        Ok(Hasher(MdCtx::new()?))
    }

    /// Starts a message.
    pub fn start(&mut self, digest: &MdRef) -> Result<()> {
        Ok(self.0.digest_init(digest)?)
    }

    /// Adds data to the message.
    pub fn update(&mut self, data: Slice<'_>) -> Result<()> {
        let from = data.ptr_guard();
        // SAFETY: `from` is valid for reads of `data.len()` bytes.
        let code =
            unsafe { ffi::EVP_DigestUpdate(self.0.as_ptr(), from.as_ptr().cast(), data.len()) };
        check(code)
    }

    /// Ends a message. Returns the digest, followed by zeros. The context keeps its memory, unlike
    /// in the safe wrapper.
    pub fn finish(&mut self) -> Result<[u8; MAX_DIGEST_LEN]> {
        let mut out = [0; MAX_DIGEST_LEN];
        let mut len: c_uint = 0;
        // SAFETY: `out` has EVP_MAX_MD_SIZE bytes, the maximum length of a digest.
        let code = unsafe { ffi::EVP_DigestFinal_ex(self.0.as_ptr(), out.as_mut_ptr(), &mut len) };
        check(code)?;
        Ok(out)
    }

    /// Ends a message of an extendable-output function.
    pub fn squeeze(&mut self, out: &mut [u8]) -> Result<()> {
        Ok(self.0.digest_final_xof(out)?)
    }
}

/// The maximum length of a digest, in bytes.
pub const MAX_DIGEST_LEN: usize = 64;

/// `OSSL_PARAM_UTF8_STRING` of openssl/core.h.
const UTF8_STRING: c_uint = 4;

/// HMAC with a key. The library wipes the key.
pub struct Hmac(NonNull<ffi::EVP_MAC_CTX>);

// SAFETY: The library allows any thread to use a context, one thread at a time.
unsafe impl Send for Hmac {}

impl Hmac {
    /// Creates a context with a key of any length. Returns `NotSupp` if the library does not have
    /// the digest.
    pub fn new(digest: &CStr, key: &[u8]) -> Result<Self> {
        let context = Self::without_key()?;
        let params = [
            ffi::OSSL_PARAM {
                key: c"digest".as_ptr(),
                data_type: UTF8_STRING,
                data: digest.as_ptr().cast_mut().cast(),
                data_size: digest.count_bytes(),
                return_size: 0,
            },
            ffi::OSSL_PARAM {
                key: ptr::null(),
                data_type: 0,
                data: ptr::null_mut(),
                data_size: 0,
                return_size: 0,
            },
        ];
        // SAFETY: `key` has `key.len()` bytes. The parameters end with an empty one. `digest`
        // outlives the call, and the library does not write to it.
        let code = unsafe {
            ffi::EVP_MAC_init(context.0.as_ptr(), key.as_ptr(), key.len(), params.as_ptr())
        };
        check(code).map_err(|_| StatusError::NotSupp)?;
        Ok(context)
    }

    fn without_key() -> Result<Self> {
        static METHOD: OnceLock<AtomicPtr<ffi::EVP_MAC>> = OnceLock::new();
        let method = METHOD.get_or_init(|| {
            library();
            // SAFETY: The name is a C string, and null pointers select the defaults.
            AtomicPtr::new(unsafe {
                ffi::EVP_MAC_fetch(ptr::null_mut(), c"HMAC".as_ptr(), ptr::null())
            })
        });
        let method = NonNull::new(method.load(Ordering::Relaxed)).ok_or(StatusError::NotSupp)?;
        // SAFETY: The method was fetched and is never freed.
        let context = unsafe { ffi::EVP_MAC_CTX_new(method.as_ptr()) };
        NonNull::new(context).map(Hmac).ok_or(StatusError::Generic)
    }

    /// Starts a message.
    pub fn start(&mut self) -> Result<()> {
        // SAFETY: The context is valid. Without a new key it keeps the old one.
        check(unsafe { ffi::EVP_MAC_init(self.0.as_ptr(), ptr::null(), 0, ptr::null()) })
    }

    /// Adds data to the message.
    pub fn update(&mut self, data: Slice<'_>) -> Result<()> {
        let from = data.ptr_guard();
        // SAFETY: `from` is valid for reads of `data.len()` bytes.
        check(unsafe { ffi::EVP_MAC_update(self.0.as_ptr(), from.as_ptr(), data.len()) })
    }

    /// Ends a message. Returns the MAC, followed by zeros.
    pub fn finish(&mut self) -> Result<[u8; MAX_DIGEST_LEN]> {
        let mut out = [0; MAX_DIGEST_LEN];
        let mut len = 0;
        // SAFETY: `out` is valid for writes of `out.len()` bytes.
        let code =
            unsafe { ffi::EVP_MAC_final(self.0.as_ptr(), out.as_mut_ptr(), &mut len, out.len()) };
        check(code)?;
        Ok(out)
    }
}

impl Drop for Hmac {
    fn drop(&mut self) {
        // SAFETY: `self` owns the context.
        unsafe { ffi::EVP_MAC_CTX_free(self.0.as_ptr()) }
    }
}
