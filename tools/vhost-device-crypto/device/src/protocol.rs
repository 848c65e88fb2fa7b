// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Layouts and numbers of the specification's chapter "Crypto Device".

pub mod algorithm;
pub mod config;
pub mod control;
pub mod data;
pub mod feature;

use std::ops::Range;

use crate::status::{Result, StatusError};

/// Unused bytes of a layout.
type Unused = smallvec::SmallVec<[Range<usize>; 4]>;

/// The layout of the fixed-length fields.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// Without `VIRTIO_CRYPTO_F_REVISION_1`: header and fixed-length fields are padded to 72 bytes.
    Padded,
    /// With `VIRTIO_CRYPTO_F_REVISION_1`: the length depends on the service.
    Natural,
}

/// Length of the header and the fixed-length fields of a padded request, in bytes.
pub const PADDED_LEN: usize = 72;

/// Reads little-endian fields at the offsets of the specification.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Returns the fields in the first `len` bytes. Fails if there are fewer bytes.
    fn new(bytes: &'a [u8], len: usize) -> Result<Self> {
        bytes.get(..len).map(Fields).ok_or(StatusError::Generic)
    }

    /// Returns the field at an offset, or 0 beyond the end.
    fn u32(&self, at: usize) -> u32 {
        let bytes = self.0.get(at..at + 4);
        bytes.map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }

    /// Returns whether all bytes of these ranges are 0. Bytes beyond the end are ignored.
    fn zero(&self, ranges: &[Range<usize>]) -> bool {
        ranges.iter().all(|range| {
            let end = range.end.min(self.0.len());
            self.0.get(range.start..end).is_none_or(|bytes| bytes.iter().all(|&byte| byte == 0))
        })
    }
}
