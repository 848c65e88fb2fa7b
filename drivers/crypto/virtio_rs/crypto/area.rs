// SPDX-License-Identifier: GPL-2.0

//! The memory of a request context that the device reads and writes.

use crate::{
    bindings,
    support::dma::DmaAligned, //
};
use core::mem::{
    offset_of,
    MaybeUninit, //
};

/// The default number of scatterlist entries of an [`Area`].
const DEFAULT_ENTRIES: usize = 10;

/// The memory of a device request, in addition to the caller's data. It has space for
///
/// - `PARAMS` bytes that the device reads, for example the request header;
/// - `RESULT` bytes that the device writes, for example the status;
/// - `ENTRIES` scatterlist entries: entries of these bytes, and entries copied from the caller's lists.
///
/// The memory is not initialised. A [`Builder`](super::Builder) writes the parts that a request needs.
#[repr(C)]
pub(crate) struct Area<
    const PARAMS: usize,
    const RESULT: usize,
    const ENTRIES: usize = DEFAULT_ENTRIES,
> {
    params: [MaybeUninit<u8>; PARAMS],
    entries: [MaybeUninit<bindings::scatterlist>; ENTRIES],
    result: DmaAligned<[MaybeUninit<u8>; RESULT]>,
}

/// An [`Area`] of any size.
///
/// # Safety
///
/// - An instance has memory of the given sizes at the three offsets. The three parts do not overlap, and
///   any content is valid.
/// - The memory for entries is aligned for a `struct scatterlist`.
/// - The memory for results is at the end of the instance, and shares no cache line with other memory.
pub(crate) unsafe trait AnyArea {
    /// The size of the memory for parameters, in bytes.
    const PARAMS: u32;
    /// The offset of the memory for parameters, in bytes.
    const PARAMS_AT: u32;
    /// The number of scatterlist entries.
    const ENTRIES: u32;
    /// The offset of the scatterlist entries, in bytes.
    const ENTRIES_AT: u32;
    /// The size of the memory for results, in bytes.
    const RESULT: u32;
    /// The offset of the memory for results, in bytes.
    const RESULT_AT: u32;
}

// SAFETY: The fields are three separate parts of `MaybeUninit` memory, and the compiler aligns `entries`.
// `LAYOUT` checks the alignment and the offset of the results.
unsafe impl<const PARAMS: usize, const RESULT: usize, const ENTRIES: usize> AnyArea
    for Area<PARAMS, RESULT, ENTRIES>
{
    const PARAMS: u32 = checked_u32(PARAMS);
    const PARAMS_AT: u32 = checked_u32(offset_of!(Self, params));
    const ENTRIES: u32 = checked_u32(ENTRIES);
    const ENTRIES_AT: u32 = checked_u32(offset_of!(Self, entries));
    const RESULT: u32 = checked_u32(RESULT);
    const RESULT_AT: u32 = {
        let () = Self::LAYOUT;
        checked_u32(offset_of!(Self, result))
    };
}

impl<const PARAMS: usize, const RESULT: usize, const ENTRIES: usize> Area<PARAMS, RESULT, ENTRIES> {
    /// Checks that the results begin at the start of a cache line, and that nothing follows them. Then the
    /// results, which the device writes, share no cache line with data that the CPU writes.
    const LAYOUT: () = {
        let line = bindings::VC_CRYPTO_DMA_ALIGN as usize;
        let offset = offset_of!(Self, result);
        assert!(offset % line == 0 && align_of::<Self>() % line == 0);
        assert!(offset + size_of::<DmaAligned<[u8; RESULT]>>() == size_of::<Self>());
        assert!(size_of::<Self>() % line == 0);
    };
}

/// Converts a size or an offset in a request context to `u32`.
const fn checked_u32(size: usize) -> u32 {
    assert!(size <= u16::MAX as usize);
    // CAST: `size` is at most `u16::MAX`.
    size as u32
}

/// The limits of a device's requests, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// The maximum length of a segment.
    pub(crate) max_segment_size: usize,
    /// The maximum length of an in-place request whose data gets a checksum. The checksum shows whether
    /// the device has changed the data. If not, the fallback can repeat the request. 0 disables the
    /// checksums.
    pub(crate) rescue_in_place: u32,
}
