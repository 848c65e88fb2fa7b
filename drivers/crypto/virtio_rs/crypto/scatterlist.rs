// SPDX-License-Identifier: GPL-2.0

//! Scatterlists as consumers hand them in, made exact for a device.
//!
//! C header: [`include/linux/scatterlist.h`](srctree/include/linux/scatterlist.h)

use crate::{
    bindings,
    bindings::helpers, //
};
use core::mem::MaybeUninit;
use kernel::prelude::*;

/// A part of a scatterlist: `len` bytes behind the first `offset` ones. None if `len` is 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) list: *mut bindings::scatterlist,
    pub(super) offset: u32,
    pub(super) len: u32,
}

impl Span {
    /// No bytes.
    pub(super) const NONE: Self = Self {
        list: core::ptr::null_mut(),
        offset: 0,
        len: 0,
    };
}

/// Entries of a request's own: for memory of its own, and for lists that are not exact.
///
/// # Invariants
///
/// Entries from `next` on are in use by nobody.
pub(super) struct Pool<'a> {
    entries: &'a mut [MaybeUninit<bindings::scatterlist>],
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

impl Exact {
    /// Returns the list that a span is all of, if that has one segment of at most `max_segment` bytes, as
    /// most requests have.
    ///
    /// # Safety
    ///
    /// The scatterlist must be valid as long as the result is used.
    pub(super) unsafe fn single(span: &Span, max_segment: usize) -> Option<Self> {
        // CAST: Both targets of this driver have 32 bits at least.
        if span.offset != 0 || span.len == 0 || span.len as usize > max_segment {
            return None;
        }
        // SAFETY: The span is not empty, so the caller guarantees that its list has an entry.
        let (length, link) = unsafe { ((*span.list).length, (*span.list).page_link) };
        // INVARIANT: One entry, terminated and not empty.
        (length == span.len && link & bindings::SG_END as kernel::ffi::c_ulong != 0).then_some(
            Self {
                first: span.list,
                segments: 1,
            },
        )
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

impl<'a> Pool<'a> {
    /// Creates a pool of entries, the first `next` of which are in use.
    pub(super) fn new(entries: &'a mut [MaybeUninit<bindings::scatterlist>], next: usize) -> Self {
        Self { entries, next }
    }

    /// Returns the number of entries that are in use.
    pub(super) fn used(&self) -> usize {
        self.next
    }

    /// Makes the `len` bytes behind the first `offset` ones of `list` an exact list.
    ///
    /// Consumers' lists are often longer than the request, and may have empty entries; devices get
    /// every byte of a list, and some stop at an empty entry. A list that is exact is used as it
    /// is, others are copied, which no memory is allocated for. Where only the beginning has to be
    /// cut off, that takes two entries, whatever follows.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the list is shorter than that, or `len` is 0. `E2BIG`: there are too many segments
    /// to copy, or one is larger than `max_segment` bytes.
    ///
    /// # Safety
    ///
    /// `list` must start a valid scatterlist, and stay so as long as the result is used.
    pub(super) unsafe fn exact(
        &mut self,
        list: *mut bindings::scatterlist,
        offset: u32,
        len: u32,
        max_segment: usize,
    ) -> Result<Exact> {
        // SAFETY: By the safety requirements.
        let (first, offset) = unsafe { skip(list, offset)? };
        // SAFETY: By the safety requirements.
        let found = unsafe { self.look(first, offset, len, max_segment)? };
        if !found.trim && offset == 0 {
            // INVARIANT: The list ends with `len`, and no entry is empty.
            return Ok(Exact {
                first,
                segments: found.segments,
            });
        }

        // CAST: Both targets of this driver have 32 bits at least.
        let count = found.segments as usize;
        // Entries are few, and what comes after this needs some, too.
        if found.copied == count && (found.trim || count <= 2) {
            let own = self.entries.get_mut(self.next..self.next + count);
            let own = own.ok_or(E2BIG)?;
            let last = own.last_mut().ok_or(EINVAL)?;
            // INVARIANT: All parts were copied, none is empty, and the last one is marked.
            // SAFETY: `last` is a valid entry: `look` has written it.
            unsafe { helpers::sg_mark_end(last.as_mut_ptr()) };
            self.next += count;
            return Ok(Exact {
                first: own.as_mut_ptr().cast(),
                segments: found.segments,
            });
        }
        if found.trim {
            return Err(E2BIG);
        }
        // The first part is a copy; what follows it is exact.
        let own = self.entries.get_mut(self.next..self.next + 2);
        let own = own.ok_or(E2BIG)?.as_mut_ptr().cast();
        // SAFETY: There is more than one segment, so another entry follows `first`.
        let follows = unsafe { helpers::sg_next(first) };
        // INVARIANT: The copy of the first part, then the rest of a list that is exact.
        // SAFETY: There are two entries, the second of which becomes the link.
        unsafe { helpers::sg_chain(own, 2, follows) };
        self.next += 2;
        Ok(Exact {
            first: own,
            segments: found.segments,
        })
    }

    /// Looks what the first `len` bytes behind `offset` are like, which is inside the first entry.
    /// Parts are copied as long as there is room, in case they are needed.
    ///
    /// # Safety
    ///
    /// As for [`exact`](Self::exact).
    unsafe fn look(
        &mut self,
        list: *mut bindings::scatterlist,
        mut offset: u32,
        len: u32,
        max_segment: usize,
    ) -> Result<Found> {
        let mut found = Found {
            segments: 0,
            copied: 0,
            trim: false,
        };
        let mut left = len;
        let mut from = list;
        while left != 0 {
            if from.is_null() {
                return Err(EINVAL);
            }
            // SAFETY: By the safety requirements `from` is valid: it is not null.
            let (length, start) = unsafe { ((*from).length, (*from).offset) };
            let length = length.saturating_sub(offset);
            let part = length.min(left);
            if part == 0 {
                found.trim = true;
            } else {
                // CAST: Both targets of this driver have 32 bits at least.
                if part as usize > max_segment {
                    return Err(E2BIG);
                }
                if let Some(slot) = self.entries.get_mut(self.next + found.copied) {
                    // SAFETY: `from` is valid and not empty, so it has a page.
                    let page = unsafe { helpers::sg_page(from) };
                    slot.write(entry(page.addr(), 0, start.wrapping_add(offset), part));
                    found.copied += 1;
                }
                found.segments += 1;
                left -= part;
            }
            offset = 0;
            // SAFETY: `from` is valid.
            let is_last = unsafe { helpers::sg_is_last(from) };
            found.trim |= part != length || (left == 0 && !is_last);
            // SAFETY: As above.
            from = unsafe { helpers::sg_next(from) };
        }
        if found.segments == 0 {
            return Err(EINVAL);
        }
        Ok(found)
    }
}

/// What [`Pool::look`] finds.
struct Found {
    segments: u32,
    /// How many of the parts were copied.
    copied: usize,
    /// The list does not end with the data, or an entry is empty.
    trim: bool,
}

/// Returns the entry that has byte `offset` of a list, and where in that entry it is.
///
/// # Errors
///
/// `EINVAL`: the list is shorter.
///
/// # Safety
///
/// `list` must start a valid scatterlist.
unsafe fn skip(
    list: *mut bindings::scatterlist,
    mut offset: u32,
) -> Result<(*mut bindings::scatterlist, u32)> {
    let mut entry = list;
    while offset != 0 && !entry.is_null() {
        // SAFETY: By the safety requirements `entry` is valid: it is not null.
        let length = unsafe { (*entry).length };
        if offset < length {
            break;
        }
        offset -= length;
        // SAFETY: As above.
        entry = unsafe { helpers::sg_next(entry) };
    }
    if entry.is_null() {
        return Err(EINVAL);
    }
    Ok((entry, offset))
}

/// Returns where a span begins, if it lies in the first entry of its list and has at most
/// `max_segment` bytes: the address of a `struct page`, and the offset from there.
///
/// # Safety
///
/// The scatterlist must be valid.
#[inline]
pub(super) unsafe fn within_first(span: &Span, max_segment: usize) -> Option<(usize, u32)> {
    const FLAGS: usize = (bindings::SG_CHAIN | bindings::SG_END) as usize;

    // SAFETY: The caller guarantees that the list is valid.
    let entry = unsafe { &*span.list };
    // CAST: Both targets of this driver have 32 bits at least.
    let fits = span.len as usize <= max_segment
        && span.offset <= entry.length
        && span.len <= entry.length - span.offset;
    let page = entry.page_link & !FLAGS;
    fits.then_some((page, entry.offset.wrapping_add(span.offset)))
}

/// Returns where a span begins, if it lies in the first entry of its list.
///
/// # Safety
///
/// The scatterlist must be valid.
#[inline]
pub(super) unsafe fn single(span: &Span) -> Option<*const u8> {
    // SAFETY: The caller guarantees that the list is valid.
    let length = unsafe { (*span.list).length };
    if span.len == 0 || span.offset > length || span.len > length - span.offset {
        return None;
    }
    // SAFETY: The entry is valid and not empty, so it has memory.
    let bytes = unsafe { helpers::sg_virt(span.list) }.cast::<u8>();
    // CAST: Both targets of this driver have 32 bits at least.
    Some(bytes.wrapping_add(span.offset as usize))
}

/// Calls `f` with each segment of a part of a list, until it returns false; returns true if it was
/// called for all of them.
///
/// # Safety
///
/// The scatterlist must be valid.
pub(super) unsafe fn for_each(span: &Span, mut f: impl FnMut(*const u8, usize) -> bool) -> bool {
    let mut left = span.len;
    if left == 0 {
        return true;
    }
    // SAFETY: By the safety requirements.
    let Ok((mut entry, mut offset)) = (unsafe { skip(span.list, span.offset) }) else {
        return false;
    };
    while left != 0 {
        if entry.is_null() {
            return false;
        }
        // SAFETY: By the safety requirements `entry` is valid: it is not null.
        let length = unsafe { (*entry).length };
        let part = length.saturating_sub(offset).min(left);
        if part != 0 {
            // SAFETY: `entry` is valid and not empty, so it has memory.
            let bytes = unsafe { helpers::sg_virt(entry) }.cast::<u8>();
            // CAST: Both targets of this driver have 32 bits at least.
            if !f(bytes.wrapping_add(offset as usize), part as usize) {
                return false;
            }
            left -= part;
        }
        offset = 0;
        // SAFETY: As above.
        entry = unsafe { helpers::sg_next(entry) };
    }
    true
}

/// Copies bytes out of a scatterlist, from byte `offset` on.
///
/// # Errors
///
/// `EINVAL`: there are not so many.
///
/// # Safety
///
/// `list` must start a valid scatterlist, unless `bytes` is empty.
pub(super) unsafe fn read(
    list: *mut bindings::scatterlist,
    offset: u32,
    bytes: &mut [u8],
) -> Result {
    if bytes.is_empty() {
        // Without data there may be no list.
        return Ok(());
    }
    let len = u32::try_from(bytes.len())?;
    let end = offset.checked_add(len).ok_or(EINVAL)?;
    // SAFETY: By the safety requirements `list` is valid.
    if unsafe { (*list).length } >= end {
        // SAFETY: The first entry has these bytes, so it has memory.
        let from = unsafe { helpers::sg_virt(list) }.cast::<u8>();
        // SAFETY: As above; `bytes` is valid for writes of its length.
        unsafe {
            bytes
                .as_mut_ptr()
                .copy_from_nonoverlapping(from.wrapping_add(offset as usize), bytes.len())
        };
        return Ok(());
    }
    // SAFETY: By the safety requirements.
    if !unsafe { has(list, end) } {
        return Err(EINVAL);
    }
    // SAFETY: The list has these bytes; `bytes` is valid for writes of `len` bytes.
    unsafe { bindings::memcpy_from_sglist(bytes.as_mut_ptr().cast(), list, offset, len) };
    Ok(())
}

/// Copies bytes into what a scatterlist describes, from byte `offset` on.
///
/// # Errors
///
/// `EINVAL`: there are not so many.
///
/// # Safety
///
/// `list` must start a valid scatterlist.
pub(super) unsafe fn write(list: *mut bindings::scatterlist, offset: u32, bytes: &[u8]) -> Result {
    let len = u32::try_from(bytes.len())?;
    // SAFETY: By the safety requirements.
    if !unsafe { has(list, offset.checked_add(len).ok_or(EINVAL)?) } {
        return Err(EINVAL);
    }
    // SAFETY: The list has these bytes; `bytes` is valid for reads of `len` bytes.
    unsafe { bindings::memcpy_to_sglist(list, offset, bytes.as_ptr().cast(), len) };
    Ok(())
}

/// Writes zeros over `len` bytes of what a scatterlist describes, from byte `offset` on, as far as
/// it goes.
///
/// # Safety
///
/// `list` must start a valid scatterlist.
pub(super) unsafe fn wipe(list: *mut bindings::scatterlist, offset: u32, len: u32) {
    // CAST: Both targets of this driver have 32 bits at least.
    let (offset, len) = (offset as usize, len as usize);
    // SAFETY: By the safety requirements; it ends where the list does.
    unsafe { bindings::sg_zero_buffer(list, u32::MAX, len, offset as isize) };
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
    /// # Errors
    ///
    /// `EINVAL`: nothing is.
    ///
    /// # Safety
    ///
    /// `list` must start a valid scatterlist.
    pub(super) unsafe fn of(
        &mut self,
        list: *mut bindings::scatterlist,
        offset: u32,
    ) -> Result<*mut bindings::scatterlist> {
        // SAFETY: By the safety requirements.
        if !unsafe { has(list, offset.checked_add(1).ok_or(EINVAL)?) } {
            return Err(EINVAL);
        }
        // SAFETY: The list has more than `offset` bytes; there are two entries, which is what it
        // asks for.
        Ok(unsafe { bindings::scatterwalk_ffwd(self.0.as_mut_ptr(), list, offset) })
    }
}
