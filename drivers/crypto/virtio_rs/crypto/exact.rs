// SPDX-License-Identifier: GPL-2.0

//! Scatterlists that describe exactly the bytes that a device reads or writes.
//!
//! Callers' lists are often longer than the request, and may have empty entries. The device gets every
//! byte of a list, and some devices stop at an empty entry. A list that is exact is used as it is. Any
//! other list is copied to entries in the request context, without allocating memory. If only its
//! beginning is cut off, two entries suffice.

use super::scatterlist::SgRange;
use crate::{
    bindings,
    bindings::helpers, //
};
use core::mem::MaybeUninit;
use kernel::prelude::*;

/// A list that describes exactly the bytes that a device reads or writes.
///
/// # Invariants
///
/// `first` starts a terminated list of `segments` entries, none of them empty.
#[derive(Clone, Copy)]
pub(super) struct ExactSgl {
    pub(super) first: *mut bindings::scatterlist,
    pub(super) segments: u32,
}

impl ExactSgl {
    /// Returns the list of a range, if that has one entry, of at most `max_segment_size` bytes, and the range
    /// is all of it. Most requests have such lists.
    #[inline]
    pub(super) fn single(range: &SgRange, max_segment_size: usize) -> Option<Self> {
        let entry = range.whole_entry()?;
        // CAST: Both targets of this driver have 32 bits at least.
        //
        // INVARIANT: One entry, the last one, which is not empty because the range is not.
        (range.len() as usize <= max_segment_size).then(|| Self {
            first: entry.as_raw(),
            segments: 1,
        })
    }
}

/// Returns an entry of `len` bytes in a page and those behind it. `page` is the address of its
/// `struct page`; `flags` are `SG_END` or 0.
#[inline]
pub(super) fn entry(page: usize, flags: u32, offset: u32, len: u32) -> bindings::scatterlist {
    bindings::scatterlist {
        // CAST: Both targets of this driver have 32 bits at least.
        page_link: (page | flags as usize) as kernel::ffi::c_ulong,
        offset,
        length: len,
        ..Default::default()
    }
}

/// The scatterlist entries of a request context.
///
/// # Invariants
///
/// Entries from `next` on are unused.
pub(super) struct SgPool<'a> {
    entries: &'a mut [MaybeUninit<bindings::scatterlist>],
    next: usize,
}

/// What [`SgPool::scan`] finds out about a range.
struct ScanResult {
    segments: u32,
    /// The number of segments that were copied.
    copied: usize,
    /// The list does not end with the range, or an entry is empty.
    trim: bool,
}

impl<'a> SgPool<'a> {
    /// Creates a pool of entries, the first `next` of which are in use.
    pub(super) fn new(entries: &'a mut [MaybeUninit<bindings::scatterlist>], next: usize) -> Self {
        Self { entries, next }
    }

    /// Returns the number of entries that are in use.
    pub(super) fn used(&self) -> usize {
        self.next
    }

    /// Returns an exact list of a range, which is valid as long as the entries and the list of the range
    /// are.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the list is shorter than the range, or the range is empty;
    /// - `E2BIG` if there are too many segments to copy, or one has more than `max_segment_size` bytes.
    pub(super) fn exact(&mut self, range: &SgRange, max_segment_size: usize) -> Result<ExactSgl> {
        let (first, offset) = range.seek()?;
        let found = self.scan(range, max_segment_size)?;
        let segments = found.segments;
        if !found.trim && offset == 0 {
            // INVARIANT: The list ends with the range, and no entry is empty.
            return Ok(ExactSgl {
                first: first.as_raw(),
                segments,
            });
        }

        // CAST: Both targets of this driver have 32 bits at least.
        let count = segments as usize;
        // Entries are few, and what comes after this list needs some, too.
        if found.copied == count && (found.trim || count <= 2) {
            let own = self.entries.get_mut(self.next..self.next + count);
            let own = own.ok_or(E2BIG)?;
            let last = own.last_mut().ok_or(EINVAL)?;
            // INVARIANT: All segments were copied, none is empty, and the last one is marked.
            // SAFETY: `scan` has written the entry.
            unsafe { helpers::sg_mark_end(last.as_mut_ptr()) };
            self.next += count;
            return Ok(ExactSgl {
                first: own.as_mut_ptr().cast(),
                segments,
            });
        }
        if found.trim {
            return Err(E2BIG);
        }
        // The first segment is a copy; the rest of the list is exact.
        let follows = first.next().ok_or(EINVAL)?;
        let own = self.entries.get_mut(self.next..self.next + 2);
        let own = own.ok_or(E2BIG)?.as_mut_ptr().cast();
        // INVARIANT: The copy of the first segment, then the rest of a list that is exact.
        // SAFETY: There are two entries, the second of which becomes the link.
        unsafe { helpers::sg_chain(own, 2, follows.as_raw()) };
        self.next += 2;
        Ok(ExactSgl {
            first: own,
            segments,
        })
    }

    /// Examines a range. Copies its segments while there are unused entries, in case they are needed.
    fn scan(&mut self, range: &SgRange, max_segment_size: usize) -> Result<ScanResult> {
        let mut found = ScanResult {
            segments: 0,
            copied: 0,
            trim: false,
        };
        let (mut from, mut offset) = range.seek()?;
        let mut left = range.len();
        loop {
            let length = from.len().saturating_sub(offset);
            let part = length.min(left);
            if part == 0 {
                found.trim = true;
            } else {
                // CAST: Both targets of this driver have 32 bits at least.
                if part as usize > max_segment_size {
                    return Err(E2BIG);
                }
                if let Some(slot) = self.entries.get_mut(self.next + found.copied) {
                    let (page, start) = from.page();
                    slot.write(entry(page, 0, start.wrapping_add(offset), part));
                    found.copied += 1;
                }
                found.segments += 1;
                left -= part;
            }
            offset = 0;
            found.trim |= part != length || (left == 0 && !from.is_last());
            if left == 0 {
                return Ok(found);
            }
            from = from.next().ok_or(EINVAL)?;
        }
    }
}
