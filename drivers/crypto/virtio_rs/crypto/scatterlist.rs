// SPDX-License-Identifier: GPL-2.0

//! Scatterlists as consumers hand them in, made exact for a device.
//!
//! C header: [`include/linux/scatterlist.h`](srctree/include/linux/scatterlist.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use kernel::prelude::*;

/// Entries of a request's own, for lists that are not exact.
///
/// # Invariants
///
/// Entries from `next` on are in use by nobody.
pub(super) struct Pool<'a> {
    entries: &'a mut [bindings::scatterlist],
    next: usize,
}

/// A list that describes exactly the bytes a device is to read or write.
///
/// # Invariants
///
/// `first` starts a terminated list of `segments` entries, none of them empty.
#[derive(Clone, Copy)]
pub(super) struct Exact {
    pub(super) first: *mut bindings::scatterlist,
    pub(super) segments: u32,
}

impl<'a> Pool<'a> {
    /// Creates a pool of unused entries.
    pub(super) fn new(entries: &'a mut [bindings::scatterlist]) -> Self {
        Self { entries, next: 0 }
    }

    /// Makes the first `len` bytes of `list` an exact list.
    ///
    /// Consumers' lists are often longer than the request, and may have empty entries; devices get
    /// every byte of a list, and some stop at an empty entry. A list that is exact is used as it
    /// is, others are copied, which no memory is allocated for.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the list is shorter than `len`. `E2BIG`: there are too many segments to copy, or
    /// one is too large.
    ///
    /// # Safety
    ///
    /// `list` must start a valid scatterlist, and stay so as long as the result is used.
    pub(super) unsafe fn exact(
        &mut self,
        list: *mut bindings::scatterlist,
        len: u32,
        max_segment: usize,
    ) -> Result<Exact> {
        // What most requests have: one segment, and no more.
        // SAFETY: By the safety requirements `list` is valid.
        if unsafe { (*list).length == len && helpers::sg_is_last(list) } {
            // CAST: Both targets of this driver have 32 bits at least.
            if len == 0 || len as usize > max_segment {
                return Err(if len == 0 { EINVAL } else { E2BIG });
            }
            // INVARIANT: One entry, terminated and not empty.
            return Ok(Exact {
                first: list,
                segments: 1,
            });
        }

        let mut segments = 0;
        let mut left = len;
        let mut copied = 0;
        let mut trim = false;
        let mut entry = list;
        // One pass: entries are copied as long as there is room, in case they are needed.
        while left != 0 {
            if entry.is_null() {
                return Err(EINVAL);
            }
            // SAFETY: By the safety requirements `entry` is valid: it is not null.
            let (length, offset) = unsafe { ((*entry).length, (*entry).offset) };
            let part = length.min(left);
            if part == 0 {
                trim = true;
            } else {
                // CAST: Both targets of this driver have 32 bits at least.
                if part as usize > max_segment {
                    return Err(E2BIG);
                }
                if let Some(slot) = self.entries.get_mut(self.next + copied) {
                    *slot = Default::default();
                    // SAFETY: `entry` is valid and not empty, so it has a page.
                    let page = unsafe { helpers::sg_page(entry) };
                    // SAFETY: `slot` is a valid entry, the part is inside the original one.
                    unsafe { helpers::sg_set_page(slot, page, part, offset) };
                    copied += 1;
                }
                segments += 1;
                left -= part;
            }
            trim |= part != length;
            // SAFETY: `entry` is valid.
            let is_last = unsafe { helpers::sg_is_last(entry) };
            trim |= left == 0 && !is_last;
            // SAFETY: As above.
            entry = unsafe { helpers::sg_next(entry) };
        }
        if !trim {
            // INVARIANT: The list ends with `len`, and no entry is empty.
            return Ok(Exact {
                first: list,
                segments,
            });
        }

        // CAST: As above.
        let count = segments as usize;
        if copied != count {
            return Err(E2BIG);
        }
        let own = self.entries.get_mut(self.next..self.next + count);
        let own = own.ok_or(E2BIG)?;
        let last = own.last_mut().ok_or(EINVAL)?;
        // INVARIANT: All parts were copied, none is empty, and the last one is marked.
        // SAFETY: `last` is a valid entry.
        unsafe { helpers::sg_mark_end(last) };
        self.next += count;
        Ok(Exact {
            first: own.as_mut_ptr(),
            segments,
        })
    }
}

/// Copies bytes out of a scatterlist.
///
/// # Safety
///
/// `list` must start a valid scatterlist of at least `offset + bytes.len()` bytes.
pub(super) unsafe fn read(list: *mut bindings::scatterlist, offset: u32, bytes: &mut [u8]) {
    // CAST: Callers read a block.
    let len = bytes.len() as u32;
    // SAFETY: By the safety requirements; `bytes` is valid for writes of `len` bytes.
    unsafe { bindings::memcpy_from_sglist(bytes.as_mut_ptr().cast(), list, offset, len) };
}

/// Returns true if a list has `len` bytes at least.
///
/// # Safety
///
/// `list` must start a valid scatterlist.
pub(super) unsafe fn has(list: *mut bindings::scatterlist, len: u32) -> bool {
    // SAFETY: By the safety requirements.
    unsafe { bindings::sg_nents_for_len(list, len.into()) >= 0 }
}

/// Entries for the part of a list that does not begin with it.
pub(super) struct Rest([bindings::scatterlist; 2]);

impl Rest {
    /// Creates unused entries.
    pub(super) fn new() -> Self {
        Self(Default::default())
    }

    /// Returns what is behind the first `offset` bytes of a list: a list that is valid as long as
    /// both this and `list` are.
    ///
    /// # Safety
    ///
    /// `list` must start a valid scatterlist of more than `offset` bytes.
    pub(super) unsafe fn of(
        &mut self,
        list: *mut bindings::scatterlist,
        offset: u32,
    ) -> *mut bindings::scatterlist {
        // SAFETY: By the safety requirements; there are two entries, which is what it asks for.
        unsafe { bindings::scatterwalk_ffwd(self.0.as_mut_ptr(), list, offset) }
    }
}
