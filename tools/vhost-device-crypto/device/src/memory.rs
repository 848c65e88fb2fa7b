// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Memory of a request: device-readable and device-writable bytes.

use std::fs::File;

use smallvec::SmallVec;
use vm_memory::mmap::MmapRegionError;
use vm_memory::{FileOffset, GuestRegionMmap, MmapRegion, VolatileSlice};
use zeroize::Zeroizing;

/// Flags that mark a region as read-only for the device. Other regions also have `MAP_NORESERVE`,
/// which has no effect on file mappings. The mapping itself is writable, because a write to a
/// read-only page would kill the process. `ChainBuilder::push()` rejects device-writable buffers in
/// such a region.
const READ_ONLY: i32 = libc::MAP_SHARED;

/// Maps `len` bytes of a file from `offset` on as a region that the device may only read.
pub fn map_read_only(file: File, offset: u64, len: usize) -> Result<MmapRegion, MmapRegionError> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    MmapRegion::build(Some(FileOffset::new(file, offset)), len, prot, READ_ONLY)
}

/// Returns whether the device may only read a region.
pub fn is_read_only(region: &GuestRegionMmap) -> bool {
    region.flags() == READ_ONLY
}

/// Contiguous bytes that the guest may change at any time.
pub type Slice<'m> = VolatileSlice<'m, ()>;

/// Slices one after another, none of which is empty. The memory of a [`Span`] that has several.
#[derive(Clone, Debug, Default)]
pub struct Slices<'m> {
    slices: SmallVec<[Slice<'m>; 8]>,
    len: usize,
}

impl<'m> Slices<'m> {
    /// Appends a slice, unless it is empty. The length cannot overflow, because slices refer to
    /// mapped memory.
    #[inline]
    pub fn push(&mut self, slice: Slice<'m>) {
        if !slice.is_empty() {
            self.len += slice.len();
            self.slices.push(slice);
        }
    }

    /// Removes all slices and keeps the allocation.
    pub fn clear(&mut self) {
        self.slices.clear();
        self.len = 0;
    }

    /// Returns whether there are no slices.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the bytes of all slices.
    #[inline]
    pub fn span(&self) -> Span<'_> {
        match self.slices.split_first() {
            Some((&first, rest)) => Span { first, rest, len: self.len },
            None => Span::new(),
        }
    }
}

/// A sequence of bytes in one or more slices.
#[derive(Clone, Copy, Debug)]
pub struct Span<'m> {
    /// The slice with the first byte. It starts with this byte, ends with the span if it has the
    /// last byte, and is empty only if the span is.
    first: Slice<'m>,
    /// The slices that follow. The last byte of the span may be before their end.
    rest: &'m [Slice<'m>],
    len: usize,
}

impl Default for Span<'_> {
    fn default() -> Self {
        Span { first: Slice::from(&mut [][..]), rest: &[], len: 0 }
    }
}

