// SPDX-License-Identifier: GPL-2.0

//! The part of a request context that the device uses.

use crate::{
    bindings,
    support::dma::DmaAligned, //
};
use core::mem::{
    offset_of,
    MaybeUninit, //
};

/// The default number of segments of a request that are not entries of the caller's lists.
const DEFAULT_ENTRIES: usize = 10;

/// Memory for up to `PARAMS` bytes that the device reads besides the data, and up to `RESULT` bytes
/// that it writes besides the data, and for `ENTRIES` scatterlist entries: those of these bytes, and those
/// that are copied from the caller's lists.
///
/// The memory is not initialised. A [`Builder`](super::Builder) writes what a request needs.
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
/// At the three offsets an instance has memory of the three sizes, which does not overlap, and may hold
/// any bytes. That for entries is aligned for a `struct scatterlist`. That for results is at the end,
/// in cache lines of its own.
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

// SAFETY: The fields are such memory. `LAYOUT` checks the alignment and the place of the results.
unsafe impl<const PARAMS: usize, const RESULT: usize, const ENTRIES: usize> AnyArea
    for Area<PARAMS, RESULT, ENTRIES>
{
    const PARAMS: u32 = small(PARAMS);
    const PARAMS_AT: u32 = small(offset_of!(Self, params));
    const ENTRIES: u32 = small(ENTRIES);
    const ENTRIES_AT: u32 = small(offset_of!(Self, entries));
    const RESULT: u32 = small(RESULT);
    const RESULT_AT: u32 = {
        let () = Self::LAYOUT;
        small(offset_of!(Self, result))
    };
}

impl<const PARAMS: usize, const RESULT: usize, const ENTRIES: usize> Area<PARAMS, RESULT, ENTRIES> {
    /// The device's results share no cache line with data that the CPU writes: they begin a cache line, and
    /// nothing follows them.
    const LAYOUT: () = {
        let line = bindings::VC_CRYPTO_DMA_ALIGN as usize;
        let begin = offset_of!(Self, result);
        assert!(begin % line == 0 && align_of::<Self>() % line == 0);
        assert!(begin + size_of::<DmaAligned<[u8; RESULT]>>() == size_of::<Self>());
        assert!(size_of::<Self>() % line == 0);
    };
}

/// Returns a size of a request context.
const fn small(size: usize) -> u32 {
    assert!(size <= u16::MAX as usize);
    // CAST: As was just checked.
    size as u32
}

/// The limits of a device's requests, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// The longest segment.
    pub(crate) max_segment_size: usize,
    /// The longest data of an in-place request that gets a checksum, so that the request can be
    /// repeated unless the device has written to it. Zero: none.
    pub(crate) rescue_in_place: u32,
}
