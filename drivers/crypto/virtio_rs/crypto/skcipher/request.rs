// SPDX-License-Identifier: GPL-2.0

//! A request's data, and how it is made ready for a device.

use super::{
    super::{
        area::Limits,
        builder::Builder,
        offload::RawRequest,
        scatterlist,
        scatterlist::Span, //
    },
    Algorithm,
    Raw,
    Request, //
};
use crate::{
    bindings,
    bindings::helpers, //
};
use kernel::{
    ffi::c_void,
    prelude::*,
    time::Msecs, //
};

// SAFETY: Both are the framework's own functions for the type.
unsafe impl RawRequest for Raw {
    unsafe fn base(this: *mut Self) -> *mut bindings::crypto_async_request {
        // SAFETY: By the safety requirements.
        unsafe { &raw mut (*this).base }
    }

    unsafe fn context(this: *mut Self) -> *mut c_void {
        // SAFETY: By the safety requirements.
        unsafe { helpers::skcipher_request_ctx_dma(this) }
    }
}

impl<'a, A: Algorithm> Request<'a, A> {
    /// Returns the request's fields.
    pub(super) fn fields(&self) -> &Raw {
        // SAFETY: By the type invariant.
        unsafe { self.as_raw().as_ref() }
    }

    /// Returns the transform the request is of.
    pub(super) fn raw_tfm(&self) -> *mut bindings::crypto_skcipher {
        // SAFETY: By the type invariant.
        unsafe { helpers::crypto_skcipher_reqtfm(self.as_raw().as_ptr()) }
    }

    /// Returns the length of the data in bytes.
    pub(crate) fn len(&self) -> u32 {
        self.fields().cryptlen
    }

    /// Copies the IV.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm's IV is shorter than `iv`.
    pub(crate) fn read_iv(&self, iv: &mut [u8]) -> Result {
        if let Some(from) = self.raw_iv(iv.len())? {
            // SAFETY: The IV has that many bytes, in the consumer's memory.
            unsafe { from.copy_to_nonoverlapping(iv.as_mut_ptr(), iv.len()) };
        }
        Ok(())
    }

    /// Writes the IV that the consumer chains the next request with.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the algorithm's IV is shorter.
    pub(crate) fn set_iv(&self, iv: &[u8]) -> Result {
        if let Some(to) = self.raw_iv(iv.len())? {
            // SAFETY: The IV has that many bytes, in the consumer's memory, and may be written.
            unsafe { to.copy_from_nonoverlapping(iv.as_ptr(), iv.len()) };
        }
        Ok(())
    }

    /// Returns where the IV is, of which `len` bytes are wanted; nothing if that is 0.
    fn raw_iv(&self, len: usize) -> Result<Option<*mut u8>> {
        // SAFETY: By the type invariant.
        let size = unsafe { helpers::crypto_skcipher_ivsize(self.raw_tfm()) };
        if u32::try_from(len)? > size {
            return Err(EINVAL);
        }
        // The framework's contract: the IV has the algorithm's size.
        Ok((len != 0).then_some(self.fields().iv.cast()))
    }

    /// Copies the last bytes of the source, as many as `bytes` has room for.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there are not so many.
    pub(crate) fn read_source_tail(&self, bytes: &mut [u8]) -> Result {
        self.read_tail(self.fields().src, bytes)
    }

    /// Copies the last bytes of the destination, as many as `bytes` has room for.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there are not so many.
    pub(crate) fn read_destination_tail(&self, bytes: &mut [u8]) -> Result {
        self.read_tail(self.fields().dst, bytes)
    }

    fn read_tail(&self, list: *mut bindings::scatterlist, bytes: &mut [u8]) -> Result {
        let offset = self.len().checked_sub(u32::try_from(bytes.len())?);
        let offset = offset.ok_or(EINVAL)?;
        // SAFETY: The framework's contract: the consumer's lists are valid.
        unsafe { scatterlist::read(list, offset, bytes) }
    }

    /// Begins a device request.
    ///
    /// A request of a synchronous algorithm borrows a context from the transform's pool. It waits for
    /// one for at most `limit`.
    ///
    /// # Errors
    ///
    /// The request comes back, to be run on the fallback, with
    /// - `EFAULT`: it is in memory that devices cannot reach;
    /// - `ETIMEDOUT`: no context became free.
    pub(crate) fn build(
        self,
        limits: Limits,
        limit: Msecs,
    ) -> Result<Builder<'a, A, Raw>, (Error, Self)> {
        if A::SYNCHRONOUS {
            let Some(context) = A::pool(self.tfm()).and_then(|pool| pool.borrow(limit)) else {
                return Err((ETIMEDOUT, self));
            };
            // SAFETY: The algorithm is synchronous, as was just checked.
            return unsafe { self.build_in(context, limits) };
        }
        // SAFETY: `init_callback` has set the size of the context.
        unsafe { self.build_here(limits) }
    }
}

impl<A: Algorithm> Builder<'_, A, Raw> {
    /// Appends the source, without the first `offset` bytes.
    #[inline]
    pub(crate) fn source(&mut self, offset: u32) {
        let raw = self.request().fields();
        let (list, len) = (raw.src, raw.cryptlen.saturating_sub(offset));
        // SAFETY: The framework's contract: the caller's lists are valid until the request is complete.
        unsafe { self.read_source(Span { list, offset, len }) };
    }

    /// Appends the destination, without the first `offset` bytes.
    #[inline]
    pub(crate) fn destination(&mut self, offset: u32) {
        let raw = self.request().fields();
        let (list, len) = (raw.dst, raw.cryptlen.saturating_sub(offset));
        // SAFETY: The framework's contract: the caller's lists are valid until the request is complete.
        unsafe { self.write_destination(Span { list, offset, len }) };
    }
}
