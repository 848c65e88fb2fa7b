// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A request's memory: what the guest gave to be read, and to be written.

use std::fs::File;

use smallvec::SmallVec;
use vm_memory::mmap::MmapRegionError;
use vm_memory::{FileOffset, GuestRegionMmap, MmapRegion, VolatileSlice};
use zeroize::Zeroizing;

/// How memory is mapped that the device may only read. Others have `MAP_NORESERVE` besides,
/// which makes no difference to a file's. That nothing is written there is seen to by who
/// puts chains together: a page that cannot be written would end the process.
const READ_ONLY: i32 = libc::MAP_SHARED;

/// Maps a file's memory, from `offset` on, that the device may only read.
pub fn map_read_only(file: File, offset: u64, len: usize) -> Result<MmapRegion, MmapRegionError> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    MmapRegion::build(Some(FileOffset::new(file, offset)), len, prot, READ_ONLY)
}

/// Whether the device may only read a region.
pub fn is_read_only(region: &GuestRegionMmap) -> bool {
    region.flags() == READ_ONLY
}

/// A run of bytes that the guest may change at any moment.
pub type Slice<'m> = VolatileSlice<'m, ()>;

/// Bytes in one or more pieces, in order. No piece is empty.
#[derive(Clone, Debug, Default)]
pub struct Span<'m> {
    slices: SmallVec<[Slice<'m>; 8]>,
    len: usize,
}

impl<'m> Span<'m> {
    /// No bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, none of which is empty.
    pub fn slices(&self) -> &[Slice<'m>] {
        &self.slices
    }

    /// The bytes as one piece, if they are; `None` as well if there are none.
    pub fn contiguous(&self) -> Option<Slice<'m>> {
        match self.slices[..] {
            [slice] => Some(slice),
            _ => None,
        }
    }

    /// Appends a piece. The sum is kept from overflowing by memory's size.
    pub fn push(&mut self, slice: Slice<'m>) {
        if !slice.is_empty() {
            self.len += slice.len();
            self.slices.push(slice);
        }
    }

    /// Appends all pieces of another.
    pub fn extend(&mut self, other: &Span<'m>) {
        other.slices.iter().for_each(|&slice| self.push(slice));
    }

    /// The `len` bytes from `offset` on, or `None` if there are not as many.
    pub fn get(&self, offset: usize, len: usize) -> Option<Span<'m>> {
        let end = offset.checked_add(len)?;
        if end > self.len {
            return None;
        }
        let mut out = Span::new();
        let mut at = 0;
        for slice in &self.slices {
            let from = offset.clamp(at, at + slice.len()) - at;
            let to = end.clamp(at, at + slice.len()) - at;
            out.push(slice.subslice(from, to - from).ok()?);
            at += slice.len();
        }
        Some(out)
    }

    /// Cuts the first `len` bytes off, or returns `None` if there are not as many.
    pub fn take(&mut self, len: usize) -> Option<Span<'m>> {
        let front = self.get(0, len)?;
        *self = self.get(len, self.len - len)?;
        Some(front)
    }

    /// Cuts the last byte off.
    pub fn take_last(&mut self) -> Option<Slice<'m>> {
        let last = self.slices.last_mut()?;
        let at = last.len() - 1;
        let byte = last.subslice(at, 1).ok()?;
        *last = last.subslice(0, at).ok()?;
        if last.is_empty() {
            self.slices.pop();
        }
        self.len -= 1;
        Some(byte)
    }

    /// Copies as many bytes out as there are and `to` holds; returns how many.
    pub fn read(&self, to: &mut [u8]) -> usize {
        let mut done = 0;
        for slice in &self.slices {
            done += slice.copy_to(&mut to[done..]);
        }
        done
    }

    /// Copies as many bytes in as there is room; returns how many.
    pub fn write(&self, from: &[u8]) -> usize {
        let mut done = 0;
        for slice in &self.slices {
            let len = slice.len().min(from.len() - done);
            slice.copy_from(&from[done..done + len]);
            done += len;
        }
        done
    }

    /// A copy of the bytes that is wiped when dropped.
    pub fn to_vec(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(vec![0; self.len]);
        self.read(&mut out);
        out
    }
}

impl<'m> From<Slice<'m>> for Span<'m> {
    fn from(slice: Slice<'m>) -> Self {
        let mut span = Span::new();
        span.push(slice);
        span
    }
}

impl<'m> From<&'m mut [u8]> for Span<'m> {
    fn from(bytes: &'m mut [u8]) -> Self {
        Slice::from(bytes).into()
    }
}

/// One request: everything the device may read, and everything it may write.
#[derive(Clone, Debug, Default)]
pub struct Chain<'m> {
    /// The device-readable bytes.
    pub readable: Span<'m>,
    /// The device-writable bytes.
    pub writable: Span<'m>,
}

impl Chain<'_> {
    /// Returns the opcode of a request's header, or 0 if it is too short for one.
    pub fn opcode(&self) -> u32 {
        let mut bytes = [0; 4];
        self.readable.read(&mut bytes);
        u32::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces<'a>(bytes: &'a mut [u8], cuts: &[usize]) -> Span<'a> {
        let slice = Slice::from(bytes);
        let mut span = Span::new();
        let mut at = 0;
        for &len in cuts {
            span.push(slice.subslice(at, len).unwrap());
            at += len;
        }
        span
    }

    #[test]
    fn bytes_are_the_same_however_they_are_cut() {
        let want: Vec<u8> = (0..32).collect();
        for cuts in [&[32][..], &[1, 31], &[0, 8, 8, 0, 16], &[31, 1], &[4; 8]] {
            let mut bytes = want.clone();
            let mut span = pieces(&mut bytes, cuts);
            for offset in 0..=32 {
                for len in 0..=32 - offset {
                    let part = span.get(offset, len).unwrap();
                    assert_eq!(part.to_vec()[..], want[offset..offset + len]);
                }
                assert!(span.get(offset, 33 - offset).is_none());
            }
            assert!(span.get(usize::MAX, 2).is_none());
            let mut last = [0];
            Span::from(span.take_last().unwrap()).read(&mut last);
            assert_eq!(last, [31]);
            assert_eq!(span.take(7).unwrap().to_vec()[..], want[..7]);
            assert_eq!(span.to_vec()[..], want[7..31]);
            assert!(span.take(25).is_none());
            assert_eq!(span.write(&[0xaa; 64]), 24);
            drop(span);
            assert_eq!(bytes[7..31], [0xaa; 24]);
            assert_eq!((bytes[6], bytes[31]), (6, 31));
        }
    }
}
