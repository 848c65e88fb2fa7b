// SPDX-License-Identifier: GPL-2.0

//! Scatterlists of callers, and exact lists, which describe only the bytes that a device reads or writes.
//!
//! Callers' lists are often longer than the request, and may have empty entries. The device gets every
//! byte of a list, and some devices stop at an empty entry. If a caller's list is exact, the driver uses
//! the list itself. Otherwise the driver copies the entries to the request context, without allocating
//! memory. If only the beginning of a list must be left out, two entries suffice.
//!
//! C header: [`include/linux/scatterlist.h`](srctree/include/linux/scatterlist.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use core::{
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// The flags in the lower bits of the address of a page.
const FLAGS: usize = (bindings::SG_CHAIN | bindings::SG_END) as usize;

/// A range of a scatterlist: `len` bytes after the first `offset` bytes. The list may be shorter.
///
/// # Invariants
///
/// Unless `len` is 0, `list` starts a valid scatterlist, as long as the range or a copy of it is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SgRange {
    list: *mut bindings::scatterlist,
    offset: u32,
    len: u32,
}

/// An entry of a valid scatterlist.
///
/// # Invariants
///
/// `raw` is an entry of a scatterlist that is valid as long as the entry is used.
#[derive(Clone, Copy)]
pub(super) struct SgEntry {
    raw: NonNull<bindings::scatterlist>,
}

impl SgEntry {
    fn fields(&self) -> &bindings::scatterlist {
        // SAFETY: By the type invariant the entry is valid.
        unsafe { self.raw.as_ref() }
    }

    /// Returns the address of the entry.
    pub(super) fn as_raw(self) -> *mut bindings::scatterlist {
        self.raw.as_ptr()
    }

    /// Returns the number of bytes.
    pub(super) fn len(self) -> u32 {
        self.fields().length
    }

    /// Returns the address of the `struct page` that the bytes begin in, and the offset from its
    /// beginning.
    pub(super) fn page(self) -> (usize, u32) {
        // CAST: Both targets of this driver have 32 bits at least.
        (self.fields().page_link & !FLAGS, self.fields().offset)
    }

    /// Returns the address of the bytes. There is no high memory where this driver is built.
    fn bytes(self) -> *const u8 {
        // SAFETY: By the type invariant the entry is valid.
        unsafe { helpers::sg_virt(self.as_raw()) }.cast()
    }

    /// Returns true if no entry follows.
    pub(super) fn is_last(self) -> bool {
        self.fields().page_link & bindings::SG_END as kernel::ffi::c_ulong != 0
    }

    /// Returns the next entry.
    pub(super) fn next(self) -> Option<Self> {
        // SAFETY: By the type invariant the entry is valid.
        let raw = NonNull::new(unsafe { helpers::sg_next(self.as_raw()) })?;
        // INVARIANT: It is an entry of the same list.
        Some(Self { raw })
    }
}

impl SgRange {
    /// The empty range.
    pub(super) const EMPTY: Self = Self {
        list: core::ptr::null_mut(),
        offset: 0,
        len: 0,
    };

    /// Creates a range.
    ///
    /// # Safety
    ///
    /// Unless `len` is 0, `list` must start a valid scatterlist, as long as the range or a copy of it is
    /// used.
    #[inline]
    pub(super) unsafe fn new(list: *mut bindings::scatterlist, offset: u32, len: u32) -> Self {
        // INVARIANT: The caller guarantees that the list is valid.
        Self { list, offset, len }
    }

    /// Returns the number of bytes.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Returns true if both ranges are of the same list.
    pub(super) fn has_list_of(&self, other: &Self) -> bool {
        self.list == other.list
    }

    /// Returns the first entry of the list, if the range is not empty.
    #[inline]
    pub(super) fn list(&self) -> Option<SgEntry> {
        let raw = NonNull::new(self.list)?;
        // INVARIANT: By the type invariant, because the range is not empty.
        (self.len != 0).then_some(SgEntry { raw })
    }

    /// Returns the first entry of the list, if the whole range is in it.
    #[inline]
    fn only_entry(&self) -> Option<SgEntry> {
        let first = self.list()?;
        let length = first.len();
        (self.offset <= length && self.len <= length - self.offset).then_some(first)
    }

    /// Returns the first entry, if the range is all of it and the list has no other.
    #[inline]
    pub(super) fn whole_entry(&self) -> Option<SgEntry> {
        let first = self.list()?;
        (self.offset == 0 && first.len() == self.len && first.is_last()).then_some(first)
    }

    /// Returns where the range begins, if it lies in the first entry of the list: the address of a
    /// `struct page`, and the offset from the beginning of that page.
    #[inline]
    pub(super) fn page(&self) -> Option<(usize, u32)> {
        let (page, offset) = self.only_entry()?.page();
        Some((page, offset.wrapping_add(self.offset)))
    }

    /// Returns the address of the bytes, if the range lies in the first entry of the list.
    #[inline]
    pub(super) fn bytes(&self) -> Option<*const u8> {
        // CAST: Both targets of this driver have 32 bits at least.
        Some(
            self.only_entry()?
                .bytes()
                .wrapping_add(self.offset as usize),
        )
    }

