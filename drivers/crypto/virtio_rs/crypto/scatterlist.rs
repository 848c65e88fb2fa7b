// SPDX-License-Identifier: GPL-2.0

//! Scatterlists as callers hand them in.
//!
//! C header: [`include/linux/scatterlist.h`](srctree/include/linux/scatterlist.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// The flags in the lower bits of the address of a page.
const FLAGS: usize = (bindings::SG_CHAIN | bindings::SG_END) as usize;

/// A range of a scatterlist: `len` bytes after the first `offset` ones. The list may be shorter.
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

    /// Calls `f` with the address and the length of each segment, until it returns false. Returns true if
    /// it was called for all of the range.
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

    /// Returns a list that begins with the range. It is valid as long as this and the list of the range
    /// are.
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
