// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The bytes of the specification's chapter "Crypto Device".

pub mod algorithm;
pub mod config;
pub mod control;
pub mod data;
pub mod feature;

use std::ops::Range;

use crate::status::{Result, StatusError};

/// What a request of one form does not use of its layout; at most so many ranges.
type Unused = smallvec::SmallVec<[Range<usize>; 4]>;

/// Which of the two layouts a request has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// Without `VIRTIO_CRYPTO_F_REVISION_1`: header and fixed fields make 72 bytes.
    Padded,
    /// With it: every field group has its own size.
    Natural,
}

/// Header and fixed fields of a padded request, in bytes.
pub const PADDED_LEN: usize = 72;

/// Reads little-endian fields at the offsets that the specification's tables give.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The first `len` bytes, all that is to be read of.
    fn new(bytes: &'a [u8], len: usize) -> Result<Self> {
        bytes.get(..len).map(Fields).ok_or(StatusError::Generic)
    }

    /// The field at `at`; 0 beyond the end, where the padding would be.
    fn u32(&self, at: usize) -> u32 {
        let bytes = self.0.get(at..at + 4);
        bytes.map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }

    /// Whether the bytes of these ranges, as far as there are any, are 0.
    fn zero(&self, ranges: &[Range<usize>]) -> bool {
        ranges.iter().all(|range| {
            let end = range.end.min(self.0.len());
            self.0.get(range.start..end).is_none_or(|bytes| bytes.iter().all(|&byte| byte == 0))
        })
    }
}
