// SPDX-License-Identifier: GPL-2.0

//! IVs, and how they go on.

/// The longest IV in bytes.
pub(super) const MAX_IV: usize = 16;

/// An IV of up to [`MAX_IV`] bytes, or none: an empty one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Iv {
    bytes: [u8; MAX_IV],
    len: usize,
}

impl Iv {
    /// Creates an IV of `len` zeros, or as many as there is room for.
    pub(super) fn new(len: u32) -> Self {
        Self {
            bytes: [0; MAX_IV],
            // CAST: Both targets of this driver have 32 bits at least.
            len: (len as usize).min(MAX_IV),
        }
    }

    /// Returns the bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Returns the bytes.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_iv)]
mod tests {
    use super::*;

    #[test]
    fn an_iv_has_its_own_length_and_none_is_empty() {
        assert_eq!(Iv::new(0).bytes().len(), 0);
        assert_eq!(Iv::new(8).bytes(), [0; 8]);
        assert_eq!(Iv::new(16).bytes_mut().len(), 16);
        assert_eq!(Iv::new(u32::MAX).bytes().len(), MAX_IV);
    }
}
