// SPDX-License-Identifier: GPL-2.0

//! Buffers that a device owns while they are in flight.

use crate::bindings;
use core::{
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
    ffi::c_void,
    prelude::*, //
};

/// Memory that the device writes.
///
/// On non-coherent systems, unmapping DMA memory discards its cache lines, and everything that the
/// CPU wrote to these lines in the meantime. The type is therefore aligned to `CRYPTO_DMA_ALIGN`,
/// so that the memory shares no cache line with other data. On arm64, `CRYPTO_DMA_ALIGN` is 128.
///
/// The attribute `align` requires a literal. An assertion compares the literals with
/// `CRYPTO_DMA_ALIGN`.
#[cfg_attr(target_arch = "x86_64", repr(C, align(8)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(128)))]
pub(crate) struct DmaAligned<T>(pub(crate) T);

// The size of a type is a multiple of its alignment, so no data follows in the last cache line.
kernel::static_assert!(align_of::<DmaAligned<u8>>() >= bindings::VC_CRYPTO_DMA_ALIGN as usize);

/// The scatterlists of a [`VirtqueueBuffer`] in ring order: first the lists that the device reads,
/// then the lists that the device writes.
///
/// # Invariants
///
/// The first `readable + writable` elements of `lists` are initialised.
pub(crate) struct SgLists {
    lists: [MaybeUninit<*mut bindings::scatterlist>; Self::MAX],
    readable: u32,
    writable: u32,
}

impl SgLists {
    /// The maximum number of lists of a buffer.
    ///
    /// An algorithm chaining request in stateless mode has the most lists. The device reads 7
    /// lists: header, two keys, IV, AAD, source and padding. The device writes 4 lists:
    /// destination, padding, tag and status.
    const MAX: usize = 11;

    /// Creates an empty set of lists.
    pub(crate) const fn new() -> Self {
        // INVARIANT: Zero elements are initialised.
        Self {
            lists: [MaybeUninit::uninit(); Self::MAX],
            readable: 0,
            writable: 0,
        }
    }

    /// Returns a writer that replaces the lists. The caller must call [`SgListsWriter::finish`]
    /// after the last list.
    #[inline(always)]
    pub(crate) fn fill(&mut self) -> SgListsWriter<'_> {
        // INVARIANT: Zero elements are initialised.
        SgListsWriter {
            lists: self,
            readable: 0,
            writable: 0,
        }
    }

    /// Returns a pointer to the array of lists, and the numbers of device-readable and
    /// device-writable lists.
    pub(crate) fn as_raw(&mut self) -> (*mut *mut bindings::scatterlist, u32, u32) {
        // CAST: `MaybeUninit<T>` has the layout of `T`.
        (self.lists.as_mut_ptr().cast(), self.readable, self.writable)
    }
}

/// A writer that fills [`SgLists`]. Only [`finish`](Self::finish) stores the numbers of lists in
/// [`SgLists`]. Until then the compiler can keep the numbers in registers.
///
/// # Invariants
///
/// The first `readable + writable` elements of `lists` are initialised.
pub(crate) struct SgListsWriter<'a> {
    lists: &'a mut SgLists,
    readable: u32,
    writable: u32,
}

impl SgListsWriter<'_> {
    /// Appends a list that the device reads.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the lists are full, or a device-writable list was appended before.
    #[inline(always)]
    pub(crate) fn push_readable(&mut self, list: *mut bindings::scatterlist) -> Result {
        if self.writable != 0 {
            return Err(EINVAL);
        }
        self.push_writable(list)?;
        // INVARIANT: `push_writable` initialised the element and incremented `writable`. Count the
        // element as readable instead, so that the sum stays the same.
        self.readable += 1;
        self.writable = 0;
        Ok(())
    }

    /// Appends a list that the device writes.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the lists are full.
    #[inline(always)]
    pub(crate) fn push_writable(&mut self, list: *mut bindings::scatterlist) -> Result {
        // CAST: The driver depends on `64BIT`, so `usize` holds every `u32`.
        let next = (self.readable + self.writable) as usize;
        self.lists.lists.get_mut(next).ok_or(EINVAL)?.write(list);
        // INVARIANT: The element was just initialised.
        self.writable += 1;
        Ok(())
    }

    /// Stores the numbers of lists in the [`SgLists`].
    #[inline(always)]
    pub(crate) fn finish(&mut self) {
        // INVARIANT: By the invariant of this type the first `readable + writable` elements are
        // initialised.
        self.lists.readable = self.readable;
        self.lists.writable = self.writable;
    }
}

/// An owned buffer that can be converted to a pointer. A virtqueue stores the pointer while the
/// buffer is in flight.
///
/// # Safety
///
/// Implementers must guarantee, between [`into_raw`](Self::into_raw) and
/// [`from_raw`](Self::from_raw):
///
/// - The pointer is not null and differs from the pointer of every other buffer in flight.
/// - The [`SgLists`] that [`sgs`](Self::sgs) returned are not moved.
/// - Every list is a valid, terminated scatterlist without empty entries, and the memory that it
///   describes stays valid.
/// - No Rust reference is used to access that memory, except to read device-readable memory.
pub(crate) unsafe trait VirtqueueBuffer: Sized + Send {
    /// Returns the scatterlists of the buffer.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if there are no lists or too many lists.
    fn sgs(&mut self) -> Result<&mut SgLists>;

    /// Converts the buffer to a pointer. [`from_raw`](Self::from_raw) takes the buffer back.
    fn into_raw(self) -> NonNull<c_void>;

    /// Takes the buffer back.
    ///
    /// # Safety
    ///
    /// - `raw` must be the result of [`into_raw`](Self::into_raw) of the same type.
    /// - The caller must take each pointer back at most once.
    /// - The device must not access the memory of the buffer any more.
    unsafe fn from_raw(raw: NonNull<c_void>) -> Self;
}
