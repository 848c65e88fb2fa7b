// SPDX-License-Identifier: GPL-2.0

//! The part of a request's context that a device uses.

use super::scatterlist::Pool;
use crate::{
    bindings,
    bindings::helpers,
    support::lend::Lists, //
};
use kernel::prelude::*;

/// How many parts the parameters may have, a segment each.
const PARTS: usize = 3;

/// How many segments of lists that are not exact fit in a request.
const POOL: usize = 4;

/// Memory that a device writes, in cache lines of its own where caches are not coherent.
#[cfg_attr(target_arch = "x86_64", repr(C, align(8)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(128)))]
struct Line<T>(T);

kernel::static_assert!(align_of::<Line<u8>>() >= bindings::VC_CRYPTO_DMA_ALIGN as usize);

/// Memory for what a device reads and writes besides the data: up to `PARAMS` bytes of parameters
/// and up to `RESULT` bytes of results, and the scatterlists that describe all of it.
///
/// It refers to itself, and so must not be moved once it was filled.
#[repr(C)]
pub(crate) struct Area<const PARAMS: usize, const RESULT: usize> {
    params: [u8; PARAMS],
    parts: [bindings::scatterlist; PARTS],
    last: bindings::scatterlist,
    pool: [bindings::scatterlist; POOL],
    result: Line<[u8; RESULT]>,
}

/// What is posted for the device.
pub(super) struct Posted {
    pub(super) lists: Lists,
    pub(super) segments: u32,
    pub(super) result: *mut u8,
    pub(super) result_len: usize,
}

/// The data of a request: `len` bytes from `src` to `dst`.
pub(super) struct Data {
    pub(super) src: *mut bindings::scatterlist,
    pub(super) dst: *mut bindings::scatterlist,
    pub(super) len: u32,
}

/// An [`Area`] of any size.
pub(crate) trait AnyArea {
    /// Returns an empty area.
    fn empty() -> Self;

    /// Posts parameters, data and results. Empty parameters are left out: devices do not take empty
    /// segments.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a scatterlist is shorter than the data, or something does not fit in the area.
    /// `E2BIG`: the data has more segments than fit, or one of more than `max_segment` bytes.
    ///
    /// # Safety
    ///
    /// - The area must lie in memory that may be mapped for a device, and stay there.
    /// - The scatterlists of `data` must be valid and stay so as long as the result is used.
    unsafe fn fill(
        &mut self,
        params: &[&[u8]],
        data: &Data,
        result_len: usize,
        max_segment: usize,
    ) -> Result<Posted>;

    /// Wipes the parameters, which may hold a key. The device must be done with them.
    fn wipe(&mut self);
}

impl<const PARAMS: usize, const RESULT: usize> AnyArea for Area<PARAMS, RESULT> {
    fn empty() -> Self {
        Self {
            params: [0; PARAMS],
            parts: Default::default(),
            last: Default::default(),
            pool: Default::default(),
            // Not what a device that leaves it alone would like it to say.
            result: Line([0xff; RESULT]),
        }
    }

    unsafe fn fill(
        &mut self,
        params: &[&[u8]],
        data: &Data,
        result_len: usize,
        max_segment: usize,
    ) -> Result<Posted> {
        let params = || params.iter().filter(|part| !part.is_empty());
        let count = params().count();
        if count == 0 || count > PARTS || result_len == 0 || result_len > RESULT {
            return Err(EINVAL);
        }

        // SAFETY: There are `PARTS` entries at least.
        unsafe { bindings::sg_init_table(self.parts.as_mut_ptr(), count as u32) };
        let mut rest = &mut self.params[..];
        for (entry, part) in self.parts.iter_mut().zip(params()) {
            let (bytes, left) = rest.split_at_mut_checked(part.len()).ok_or(EINVAL)?;
            bytes.copy_from_slice(part);
            rest = left;
            // SAFETY: `entry` is valid; the bytes are in memory that may be mapped.
            unsafe {
                helpers::sg_set_buf(entry, bytes.as_ptr().cast(), u32::try_from(part.len())?)
            };
        }

        // SAFETY: The entry is valid; the result is in memory that may be mapped.
        unsafe {
            bindings::sg_init_one(
                &mut self.last,
                self.result.0.as_mut_ptr().cast(),
                u32::try_from(result_len)?,
            )
        };

        let mut pool = Pool::new(&mut self.pool);
        // SAFETY: By the safety requirements.
        let src = unsafe { pool.exact(data.src, data.len, max_segment)? };
        let dst = if data.src == data.dst {
            src
        } else {
            // SAFETY: By the safety requirements.
            unsafe { pool.exact(data.dst, data.len, max_segment)? }
        };

        let segments = (count as u32 + 1)
            .saturating_add(src.segments)
            .saturating_add(dst.segments);

        let mut lists = Lists::new();
        lists.push_readable(self.parts.as_mut_ptr())?;
        lists.push_readable(src.first)?;
        lists.push_writable(dst.first)?;
        lists.push_writable(&mut self.last)?;
        Ok(Posted {
            lists,
            segments,
            result: self.result.0.as_mut_ptr(),
            result_len,
        })
    }

    fn wipe(&mut self) {
        // SAFETY: The parameters are valid for writes of their length.
        unsafe { helpers::memzero_explicit(self.params.as_mut_ptr().cast(), PARAMS) };
    }
}
