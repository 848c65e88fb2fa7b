// SPDX-License-Identifier: GPL-2.0

//! A request's data, and how it is made ready for a device.

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
use core::mem::offset_of;
use kernel::{
    container_of,
    prelude::*,
    time::Msecs, //
};

// SAFETY: The `struct crypto_async_request` is a field. The context is at `__ctx`, and is aligned as
// `skcipher_request_ctx_dma()` aligns it.
unsafe impl RawRequest for Raw {
    const BASE: usize = offset_of!(Raw, base);
    const CONTEXT: usize = offset_of!(Raw, __ctx);
}

impl<'a, A: Algorithm> Request<'a, A> {
    /// Returns the length of the data in bytes.
    pub(crate) fn len(&self) -> u32 {
        self.fields().cryptlen
    }

    /// Returns the IV, in the caller's memory.
    pub(crate) fn iv(&self) -> &[u8] {
        match self.raw_iv() {
            // SAFETY: The skcipher API requires that the IV has the algorithm's size.
            Some((iv, size)) => unsafe { core::slice::from_raw_parts(iv, size) },
            None => &[],
        }
    }

    /// Writes the IV that the caller chains the next request with.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it does not have the algorithm's size.
    pub(crate) fn set_iv(&self, iv: &[u8]) -> Result {
        let Some((to, size)) = self.raw_iv() else {
            return Ok(());
        };
        if iv.len() != size {
            return Err(EINVAL);
        }
        // SAFETY: The skcipher API requires that the IV has the algorithm's size and may be written.
        unsafe { to.copy_from_nonoverlapping(iv.as_ptr(), size) };
        Ok(())
    }

    /// Returns where the IV is, and its size in bytes; none if the algorithm has none.
    fn raw_iv(&self) -> Option<(*mut u8, usize)> {
        // SAFETY: By the type invariant.
        let alg = unsafe { (*self.fields().base.tfm).__crt_alg };
        // SAFETY: The algorithm is the base of what all kinds of ciphers have.
        let alg = unsafe { container_of!(alg, bindings::skcipher_alg_common, base) };
        // SAFETY: An algorithm is valid as long as its transforms.
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

    /// Copies the last bytes of the source, as many as `bytes` has room for.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the source is shorter.
    pub(crate) fn read_source_tail(&self, bytes: &mut [u8]) -> Result {
        let len = u32::try_from(bytes.len())?;
        let offset = self.len().checked_sub(len).ok_or(EINVAL)?;
        self.source(offset, len).read(bytes)
    }

    /// Copies the last bytes of the destination, as many as `bytes` has room for.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the destination is shorter.
    pub(crate) fn read_destination_tail(&self, bytes: &mut [u8]) -> Result {
        let len = u32::try_from(bytes.len())?;
        let offset = self.len().checked_sub(len).ok_or(EINVAL)?;
        self.destination(offset, len).read(bytes)
    }

    /// Borrows a context from the transform's pool if the algorithm is synchronous. Waits for a
    /// context for at most `limit` milliseconds, and returns `None` if none became free.
    ///
    /// Context: process, may sleep, if the algorithm is synchronous; else any.
    #[inline]
    pub(crate) fn memory(&self, limit: impl FnOnce() -> Msecs) -> Option<Memory<A>> {
        if A::SYNCHRONOUS {
            let borrowed = A::pool(self.tfm())?.borrow(limit())?;
            Some(Memory(Some(borrowed)))
        } else {
            Some(Memory(None))
        }
    }

    /// Builds a device request; see [`Builder`]. `describe` returns what the driver keeps with it.
    ///
    /// # Errors
    ///
    /// The request comes back, to be run on the fallback, with the errors of
    /// [`build_here`](super::offload::Request::build_here).
    #[inline(always)]
    pub(crate) fn build(
        self,
        memory: Memory<A>,
        limits: Limits,
        describe: impl FnOnce(&mut Builder<'a, A, Raw>) -> A::State,
    ) -> Result<Prepared<'a, A, Raw>, (Error, Self)> {
        if A::SYNCHRONOUS {
            let Some(borrowed) = memory.0 else {
                return Err((EFAULT, self));
            };
            // SAFETY: The algorithm is synchronous, as was just checked.
            return unsafe { self.build_in(borrowed, limits, describe) };
        }
        // Nothing was borrowed.
        core::mem::forget(memory);
        // SAFETY: `set_up` has set the size of the context.
        unsafe { self.build_here(limits, describe) }
    }
}

/// The memory for a device request: the request's own context, or one that is borrowed.
pub(crate) struct Memory<A: Algorithm>(Option<Borrowed<A>>);

impl<A: Algorithm> Builder<'_, A, Raw> {
    /// Appends the IV.
    #[inline]
    pub(crate) fn iv(&mut self) {
        match self.request().raw_iv() {
            // Most have this size, and a copy of a size that the compiler knows is not a call.
            // SAFETY: The skcipher API requires that the IV has the algorithm's size.
            Some((iv, 16)) => self.read_value(unsafe { iv.cast::<[u8; 16]>().read_unaligned() }),
            // SAFETY: The skcipher API requires that the IV has the algorithm's size.
            Some((iv, size)) => self.read(unsafe { core::slice::from_raw_parts(iv, size) }),
            None => {}
        }
    }

    /// Appends the source, without the first `offset` bytes.
    #[inline]
    pub(crate) fn source(&mut self, offset: u32) {
        let len = self.request().len().saturating_sub(offset);
        let range = self.request().source(offset, len);
        self.read_source(range);
    }

    /// Appends the destination, without the first `offset` bytes.
    #[inline]
    pub(crate) fn destination(&mut self, offset: u32) {
        let len = self.request().len().saturating_sub(offset);
        let range = self.request().destination(offset, len);
        self.write_destination(range);
    }
}
