// SPDX-License-Identifier: GPL-2.0

//! Memory that is lent to a device.

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    ffi::c_void,
    prelude::*, //
};

/// Memory that a device writes, in cache lines of its own where caches are not coherent.
#[cfg_attr(target_arch = "x86_64", repr(C, align(8)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(128)))]
pub(crate) struct Line<T>(pub(crate) T);

// Its size is a multiple of that, too.
kernel::static_assert!(align_of::<Line<u8>>() >= bindings::VC_CRYPTO_DMA_ALIGN as usize);

/// The scatterlists a [`Lend`] consists of, in the order the device sees them.
///
/// The first `readable` lists are for the device to read, the rest for it to write.
#[derive(Clone)]
pub(crate) struct Lists {
    lists: [*mut bindings::scatterlist; Self::MAX],
    len: usize,
    readable: usize,
}

impl Lists {
    /// How many lists one request may have: parameters, source, more parameters, associated data,
    /// destination, results.
    pub(crate) const MAX: usize = 6;

    /// No lists.
    pub(crate) const fn new() -> Self {
        Self {
            lists: [core::ptr::null_mut(); Self::MAX],
            len: 0,
            readable: 0,
        }
    }

    /// Adds a list the device may read. They all come before those it may write.
    pub(crate) fn push_readable(&mut self, list: *mut bindings::scatterlist) -> Result {
        if self.readable != self.len {
            return Err(EINVAL);
        }
        self.push_writable(list)?;
        self.readable += 1;
        Ok(())
    }

    /// Adds a list the device may write.
    pub(crate) fn push_writable(&mut self, list: *mut bindings::scatterlist) -> Result {
        *self.lists.get_mut(self.len).ok_or(EINVAL)? = list;
        self.len += 1;
        Ok(())
    }

    /// Returns the lists, and how many of them the device may only read.
    pub(crate) fn as_parts(&mut self) -> (&mut [*mut bindings::scatterlist], usize) {
        (&mut self.lists[..self.len], self.readable)
    }
}

/// An owned object that can be handed to a device as a pointer and taken back.
///
/// # Safety
///
/// Implementers guarantee, for the time between [`into_raw`](Self::into_raw) and
/// [`from_raw`](Self::from_raw):
///
/// - the pointer is not null, and no other live object returns the same one;
/// - every list returned by [`lists`](Self::lists) is a valid, terminated scatterlist of entries
///   that are not empty, and the memory it describes stays valid;
/// - that memory is not accessed through Rust references, except that what the device may only
///   read may be read.
pub(crate) unsafe trait Lend: Sized + Send {
    /// Returns the object's scatterlists.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there is nothing to send, or too many lists.
    fn lists(&mut self) -> Result<Lists>;

    /// Gives the object away, to be taken back by [`from_raw`](Self::from_raw).
    fn into_raw(self) -> NonNull<c_void>;

    /// Takes an object back.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`into_raw`](Self::into_raw) of the same type; each such pointer is
    /// taken back at most once, when the device has no access to the memory any more.
    unsafe fn from_raw(raw: NonNull<c_void>) -> Self;
}