    /// Returns the entry that the range begins in, and the offset in that entry.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the list is shorter, or the range is empty.
    pub(super) fn seek(&self) -> Result<(SgEntry, u32)> {
        let mut entry = self.list().ok_or(EINVAL)?;
        let mut offset = self.offset;
        while offset != 0 && offset >= entry.len() {
            offset -= entry.len();
            entry = entry.next().ok_or(EINVAL)?;
        }
        Ok((entry, offset))
    }

    /// Calls `f` with the address and the length of each segment, until `f` returns false. Returns true if
    /// `f` has returned true for the whole range.
    pub(super) fn for_each(&self, mut f: impl FnMut(*const u8, usize) -> bool) -> bool {
        let mut left = self.len;
        if left == 0 {
            return true;
        }
        let Ok((mut entry, mut offset)) = self.seek() else {
            return false;
        };
        loop {
            let part = entry.len().saturating_sub(offset).min(left);
            // CAST: Both targets of this driver have 32 bits at least.
            if part != 0 && !f(entry.bytes().wrapping_add(offset as usize), part as usize) {
                return false;
            }
            left -= part;
            if left == 0 {
                return true;
            }
            offset = 0;
            let Some(next) = entry.next() else {
                return false;
            };
            entry = next;
        }
    }

    /// Returns true if the list has all bytes of the range.
    fn exists(&self) -> bool {
        let Some(end) = self.offset.checked_add(self.len) else {
            return false;
        };
        let Some(first) = self.list() else {
            return false;
        };
        if first.len() >= end {
            return true;
        }
        // SAFETY: By the type invariant of `SgEntry` the list is valid.
        unsafe { bindings::sg_nents_for_len(first.as_raw(), end.into()) >= 0 }
    }

    /// Returns the first `len` bytes of the range.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the range is shorter.
    #[inline]
    fn prefix(&self, len: usize) -> Result<Self> {
        let len = u32::try_from(len)?;
        // INVARIANT: It is a part of the range.
        (len <= self.len)
            .then_some(Self { len, ..*self })
            .ok_or(EINVAL)
    }

    /// Returns the first `len` bytes of the range.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the range or the list is shorter.
    fn check_len(&self, len: usize) -> Result<Self> {
        let part = self.prefix(len)?;
        part.exists().then_some(part).ok_or(EINVAL)
    }

    /// Copies the first bytes of the range to `bytes`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the range or the list is shorter than `bytes`.
    pub(super) fn read(&self, bytes: &mut [u8]) -> Result {
        if bytes.is_empty() {
            return Ok(());
        }
        let part = self.prefix(bytes.len())?;
        let to = bytes.as_mut_ptr();
        match (part.bytes(), bytes.len()) {
            // Most reads are of an IV. A copy of constant size needs no function call.
            // SAFETY: The first entry has these bytes. `to` is valid for writes of as many.
            (Some(from), 16) => unsafe { to.copy_from_nonoverlapping(from, 16) },
            // SAFETY: The first entry has these bytes. `to` is valid for writes of as many.
            (Some(from), len) => unsafe { to.copy_from_nonoverlapping(from, len) },
            (None, _) if !part.exists() => return Err(EINVAL),
            // SAFETY: The list is valid, and has these bytes. `to` is valid for writes of as many.
            (None, _) => unsafe {
                bindings::memcpy_from_sglist(to.cast(), part.list, part.offset, part.len)
            },
        }
        Ok(())
    }

    /// Copies `bytes` to the first bytes of the range.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the range or the list is shorter than `bytes`.
    pub(super) fn write(&self, bytes: &[u8]) -> Result {
        if bytes.is_empty() {
            return Ok(());
        }
        let part = self.check_len(bytes.len())?;
        let from = bytes.as_ptr().cast();
        // SAFETY: The list is valid, and has these bytes. `from` is valid for reads of as many.
        unsafe { bindings::memcpy_to_sglist(part.list, part.offset, from, part.len) };
        Ok(())
    }

    /// Writes zeros to the range, as far as the list goes.
    pub(super) fn wipe(&self) {
        if self.list().is_some() {
            // CAST: Both targets of this driver have 32 bits at least.
            let (len, skip) = (self.len as usize, self.offset as isize);
            // SAFETY: The list is valid; the function stops where it ends.
            unsafe { bindings::sg_zero_buffer(self.list, u32::MAX, len, skip) };
        }
    }
}

/// Entries for a list that begins in the middle of another.
pub(super) struct SgTail([bindings::scatterlist; 2]);

impl SgTail {
    /// Creates unused entries.
    pub(super) fn new() -> Self {
        Self(Default::default())
    }

    /// Returns a list that begins with the range. The list is valid as long as `self` and the list of the
    /// range are.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the list has no byte of the range.
    pub(super) fn of(&mut self, range: &SgRange) -> Result<*mut bindings::scatterlist> {
        range.check_len(1)?;
        // SAFETY: The list is valid and has more than `offset` bytes. The function asks for two entries.
        Ok(unsafe { bindings::scatterwalk_ffwd(self.0.as_mut_ptr(), range.list, range.offset) })
    }
}

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

/// Returns an entry of `len` bytes that begin in a page and may extend to the following pages. `page` is
/// the address of the `struct page`. `flags` is `SG_END` or 0.
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

/// The result of [`SgPool::scan`].
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
        // There are few entries, and the lists after this one need some, too.
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
