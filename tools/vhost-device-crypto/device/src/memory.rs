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

/// A sequence of slices, none of which is empty.
#[derive(Clone, Debug, Default)]
pub struct Span<'m> {
    slices: SmallVec<[Slice<'m>; 8]>,
    len: usize,
}

impl<'m> Span<'m> {
    /// Creates an empty span.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the span has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the slices, none of which is empty.
    pub fn slices(&self) -> &[Slice<'m>] {
        &self.slices
    }

    /// Returns the bytes as one slice, or `None` if the span is empty or has several slices.
    pub fn contiguous(&self) -> Option<Slice<'m>> {
        match self.slices[..] {
            [slice] => Some(slice),
            _ => None,
        }
    }

    /// Appends a slice, unless it is empty. The length cannot overflow, because slices refer to
    /// mapped memory.
    pub fn push(&mut self, slice: Slice<'m>) {
        if !slice.is_empty() {
            self.len += slice.len();
            self.slices.push(slice);
        }
    }

    /// Appends all slices of another span.
    pub fn extend(&mut self, other: &Span<'m>) {
        other.slices.iter().for_each(|&slice| self.push(slice));
    }

    /// Returns a span of the `len` bytes from `offset` on, or `None` if this span is too short.
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

    /// Removes and returns the first `len` bytes. Returns `None` if the span is too short.
    pub fn take(&mut self, len: usize) -> Option<Span<'m>> {
        let front = self.get(0, len)?;
        *self = self.get(len, self.len - len)?;
        Some(front)
    }

    /// Removes and returns the last byte.
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

    /// Copies bytes from the span until `to` is full or the span ends. Returns the number of bytes.
    pub fn read(&self, to: &mut [u8]) -> usize {
        let mut copied = 0;
        for slice in &self.slices {
            copied += slice.copy_to(&mut to[copied..]);
        }
        copied
    }

    /// Copies bytes to the span until `from` or the span ends. Returns the number of bytes.
    pub fn write(&self, from: &[u8]) -> usize {
        let mut copied = 0;
        for slice in &self.slices {
            let len = slice.len().min(from.len() - copied);
            slice.copy_from(&from[copied..copied + len]);
            copied += len;
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

/// The memory of a request: the buffers of a descriptor chain.
#[derive(Clone, Debug, Default)]
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
    fn cut<'a>(bytes: &'a mut [u8], lens: &[usize]) -> Span<'a> {
        let slice = Slice::from(bytes);
        let mut span = Span::new();
        let mut at = 0;
        for &len in lens {
            span.push(slice.subslice(at, len).unwrap());
            at += len;
        }
        span
    }

    #[test]
    fn contents_do_not_depend_on_the_slices() {
        let expected: Vec<u8> = (0..32).collect();
        for lens in [&[32][..], &[1, 31], &[0, 8, 8, 0, 16], &[31, 1], &[4; 8]] {
            let mut bytes = expected.clone();
            let mut span = cut(&mut bytes, lens);
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
            drop(span);
            assert_eq!(bytes[7..31], [0xaa; 24]);
            assert_eq!((bytes[6], bytes[31]), (6, 31));
        }
    }
}
