// SPDX-License-Identifier: GPL-2.0

//! The data and the IV of a cipher request, and the device request that is built from them.

use super::{
    super::{
        area::Limits,
        builder::Builder,
        offload::{
            Borrowed,
            Prepared,
            RawRequest, //
        },
        scatterlist::SgRange, //
    },
    Algorithm,
    Raw,
    Request, //
};
use crate::bindings;
use core::mem::{
    offset_of,
    ManuallyDrop, //
};
use kernel::{
    container_of,
    prelude::*,
    time::Msecs, //
};

// SAFETY: `BASE` is the offset of the `struct crypto_async_request`. `CONTEXT` is the offset of `__ctx`,
// the context that `skcipher_request_ctx_dma()` aligns.
unsafe impl RawRequest for Raw {
    const BASE: usize = offset_of!(Raw, base);
    const CONTEXT: usize = offset_of!(Raw, __ctx);
}

impl<'a, A: Algorithm> Request<'a, A> {
    /// Returns the length of the data in bytes.
    pub(crate) fn len(&self) -> u32 {
        self.fields().cryptlen
    }

    /// Returns the caller's IV, which is empty if the algorithm has no IV.
    pub(crate) fn iv(&self) -> &[u8] {
        match self.raw_iv() {
            // SAFETY: The skcipher API requires that the IV has the algorithm's size.
            Some((iv, size)) => unsafe { core::slice::from_raw_parts(iv, size) },
            None => &[],
        }
    }

    /// Writes the IV for the caller's next request. Does nothing if the algorithm has no IV.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `iv` does not have the algorithm's IV size.
    pub(crate) fn set_iv(&self, iv: &[u8]) -> Result {
        let Some((dst, size)) = self.raw_iv() else {
            return Ok(());
        };
        if iv.len() != size {
            return Err(EINVAL);
        }
        // SAFETY: The skcipher API requires that the IV has the algorithm's size and may be written.
        unsafe { dst.copy_from_nonoverlapping(iv.as_ptr(), size) };
        Ok(())
    }

    /// Returns the address and the size of the IV in bytes. Returns `None` if the algorithm has no IV.
    fn raw_iv(&self) -> Option<(*mut u8, usize)> {
        // SAFETY: By the type invariant the request is valid, and so is its transform.
        let alg = unsafe { (*self.fields().base.tfm).__crt_alg };
        // SAFETY: The `struct crypto_alg` of a cipher is the `base` of a `struct skcipher_alg_common`.
        let alg = unsafe { container_of!(alg, bindings::skcipher_alg_common, base) };
        // SAFETY: An algorithm lives at least as long as its transforms.
        let size = unsafe { (*alg).ivsize };
        // CAST: Both targets of this driver have 32 bits at least.
        (size != 0).then_some((self.fields().iv, size as usize))
    }

    /// Returns a range of the source.
    pub(super) fn source(&self, offset: u32, len: u32) -> SgRange {
        // SAFETY: The skcipher API requires that the caller's lists are valid until the request is complete.
        unsafe { SgRange::new(self.fields().src, offset, len) }
    }

    /// Returns a range of the destination.
    pub(super) fn destination(&self, offset: u32, len: u32) -> SgRange {
        // SAFETY: The skcipher API requires that the caller's lists are valid until the request is complete.
        unsafe { SgRange::new(self.fields().dst, offset, len) }
    }

    /// Copies the last `bytes.len()` bytes of the source to `bytes`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the source is shorter than `bytes`.
    pub(crate) fn read_source_tail(&self, bytes: &mut [u8]) -> Result {
        let len = u32::try_from(bytes.len())?;
        let offset = self.len().checked_sub(len).ok_or(EINVAL)?;
        self.source(offset, len).read(bytes)
    }

    /// Copies the end of the destination to the IV. Does nothing if the algorithm has no IV.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the destination is shorter than the IV.
    pub(crate) fn set_iv_from_destination(&self) -> Result {
        let Some((iv, size)) = self.raw_iv() else {
            return Ok(());
        };
        // CAST: `raw_iv` has converted the size from a `u32`.
        let len = size as u32;
        let offset = self.len().checked_sub(len).ok_or(EINVAL)?;
        // SAFETY: The skcipher API requires that the IV has the algorithm's size, may be written, and is not
        // used by the caller until the request is complete.
        let iv = unsafe { core::slice::from_raw_parts_mut(iv, size) };
        self.destination(offset, len).read(iv)
    }

    /// Returns the memory for a device request. If the algorithm is synchronous, borrows a context from
    /// the transform's pool. Waits for a free context for at most `limit()` milliseconds, and returns
    /// `None` after that.
    ///
    /// Context: process, may sleep, for a synchronous algorithm; any for an asynchronous algorithm.
    #[inline]
    pub(crate) fn memory(&self, limit: impl FnOnce() -> Msecs) -> Option<Memory<A>> {
        if A::SYNCHRONOUS {
            let borrowed = A::pool(self.tfm())?.borrow(limit())?;
            Some(Memory(ManuallyDrop::new(Some(borrowed))))
        } else {
            Some(Memory(ManuallyDrop::new(None)))
        }
    }

    /// Builds a device request with a [`Builder`]. `describe` appends the segments, and returns the
    /// driver's data for the request.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`build_here`](super::offload::Request::build_here), and the request, so
    /// that the caller can run it on the fallback.
    #[inline(always)]
    pub(crate) fn build(
        self,
        mut memory: Memory<A>,
        limits: Limits,
        describe: impl FnOnce(&mut Builder<'a, A, Raw>) -> A::State,
    ) -> Result<Prepared<'a, A, Raw>, (Error, Self)> {
        if A::SYNCHRONOUS {
            let Some(borrowed) = memory.0.take() else {
                return Err((EFAULT, self));
            };
            // SAFETY: The algorithm is synchronous.
            return unsafe { self.build_in(borrowed, limits, describe) };
        }
        // SAFETY: `set_up` has set the size of the context.
        unsafe { self.build_here(limits, describe) }
    }
}

/// The memory for a device request: a borrowed context, or `None` for the context of the request.
///
/// An asynchronous algorithm never borrows a context, so `drop` does nothing for it. A destructor that does
/// something would keep the closures that own this value in memory.
pub(crate) struct Memory<A: Algorithm>(ManuallyDrop<Option<Borrowed<A>>>);

impl<A: Algorithm> Drop for Memory<A> {
    #[inline(always)]
    fn drop(&mut self) {
        if A::SYNCHRONOUS {
            drop(self.0.take());
        }
    }
}

impl<A: Algorithm> Builder<'_, A, Raw> {
    /// Appends the IV.
    #[inline]
    pub(crate) fn iv(&mut self) {
        match self.request().raw_iv() {
            // Most IVs have 16 bytes. A copy of constant size needs no function call.
            // SAFETY: The skcipher API requires that the IV has the algorithm's size.
            Some((iv, 16)) => self.read(unsafe { &*iv.cast::<[u8; 16]>() }),
            // SAFETY: The skcipher API requires that the IV has the algorithm's size.
            Some((iv, size)) => self.read(unsafe { core::slice::from_raw_parts(iv, size) }),
            None => {}
        }
    }

    /// Appends `len` bytes of the source, from byte `offset` on.
    #[inline]
    pub(crate) fn source(&mut self, offset: u32, len: u32) {
        let range = self.request().source(offset, len);
        self.read_source(range);
    }

    /// Appends `len` bytes of the destination, from byte `offset` on.
    #[inline]
    pub(crate) fn destination(&mut self, offset: u32, len: u32) {
        let range = self.request().destination(offset, len);
        self.write_destination(range);
    }
}
