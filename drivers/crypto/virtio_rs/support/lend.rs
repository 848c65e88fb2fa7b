// SPDX-License-Identifier: GPL-2.0

//! Memory that is lent to a device.

use crate::bindings;
use core::{
    mem::MaybeUninit,
    ptr::NonNull, //
};
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

/// The scatterlists of a [`Lend`], in the order in which the device sees them: lists that the device
/// reads, then lists that it writes.
///
/// # Invariants
///
/// The first `readable + writable` elements of `lists` are initialised.
pub(crate) struct Lists {
    lists: [MaybeUninit<*mut bindings::scatterlist>; Self::MAX],
    readable: u32,
    writable: u32,
}

impl Lists {
    /// The most lists of a buffer: those of an AEAD request with its keys, which has header, two keys,
    /// IV, AAD, source and padding to read, and destination, padding, tag and status to write.
    const MAX: usize = 11;

    /// Creates lists without elements.
    pub(crate) const fn new() -> Self {
        // INVARIANT: There are no elements.
        Self {
            lists: [MaybeUninit::uninit(); Self::MAX],
            readable: 0,
            writable: 0,
        }
    }

    /// Returns what fills the lists anew. Elements that the lists have stay until then.
    #[inline(always)]
    pub(crate) fn fill(&mut self) -> ListsWriter<'_> {
        // INVARIANT: There are no elements.
        ListsWriter {
            lists: self,
            readable: 0,
            writable: 0,
        }
    }

    /// Returns the elements, the number of lists to read and the number of lists to write.
    pub(crate) fn as_raw(&mut self) -> (*mut *mut bindings::scatterlist, u32, u32) {
        // CAST: `MaybeUninit` is transparent.
        (self.lists.as_mut_ptr().cast(), self.readable, self.writable)
    }
}

/// Fills [`Lists`]. The numbers of lists are kept here until [`finish`](Self::finish), so that the
/// compiler can keep them in registers.
///
/// # Invariants
///
/// The first `readable + writable` elements of `lists` are initialised.
pub(crate) struct ListsWriter<'a> {
    lists: &'a mut Lists,
    readable: u32,
    writable: u32,
}

impl ListsWriter<'_> {
    /// Appends a list that the device reads.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there are lists to write, or too many lists.
    #[inline(always)]
    pub(crate) fn push_readable(&mut self, list: *mut bindings::scatterlist) -> Result {
        if self.writable != 0 {
            return Err(EINVAL);
        }
        self.push_writable(list)?;
        // INVARIANT: The sum stays the same.
        self.readable += 1;
        self.writable = 0;
        Ok(())
    }

    /// Appends a list that the device writes.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there are too many lists.
    #[inline(always)]
    pub(crate) fn push_writable(&mut self, list: *mut bindings::scatterlist) -> Result {
        // CAST: Both targets of this driver have 32 bits at least.
        let next = (self.readable + self.writable) as usize;
        self.lists.lists.get_mut(next).ok_or(EINVAL)?.write(list);
        // INVARIANT: The element was just written.
        self.writable += 1;
        Ok(())
    }

    /// Sets the numbers of lists to those that were appended.
    #[inline(always)]
    pub(crate) fn finish(&mut self) {
        // INVARIANT: By the type invariant so many elements are initialised.
        self.lists.readable = self.readable;
        self.lists.writable = self.writable;
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
/// - what [`lists`](Self::lists) returns stays where it is;
/// - every list in it is a valid, terminated scatterlist of entries that are not empty, and the memory
///   it describes stays valid;
/// - that memory is not accessed through Rust references, except that what the device may only
///   read may be read.
pub(crate) unsafe trait Lend: Sized + Send {
    /// Returns the object's scatterlists.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there is nothing to send, or too many lists.
    fn lists(&mut self) -> Result<&mut Lists>;

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