impl<'m> Span<'m> {
    /// Creates an empty span.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the span has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the slices, none of which is empty.
    pub fn slices(&self) -> impl Iterator<Item = Slice<'m>> {
        let mut left = *self;
        std::iter::from_fn(move || {
            let slice = left.first;
            left.skip(slice.len());
            (!slice.is_empty()).then_some(slice)
        })
    }

    /// Returns the first bytes, up to the end of a slice. Empty only if the span is.
    pub fn first(&self) -> Slice<'m> {
        self.first
    }

    /// Returns the bytes as one slice, or `None` if the span is empty or has several slices.
    pub fn contiguous(&self) -> Option<Slice<'m>> {
        (!self.is_empty() && self.first.len() == self.len).then_some(self.first)
    }

    /// Removes the first `count` bytes, or all if there are fewer.
    pub fn skip(&mut self, count: usize) {
        let mut count = count.min(self.len);
        self.len -= count;
        while count >= self.first.len() {
            let Some((&next, rest)) = self.rest.split_first() else { break };
            count -= self.first.len();
            (self.first, self.rest) = (next, rest);
        }
        let end = self.first.len().min(count + self.len);
        self.first = part(self.first, count, end);
    }

    /// Returns a span of the `len` bytes from `offset` on, or `None` if this span is too short.
    pub fn get(&self, offset: usize, len: usize) -> Option<Span<'m>> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        let mut out = *self;
        out.skip(offset);
        out.len = len;
        out.first = part(out.first, 0, out.first.len().min(len));
        Some(out)
    }

    /// Removes and returns the first `len` bytes. Returns `None` if the span is too short.
    #[inline]
    pub fn take(&mut self, len: usize) -> Option<Span<'m>> {
        // Most parts of a request are in one slice.
        if len < self.first.len() {
            let (front, rest) = self.first.split_at(len).ok()?;
            (self.first, self.len) = (rest, self.len - len);
            return Some(front.into());
        }
        let front = self.get(0, len)?;
        self.skip(len);
        Some(front)
    }

    /// Removes and returns the last byte.
    pub fn take_last(&mut self) -> Option<Slice<'m>> {
        let at = self.len.checked_sub(1)?;
        if at < self.first.len() {
            let (front, last) = self.first.split_at(at).ok()?;
            *self = front.into();
            return Some(last);
        }
        let last = self.get(at, 1)?;
        *self = self.get(0, at)?;
        Some(last.first)
    }

    /// Copies bytes from the span until `to` is full or the span ends. Returns the number of bytes.
    pub fn read(&self, to: &mut [u8]) -> usize {
        if to.len() <= self.first.len() {
            return self.first.copy_to(to);
        }
        let mut copied = 0;
        for slice in self.slices() {
            copied += slice.copy_to(&mut to[copied..]);
            if copied == to.len() {
                break;
            }
        }
        copied
    }

    /// Copies bytes to the span until `from` or the span ends. Returns the number of bytes.
    pub fn write(&self, from: &[u8]) -> usize {
        if from.len() <= self.first.len() {
            self.first.copy_from(from);
            return from.len();
        }
        let mut copied = 0;
        for slice in self.slices() {
            let len = slice.len().min(from.len() - copied);
            slice.copy_from(&from[copied..copied + len]);
            copied += len;
            if copied == from.len() {
                break;
            }
        }
        copied
    }

    /// Returns a copy of the bytes, which is wiped on drop.
    pub fn to_vec(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(vec![0; self.len]);
        self.read(&mut out);
        out
    }
}

impl<'m> From<Slice<'m>> for Span<'m> {
    fn from(slice: Slice<'m>) -> Self {
        Span { first: slice, rest: &[], len: slice.len() }
    }
}

/// Returns the bytes of a slice from `start` to `end`, which are not beyond its end.
fn part(slice: Slice<'_>, start: usize, end: usize) -> Slice<'_> {
    slice.subslice(start, end - start).unwrap_or(Slice::from(&mut [][..]))
}

impl<'m> From<&'m mut [u8]> for Span<'m> {
    fn from(bytes: &'m mut [u8]) -> Self {
        Slice::from(bytes).into()
    }
}

/// The memory of a request: the buffers of a descriptor chain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain<'m> {
    /// The device-readable bytes.
    pub readable: Span<'m>,
    /// The device-writable bytes.
    pub writable: Span<'m>,
}

impl Chain<'_> {
    /// Returns the opcode of the header, or 0 if the readable part is too short.
    pub fn opcode(&self) -> u32 {
        let mut bytes = [0; 4];
        self.readable.read(&mut bytes);
        u32::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Divides a buffer into slices of these lengths.
    fn cut<'a>(bytes: &'a mut [u8], lens: &[usize]) -> Slices<'a> {
        let slice = Slice::from(bytes);
        let mut slices = Slices::default();
        let mut at = 0;
        for &len in lens {
            slices.push(slice.subslice(at, len).unwrap());
            at += len;
        }
        slices
    }

    #[test]
    fn contents_do_not_depend_on_the_slices() {
        let expected: Vec<u8> = (0..32).collect();
        for lens in [&[32][..], &[1, 31], &[0, 8, 8, 0, 16], &[31, 1], &[4; 8]] {
            let mut bytes = expected.clone();
            let slices = cut(&mut bytes, lens);
            let mut span = slices.span();
            for offset in 0..=32 {
                for len in 0..=32 - offset {
                    let part = span.get(offset, len).unwrap();
                    assert_eq!(part.to_vec()[..], expected[offset..offset + len]);
                }
                assert!(span.get(offset, 33 - offset).is_none());
            }
            assert!(span.get(usize::MAX, 2).is_none());
            let mut last = [0];
            Span::from(span.take_last().unwrap()).read(&mut last);
            assert_eq!(last, [31]);
            assert_eq!(span.take(7).unwrap().to_vec()[..], expected[..7]);
            assert_eq!(span.to_vec()[..], expected[7..31]);
            assert!(span.take(25).is_none());
            assert_eq!(span.write(&[0xaa; 64]), 24);
            drop(slices);
            assert_eq!(bytes[7..31], [0xaa; 24]);
            assert_eq!((bytes[6], bytes[31]), (6, 31));
        }
    }
}
