// SPDX-License-Identifier: GPL-2.0

//! The data of an AEAD request, and the device request that is built from it.

use super::{
    super::{
        area::Limits,
        builder::Builder,
        offload::{
            Prepared,
            RawRequest, //
        },
        request::Direction,
        scatterlist::SgRange, //
    },
    Algorithm,
    Raw,
    Request,
    Tfm, //
};
use crate::bindings::helpers;
use core::mem::offset_of;
use kernel::prelude::*;

// SAFETY: `BASE` is the offset of the `struct crypto_async_request`. `CONTEXT` is the offset of `__ctx`,
// the context that `aead_request_ctx_dma()` aligns.
unsafe impl RawRequest for Raw {
    const BASE: usize = offset_of!(Raw, base);
    const CONTEXT: usize = offset_of!(Raw, __ctx);
}

/// The lengths of the parts of a request, in bytes. Their sum fits in 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lengths {
    /// The associated data (AAD).
    pub(crate) aad: u32,
    /// The plaintext or the ciphertext, without the tag.
    pub(crate) text: u32,
    /// The tag.
    pub(crate) tag: u32,
}

impl Lengths {
    /// Returns the lengths of the parts of a request. `crypt` is the length of the source after the AAD.
    /// For decryption it includes the tag. Returns `None` if it is then below `tag`, or if the sum exceeds
    /// 32 bits.
    fn new(direction: Direction, aad: u32, crypt: u32, tag: u32) -> Option<Self> {
        let text = match direction {
            Direction::Encrypt => crypt,
            Direction::Decrypt => crypt.checked_sub(tag)?,
        };
        aad.checked_add(text)?.checked_add(tag)?;
        Some(Self { aad, text, tag })
    }

    /// Returns the offset of the tag: in the source for decryption, else in the destination.
    fn tag_offset(&self) -> u32 {
        self.aad.wrapping_add(self.text)
    }
}

impl<'a, A: Algorithm> Request<'a, A> {
    /// Returns the lengths of the parts of the request.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a source to decrypt is shorter than the tag, or if the sum exceeds 32 bits.
    pub(crate) fn lengths(&self, direction: Direction) -> Result<Lengths> {
        // SAFETY: By the type invariant the request has a valid transform.
        let tag = unsafe { (*self.raw_tfm::<Tfm>()).authsize };
        let raw = self.fields();
        Lengths::new(direction, raw.assoclen, raw.cryptlen, tag).ok_or(EINVAL)
    }

    /// Copies the beginning of the IV.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the algorithm's IV is shorter than `iv`.
    pub(crate) fn read_iv(&self, iv: &mut [u8]) -> Result {
        // SAFETY: By the type invariant the request has a valid transform.
        let size = unsafe { helpers::crypto_aead_ivsize(self.raw_tfm()) };
        if u32::try_from(iv.len())? > size {
            return Err(EINVAL);
        }
        if !iv.is_empty() {
            let src = self.fields().iv;
            // SAFETY: The AEAD API requires that the IV has the algorithm's size, and `iv` is not longer. The
            // IV is the caller's memory, which `iv` does not overlap.
            unsafe { src.copy_to_nonoverlapping(iv.as_mut_ptr(), iv.len()) };
        }
        Ok(())
    }

    /// Returns a range of the source.
    fn source(&self, offset: u32, len: u32) -> SgRange {
        // SAFETY: The AEAD API requires that the caller's lists are valid until the request is complete.
        unsafe { SgRange::new(self.fields().src, offset, len) }
    }

    /// Returns a range of the destination.
    fn destination(&self, offset: u32, len: u32) -> SgRange {
        // SAFETY: The AEAD API requires that the caller's lists are valid until the request is complete.
        unsafe { SgRange::new(self.fields().dst, offset, len) }
    }

    /// Copies the beginning of the tag of a decryption request.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the request's tag is shorter than `tag`, or the source too short.
    pub(crate) fn read_tag(&self, lengths: &Lengths, tag: &mut [u8]) -> Result {
        self.source(lengths.tag_offset(), lengths.tag).read(tag)
    }

    /// Writes the tag of an encryption request.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the request's tag is shorter than `tag`, or the destination too short.
    pub(crate) fn write_tag(&self, lengths: &Lengths, tag: &[u8]) -> Result {
        self.destination(lengths.tag_offset(), lengths.tag)
            .write(tag)
    }

    /// Wipes the plaintext in the destination, for decrypted data that is not authentic.
    pub(crate) fn wipe_text(&self, lengths: &Lengths) {
        self.destination(lengths.aad, lengths.text).wipe();
    }

    /// Builds a device request with a [`Builder`]. `describe` appends the segments, and returns the
    /// driver's data for the request.
    ///
    /// # Errors
    ///
    /// On error the request is returned, so that the caller can run it on the fallback, with the errors
    /// of [`build_here`](super::offload::Request::build_here).
    #[inline(always)]
    pub(crate) fn build(
        self,
        limits: Limits,
        describe: impl FnOnce(&mut Builder<'a, A, Raw>) -> A::State,
    ) -> Result<Prepared<'a, A, Raw>, (Error, Self)> {
        // SAFETY: `set_up` has set the size of the context.
        unsafe { self.build_here(limits, describe) }
    }
}

impl<A: Algorithm> Builder<'_, A, Raw> {
    /// Appends the first `len` bytes of the AAD.
    #[inline]
    pub(crate) fn aad(&mut self, len: u32) {
        let range = self.request().source(0, len);
        self.read_aad(range);
    }

    /// Appends `len` bytes of the source, after the AAD.
    #[inline]
    pub(crate) fn source(&mut self, len: u32) {
        let range = self.request().source(self.request().fields().assoclen, len);
        self.read_source(range);
    }

    /// Appends `len` bytes of the destination, after the AAD.
    #[inline]
    pub(crate) fn destination(&mut self, len: u32) {
        let range = self
            .request()
            .destination(self.request().fields().assoclen, len);
        self.write_destination(range);
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_crypto_aead)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_counted_in_the_source_of_a_decryption() {
        let lengths = Lengths {
            aad: 8,
            text: 100,
            tag: 16,
        };
        assert_eq!(Lengths::new(Direction::Encrypt, 8, 100, 16), Some(lengths));
        assert_eq!(Lengths::new(Direction::Decrypt, 8, 116, 16), Some(lengths));
        assert_eq!(lengths.tag_offset(), 108);
    }

    #[test]
    fn a_source_shorter_than_the_tag_is_rejected() {
        let text = |crypt| Lengths::new(Direction::Decrypt, 0, crypt, 16).map(|l| l.text);
        assert_eq!(text(16), Some(0));
        assert_eq!(text(15), None);
        assert_eq!(text(0), None);
    }

    #[test]
    fn sums_above_32_bits_are_rejected() {
        assert!(Lengths::new(Direction::Encrypt, u32::MAX, 1, 0).is_none());
        assert!(Lengths::new(Direction::Encrypt, 0, u32::MAX - 15, 16).is_none());
        assert!(Lengths::new(Direction::Encrypt, 0, u32::MAX - 16, 16).is_some());
        assert!(Lengths::new(Direction::Decrypt, u32::MAX - 15, 16, 16).is_none());
    }
}
