// SPDX-License-Identifier: GPL-2.0

//! Modes of operation. The mode and the length of a request determine whether the request is valid,
//! and whether it runs on a device or on the fallback.

/// A mode of operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Electronic codebook.
    Ecb,
    /// Cipher block chaining.
    Cbc,
    /// Counter.
    Ctr,
    /// XEX with tweak and ciphertext stealing.
    Xts,
}

/// How a request is processed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dispatch {
    /// The mode does not support the length. The request fails with `EINVAL`, as in all other
    /// implementations.
    Reject,
    /// The request has no data and succeeds.
    Empty,
    /// The whole request runs on the fallback.
    Fallback,
    /// A device processes the request, with `padding` bytes appended to fill the last block.
    Device { padding: u32 },
}

/// Maximum padding in bytes: one less than the largest block.
pub(super) const MAX_PADDING: usize = 15;

impl Mode {
    /// Returns the size of the IV in bytes, for a cipher with blocks of `block` bytes.
    pub(super) const fn iv_size(self, block: u32) -> u32 {
        match self {
            Self::Ecb => 0,
            Self::Cbc | Self::Ctr | Self::Xts => block,
        }
    }

    /// Returns the block size that the crypto API reports, in bytes. The length of the data must be
    /// a multiple of the block size. XTS is an exception: ciphertext stealing also supports other
    /// lengths.
    pub(super) const fn block_size(self, block: u32) -> u32 {
        match self {
            Self::Ctr => 1,
            Self::Ecb | Self::Cbc | Self::Xts => block,
        }
    }

    /// Decides how a request of `len` bytes is processed, for a cipher with blocks of `block`
    /// bytes.
    ///
    /// Devices only get whole blocks. The specification does not define how a mode processes a
    /// partial block, and QEMU's device rejects a partial block.
    pub(super) fn dispatch(self, block: u32, len: u32) -> Dispatch {
        // The block size is a power of two.
        let mask = block.wrapping_sub(1);
        let (partial, padding) = (len & mask, len.wrapping_neg() & mask);
        match self {
            Self::Ecb | Self::Cbc if partial != 0 => Dispatch::Reject,
            Self::Xts if len < block => Dispatch::Reject,
            // Ciphertext stealing.
            Self::Xts if partial != 0 => Dispatch::Fallback,
            _ if len == 0 => Dispatch::Empty,
            _ if len.checked_add(padding).is_none() => Dispatch::Fallback,
            _ => Dispatch::Device { padding },
        }
    }

    /// Returns the number of bytes that the fallback must process before a device can process the
    /// rest. Returns `None` if the device cannot process any part of the request.
    ///
    /// The request has `len` bytes and `padding`. The device supports at most `max_len` bytes.
    ///
    /// The fallback processes the first part and not the last part, for two reasons. First, the
    /// fallback then provides the IV of the rest in every mode. Second, the device gets the tail of
    /// the caller's scatterlist, which needs no copy.
    pub(super) fn fallback_len(
        self,
        block: u32,
        len: u32,
        padding: u32,
        max_len: u64,
    ) -> Option<u32> {
        let total = u64::from(len) + u64::from(padding);
        if total <= max_len {
            return Some(0);
        }
        let device_len = max_len - max_len.checked_rem(block.into())?;
        match self {
            // XTS has no IV with which the device could continue.
            Self::Xts => None,
            _ if device_len == 0 => None,
            _ => u32::try_from(total - device_len).ok(),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_skcipher_mode)]
mod tests {
    use super::*;

    const WHOLE: Dispatch = Dispatch::Device { padding: 0 };

    #[test]
    fn ecb_and_cbc_accept_only_whole_blocks() {
        for mode in [Mode::Ecb, Mode::Cbc] {
            for block in [8, 16] {
                assert_eq!(mode.dispatch(block, 0), Dispatch::Empty);
                assert_eq!(mode.dispatch(block, block), WHOLE);
                assert_eq!(mode.dispatch(block, 10 * block), WHOLE);
                for len in [1, block - 1, block + 1, 10 * block - 1, u32::MAX] {
                    assert_eq!(mode.dispatch(block, len), Dispatch::Reject);
                }
                assert_eq!(mode.block_size(block), block);
            }
        }
    }

    #[test]
    fn ctr_pads_last_block() {
        for block in [8, 16] {
            let mode = Mode::Ctr;
            assert_eq!(mode.dispatch(block, 0), Dispatch::Empty);
            for whole in [0, block, 100 * block] {
                for rest in 1..block {
                    let padding = block - rest;
                    assert_eq!(
                        mode.dispatch(block, whole + rest),
                        Dispatch::Device { padding }
                    );
                    assert!(padding as usize <= MAX_PADDING);
                }
                assert_eq!(mode.dispatch(block, whole + block), WHOLE);
            }
            // The padded length does not fit in 32 bits.
            assert_eq!(mode.dispatch(block, u32::MAX), Dispatch::Fallback);
            assert_eq!(mode.block_size(block), 1);
        }
    }

    #[test]
    fn fallback_processes_prefix_of_long_request() {
        for mode in [Mode::Ecb, Mode::Cbc, Mode::Ctr] {
            assert_eq!(mode.fallback_len(16, 4096, 0, 4096), Some(0));
            assert_eq!(mode.fallback_len(16, 4096, 0, 4095), Some(16));
            assert_eq!(mode.fallback_len(16, 4096, 0, 100), Some(4096 - 96));
            assert_eq!(mode.fallback_len(16, 4096, 0, 15), None);
            assert_eq!(mode.fallback_len(8, 4096, 0, 0), None);
        }
        assert_eq!(Mode::Ctr.fallback_len(16, 4093, 3, 4096), Some(0));
        assert_eq!(Mode::Ctr.fallback_len(16, 4093, 3, 4095), Some(16));
        assert_eq!(Mode::Ctr.fallback_len(16, 17, 15, 16), Some(16));
        assert_eq!(Mode::Ctr.fallback_len(16, 1, 15, 15), None);
    }

    #[test]
    fn xts_request_is_not_split() {
        assert_eq!(Mode::Xts.fallback_len(16, 4096, 0, 4096), Some(0));
        assert_eq!(Mode::Xts.fallback_len(16, 4096, 0, 4095), None);
    }

    #[test]
    fn xts_rejects_short_data_and_runs_ciphertext_stealing_on_fallback() {
        let mode = Mode::Xts;
        for len in [0, 1, 15] {
            assert_eq!(mode.dispatch(16, len), Dispatch::Reject);
        }
        for len in [16, 32, 4096] {
            assert_eq!(mode.dispatch(16, len), WHOLE);
        }
        for len in [17, 31, 4095, u32::MAX] {
            assert_eq!(mode.dispatch(16, len), Dispatch::Fallback);
        }
    }

    #[test]
    fn every_mode_but_ecb_has_iv() {
        assert_eq!(Mode::Ecb.iv_size(16), 0);
        for mode in [Mode::Cbc, Mode::Ctr, Mode::Xts] {
            assert_eq!(mode.iv_size(8), 8);
            assert_eq!(mode.iv_size(16), 16);
        }
    }
}
